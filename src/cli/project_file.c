#include "cli/project_file.h"

#include "base/brand.h"
#include "cli/files.h"
#include "ipc/spec.h"
#include "module/module.h"
#include "module/tar.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { JSON_MOST = 256 << 20, BLOBS_MOST = 1 << 20, BLOBS_FIRST = 64 };

const char *const project_settings[] = {"response", "check",   "env",    "limits",
                                        "policy",   "assets",  "timing", "secrets",
                                        "preview",  "capture", NULL};

struct blob {
    bool assets;
    char digest[DIGEST_TEXT + 1];
    struct slice bytes;
};

struct project_file {
    struct slice archive; /* mapped */
    json_t *json;
    struct blob *blobs; /* in the order of the archive */
    size_t count, room;
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

static enum err_code take_blob(struct project_file *f, bool assets, struct slice name,
                               struct slice bytes, struct err *e)
{
    uint8_t want[DIGEST_BYTES], found[DIGEST_BYTES];
    if (!digest_parse(name, want))
        return damaged(e, "has a blob of the name", name);
    crypto_hash_sha256(found, (const unsigned char *)bytes.p, bytes.n);
    if (memcmp(want, found, sizeof want) != 0)
        return damaged(e, "is damaged: its bytes are not those of", name);
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : BLOBS_FIRST;
        struct blob *more = room <= BLOBS_MOST ? realloc(f->blobs, room * sizeof *f->blobs) : NULL;
        if (!more)
            return err_set(e, ERR_MEMORY, "no memory for the archive's modules");
        f->blobs = more;
        f->room = room;
    }
    struct blob *b = &f->blobs[f->count++];
    *b = (struct blob){.assets = assets, .bytes = bytes};
    digest_text(want, b->digest);
    return ERR_OK;
}

static enum err_code take_entry(struct project_file *f, const struct tar_entry *t, struct err *e)
{
    bool module = slice_starts(t->path, SLICE("modules/"));
    bool assets = slice_starts(t->path, SLICE("assets/"));
    if (!t->folder && !f->json && slice_eq(t->path, SLICE("project.json")))
        return take_json(f, t->content, e);
    if (t->folder || !f->json || (!module && !assets))
        return damaged(e, "is none of a project: it has an entry", t->path);
    return take_blob(f, assets, slice_from(t->path, module ? 8 : 7), t->content, e);
}

static enum err_code take_entries(struct project_file *f, struct err *e)
{
    struct tar tar = tar_open(f->archive);
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

static enum err_code judge_version(const struct project_file *f, const char *function,
                                   const json_t *v, json_int_t *last, struct err *e)
{
    json_int_t number = json_integer_value(json_object_get(v, "number"));
    const char *digest = json_string_value(json_object_get(v, "digest"));
    const json_t *assets = json_object_get(v, "assets");
    if (number <= *last || !digest)
        return err_set(e, ERR_DAMAGED, "the versions of \"%s\" in the archive are not in order",
                       function);
    *last = number;
    for (size_t i = 0; project_settings[i]; i++)
        if (!json_object_get(v, project_settings[i]))
            return err_set(e, ERR_DAMAGED, "version %lld of \"%s\" in the archive lacks %s",
                           (long long)number, function, project_settings[i]);
    if (!project_file_blob(f, false, digest).p ||
        (json_is_string(assets) && !project_file_blob(f, true, json_string_value(assets)).p))
        return err_set(e, ERR_DAMAGED,
                       "the archive lacks the module or assets of version %lld of \"%s\"",
                       (long long)number, function);
    return ERR_OK;
}

static enum err_code judge(const struct project_file *f, struct err *e)
{
    json_t *functions = json_object_get(f->json, "functions"), *function, *version;
    size_t i, j;
    if (!json_is_array(functions) || !json_is_string(json_object_get(f->json, "project")))
        return err_set(e, ERR_DAMAGED, "project.json of the archive describes no project");
    json_array_foreach(functions, i, function)
    {
        const char *name = json_string_value(json_object_get(function, "name"));
        json_t *versions = json_object_get(function, "versions");
        json_int_t last = 0;
        if (!name || !json_is_array(versions))
            return err_set(e, ERR_DAMAGED, "project.json of the archive describes no project");
        json_array_foreach(versions, j, version)
        {
            enum err_code rc = judge_version(f, name, version, &last, e);
            if (rc)
                return rc;
        }
    }
    return ERR_OK;
}

/* ---- the file ---- */

enum err_code project_file_open(const char *path, struct project_file **ret_file, struct err *e)
{
    struct project_file *f = calloc(1, sizeof *f);
    if (!f)
        return err_set(e, ERR_MEMORY, "no memory for the archive");
    enum err_code rc = file_map(path, "an archive of a project", &f->archive, e);
    if (rc == ERR_OK)
        rc = take_entries(f, e);
    if (rc == ERR_OK)
        rc = judge(f, e);
    if (rc) {
        project_file_close(f);
        return rc;
    }
    *ret_file = f;
    return ERR_OK;
}

void project_file_close(struct project_file *f)
{
    if (!f)
        return;
    if (f->archive.p)
        munmap((void *)f->archive.p, f->archive.n);
    json_decref(f->json);
    free(f->blobs);
    free(f);
}

const json_t *project_file_json(const struct project_file *f)
{
    return f->json;
}

struct slice project_file_blob(const struct project_file *f, bool assets, const char *digest)
{
    for (size_t i = 0; i < f->count; i++)
        if (f->blobs[i].assets == assets && strcmp(f->blobs[i].digest, digest) == 0)
            return f->blobs[i].bytes;
    return (struct slice){0};
}

enum err_code project_file_each(const struct project_file *f,
                                enum err_code (*each)(void *arg, bool assets, const char *digest,
                                                      struct slice bytes, struct err *e),
                                void *arg, struct err *e)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < f->count && rc == ERR_OK; i++)
        rc = each(arg, f->blobs[i].assets, f->blobs[i].digest, f->blobs[i].bytes, e);
    return rc;
}
