/* `wasmcloud import`: an exported project made again on a server, through the API.
 *
 * Versions keep their numbers and become what they were, setting by setting; then what was live or
 * split becomes so. A version is made from the one before it (the server keeps what a request
 * doesn't name), so whatever that one has and this one has not is taken away by name, and what the
 * server shows at the end is compared with the archive. */
#include "cli/import.h"

#include "base/brand.h"
#include "base/buf.h"
#include "cli/args.h"
#include "cli/files.h"
#include "cli/project_file.h"
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
    SECRETS_MOST = 1 << 20,
    ARCHIVE_MOST = 1 << 30
};

struct import {
    struct client *client;
    const struct project_file *file;
    struct import_done *done;
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
    if (rc != ERR_NOT_FOUND)
        return rc;
    json_t *body = json_pack("{s:s}", "name", m->done->project);
    rc = call(m, &(struct client_request){.method = "POST", .path = "projects", .json = body}, NULL,
              e);
    json_decref(body);
    return rc;
}

static enum err_code find_functions(struct import *m, struct err *e)
{
    json_t *functions = json_object_get(project_file_json(m->file), "functions"), *f;
    size_t i;
    json_array_foreach(functions, i, f)
    {
        const char *name = answer_text(f, "name");
        enum err_code rc =
            call(m, &(struct client_request){.path = "{P}/functions/{}", .at = {name}}, NULL, e);
        if (rc == ERR_OK)
            return err_set(e, ERR_CONFLICT,
                           "the project \"%s\" has a function \"%s\" already: import into another "
                           "server, or delete it there",
                           m->done->project, name);
        if (rc != ERR_NOT_FOUND)
            return rc;
    }
    return ERR_OK;
}

static json_t *secrets_named(const struct import *m)
{
    json_t *set = json_object(), *f, *v, *name;
    size_t i, j, k;
    json_array_foreach(json_object_get(project_file_json(m->file), "functions"), i, f)
        json_array_foreach(json_object_get(f, "versions"), j, v)
            json_array_foreach(json_object_get(v, "secrets"), k, name)
    {
        if (json_is_string(name))
            json_object_set_new(set, json_string_value(name), json_true());
    }
    return set;
}

/* The archive has the names of secrets only: each must have a value on the server. */
static enum err_code find_secrets(struct import *m, struct err *e)
{
    json_t *missing = secrets_named(m), *have = NULL, *s, *yes;
    const char *name;
    size_t i;
    enum err_code rc = ERR_OK;
    if (json_object_size(missing))
        rc = client_list(m->client, &(struct client_request){.path = "{P}/secrets"}, 0, &have, e);
    json_array_foreach(json_object_get(have, "items"), i, s)
        json_object_del(missing, answer_text(s, "name"));
    if (rc == ERR_OK && json_object_size(missing)) {
        char text[320] = "";
        size_t n = 0;
        json_object_foreach(missing, name, yes)
        {
            if (n < sizeof text)
                n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? ", " : "", name);
        }
        rc = err_set(e, ERR_INVALID,
                     "versions in the archive use secrets that the project \"%s\" doesn't have: "
                     "%s\n  set each with `%s secret set NAME`, or give a file of NAME=VALUE lines "
                     "with --secrets",
                     m->done->project, text, BRAND_COMMAND);
    }
    json_decref(missing);
    json_decref(have);
    return rc;
}

/* ---- secrets from a file ---- */

static enum err_code set_secret(struct import *m, struct slice line, struct err *e)
{
    struct slice value = line, name = slice_trim(slice_split(&value, '='));
    char text[128];
    if (!name.n || name.p[0] == '#')
        return ERR_OK;
    json_t *body = value.p ? json_pack("{s:s%}", "value", value.p, value.n) : NULL;
    if (!body || !slice_copy(name, text, sizeof text)) {
        json_decref(body);
        return err_set(e, ERR_INVALID, "the file of secrets has a line that is not NAME=VALUE");
    }
    enum err_code rc =
        call(m,
             &(struct client_request){
                 .method = "PUT", .path = "{P}/secrets/{}", .at = {text}, .json = body},
             NULL, e);
    json_decref(body);
    return rc;
}

static enum err_code set_secrets(struct import *m, const char *path, struct err *e)
{
    if (!path)
        return ERR_OK;
    struct buf all;
    buf_init_private(&all, SECRETS_MOST);
    enum err_code rc = file_read(path, &all, e);
    for (struct slice rest = buf_slice(&all); rc == ERR_OK && rest.p;) {
        struct slice line = slice_split(&rest, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        rc = set_secret(m, line, e);
    }
    buf_done(&all);
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
    m->done->blobs++;
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

/* The first setting in which the two differ; NULL: they are the same. */
static const char *difference(const json_t *wanted, const json_t *made)
{
    for (size_t i = 0; project_settings[i]; i++)
        if (!json_equal(json_object_get(wanted, project_settings[i]),
                        json_object_get(made, project_settings[i])))
            return project_settings[i];
    return json_equal(json_object_get(wanted, "number"), json_object_get(made, "number"))
               ? NULL
               : "number";
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
    if (rc == ERR_OK && json_is_true(json_object_get(version, "disabled")))
        rc = call(m,
                  &(struct client_request){.method = "POST",
                                           .path = "{P}/functions/{}/versions/{}/disable",
                                           .at = {function, number}},
                  NULL, e);
    json_decref(made);
    json_decref(body);
    m->done->versions++;
    return rc;
}

static enum err_code promote(struct import *m, const json_t *f, struct err *e)
{
    const char *name = answer_text(f, "name");
    char number[24];
    snprintf(number, sizeof number, "%ju", (uintmax_t)answer_count(f, "live"));
    json_t *body = json_pack("{s:b}", "skip_check", 1);
    json_t *split = json_object_get(f, "split"), *promoted = NULL;
    enum err_code rc = call(m,
                            &(struct client_request){.method = "POST",
                                                     .path = "{P}/functions/{}/versions/{}/promote",
                                                     .at = {name, number},
                                                     .json = body},
                            &promoted, e);
    json_decref(promoted);
    json_decref(body);
    if (rc || !json_is_object(split))
        return rc;
    body = json_pack("{s:O}", "versions", split);
    rc = call(m,
              &(struct client_request){
                  .method = "POST", .path = "{P}/functions/{}/split", .at = {name}, .json = body},
              NULL, e);
    json_decref(body);
    return rc;
}

static enum err_code make_function(struct import *m, json_t *f, struct err *e)
{
    const char *name = answer_text(f, "name");
    json_t *versions = json_object_get(f, "versions"), *version, *base = NULL;
    json_t *body = json_pack("{s:s}", "name", name);
    size_t i;
    enum err_code rc =
        call(m, &(struct client_request){.method = "POST", .path = "{P}/functions", .json = body},
             NULL, e);
    json_decref(body);
    json_array_foreach(versions, i, version)
    {
        if (rc == ERR_OK)
            rc = make_version(m, name, version, base, e);
        base = version;
    }
    if (rc == ERR_OK && json_is_integer(json_object_get(f, "live")))
        rc = promote(m, f, e);
    m->done->functions++;
    return rc;
}

/* ---- all of it ---- */

static enum err_code import_all(struct import *m, const struct import_wish *wish, struct err *e)
{
    json_t *functions = json_object_get(project_file_json(m->file), "functions"), *f;
    size_t i;
    enum err_code rc = find_project(m, e);
    if (rc == ERR_OK)
        rc = find_functions(m, e);
    if (rc == ERR_OK)
        rc = set_secrets(m, wish->secrets, e);
    if (rc == ERR_OK)
        rc = find_secrets(m, e);
    if (rc == ERR_OK)
        rc = project_file_each(m->file, upload, m, e);
    json_array_foreach(functions, i, f)
    {
        if (rc == ERR_OK)
            rc = make_function(m, f, e);
    }
    return rc;
}

enum err_code import_project(const struct context *server, const struct import_wish *wish,
                             struct import_done *ret_done, struct err *e)
{
    struct project_file *file = NULL;
    struct import_done done = {.functions = 0};
    struct import m = {.done = &done};
    struct context context = *server;
    enum err_code rc = project_file_open(wish->file, &file, e);
    if (rc)
        return rc;
    m.file = file;
    const char *name =
        wish->project ? wish->project : answer_text(project_file_json(file), "project");
    if (!slice_copy(slice_str(name), done.project, sizeof done.project))
        rc = err_set(e, ERR_INVALID, "the project's name is too long");
    if (rc == ERR_OK) {
        slice_copy(slice_str(done.project), context.project, sizeof context.project);
        rc = client_open_as(&context, &m.client, e);
    }
    if (rc == ERR_OK)
        rc = import_all(&m, wish, e);
    client_close(m.client);
    project_file_close(file);
    if (rc == ERR_OK)
        *ret_done = done;
    return rc;
}

int cmd_import(int argc, char **argv)
{
    bool json = false;
    struct import_wish wish = {.file = NULL};
    const struct flag flags[] = {
        {.name = "project",
         .value = "P",
         .help = "instead of the archive's",
         .text = &wish.project},
        {.name = "secrets",
         .value = "FILE",
         .help = "NAME=VALUE lines: secrets to set first",
         .text = &wish.secrets},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    struct import_done done;
    struct context context;
    struct err e;
    int status = args_parse("import", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    wish.file = words.at[0];
    enum err_code rc = context_find(&context, &e);
    if (rc == ERR_OK)
        rc = import_project(&context, &wish, &done, &e);
    if (rc)
        return client_fail(NULL, &e);
    if (json) {
        json_t *o = json_pack("{s:s, s:I, s:I, s:I}", "project", done.project, "functions",
                              (json_int_t)done.functions, "versions", (json_int_t)done.versions,
                              "blobs", (json_int_t)done.blobs);
        show_json(o);
        json_decref(o);
    } else {
        printf("%s: %ju functions with %ju versions\n", done.project, (uintmax_t)done.functions,
               (uintmax_t)done.versions);
    }
    return 0;
}
