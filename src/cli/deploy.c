/* `wasmcloud deploy`: a module becomes a function, or a new version of one.
 *
 * What it makes is said by the command line (deploy FILE.wasm) or by the function.yaml of a folder
 * (deploy, deploy DIR), which also knows how to build it; flags go first. What neither names stays
 * as it is in the live version, and where folder and server differ is shown.
 *
 * Without settings it is one request: the module's bytes, streamed. Else the module (and the
 * assets) are stored first, and then a version is made of their digests and these settings. What
 * the new version may open beyond the live one is shown and must be agreed to. The server compiles,
 * checks and promotes; when it answers, the URL works. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/build.h"
#include "cli/client.h"
#include "cli/drift.h"
#include "cli/manifest.h"
#include "cli/namegen.h"
#include "cli/opens.h"
#include "cli/outcome.h"
#include "cli/pairs.h"
#include "cli/policy_file.h"
#include "cli/show.h"
#include "cli/upload.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct deploy {
    const char *file, *name, *response, *project, *check, *policy_file, *assets;
    const char *preview, *capture, *max_cpu;
    struct words env, limits, secrets;
    bool timing, no_build, exact, dry_run, json, no_promote, no_check;
    struct opens typed;
    struct manifest *manifest;       /* NULL: a module alone */
    char *module_path, *assets_path; /* of the manifest, as seen from here */
    struct policy *policy;           /* the manifest's, or … */
    struct policy *own_policy;       /* … that of --policy */
    json_t *patch;                   /* the settings that are named */
    int fd, assets_fd;               /* the module, the archive of the assets */
    char made[NAME_MOST + 1];        /* its name, if nobody gave one */
};

/* ---- what is named: flags, and below them the manifest ---- */

/* The object `member` of the patch, made if it isn't there. */
static json_t *patch_object(json_t *patch, const char *member)
{
    if (!json_object_get(patch, member))
        json_object_set_new(patch, member, json_object());
    return json_object_get(patch, member);
}

/* Those of flags are added to those of the manifest, or of the live version. */
static enum err_code name_secrets(struct deploy *d, struct err *e)
{
    json_t *named = json_object_get(d->patch, "secrets");
    if (!d->secrets.n)
        return ERR_OK;
    if (!named) {
        named = json_object();
        json_object_set_new(d->patch, "secrets", named);
    }
    for (size_t i = 0; i < d->secrets.n; i++)
        if (json_is_array(named) ? json_array_append_new(named, json_string(d->secrets.at[i]))
                                 : json_object_set_new(named, d->secrets.at[i], json_true()))
            return err_set(e, ERR_USAGE, "--secret: the name is not UTF-8");
    return ERR_OK;
}

static enum err_code make_patch(struct deploy *d, struct err *e)
{
    d->patch = d->manifest ? json_deep_copy(d->manifest->settings) : json_object();
    if (!d->patch)
        return err_set(e, ERR_MEMORY, "out of memory");
    enum err_code rc = ERR_OK;
    if (d->env.n)
        rc = pairs_to_json("--env", &d->env, patch_object(d->patch, "env"), e);
    if (rc == ERR_OK && d->limits.n)
        rc = pairs_to_limits("--limit", &d->limits, patch_object(d->patch, "limits"), e);
    if (d->response)
        json_object_set_new(d->patch, "response", json_string(d->response));
    if (d->check && json_object_set_new(d->patch, "check", json_string(d->check)))
        rc = err_set(e, ERR_USAGE, "--check is not UTF-8");
    if (d->timing)
        json_object_set_new(d->patch, "timing", json_true());
    if (d->preview)
        json_object_set_new(d->patch, "preview", json_string(d->preview));
    if (d->capture)
        json_object_set_new(d->patch, "capture", json_string(d->capture));
    return rc ? rc : name_secrets(d, e);
}

/* Reads the folder's function.yaml; what it says goes where a flag says nothing. */
static enum err_code take_manifest(struct deploy *d, const char *folder, struct err *e)
{
    char *file;
    bool here = strcmp(folder, ".") == 0, slash = here || folder[strlen(folder) - 1] == '/';
    if (asprintf(&file, "%s%s%s", here ? "" : folder, slash ? "" : "/", MANIFEST_FILE) < 0)
        return err_set(e, ERR_MEMORY, "out of memory");
    enum err_code rc = manifest_read(file, &d->manifest, e);
    struct manifest *m = d->manifest;
    if (rc == ERR_NOT_FOUND)
        err_set(e, rc, "there is no %s: give a .wasm file, or make a folder with `%s new NAME`",
                file, BRAND_COMMAND);
    else if (rc == ERR_OK && !m->module)
        rc = err_set(e, ERR_INVALID, "%s names no module: add `module: FILE.wasm`", file);
    free(file);
    if (rc)
        return rc;
    if (!(d->module_path = manifest_at(m, m->module)) ||
        (m->assets && !(d->assets_path = manifest_at(m, m->assets))))
        return err_set(e, ERR_MEMORY, "out of memory");
    d->file = d->module_path;
    d->assets = d->assets ? d->assets : d->assets_path;
    d->name = d->name ? d->name : m->name;
    d->project = d->project ? d->project : m->project;
    d->policy = m->policy;
    return ERR_OK;
}

/* Everything that this machine can judge, and the build, before anything is sent. -1: go on. */
static int prepare(struct deploy *d, struct err *e)
{
    struct stat st;
    char digest[DIGEST_TEXT + 1];
    bool folder = !d->file || (stat(d->file, &st) == 0 && S_ISDIR(st.st_mode));
    if (folder && take_manifest(d, d->file ? d->file : ".", e))
        return command_fail(e);
    if (make_patch(d, e) ||
        (d->policy_file &&
         policy_file(d->policy_file, policy_file_note, (void *)d->policy_file, &d->own_policy, e)))
        return command_fail(e);
    d->policy = d->own_policy ? d->own_policy : d->policy;
    int status = d->manifest && !d->no_build ? build_run(d->manifest) : 0;
    if (status)
        return status;
    if (upload_open_module(d->file, &d->fd, e) ||
        (d->assets && upload_open_assets(d->assets, &d->assets_fd, digest, e)))
        return command_fail(e);
    if (d->assets)
        json_object_set_new(d->patch, "assets", json_string(digest));
    if (!d->name) {
        if (!name_from_path(d->file, d->made))
            namegen(d->made);
        d->name = d->made;
    }
    return -1;
}

/* ---- where folder and server differ ---- */

/* *ret_new: there is no version to differ from. */
static enum err_code find_drift(struct client *c, const struct deploy *d, json_t **ret_drift,
                                bool *ret_new, struct err *e)
{
    json_t *base = NULL, *after = json_copy(d->patch), *policy = NULL;
    char digest[DIGEST_TEXT + 1];
    bool live;
    enum err_code rc = opens_base(c, d->name, &base, &live, e);
    if (rc == ERR_NOT_FOUND)
        rc = ERR_OK; /* all is new */
    if (rc == ERR_OK)
        rc = upload_digest(d->fd, digest, e);
    if (rc == ERR_OK && *digest)
        json_object_set_new(after, "digest", json_string(digest));
    if (rc == ERR_OK && d->policy && (rc = opens_to_json(d->policy, &policy, e)) == ERR_OK)
        json_object_set(after, "policy", policy);
    if (rc == ERR_OK && !(*ret_drift = drift_find(base, after)))
        rc = err_set(e, ERR_MEMORY, "out of memory");
    *ret_new = base == NULL;
    json_decref(base);
    json_decref(after);
    json_decref(policy);
    return rc;
}

/* ---- the requests ---- */

static enum err_code deploy_bytes(struct client *c, const struct deploy *d, json_t **ret_answer,
                                  struct err *e)
{
    return client_call(
        c,
        &(struct client_request){
            .method = "PUT",
            .path = "{P}/functions/{}/module",
            .at = {d->name},
            .query = {{"check", json_string_value(json_object_get(d->patch, "check"))},
                      {"response", json_string_value(json_object_get(d->patch, "response"))},
                      {"promote", d->no_promote ? "false" : NULL},
                      {"skip_check", d->no_check ? "true" : NULL},
                      {"max_cpu", d->max_cpu}},
            .content_type = "application/wasm",
            .fd = d->fd,
            .progress = d->name,
            .progress_then = "compiling and checking"},
        ret_answer, NULL, e);
}

/* Is there anything to say that PUT …/module has no words for? */
static bool has_settings(const struct deploy *d)
{
    size_t plain = (json_object_get(d->patch, "check") != NULL) +
                   (json_object_get(d->patch, "response") != NULL);
    return d->policy || json_object_size(d->patch) > plain;
}

static enum err_code deploy_settings(struct client *c, const struct deploy *d, json_t **ret_answer,
                                     struct err *e)
{
    json_t *module = NULL, *assets = NULL, *policy = NULL;
    enum err_code rc = d->policy ? opens_to_json(d->policy, &policy, e) : ERR_OK;
    if (rc == ERR_OK && policy)
        json_object_set(d->patch, "policy", policy);
    if (rc == ERR_OK)
        rc = upload_store(c, "{P}/modules", "application/wasm", d->file, d->fd, &module, e);
    if (rc == ERR_OK && d->assets)
        rc =
            upload_store(c, "{P}/assets", "application/x-tar", d->assets, d->assets_fd, &assets, e);
    if (rc == ERR_OK && assets)
        json_object_set(d->patch, "assets", json_object_get(assets, "digest"));
    if (rc == ERR_OK) {
        json_object_set(d->patch, "digest", json_object_get(module, "digest"));
        if (d->no_promote)
            json_object_set_new(d->patch, "promote", json_false());
        if (d->no_check)
            json_object_set_new(d->patch, "skip_check", json_true());
        if (d->max_cpu)
            json_object_set_new(d->patch, "max_cpu", json_string(d->max_cpu));
        rc = client_call(c,
                         &(struct client_request){.method = "POST",
                                                  .path = "{P}/functions/{}/versions",
                                                  .at = {d->name},
                                                  .json = d->patch,
                                                  .progress = d->name,
                                                  .progress_then = "checking"},
                         ret_answer, NULL, e);
    }
    json_decref(module);
    json_decref(assets);
    json_decref(policy);
    return rc;
}

static int deploy(struct deploy *d)
{
    struct client *c = NULL;
    struct err e;
    json_t *answer = NULL, *drift = NULL;
    bool new = false;
    int status = prepare(d, &e);
    if (status >= 0)
        return status;
    enum err_code rc = client_open(d->project, &c, &e);
    if (rc == ERR_OK && (d->manifest || d->dry_run || d->exact))
        rc = find_drift(c, d, &drift, &new, &e);
    if (rc == ERR_OK && d->exact)
        drift_take_away(drift, d->patch);
    if (rc == ERR_OK && d->dry_run && d->json)
        show_json(drift);
    else if (rc == ERR_OK && (d->dry_run || !new))
        drift_show(d->name, drift, d->dry_run);
    if (rc == ERR_OK && d->dry_run)
        goto out;
    if (rc == ERR_OK && d->policy)
        rc = opens_agreed(c, d->name, d->policy, &d->typed, &e);
    if (rc == ERR_OK)
        rc = has_settings(d) ? deploy_settings(c, d, &answer, &e) : deploy_bytes(c, d, &answer, &e);
out:
    if (rc)
        status = opens_fail(NULL, &d->typed, &e);
    else
        status = answer ? outcome_print(c, d->name, answer, d->json) : 0;
    json_decref(answer);
    json_decref(drift);
    client_close(c);
    return status;
}

static void deploy_done(struct deploy *d)
{
    manifest_free(d->manifest);
    free(d->module_path);
    free(d->assets_path);
    policy_free(d->own_policy);
    json_decref(d->patch);
    if (d->fd > STDIN_FILENO)
        close(d->fd);
    if (d->assets_fd >= 0)
        close(d->assets_fd);
}

int cmd_deploy(int argc, char **argv)
{
    struct deploy d = {.fd = -1, .assets_fd = -1};
    const struct flag flags[] = {
        {.name = "name",
         .value = "NAME",
         .help = "the function (default: what function.yaml or the file says)",
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
        {.name = "no-check", .help = "promote it without asking its check", .on = &d.no_check},
        {.name = "no-promote",
         .help = "keep the new version, leave the live one as it is",
         .on = &d.no_promote},
        {.name = "max-cpu",
         .value = "+20%|TIME",
         .help = "promote it only if its check costs no more",
         .text = &d.max_cpu},
        {.name = "secret",
         .value = "NAME",
         .help = "a secret of the project becomes a variable; repeatable",
         .many = &d.secrets},
        {.name = "preview",
         .value = "members|public",
         .help = "who may see it at its preview address",
         .text = &d.preview},
        {.name = "capture",
         .value = "none|failures|all",
         .help = "of which runs the input is kept for a replay",
         .text = &d.capture},
        {.name = "exact", .help = "take away what the server has and isn't named", .on = &d.exact},
        {.name = "no-build", .help = "the module is there already", .on = &d.no_build},
        {.name = "dry-run",
         .help = "show what it would change, and change nothing",
         .on = &d.dry_run},
        FLAG_PROJECT(d.project),
        FLAG_JSON(d.json),
        {0},
    };
    struct words words;
    int status = args_parse("deploy", argc, argv, flags, &words, 0, 1);
    if (status >= 0)
        return status;
    /* the same as in a manifest, and as early */
    const struct client_pair same[] = {{"name", d.name},
                                       {"check", d.check},
                                       {"response", d.response},
                                       {"preview", d.preview},
                                       {"capture", d.capture}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct err why, e;
        if (same[i].value && manifest_judge(same[i].name, slice_str(same[i].value), &why)) {
            err_set(&e, why.code, "--%s: %s", same[i].name, why.text);
            return command_fail(&e);
        }
    }
    d.file = words.n ? words.at[0] : NULL;
    d.typed.verb = "deploy";
    d.typed.argc = argc;
    d.typed.argv = argv;
    if (d.no_check && d.check)
        return command_usage("deploy", "--check and --no-check exclude each other");
    if (d.no_check && d.max_cpu)
        return command_usage("deploy", "--max-cpu needs the check: that is what is measured");
    status = deploy(&d);
    deploy_done(&d);
    return status;
}
