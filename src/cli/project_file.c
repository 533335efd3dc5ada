#include "cli/project_file.h"

#include "api/request.h"
#include "api/schemas.h"
#include "base/brand.h"
#include "base/map.h"
#include "cli/files.h"
#include "ipc/spec.h"
#include "module/module.h"
#include "module/tar.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { JSON_MOST = 256 << 20, BLOBS_MOST = 1 << 20 };

const char *const project_settings[] = {"response", "check",   "env",    "limits",
                                        "policy",   "assets",  "timing", "secrets",
                                        "preview",  "capture", NULL};

struct blob {
    struct blob *next; /* in the order of the archive */
    bool assets;
    char name[sizeof "modules/" + DIGEST_TEXT]; /* in the archive: its key */
    struct slice bytes;
};

struct project_file {
    struct slice mapped; /* .p NULL: the archive is somebody else's */
    json_t *json;
    struct map by_name;
    struct blob *first, **last;
    size_t count;
};

static enum err_code damaged(struct err *e, const char *what, struct slice name)
{
    return err_set(e, ERR_DAMAGED, "the archive %s \"%s\"", what, quote(name).text);
}

/* ---- entries ---- */

static enum err_code take_json(struct project_file *f, struct slice text, struct err *e)
{
    json_error_t why;
    f->json = text.n <= JSON_MOST ? json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why) : NULL;
    if (!json_is_object(f->json))
        return err_set(e, ERR_DAMAGED, "project.json of the archive is not readable");
    if (json_integer_value(json_object_get(f->json, "format")) != PROJECT_FORMAT)
        return err_set(e, ERR_CONFLICT,
                       "the archive has another format than this " BRAND_COMMAND " reads");
    return ERR_OK;
}

static enum err_code take_blob(struct project_file *f, bool assets, struct slice path,
                               struct slice digest, struct slice bytes, struct err *e)
{
    uint8_t want[DIGEST_BYTES], found[DIGEST_BYTES];
    if (!digest_parse(digest, want))
        return damaged(e, "has a blob of the name", path);
    crypto_hash_sha256(found, (const unsigned char *)bytes.p, bytes.n);
    if (memcmp(want, found, sizeof want) != 0)
        return damaged(e, "is damaged: its bytes are not those of", path);
    if (map_get(&f->by_name, path))
        return damaged(e, "has twice", path);
    struct blob *b = f->count < BLOBS_MOST ? calloc(1, sizeof *b) : NULL;
    if (!b)
        return err_set(e, ERR_MEMORY, "no memory for the archive's modules");
    *b = (struct blob){.assets = assets, .bytes = bytes};
    *f->last = b;
    f->last = &b->next;
    f->count++;
    return slice_copy(path, b->name, sizeof b->name) && map_put(&f->by_name, slice_str(b->name), b)
               ? ERR_OK
               : err_set(e, ERR_MEMORY, "no memory for the archive's modules");
}

static enum err_code take_entry(struct project_file *f, const struct tar_entry *t, struct err *e)
{
    bool module = slice_starts(t->path, SLICE("modules/"));
    bool assets = slice_starts(t->path, SLICE("assets/"));
    if (!t->folder && !f->json && slice_eq(t->path, SLICE("project.json")))
        return take_json(f, t->content, e);
    if (t->folder || !f->json || (!module && !assets))
        return damaged(e, "is none of a project: it has an entry", t->path);
    return take_blob(f, assets, t->path, slice_from(t->path, module ? 8 : 7), t->content, e);
}

static enum err_code take_entries(struct project_file *f, struct slice archive, struct err *e)
{
    struct tar tar = tar_open(archive);
    struct tar_entry entry;
    bool end = false;
    tar.what = "the archive";
    for (;;) {
        enum err_code rc = tar_next(&tar, &entry, &end, e);
        if (rc)
            return e->code = rc == ERR_INVALID ? ERR_DAMAGED : rc;
        if (end)
            return f->json ? ERR_OK
                           : err_set(e, ERR_DAMAGED,
                                     "the archive has no project.json: it is none "
                                     "of a project");
        rc = take_entry(f, &entry, e);
        if (rc)
            return rc;
    }
}

/* ---- is it whole? ---- */

static const json_t *version_numbered(const json_t *versions, json_int_t number)
{
    json_t *v;
    size_t i;
    json_array_foreach(versions, i, v)
    {
        if (json_integer_value(json_object_get(v, "number")) == number)
            return v;
    }
    return NULL;
}

/* Its members, by the schema by which the server will judge them. */
static enum err_code judge_settings(const json_t *v, char field[128], struct err *e)
{
    json_t *body = json_copy((json_t *)v);
    if (!body)
        return err_set(e, ERR_MEMORY, "no memory for the archive");
    snprintf(field, 128, "disabled");
    enum err_code rc = json_is_boolean(json_object_get(v, "disabled"))
                           ? ERR_OK
                           : err_set(e, ERR_INVALID, "must be true or false");
    json_object_del(body, "disabled");
    if (rc == ERR_OK)
        rc = schema_check(&schema_version_create, body, field, e);
    for (size_t i = 0; project_settings[i] && rc == ERR_OK; i++) {
        snprintf(field, 128, "%s", project_settings[i]);
        if (!json_object_get(body, project_settings[i]))
            rc = err_set(e, ERR_INVALID, "is missing");
    }
    json_decref(body);
    return rc;
}

static enum err_code judge_version(const struct project_file *f, const char *function,
                                   const json_t *v, json_int_t *last, struct err *e)
{
    json_int_t number = json_integer_value(json_object_get(v, "number"));
    const char *digest = json_string_value(json_object_get(v, "digest"));
    const json_t *assets = json_object_get(v, "assets");
    char field[128] = "";
    struct err why;
    if (number <= *last || !digest)
        return err_set(e, ERR_DAMAGED, "the versions of \"%s\" in the archive are not in order",
                       function);
    *last = number;
    if (judge_settings(v, field, &why))
        return err_set(e, ERR_DAMAGED,
                       "version %lld of \"%s\" in the archive is none of this " BRAND_COMMAND
                       ": %s: %.200s",
                       (long long)number, function, quote(slice_str(field)).text, why.text);
    if (!project_file_blob(f, false, digest).p ||
        (json_is_string(assets) && !project_file_blob(f, true, json_string_value(assets)).p))
        return err_set(e, ERR_DAMAGED,
                       "the archive lacks the module or assets of version %lld of \"%s\"",
                       (long long)number, function);
    return ERR_OK;
}

/* What answers must be versions that are there. */
static bool routes_fit(const json_t *function, const json_t *versions)
{
    const json_t *live = json_object_get(function, "live"),
                 *split = json_object_get(function, "split");
    char field[128];
    const char *number;
    json_t *share;
    if (!json_is_null(live) && !version_numbered(versions, json_integer_value(live)))
        return false;
    if (json_is_null(split))
        return true;
    json_t *body = json_pack("{s:O}", "versions", split);
    bool fits =
        body && json_is_integer(live) && schema_check(&schema_split, body, field, NULL) == 0;
    json_object_foreach((json_t *)split, number, share)
    {
        fits = fits && version_numbered(versions, strtoll(number, NULL, 10));
    }
    json_decref(body);
    return fits;
}

static enum err_code judge_function(const struct project_file *f, const json_t *function,
                                    struct map *names, struct err *e)
{
    const char *name = json_string_value(json_object_get(function, "name"));
    json_t *versions = json_object_get(function, "versions"), *version;
    json_int_t last = 0;
    struct err why;
    size_t i;
    if (!name || !json_is_array(versions) || json_object_size(function) != 4)
        return err_set(e, ERR_DAMAGED, "project.json of the archive describes no project");
    if (name_check(slice_str(name), &why))
        return err_set(e, ERR_DAMAGED, "the archive has a function of the name \"%s\": %.200s",
                       quote(slice_str(name)).text, why.text);
    if (map_get(names, slice_str(name)))
        return err_set(e, ERR_DAMAGED, "the archive has the function \"%s\" twice", name);
    if (!map_put(names, slice_str(name), versions))
        return err_set(e, ERR_MEMORY, "no memory for the archive");
    json_array_foreach(versions, i, version)
    {
        enum err_code rc = judge_version(f, name, version, &last, e);
        if (rc)
            return rc;
    }
    return routes_fit(function, versions)
               ? ERR_OK
               : err_set(e, ERR_DAMAGED,
                         "what is live or split of \"%s\" in the archive is no version of it",
                         name);
}

static enum err_code judge(const struct project_file *f, struct err *e)
{
    json_t *functions = json_object_get(f->json, "functions"), *function;
    struct map names = {0};
    enum err_code rc = ERR_OK;
    size_t i;
    if (!json_is_array(functions) || !json_is_string(json_object_get(f->json, "project")) ||
        json_object_size(f->json) != 3)
        return err_set(e, ERR_DAMAGED, "project.json of the archive describes no project");
    json_array_foreach(functions, i, function)
    {
        if (rc == ERR_OK)
            rc = judge_function(f, function, &names, e);
    }
    map_done(&names);
    return rc;
}

/* ---- the file ---- */

enum err_code project_file_read(struct slice archive, struct project_file **ret_file, struct err *e)
{
    struct project_file *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(e, ERR_MEMORY, "no memory for the archive");
    f->last = &f->first;
    enum err_code rc = take_entries(f, archive, e);
    if (rc == ERR_OK)
        rc = judge(f, e);
    if (rc) {
        project_file_close(f);
        return rc;
    }
    *ret_file = f;
    return ERR_OK;
}

enum err_code project_file_open(const char *path, struct project_file **ret_file, struct err *e)
{
    struct slice archive;
    enum err_code rc = file_map(path, "an archive of a project", &archive, e);
    if (rc)
        return rc;
    rc = project_file_read(archive, ret_file, e);
    if (rc)
        munmap((void *)archive.p, archive.n);
    else
        (*ret_file)->mapped = archive;
    return rc;
}

void project_file_close(struct project_file *f)
{
    if (!f)
        return;
    while (f->first) {
        struct blob *b = f->first;
        f->first = b->next;
        free(b);
    }
    map_done(&f->by_name);
    json_decref(f->json);
    if (f->mapped.p)
        munmap((void *)f->mapped.p, f->mapped.n);
    free(f);
}

const json_t *project_file_json(const struct project_file *f)
{
    return f->json;
}

struct slice project_file_blob(const struct project_file *f, bool assets, const char *digest)
{
    char name[sizeof((struct blob *)0)->name];
    snprintf(name, sizeof name, "%s/%s", assets ? "assets" : "modules", digest);
    const struct blob *b = map_get(&f->by_name, slice_str(name));
    return b ? b->bytes : (struct slice){0};
}

enum err_code project_file_each(const struct project_file *f,
                                enum err_code (*each)(void *arg, bool assets, const char *digest,
                                                      struct slice bytes, struct err *e),
                                void *arg, struct err *e)
{
    enum err_code rc = ERR_OK;
    for (const struct blob *b = f->first; b && rc == ERR_OK; b = b->next)
        rc = each(arg, b->assets, strchr(b->name, '/') + 1, b->bytes, e);
    return rc;
}
