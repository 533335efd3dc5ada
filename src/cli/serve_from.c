/* The import is done by a child process through the server's own API: master neither reads archives
 * nor speaks HTTP. The child waits for the ready line in place of whoever asked for it, imports,
 * and passes the line on: ready then means that the project answers. If the import fails, it says
 * why and has the server end. */
#include "cli/serve_from.h"

#include "base/brand.h"
#include "cli/command.h"
#include "cli/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE = 16 << 10, FOLDERS_OPEN = 16 };

/* ---- the data folder ---- */

static bool is_new(const char *path)
{
    DIR *d = opendir(path);
    bool empty = d || errno == ENOENT;
    for (struct dirent *f; d && (f = readdir(d));)
        empty = empty && (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0);
    if (d)
        closedir(d);
    return empty;
}

static enum err_code choose_folder(struct serve_from *f, struct options *o, struct err *e)
{
    const char *data = option_text(o, OPTION_DATA), *base = getenv("TMPDIR");
    if (strcmp(data, option_rows[OPTION_DATA].normal) != 0)
        return is_new(data) ? ERR_OK
                            : err_set(e, ERR_CONFLICT,
                                      "the data folder %s is not new: --from fills an empty one; "
                                      "start without it to go on with what is there",
                                      data);
    if ((size_t)snprintf(f->folder, sizeof f->folder, "%s/" BRAND_COMMAND "-from-XXXXXX",
                         base && *base ? base : "/tmp") >= sizeof f->folder)
        return err_set(e, ERR_INVALID, "TMPDIR is too long");
    if (!mkdtemp(f->folder)) {
        enum err_code rc = err_errno(e, "making a temporary data folder %s", f->folder);
        f->folder[0] = '\0';
        return rc;
    }
    return options_set(o, SLICE("data"), slice_str(f->folder), e);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path), 0;
}

/* ---- the helper ---- */

/* The ready line; n 0: the server ended before it. */
static size_t read_line(int fd, char line[LINE])
{
    size_t n = 0;
    while (n < LINE - 1 && (!n || line[n - 1] != '\n')) {
        ssize_t got = read(fd, line + n, LINE - 1 - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        n += (size_t)got;
    }
    line[n] = '\0';
    return n;
}

static enum err_code read_token(const char *path, struct context *context, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, context->token, sizeof context->token - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return err_errno(e, "can't read the token %s", path);
    context->token[strcspn(context->token, "\n")] = '\0';
    return ERR_OK;
}

static int help(const struct serve_from *f, int from, int to)
{
    static char line[LINE];
    struct context context = {.url = ""};
    struct import_wish wish = {.file = f->file, .secrets = f->secrets};
    struct import_done done;
    struct err e;
    size_t n = read_line(from, line);
    if (n == 0)
        return 0; /* it has said why */
    json_t *ready = json_loads(line, 0, NULL);
    enum err_code rc = read_token(answer_text(ready, "token_file"), &context, &e);
    slice_copy(slice_str(answer_text(ready, "platform")), context.url, sizeof context.url);
    json_decref(ready);
    if (rc == ERR_OK)
        rc = import_project(&context, &wish, &done, &e);
    if (rc) {
        int status = command_fail(&e);
        kill(getppid(), SIGTERM);
        return status;
    }
    if (to >= 0 && write(to, line, n) != (ssize_t)n)
        return 1;
    if (isatty(STDOUT_FILENO))
        printf("%s: %ju functions with %ju versions are there.\n", f->file,
               (uintmax_t)done.functions, (uintmax_t)done.versions);
    return 0;
}

enum err_code serve_from_begin(struct serve_from *f, struct options *o, struct err *e)
{
    int to = (int)option_number(o, OPTION_READY_FD), line[2];
    char number[16];
    if (!f->file)
        return ERR_OK;
    if (access(f->file, R_OK) < 0)
        return err_errno(e, "can't read %s", f->file);
    enum err_code rc = choose_folder(f, o, e);
    if (rc)
        return rc;
    if (pipe2(line, O_CLOEXEC) < 0)
        return err_errno(e, "no pipe for the import");
    fflush(NULL);
    f->helper = fork();
    if (f->helper < 0)
        return err_errno(e, "no process for the import");
    if (f->helper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(line[1]);
        int status = help(f, line[0], to);
        fflush(NULL);
        _exit(status);
    }
    close(line[0]);
    if (to >= 0)
        close(to);
    snprintf(number, sizeof number, "%d", line[1]);
    return options_set(o, SLICE("ready-fd"), slice_str(number), e);
}

int serve_from_end(struct serve_from *f, int status)
{
    int how;
    if (f->helper > 0) {
        while (waitpid(f->helper, &how, 0) < 0 && errno == EINTR)
            ;
        if (status == 0)
            status = WIFEXITED(how) ? WEXITSTATUS(how) : 0; /* killed: the server ended first */
    }
    if (f->folder[0])
        nftw(f->folder, remove_one, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS);
    return status;
}
