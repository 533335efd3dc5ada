/* `wasmcloud config`: writes and judges the server's configuration file. */
#include "base/brand.h"
#include "base/buf.h"
#include "cli/args.h"
#include "cli/show.h"
#include "roles/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { SAMPLE_MOST = 256 << 10 };

/* ---- config init ---- */

static enum err_code write_new(const char *path, struct slice text, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? err_set(e, ERR_CONFLICT, "%s is there already", path)
                               : err_errno(e, "can't write %s", path);
    bool written = write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    enum err_code rc = written ? ERR_OK : err_errno(e, "can't write %s", path);
    close(fd);
    if (rc)
        unlink(path);
    return rc;
}

static int init_command(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    struct buf text;
    struct err e;
    int status = args_parse("config init", argc, argv, flags, &words, 0, 1);
    if (status >= 0)
        return status;
    const char *path = words.n ? words.at[0] : BRAND_CONFIG;
    buf_init(&text, SAMPLE_MOST);
    enum err_code rc = config_sample(&text) ? ERR_OK : err_set(&e, ERR_MEMORY, "no memory");
    if (rc == ERR_OK && strcmp(path, "-") == 0)
        fwrite(buf_data(&text), 1, buf_size(&text), stdout);
    else if (rc == ERR_OK)
        rc = write_new(path, buf_slice(&text), &e);
    buf_done(&text);
    if (rc)
        return command_fail(&e);
    if (json && strcmp(path, "-") != 0) {
        json_t *o = json_pack("{s:s}", "file", path);
        show_json(o);
        json_decref(o);
    } else if (show_on_terminal() && strcmp(path, "-") != 0)
        printf("%s is written; next: %s config check %s\n", path, BRAND_COMMAND, path);
    return 0;
}

/* ---- config check ---- */

struct listing {
    const char *path;
    json_t *problems; /* NULL: they are printed */
};

static void add(void *arg, const struct config_problem *p)
{
    struct listing *l = arg;
    if (l->problems)
        json_array_append_new(l->problems,
                              json_pack("{s:I, s:I, s:s}", "line", (json_int_t)p->line, "column",
                                        (json_int_t)p->column, "text", p->text));
    else
        fprintf(stderr, "%s:%zu:%zu: %s\n", l->path, p->line, p->column, p->text);
}

static int check_command(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    struct err e;
    int status = args_parse("config check", argc, argv, flags, &words, 0, 1);
    if (status >= 0)
        return status;
    struct listing l = {.path = words.n ? words.at[0] : BRAND_CONFIG,
                        .problems = json ? json_array() : NULL};
    enum err_code rc = config_check(l.path, add, &l, &e);
    if (rc && rc != ERR_USAGE) {
        json_decref(l.problems);
        int failed = command_fail(&e);
        if (rc == ERR_NOT_FOUND)
            fprintf(stderr, "next: " BRAND_COMMAND " config init%s%s\n", words.n ? " " : "",
                    words.n ? l.path : "");
        return failed;
    }
    if (json) {
        json_t *o = json_pack("{s:s, s:b, s:o}", "file", l.path, "good", rc == ERR_OK, "problems",
                              l.problems);
        show_json(o);
        json_decref(o);
    } else if (rc == ERR_OK && show_on_terminal()) {
        printf("%s is good\n", l.path);
    }
    return rc ? 1 : 0;
}

const struct command config_commands[] = {
    {.name = "init",
     .run = init_command,
     .usage = "[FILE|-] [--json]",
     .summary = "write a file with every option as a comment",
     .example = BRAND_COMMAND " config init"},
    {.name = "check",
     .run = check_command,
     .usage = "[FILE] [--json]",
     .summary = "judge a file: every mistake with its line and column; status 1 if there is one",
     .example = BRAND_COMMAND " config check /etc/wasmcloud.yaml"},
    {0},
};
