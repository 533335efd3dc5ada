#include "cli/prompt.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

enum { LINE = 8 << 10 };

static struct termios shown; /* the terminal as it was before the prompt */

/* Ctrl-C at the prompt must not leave a terminal that shows nothing. */
static void on_signal(int signal)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &shown);
    raise(signal); /* SA_RESETHAND: now it ends us */
}

static char *read_hidden(const char *label, char *out, int cap)
{
    const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction restore = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND}, before[3];
    struct termios quiet = shown;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    for (size_t i = 0; i < 3; i++)
        sigaction(ending[i], &restore, &before[i]);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet); /* before the label: what follows it isn't shown */
    fprintf(stderr, "%s: ", label);
    char *line = fgets(out, cap, stdin);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    fputc('\n', stderr);
    for (size_t i = 0; i < 3; i++)
        sigaction(ending[i], &before[i], NULL);
    return line;
}

bool prompt_on_terminal(void)
{
    return isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
}

enum err_code prompt_line(const char *label, char *out, size_t cap, struct err *e)
{
    char *line =
        prompt_on_terminal() ? read_hidden(label, out, (int)cap) : fgets(out, (int)cap, stdin);
    size_t n = line ? strcspn(out, "\r\n") : 0;
    if (n + 1 == cap)
        return err_set(e, ERR_INVALID, "that is longer than %zu bytes", cap - 2);
    out[n] = '\0';
    return ERR_OK;
}

static enum err_code read_pipe(struct buf *out, struct err *e)
{
    char piece[4096];
    enum err_code rc = ERR_OK;
    for (ssize_t n; rc == ERR_OK && (n = read(STDIN_FILENO, piece, sizeof piece)) != 0;) {
        if (n < 0 && errno != EINTR)
            rc = err_errno(e, "can't read standard input");
        else if (n > 0 && !buf_add(out, piece, (size_t)n))
            rc = err_set(e, ERR_TOO_LARGE, "standard input has more than %zu bytes", out->limit);
    }
    explicit_bzero(piece, sizeof piece);
    struct slice s = buf_slice(out);
    if (s.n && s.p[s.n - 1] == '\n')
        out->len--;
    return rc;
}

enum err_code prompt_value(const char *label, struct buf *out, struct err *e)
{
    char line[LINE];
    if (!prompt_on_terminal())
        return read_pipe(out, e);
    enum err_code rc = prompt_line(label, line, sizeof line, e);
    if (rc == ERR_OK && !buf_add(out, line, strlen(line)))
        rc = err_set(e, ERR_TOO_LARGE, "that is longer than %zu bytes", out->limit);
    explicit_bzero(line, sizeof line);
    return rc;
}
