/* `wasmcloud import`: an exported project made again on a server, through the API.
 *
 * Versions keep their numbers and become what they were, setting by setting; then what was live or
 * split becomes so. A version is made from the one before it (the server keeps what a request
 * doesn't name), so whatever that one has and this one has not is taken away by name, and what the
 * server shows at the end is compared with the archive.
 *
 * An import that was broken off goes on when it is repeated: functions whose versions are the first
 * ones of the archive's, and which nobody has promoted otherwise, are taken for its own. Archive,
 * secrets and what is on the server are judged before anything changes. */
#include "cli/import.h"

#include "base/brand.h"
#include "base/buf.h"
#include "cli/args.h"
#include "cli/files.h"
#include "cli/show.h"
#include "ipc/spec.h"
#include "module/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    TRIES = 20, /* a second each, while the server says that it is too much at once */
    ARCHIVE_MOST = 1 << 30
};

struct import {
    struct client *client;
    const struct project_file *file;
    struct import_done *done;
    bool fresh;    /* there is no such project yet */
    json_t *had;   /* by function that is there: its versions, oldest first */
    json_t *shown; /* … as the server shows it */
};

static enum err_code call(struct import *m, const struct client_request *request, json_t **ret_json,
                          struct err *e)
{
    enum err_code rc = ERR_RATE;
    for (int i = 0; i < TRIES && rc == ERR_RATE; i++) {
        if (i)
            nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        if (request->content_type && lseek(request->fd, 0, SEEK_SET) < 0)
            return err_errno(e, "reading an upload");
        rc = client_call(m->client, request, ret_json, NULL, e);
    }
    return rc;
}

/* ---- what must hold before anything changes ---- */

static enum err_code find_project(struct import *m, struct err *e)
{
    enum err_code rc = call(m, &(struct client_request){.path = "{P}"}, NULL, e);
    m->fresh = rc == ERR_NOT_FOUND;
    return m->fresh ? ERR_OK : rc;
}

static enum err_code make_project(struct import *m, struct err *e)
{
    if (!m->fresh)
        return ERR_OK;
    json_t *body = json_pack("{s:s}", "name", m->done->project);
    enum err_code rc = call(
        m, &(struct client_request){.method = "POST", .path = "projects", .json = body}, NULL, e);
    json_decref(body);
    return rc;
}

/* The first setting in which the two differ; NULL: they are the same. */
static const char *difference(const json_t *wanted, const json_t *made)
{
    for (size_t i = 0; project_settings[i]; i++)
        if (!json_equal(json_object_get(wanted, project_settings[i]),
                        json_object_get(made, project_settings[i])))
            return project_settings[i];
    if (strcmp(answer_text(wanted, "digest"), answer_text(made, "digest")) != 0)
        return "digest";
    return json_equal(json_object_get(wanted, "number"), json_object_get(made, "number"))
               ? NULL
               : "number";
}

/* Is what is there the beginning of what the archive has, with nothing else done to it? */
static bool is_begun(const json_t *f, const json_t *shown, const json_t *had)
{
    json_t *versions = json_object_get(f, "versions"), *v;
    json_t *live = json_object_get(shown, "version"), *split = json_object_get(shown, "split");
    size_t i, n = json_array_size(versions), last = json_array_size(had);
    json_array_foreach(had, i, v)
    {
        const json_t *wanted = json_array_get(versions, i);
        bool disabled = *answer_text(v, "disabled_at"),
             want = json_is_true(json_object_get(wanted, "disabled"));
        if (!wanted || difference(wanted, v) || (disabled && !want) ||
            (want && !disabled && i + 1 < last))
            return false;
    }
    if (json_is_null(live))
        return json_is_null(split);
    return last == n && json_equal(live, json_object_get(f, "live")) &&
           (json_is_null(split) || json_equal(split, json_object_get(f, "split")));
}

static enum err_code find_function(struct import *m, const json_t *f, struct err *e)
{
    const char *name = answer_text(f, "name");
    json_t *shown = NULL, *list = NULL, *had = json_array(), *v;
    size_t i;
    enum err_code rc =
        call(m, &(struct client_request){.path = "{P}/functions/{}", .at = {name}}, &shown, e);
    if (rc == ERR_NOT_FOUND) {
        json_decref(had);
        return ERR_OK;
    }
    if (rc == ERR_OK)
        rc = client_list(
            m->client, &(struct client_request){.path = "{P}/functions/{}/versions", .at = {name}},
            0, &list, e);
    json_array_foreach(json_object_get(list, "items"), i, v) json_array_insert(had, 0, v);
    if (rc == ERR_OK && !is_begun(f, shown, had))
        rc = err_set(e, ERR_CONFLICT,
                     "the project \"%s\" has a function \"%s\" already, and it is another: import "
                     "into another project or server, or delete it there",
                     m->done->project, name);
    if (rc == ERR_OK) {
        json_object_set(m->had, name, had);
        json_object_set(m->shown, name, shown);
    }
    json_decref(had);
    json_decref(list);
    json_decref(shown);
    return rc;
}

static enum err_code find_functions(struct import *m, struct err *e)
{
    json_t *functions = json_object_get(project_file_json(m->file), "functions"), *f;
    enum err_code rc = ERR_OK;
    size_t i;
    json_array_foreach(functions, i, f)
    {
        if (rc == ERR_OK && !m->fresh)
            rc = find_function(m, f, e);
    }
    return rc;
}

static json_t *secrets_named(const struct project_file *file)
{
    json_t *set = json_object(), *f, *v, *name;
    size_t i, j, k;
    json_array_foreach(json_object_get(project_file_json(file), "functions"), i, f)
        json_array_foreach(json_object_get(f, "versions"), j, v)
            json_array_foreach(json_object_get(v, "secrets"), k, name)
    {
        json_object_set_new(set, json_string_value(name), json_true());
    }
    return set;
}

/* The archive has the names of secrets only: each must have a value in the file or in the project,
 * of which `have` is the list (NULL: it has none). */
static enum err_code judge_secrets(const struct import_source *s, const char *project,
                                   const json_t *have, struct err *e)
{
    json_t *missing = secrets_named(s->file), *one, *yes;
    char text[320] = "";
    const char *name;
    size_t i, n = 0;
    json_array_foreach(json_object_get(have, "items"), i, one)
        json_object_del(missing, answer_text(one, "name"));
    for (i = 0; i < s->secrets.count; i++)
        json_object_deln(missing, s->secrets.lines[i].name.p, s->secrets.lines[i].name.n);
    json_object_foreach(missing, name, yes)
    {
        if (n < sizeof text)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? ", " : "", name);
    }
    json_decref(missing);
    return n == 0 ? ERR_OK
                  : err_set(e, ERR_INVALID,
                            "versions in the archive use secrets that the project \"%s\" doesn't "
                            "have: %s\n  set each with `%s secret set NAME`, or give a file of "
                            "NAME=VALUE lines with --secrets",
                            project, text, BRAND_COMMAND);
}

static enum err_code find_secrets(struct import *m, const struct import_source *s, struct err *e)
{
    json_t *have = NULL;
    enum err_code rc =
        m->fresh
            ? ERR_OK
            : client_list(m->client, &(struct client_request){.path = "{P}/secrets"}, 0, &have, e);
    if (rc == ERR_OK)
        rc = judge_secrets(s, m->done->project, have, e);
    json_decref(have);
    return rc;
}

static enum err_code set_secrets(struct import *m, const struct secrets_file *given, struct err *e)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < given->count && rc == ERR_OK; i++) {
        const struct field *line = &given->lines[i];
        char name[SECRET_LINE_MOST + 1];
        json_t *body = json_pack("{s:s%}", "value", line->value.p, line->value.n);
        if (!body || !slice_copy(line->name, name, sizeof name))
            rc = err_set(e, ERR_MEMORY, "no memory for a secret");
        else
            rc = call(m,
                      &(struct client_request){
                          .method = "PUT", .path = "{P}/secrets/{}", .at = {name}, .json = body},
                      NULL, e);
        json_decref(body);
    }
    return rc;
}

/* ---- modules and assets ---- */

static enum err_code unmake(struct slice bytes, int *ret_fd, struct err *e)
{
    struct bundle *bundle = NULL;
    struct buf tar;
    char path[64];
    int fd;
    enum err_code rc = file_of(bytes, &fd, e);
    if (rc)
        return rc;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    buf_init(&tar, ARCHIVE_MOST);
    rc = bundle_open(path, &bundle, e);
    if (rc == ERR_OK)
        rc = bundle_unmake(bundle, &tar, e);
    bundle_close(bundle);
    close(fd);
    if (rc == ERR_OK)
        rc = file_of(buf_slice(&tar), ret_fd, e);
    buf_done(&tar);
    return rc;
}

static enum err_code upload(void *arg, bool assets, const char *digest, struct slice bytes,
                            struct err *e)
{
    struct import *m = arg;
    json_t *stored = NULL;
    int fd;
    enum err_code rc = assets ? unmake(bytes, &fd, e) : file_of(bytes, &fd, e);
    if (rc)
        return rc;
    rc = call(
        m,
        &(struct client_request){.method = "POST",
                                 .path = assets ? "{P}/assets" : "{P}/modules",
                                 .content_type = assets ? "application/x-tar" : "application/wasm",
                                 .fd = fd},
        &stored, e);
    close(fd);
    if (rc == ERR_OK && strcmp(answer_text(stored, "digest"), digest) != 0)
        rc = err_set(e, ERR_CONFLICT, "the server made another bundle of the assets %s", digest);
    json_decref(stored);
    m->done->blobs += rc == ERR_OK;
    return rc;
}

/* ---- versions ---- */

/* `wanted` as a merge patch of what `had` has. */
static json_t *patch_of(json_t *wanted, json_t *had)
{
    json_t *patch = json_copy(wanted), *v;
    const char *name;
    json_object_foreach(had, name, v)
    {
        if (!json_object_get(wanted, name))
            json_object_set_new(patch, name, json_null());
    }
    return patch;
}

static json_t *body_of(json_t *version, json_t *base)
{
    json_t *body =
        json_pack("{s:O, s:O, s:b, s:b}", "digest", json_object_get(version, "digest"), "number",
                  json_object_get(version, "number"), "promote", 0, "skip_check", 1);
    for (size_t i = 0; project_settings[i]; i++) {
        const char *name = project_settings[i];
        json_t *wanted = json_object_get(version, name), *had = json_object_get(base, name);
        if (json_is_object(wanted) && strcmp(name, "policy") != 0)
            json_object_set_new(body, name, patch_of(wanted, had));
        else if (!had ||
                 !json_equal(wanted, had)) /* a policy said again would lower limits again */
            json_object_set(body, name, wanted);
    }
    return body;
}

static enum err_code disable(struct import *m, const char *function, const json_t *version,
                             struct err *e)
{
    char number[24];
    if (!json_is_true(json_object_get(version, "disabled")))
        return ERR_OK;
    snprintf(number, sizeof number, "%ju", (uintmax_t)answer_count(version, "number"));
    return call(m,
                &(struct client_request){.method = "POST",
                                         .path = "{P}/functions/{}/versions/{}/disable",
                                         .at = {function, number}},
                NULL, e);
}

static enum err_code make_version(struct import *m, const char *function, json_t *version,
                                  json_t *base, struct err *e)
{
    json_t *body = body_of(version, base), *made = NULL;
    char number[24];
    snprintf(number, sizeof number, "%ju", (uintmax_t)answer_count(version, "number"));
    enum err_code rc = call(
        m,
        &(struct client_request){
            .method = "POST", .path = "{P}/functions/{}/versions", .at = {function}, .json = body},
        &made, e);
    const char *other = rc == ERR_OK ? difference(version, json_object_get(made, "version")) : NULL;
    if (other)
        rc = err_set(e, ERR_CONFLICT,
                     "version %s of \"%s\" came out with another %s than the archive has: the "
                     "server's limits may be lower",
                     number, function, other);
    m->done->versions += rc == ERR_OK;
    if (rc == ERR_OK)
        rc = disable(m, function, version, e);
    json_decref(made);
    json_decref(body);
    return rc;
}

static enum err_code promote(struct import *m, const json_t *f, struct err *e)
{
    const char *name = answer_text(f, "name");
    char number[24];
    snprintf(number, sizeof number, "%ju", (uintmax_t)answer_count(f, "live"));
    json_t *body = json_pack("{s:b}", "skip_check", 1);
    enum err_code rc = call(m,
                            &(struct client_request){.method = "POST",
                                                     .path = "{P}/functions/{}/versions/{}/promote",
                                                     .at = {name, number},
                                                     .json = body},
                            NULL, e);
    json_decref(body);
    return rc;
}

static enum err_code split(struct import *m, const json_t *f, struct err *e)
{
    json_t *body = json_pack("{s:O}", "versions", json_object_get(f, "split"));
    enum err_code rc = call(m,
                            &(struct client_request){.method = "POST",
                                                     .path = "{P}/functions/{}/split",
                                                     .at = {answer_text(f, "name")},
                                                     .json = body},
                            NULL, e);
    json_decref(body);
    return rc;
}

/* Makes what of it isn't there: of a function that is, is_begun() has said that it may go on. */
static enum err_code make_function(struct import *m, json_t *f, struct err *e)
{
    const char *name = answer_text(f, "name");
    json_t *had = json_object_get(m->had, name), *shown = json_object_get(m->shown, name);
    json_t *live = json_object_get(f, "live"), *shares = json_object_get(f, "split");
    json_t *versions = json_object_get(f, "versions"), *version, *base = NULL;
    json_t *body = json_pack("{s:s}", "name", name);
    size_t i, there = json_array_size(had);
    bool same = there == json_array_size(versions) &&
                json_equal(json_object_get(shown, "version"), live) &&
                json_equal(json_object_get(shown, "split"), shares);
    enum err_code rc = ERR_OK;
    if (!had)
        rc = call(m,
                  &(struct client_request){.method = "POST", .path = "{P}/functions", .json = body},
                  NULL, e);
    json_decref(body);
    json_array_foreach(versions, i, version)
    {
        if (rc == ERR_OK && i >= there)
            rc = make_version(m, name, version, base, e);
        else if (rc == ERR_OK && i + 1 == there &&
                 !*answer_text(json_array_get(had, i), "disabled_at"))
            rc = disable(m, name, version, e);
        base = version;
    }
    if (rc == ERR_OK && !same && json_is_integer(live) &&
        !json_equal(json_object_get(shown, "version"), live))
        rc = promote(m, f, e);
    if (rc == ERR_OK && !same && json_is_object(shares))
        rc = split(m, f, e);
    if (rc == ERR_OK)
        *(same ? &m->done->found : &m->done->functions) += 1;
    return rc;
}

/* ---- all of it ---- */

/* Nothing changes here. */
static enum err_code find_all(struct import *m, const struct import_source *source, struct err *e)
{
    enum err_code rc = find_project(m, e);
    if (rc == ERR_OK)
        rc = find_functions(m, e);
    return rc ? rc : find_secrets(m, source, e);
}

static enum err_code make_all(struct import *m, const struct import_source *source, struct err *e)
{
    json_t *functions = json_object_get(project_file_json(m->file), "functions"), *f;
    size_t i;
    m->done->begun = true;
    enum err_code rc = make_project(m, e);
    if (rc == ERR_OK)
        rc = set_secrets(m, &source->secrets, e);
    if (rc == ERR_OK)
        rc = project_file_each(m->file, upload, m, e);
    json_array_foreach(functions, i, f)
    {
        if (rc == ERR_OK)
            rc = make_function(m, f, e);
    }
    return rc;
}

enum err_code import_open(const char *file, const char *secrets, struct import_source *ret,
                          struct err *e)
{
    struct import_source s = {.file = NULL};
    enum err_code rc = secrets ? secrets_read(secrets, true, &s.secrets, e) : ERR_OK;
    if (rc == ERR_OK)
        rc = project_file_open(file, &s.file, e);
    if (rc)
        import_close(&s);
    else
        *ret = s;
    return rc;
}

void import_close(struct import_source *s)
{
    project_file_close(s->file);
    secrets_done(&s->secrets);
}

enum err_code import_judge_new(const struct import_source *s, struct err *e)
{
    return judge_secrets(s, answer_text(project_file_json(s->file), "project"), NULL, e);
}

enum err_code import_project(const struct context *server, const struct import_source *source,
                             const char *project, struct import_done *ret_done, struct err *e)
{
    struct import m = {
        .file = source->file, .done = ret_done, .had = json_object(), .shown = json_object()};
    struct context context = *server;
    enum err_code rc = ERR_OK;
    *ret_done = (struct import_done){.functions = 0};
    if (!project)
        project = answer_text(project_file_json(source->file), "project");
    if (!slice_copy(slice_str(project), ret_done->project, sizeof ret_done->project))
        rc = err_set(e, ERR_INVALID, "the project's name is too long");
    if (rc == ERR_OK) {
        slice_copy(slice_str(ret_done->project), context.project, sizeof context.project);
        rc = client_open_as(&context, &m.client, e);
    }
    if (rc == ERR_OK)
        rc = find_all(&m, source, e);
    if (rc == ERR_OK)
        rc = make_all(&m, source, e);
    client_close(m.client);
    json_decref(m.had);
    json_decref(m.shown);
    return rc;
}

/* What an import that was broken off has left. */
static void say_rest(const struct import_done *done)
{
    if (done->begun)
        fprintf(stderr,
                "made so far: %ju functions and %ju versions of others; none of these answers\n"
                "next: the same command again goes on from there\n",
                (uintmax_t)done->functions, (uintmax_t)done->versions);
}

static void print_done(const struct import_done *d, bool json)
{
    if (json) {
        json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I}", "project", d->project, "functions",
                              (json_int_t)d->functions, "versions", (json_int_t)d->versions,
                              "blobs", (json_int_t)d->blobs, "found", (json_int_t)d->found);
        show_json(o);
        json_decref(o);
        return;
    }
    printf("%s: %ju functions with %ju versions\n", d->project, (uintmax_t)d->functions,
           (uintmax_t)d->versions);
    if (d->found)
        printf("%ju functions were there already, the same\n", (uintmax_t)d->found);
}

int cmd_import(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL, *secrets = NULL;
    const struct flag flags[] = {
        {.name = "project", .value = "P", .help = "instead of the archive's", .text = &project},
        {.name = "secrets",
         .value = "FILE",
         .help = "NAME=VALUE lines: secrets to set first; a file of mode 0600",
         .text = &secrets},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    struct import_source source = {.file = NULL};
    struct import_done done = {.begun = false};
    struct context context;
    struct err e;
    int status = args_parse("import", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    enum err_code rc = context_find(&context, &e);
    if (rc == ERR_OK)
        rc = import_open(words.at[0], secrets, &source, &e);
    if (rc == ERR_OK)
        rc = import_project(&context, &source, project, &done, &e);
    import_close(&source);
    if (rc) {
        status = client_fail(NULL, &e);
        say_rest(&done);
        return status;
    }
    print_done(&done, json);
    return 0;
}
