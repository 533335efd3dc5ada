/* `wasmcloud export`: a project as one archive (cli/project_file.h), made through the API.
 *
 * First all that the API says of its functions and versions, then each module and bundle of assets
 * that they name, streamed into the file and hashed on the way. As `backup`, it writes FILE.part
 * and never over a file. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/project_file.h"
#include "cli/show.h"
#include "ipc/spec.h"
#include "module/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct export
{
    struct client *client;
    int fd;
    uint64_t at; /* bytes written */
    uint64_t functions, versions, blobs;
    /* the blob under way */
    int broken; /* errno: why the file takes no more */
    crypto_hash_sha256_state hash;
};

/* ---- what there is ---- */

static json_t *version_of(const json_t *v)
{
    json_t *o = json_object();
    json_object_set(o, "number", json_object_get(v, "number"));
    json_object_set(o, "digest", json_object_get(v, "digest"));
    json_object_set_new(o, "disabled", json_boolean(*answer_text(v, "disabled_at")));
    for (size_t i = 0; project_settings[i]; i++)
        json_object_set(o, project_settings[i], json_object_get(v, project_settings[i]));
    return o;
}

static enum err_code describe(struct export *x, const char *name, json_t *functions, struct err *e)
{
    json_t *function = NULL, *versions = NULL, *v;
    enum err_code rc =
        client_call(x->client, &(struct client_request){.path = "{P}/functions/{}", .at = {name}},
                    &function, NULL, e);
    if (rc == ERR_OK)
        rc = client_list(
            x->client, &(struct client_request){.path = "{P}/functions/{}/versions", .at = {name}},
            0, &versions, e);
    if (rc == ERR_OK) {
        json_t *items = json_object_get(versions, "items"), *list = json_array();
        size_t i;
        json_array_foreach(items, i, v) json_array_insert_new(list, 0, version_of(v));
        x->versions += json_array_size(list);
        x->functions++;
        json_array_append_new(functions,
                              json_pack("{s:s, s:O, s:O, s:o}", "name", name, "live",
                                        json_object_get(function, "version"), "split",
                                        json_object_get(function, "split"), "versions", list));
    }
    json_decref(function);
    json_decref(versions);
    return rc;
}

static enum err_code describe_all(struct export *x, json_t **ret_project, struct err *e)
{
    json_t *list = NULL, *function, *functions = json_array(), *project = NULL;
    size_t i;
    enum err_code rc =
        client_call(x->client, &(struct client_request){.path = "{P}"}, &project, NULL, e);
    if (rc == ERR_OK)
        rc = client_list(x->client, &(struct client_request){.path = "{P}/functions"}, 0, &list, e);
    json_array_foreach(json_object_get(list, "items"), i, function)
    {
        if (rc == ERR_OK)
            rc = describe(x, answer_text(function, "name"), functions, e);
    }
    if (rc == ERR_OK)
        *ret_project = json_pack("{s:i, s:s, s:O}", "format", PROJECT_FORMAT, "project",
                                 answer_text(project, "name"), "functions", functions);
    json_decref(project);
    json_decref(functions);
    json_decref(list);
    return rc;
}

/* ---- the archive ---- */

static bool put(struct export *x, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n) {
        ssize_t done = write(x->fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            x->broken = errno;
            return false;
        }
        p += done;
        n -= (size_t)done;
        x->at += (uint64_t)done;
    }
    return true;
}

static enum err_code cant_write(const struct export *x, struct err *e)
{
    errno = x->broken;
    return err_errno(e, "can't write the archive");
}

static enum err_code put_json(struct export *x, const json_t *project, struct err *e)
{
    static const char zeros[TAR_BLOCK];
    char head[TAR_BLOCK];
    char *text = json_dumps(project, JSON_INDENT(1) | JSON_SORT_KEYS);
    size_t n = text ? strlen(text) : 0;
    tar_head(head, '0', 0600, SLICE("project.json"), n);
    bool written =
        text && put(x, head, sizeof head) && put(x, text, n) && put(x, zeros, tar_fill(n));
    free(text);
    return written ? ERR_OK : cant_write(x, e);
}

static bool on_body(void *ctx, const struct client_head *head, struct slice piece)
{
    struct export *x = ctx;
    (void)head;
    crypto_hash_sha256_update(&x->hash, (const unsigned char *)piece.p, piece.n);
    return put(x, piece.p, piece.n);
}

/* Its size is known when it is there: the head is written behind it, in its place before it. */
static enum err_code put_blob(struct export *x, const char *folder, const char *digest,
                              struct err *e)
{
    static const char zeros[TAR_BLOCK];
    char head[TAR_BLOCK] = {0}, path[96], name[96];
    uint8_t found[DIGEST_BYTES], want[DIGEST_BYTES];
    uint64_t begun = x->at;
    snprintf(path, sizeof path, "{P}/%s/{}", folder);
    snprintf(name, sizeof name, "%s/%s", folder, digest);
    if (!digest_parse(slice_str(digest), want))
        return err_set(e, ERR_PROTOCOL,
                       "the server names a module by something else than a digest");
    crypto_hash_sha256_init(&x->hash);
    if (!put(x, head, sizeof head))
        return cant_write(x, e);
    enum err_code rc = client_call(
        x->client,
        &(struct client_request){.path = path, .at = {digest}, .on_body = on_body, .ctx = x}, NULL,
        NULL, e);
    if (x->broken)
        return cant_write(x, e);
    if (rc)
        return rc;
    crypto_hash_sha256_final(&x->hash, found);
    if (memcmp(found, want, sizeof want) != 0)
        return err_set(e, ERR_DAMAGED, "the server's %s has another hash", name);
    uint64_t size = x->at - begun - sizeof head;
    tar_head(head, '0', 0600, slice_str(name), size);
    if (pwrite(x->fd, head, sizeof head, (off_t)begun) != (ssize_t)sizeof head) {
        x->broken = errno;
        return cant_write(x, e);
    }
    x->blobs++;
    return put(x, zeros, tar_fill(size)) ? ERR_OK : cant_write(x, e);
}

/* The digests that versions have under `member`, each once, sorted. */
static json_t *digests(const json_t *project, const char *member)
{
    json_t *set = json_object(), *function, *v;
    size_t i, j;
    json_array_foreach(json_object_get(project, "functions"), i, function)
        json_array_foreach(json_object_get(function, "versions"), j, v)
    {
        if (*answer_text(v, member))
            json_object_set_new(set, answer_text(v, member), json_true());
    }
    return set;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err_code put_blobs(struct export *x, const json_t *project, const char *folder,
                               const char *member, struct err *e)
{
    json_t *set = digests(project, member), *one;
    size_t count = json_object_size(set), n = 0;
    const char **names = calloc(count + 1, sizeof *names), *name;
    enum err_code rc = names ? ERR_OK : err_set(e, ERR_MEMORY, "no memory for the archive");
    json_object_foreach(set, name, one)
    {
        if (names)
            names[n++] = name;
    }
    if (names)
        qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n && rc == ERR_OK; i++)
        rc = put_blob(x, folder, names[i], e);
    free(names);
    json_decref(set);
    return rc;
}

static enum err_code export_all(struct export *x, struct err *e)
{
    static const char end[2 * TAR_BLOCK];
    json_t *project = NULL;
    enum err_code rc = describe_all(x, &project, e);
    if (rc == ERR_OK)
        rc = put_json(x, project, e);
    if (rc == ERR_OK)
        rc = put_blobs(x, project, "modules", "digest", e);
    if (rc == ERR_OK)
        rc = put_blobs(x, project, "assets", "assets", e);
    if (rc == ERR_OK && !put(x, end, sizeof end))
        rc = cant_write(x, e);
    if (rc == ERR_OK && fsync(x->fd) < 0)
        rc = err_errno(e, "can't write the archive");
    json_decref(project);
    return rc;
}

int cmd_export(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {FLAG_JSON(json), {0}};
    struct words words;
    struct export x = {.fd = -1};
    struct err e;
    char part[PATH_MAX], size[24];
    int status = args_parse("export", argc, argv, flags, &words, 2, 2);
    if (status >= 0)
        return status;
    const char *file = words.at[1];
    if ((size_t)snprintf(part, sizeof part, "%s.part", file) >= sizeof part)
        return command_usage("export", "the file's name is too long");
    if (access(file, F_OK) == 0) {
        err_set(&e, ERR_CONFLICT, "%s is there already: name another file", file);
        return command_fail(&e);
    }
    enum err_code rc = client_open(words.at[0], &x.client, &e);
    if (rc == ERR_OK) {
        x.fd = open(part, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (x.fd >= 0)
            fchmod(x.fd, 0600); /* one that an earlier attempt has left */
        rc = x.fd < 0 ? err_errno(&e, "can't write %s", part) : export_all(&x, &e);
        if (rc == ERR_OK && renameat2(AT_FDCWD, part, AT_FDCWD, file, RENAME_NOREPLACE) < 0)
            rc = err_errno(&e, "can't name the archive %s", file);
        if (x.fd >= 0)
            close(x.fd);
        if (rc)
            unlink(part);
    }
    client_close(x.client);
    if (rc)
        return client_fail(NULL, &e);
    if (json) {
        json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I}", "file", file, "size", (json_int_t)x.at,
                              "functions", (json_int_t)x.functions, "versions",
                              (json_int_t)x.versions, "blobs", (json_int_t)x.blobs);
        show_json(o);
        json_decref(o);
    } else {
        printf("%s: %s, %ju functions with %ju versions, %ju modules and bundles\n", file,
               show_bytes(x.at, size), (uintmax_t)x.functions, (uintmax_t)x.versions,
               (uintmax_t)x.blobs);
    }
    return 0;
}
