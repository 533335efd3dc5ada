/* `wasmcloud deploy`: a module becomes a function, or a new version of one.
 *
 * Without settings it is one request: the module's bytes, streamed. With --env
 * or --limit the module is stored first, and then a version is made of its
 * digest and these settings. What the command line doesn't name stays as it is
 * in the live version. The server compiles, checks and promotes; when it
 * answers, the URL works. */
#include "base/brand.h"
#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/namegen.h"
#include "cli/show.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct deploy {
    const char *file, *name, *response, *project, *check;
    struct words env, limits;
    int fd;
};

/* ── judging the input before anything is sent ───────────────────────────────────────────── */

/* What a file is that is no core module, by its first bytes; NULL: let the server judge. */
static const char *mistaken_for(struct slice head)
{
    static const struct {
        struct slice start;
        const char *what;
    } kinds[] = {
        {{"\0asm\x0d\0\1\0", 8},
         "a WebAssembly component, and only core modules run here: build for "
         "wasip1 instead of wasip2, or without the component step"},
        {{"\0asm\1\0\0\0", 8}, NULL},
        {{"\0asm", 4}, "a WebAssembly module of another version than 1"},
        {{"\x7f"
          "ELF",
          4},
         "a program for this machine: build it for WebAssembly (for example "
         "GOOS=wasip1 GOARCH=wasm go build)"},
        {{"PK\3\4", 4}, "a zip archive: give the .wasm file in it"},
        {{"\x1f\x8b", 2}, "compressed: unpack it first"},
        {{"{", 1}, "JSON: give the .wasm file that your build makes"},
        {{"[", 1}, "JSON: give the .wasm file that your build makes"},
        {{"(", 1}, "WebAssembly text: turn it into a module with `wat2wasm FILE.wat -o FILE.wasm`"},
        {{"#!", 2}, "a script: only WebAssembly modules run here"},
        {{"", 0}, "not a WebAssembly module (those begin with \\0asm)"},
    };
    if (head.n == 0)
        return "empty";
    while (head.n && (*head.p == ' ' || *head.p == '\t' || *head.p == '\n' || *head.p == '\r'))
        head = slice_from(head, 1);
    for (size_t i = 0;; i++)
        if (slice_starts(head, kinds[i].start))
            return kinds[i].what;
}

static enum err_code open_module(struct deploy *d, struct err *e)
{
    struct stat st;
    char head[64];
    if (strcmp(d->file, "-") == 0) {
        d->fd = STDIN_FILENO;
        return ERR_OK;
    }
    d->fd = open(d->file, O_RDONLY | O_CLOEXEC);
    if (d->fd < 0 && errno == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "there is no file %s", d->file);
    if (d->fd < 0 || fstat(d->fd, &st))
        return err_errno(e, "can't read %s", d->file);
    if (S_ISDIR(st.st_mode))
        return err_set(e, ERR_USAGE, "%s is a folder: give the .wasm file in it", d->file);
    if (!S_ISREG(st.st_mode))
        return ERR_OK;
    ssize_t n = pread(d->fd, head, sizeof head, 0);
    if (n < 0)
        return err_errno(e, "can't read %s", d->file);
    const char *what = mistaken_for(slice_make(head, (size_t)n));
    return what ? err_set(e, ERR_NOT_A_MODULE, "%s is %s", d->file, what) : ERR_OK;
}

/* "NAME=VALUE" of a flag, split. */
static enum err_code split_pair(const char *flag, const char *text, char name[256],
                                struct slice *ret_value, struct err *e)
{
    struct slice value = slice_str(text), key = slice_split(&value, '=');
    if (!value.p || key.n == 0)
        return err_set(e, ERR_USAGE, "--%s wants NAME=VALUE, not \"%s\"", flag, text);
    if (!slice_copy(key, name, 256))
        return err_set(e, ERR_USAGE, "--%s: the name is too long", flag);
    *ret_value = value;
    return ERR_OK;
}

/* NAME=VALUE flags as members of a JSON object. */
static enum err_code pairs_to_json(const char *flag, const struct words *pairs, json_t *object,
                                   struct err *e)
{
    for (size_t i = 0; i < pairs->n; i++) {
        char name[256];
        struct slice value;
        enum err_code rc = split_pair(flag, pairs->at[i], name, &value, e);
        if (rc)
            return rc;
        if (json_object_set_new(object, name, json_stringn(value.p, value.n)))
            return err_set(e, ERR_USAGE, "--%s %s: the value is not UTF-8", flag, name);
    }
    return ERR_OK;
}

/* A wrong flag is found before a module is uploaded for nothing. */
static enum err_code judge_flags(const struct deploy *d, struct err *e)
{
    struct limits limits;
    limits_init(&limits, false);
    json_t *scratch = json_object();
    enum err_code rc = pairs_to_json("env", &d->env, scratch, e);
    for (size_t i = 0; i < d->limits.n && rc == ERR_OK; i++) {
        char name[256];
        struct slice value;
        rc = split_pair("limit", d->limits.at[i], name, &value, e);
        if (rc == ERR_OK)
            rc = limits_set(&limits, slice_str(name), value, LIMIT_WHO_FUNCTION, e);
    }
    json_decref(scratch);
    return rc;
}

/* ── the requests ────────────────────────────────────────────────────────────────────────── */

static enum err_code deploy_bytes(struct client *c, const struct deploy *d, json_t **ret_answer,
                                  struct err *e)
{
    return client_call(
        c,
        &(struct client_request){.method = "PUT",
                                 .path = "{P}/functions/{}/module",
                                 .at = {d->name},
                                 .query = {{"check", d->check}, {"response", d->response}},
                                 .content_type = "application/wasm",
                                 .fd = d->fd},
        ret_answer, NULL, e);
}

static enum err_code deploy_settings(struct client *c, const struct deploy *d, json_t **ret_answer,
                                     struct err *e)
{
    json_t *module = NULL, *env = json_object(), *limits = json_object(), *body = NULL;
    enum err_code rc = pairs_to_json("env", &d->env, env, e);
    if (rc || (rc = pairs_to_json("limit", &d->limits, limits, e)) ||
        (rc = client_call(c,
                          &(struct client_request){.method = "POST",
                                                   .path = "{P}/modules",
                                                   .content_type = "application/wasm",
                                                   .fd = d->fd},
                          &module, NULL, e)))
        goto out;
    body = json_pack("{s:s, s:O, s:O, s:s*, s:s*}", "digest", answer_text(module, "digest"), "env",
                     env, "limits", limits, "response", d->response, "check", d->check);
    rc = client_call(
        c,
        &(struct client_request){
            .method = "POST", .path = "{P}/functions/{}/versions", .at = {d->name}, .json = body},
        ret_answer, NULL, e);
out:
    json_decref(module);
    json_decref(env);
    json_decref(limits);
    json_decref(body);
    return rc;
}

/* ── the outcome ─────────────────────────────────────────────────────────────────────────── */

/* The record of the check's run; NULL if it can't be had, which is no failure of the deploy. */
static json_t *check_record(struct client *c, const json_t *check)
{
    json_t *run = NULL;
    if (*answer_text(check, "run") &&
        client_call(
            c, &(struct client_request){.path = "{P}/runs/{}", .at = {answer_text(check, "run")}},
            &run, NULL, NULL))
        return NULL;
    return run;
}

static void print_success(const struct deploy *d, const json_t *answer, const json_t *run)
{
    const json_t *version = json_object_get(answer, "version"),
                 *check = json_object_get(answer, "check");
    char a[24], b[24], m[24];
    printf("%s: version %ju is live (%s, %.12s)\n", d->name,
           (uintmax_t)answer_count(version, "number"), show_bytes(answer_count(version, "size"), a),
           answer_text(version, "digest"));
    if (json_is_object(check) && run)
        printf("its check %s answered %ju: %s, %s of CPU, %s of memory\n",
               answer_text(version, "check"), (uintmax_t)answer_count(check, "status"),
               show_us(answer_count(run, "wall_us"), a), show_us(answer_count(run, "cpu_us"), b),
               show_bytes(answer_count(run, "memory_peak"), m));
    else if (json_is_object(check))
        printf("its check %s answered %ju\n", answer_text(version, "check"),
               (uintmax_t)answer_count(check, "status"));
}

static void print_failed_check(const struct deploy *d, const json_t *answer, const json_t *run)
{
    const json_t *version = json_object_get(answer, "version"),
                 *check = json_object_get(answer, "check"), *line;
    const char *number = answer_text(check, "run");
    size_t i;
    fprintf(stderr, "%s: version %ju of %s is kept, but it is not live: its check ", BRAND_COMMAND,
            (uintmax_t)answer_count(version, "number"), d->name);
    show_text(stderr, slice_str(answer_text(version, "check")));
    fprintf(stderr, " failed (%s)\n",
            *answer_text(check, "error") ? answer_text(check, "error") : "no answer");
    if (*answer_text(check, "text")) {
        fputs("  ", stderr);
        show_text(stderr, slice_str(answer_text(check, "text")));
        fputc('\n', stderr);
    }
    json_array_foreach(json_object_get(run, "logs"), i, line)
    {
        fprintf(stderr, "  %-8s", answer_text(line, "level"));
        show_text(stderr, slice_str(answer_text(line, "text")));
        fputc('\n', stderr);
    }
    if (*number)
        fprintf(stderr, "next: %s runs show %s, or deploy with --no-check\n", BRAND_COMMAND,
                number);
}

static int deploy(struct deploy *d, bool json)
{
    struct client *c = NULL;
    struct err e;
    json_t *answer = NULL, *run = NULL;
    int status;
    if (judge_flags(d, &e) || open_module(d, &e))
        return command_fail(&e);
    if (client_open(d->project, &c, &e) ||
        (d->env.n + d->limits.n ? deploy_settings(c, d, &answer, &e)
                                : deploy_bytes(c, d, &answer, &e))) {
        status = client_fail(NULL, &e);
        goto out;
    }
    bool live = json_is_true(json_object_get(answer, "promoted"));
    if (!live || (!json && show_on_terminal()))
        run = check_record(c, json_object_get(answer, "check"));
    if (json)
        show_json(answer);
    if (!live)
        print_failed_check(d, answer, run);
    else if (!json && show_on_terminal())
        print_success(d, answer, run);
    if (live && !json)
        printf("%s\n", answer_text(answer, "url"));
    status = live ? 0 : err_cli(ERR_CONFLICT);
out:
    json_decref(answer);
    json_decref(run);
    client_close(c);
    if (d->fd > STDIN_FILENO)
        close(d->fd);
    return status;
}

int cmd_deploy(int argc, char **argv)
{
    struct deploy d = {.fd = -1};
    bool json = false, no_check = false;
    char made[NAME_MOST + 1];
    const struct flag flags[] = {
        {.name = "name",
         .value = "NAME",
         .help = "the function (default: the file's name)",
         .text = &d.name},
        {.name = "response",
         .value = "cgi|text",
         .help = "text: the output is the body as it is",
         .text = &d.response},
        {.name = "env",
         .value = "NAME=VALUE",
         .help = "a variable of its environment; repeatable",
         .many = &d.env},
        {.name = "limit",
         .value = "NAME=VALUE",
         .help = "one of `" BRAND_COMMAND " limits`; repeatable",
         .many = &d.limits},
        {.name = "check",
         .value = "REQUEST",
         .help = "asked before it goes live, \"GET /\" at first; none: not asked",
         .text = &d.check},
        {.name = "no-check", .help = "as --check none", .on = &no_check},
        FLAG_PROJECT(d.project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("deploy", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    if (d.response && strcmp(d.response, "cgi") && strcmp(d.response, "text"))
        return command_usage("deploy", "--response is cgi or text, not \"%s\"", d.response);
    d.file = words.at[0];
    if (no_check && d.check)
        return command_usage("deploy", "--check and --no-check exclude each other");
    if (no_check)
        d.check = "none";
    if (!d.name) {
        if (!name_from_path(d.file, made))
            namegen(made);
        d.name = made;
    }
    return deploy(&d, json);
}
