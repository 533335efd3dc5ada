/* `wasmcloud deploy`: a module becomes a function, or a new version of one.
 *
 * Without settings it is one request: the module's bytes, streamed. With --env,
 * --limit, --policy, --assets or --timing the module (and the assets) are stored
 * first, and then a version is made of their digests and these settings. What
 * the command line doesn't name stays as it is in the live version. What the new
 * version may open beyond the live one is shown and must be agreed to. The server
 * compiles, checks and promotes; when it answers, the URL works. */
#include "base/brand.h"
#include "base/limits.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/namegen.h"
#include "cli/opens.h"
#include "cli/outcome.h"
#include "cli/pairs.h"
#include "cli/policy_file.h"
#include "module/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct deploy {
    const char *file, *name, *response, *project, *check, *policy_file, *assets;
    struct words env, limits;
    bool timing;
    struct opens typed;
    struct policy *policy;
    int fd, assets_fd; /* the module, the archive of the assets */
};

/* ---- judging the input before anything is sent ---- */

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

/* A wrong flag is found before a module is uploaded for nothing. */
static enum err_code judge_flags(const struct deploy *d, struct err *e)
{
    json_t *scratch = json_object();
    enum err_code rc = pairs_to_json("--env", &d->env, scratch, e);
    if (rc == ERR_OK)
        rc = pairs_to_limits("--limit", &d->limits, scratch, e);
    json_decref(scratch);
    return rc;
}

static enum err_code open_policy(struct deploy *d, struct err *e)
{
    if (!d->policy_file)
        return ERR_OK;
    return policy_file(d->policy_file, policy_file_note, (void *)d->policy_file, &d->policy, e);
}

/* Packs the folder; the server judges by its own limits. */
static enum err_code open_assets(struct deploy *d, struct err *e)
{
    struct limits most;
    struct buf tar;
    if (!d->assets)
        return ERR_OK;
    limits_init(&most, true);
    buf_init(&tar, most.v[LIMIT_ASSETS] + most.v[LIMIT_ASSET_FILES] * 4096);
    enum err_code rc = bundle_pack(d->assets, &most, &tar, e);
    if (rc == ERR_OK) {
        d->assets_fd = memfd_create("assets", MFD_CLOEXEC);
        struct slice rest = buf_slice(&tar);
        ssize_t n = d->assets_fd < 0 ? -1 : 1;
        for (; rest.n && n > 0; rest = slice_from(rest, n > 0 ? (size_t)n : 0))
            n = write(d->assets_fd, rest.p, rest.n);
        if (n <= 0 || lseek(d->assets_fd, 0, SEEK_SET) < 0)
            rc = err_errno(e, "can't pack %s", d->assets);
    }
    buf_done(&tar);
    return rc;
}

/* ---- the requests ---- */

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

static bool has_settings(const struct deploy *d)
{
    return d->env.n || d->limits.n || d->policy || d->assets || d->timing;
}

/* Streams a file to where the server stores such; *ret_stored has its digest. */
static enum err_code store(struct client *c, const char *path, const char *type, int fd,
                           json_t **ret_stored, struct err *e)
{
    return client_call(
        c, &(struct client_request){.method = "POST", .path = path, .content_type = type, .fd = fd},
        ret_stored, NULL, e);
}

static enum err_code deploy_settings(struct client *c, const struct deploy *d, json_t **ret_answer,
                                     struct err *e)
{
    json_t *module = NULL, *assets = NULL, *policy = NULL, *body = NULL;
    json_t *env = json_object(), *limits = json_object();
    enum err_code rc = pairs_to_json("--env", &d->env, env, e);
    if (rc == ERR_OK)
        rc = pairs_to_json("--limit", &d->limits, limits, e);
    if (rc == ERR_OK && d->policy)
        rc = opens_to_json(d->policy, &policy, e);
    if (rc == ERR_OK)
        rc = store(c, "{P}/modules", "application/wasm", d->fd, &module, e);
    if (rc == ERR_OK && d->assets)
        rc = store(c, "{P}/assets", "application/x-tar", d->assets_fd, &assets, e);
    if (rc)
        goto out;
    body = json_pack("{s:s, s:O, s:O, s:s*, s:s*, s:O*, s:s*}", "digest",
                     answer_text(module, "digest"), "env", env, "limits", limits, "response",
                     d->response, "check", d->check, "policy", policy, "assets",
                     assets ? answer_text(assets, "digest") : NULL);
    if (d->timing)
        json_object_set_new(body, "timing", json_true());
    rc = client_call(
        c,
        &(struct client_request){
            .method = "POST", .path = "{P}/functions/{}/versions", .at = {d->name}, .json = body},
        ret_answer, NULL, e);
out:
    json_decref(module);
    json_decref(assets);
    json_decref(policy);
    json_decref(env);
    json_decref(limits);
    json_decref(body);
    return rc;
}

static int deploy(struct deploy *d, bool json)
{
    struct client *c = NULL;
    struct err e;
    json_t *answer = NULL;
    int status;
    if (judge_flags(d, &e) || open_module(d, &e) || open_policy(d, &e) || open_assets(d, &e)) {
        status = command_fail(&e);
        goto out;
    }
    enum err_code rc = client_open(d->project, &c, &e);
    if (rc == ERR_OK && d->policy)
        rc = opens_agreed(c, d->name, d->policy, &d->typed, &e);
    if (rc == ERR_OK)
        rc = has_settings(d) ? deploy_settings(c, d, &answer, &e) : deploy_bytes(c, d, &answer, &e);
    status = rc ? opens_fail(NULL, &d->typed, &e) : outcome_print(c, d->name, answer, json);
out:
    json_decref(answer);
    client_close(c);
    policy_free(d->policy);
    if (d->fd > STDIN_FILENO)
        close(d->fd);
    if (d->assets_fd >= 0)
        close(d->assets_fd);
    return status;
}

int cmd_deploy(int argc, char **argv)
{
    struct deploy d = {.fd = -1, .assets_fd = -1};
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
        {.name = "policy",
         .value = "FILE",
         .help = "what it may open; nothing at first",
         .text = &d.policy_file},
        {.name = "assets",
         .value = "DIR",
         .help = "its read-only files: they appear below /",
         .text = &d.assets},
        {.name = "timing", .help = "answers say what they took, in Server-Timing", .on = &d.timing},
        {.name = "yes", .help = "agree to what it newly opens", .on = &d.typed.yes},
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
    d.typed.verb = "deploy";
    d.typed.argc = argc;
    d.typed.argv = argv;
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
