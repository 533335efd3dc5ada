#include "cli/backup_file.h"

#include "base/brand.h"
#include "blob/blob.h"
#include "cli/files.h"
#include "module/module.h"
#include "module/tar.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT = 1, MANIFEST_MOST = 64 << 10, BLOBS_MODE = 0444 };
_Static_assert((int)BACKUP_HASH == (int)DIGEST_BYTES, "fingerprints are digests");

const char *const backup_keys[BACKUP_KEYS] = {"signing", "secrets", "node"};

/* The signal that wants the command to end: what it has unpacked goes first. */
static volatile sig_atomic_t ended;

/* What may follow what. */
enum part { NOTHING, DATABASE, KEYS, BLOBS, MANIFEST };

struct unpacking {
    int folder;
    enum part part;
    struct backup_facts *facts;
    uint8_t database[DIGEST_BYTES];
    uint8_t keys[BACKUP_KEYS][DIGEST_BYTES];
    int key_count;
    uint64_t named; /* blobs that the database names and that are there */
};

static void hash_of(struct slice bytes, uint8_t out[DIGEST_BYTES])
{
    crypto_hash_sha256(out, (const unsigned char *)bytes.p, bytes.n);
}

static enum err_code write_file(int folder, const char *name, mode_t mode, struct slice bytes,
                                struct err *e)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return errno == EEXIST ? err_set(e, ERR_DAMAGED, "the backup has %s twice", name)
                               : err_errno(e, "writing %s", name);
    enum err_code rc = ERR_OK;
    while (bytes.n && rc == ERR_OK) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR)
            rc = err_errno(e, "writing %s", name);
        else if (n > 0)
            bytes = slice_from(bytes, (size_t)n);
    }
    if (close(fd) < 0 && rc == ERR_OK)
        rc = err_errno(e, "writing %s", name);
    return rc;
}

/* ---- entries ---- */

static enum err_code take_key(struct unpacking *u, const struct tar_entry *t, struct err *e)
{
    char path[32];
    for (int i = 0; i < BACKUP_KEYS; i++) {
        snprintf(path, sizeof path, "keys/%s", backup_keys[i]);
        if (!slice_eq(t->path, slice_str(path)))
            continue;
        if (t->content.n != BACKUP_KEY_BYTES)
            return err_set(e, ERR_DAMAGED, "the backup's key %s is none", backup_keys[i]);
        hash_of(t->content, u->keys[i]);
        u->key_count++;
        return write_file(u->folder, path, 0600, t->content, e);
    }
    return err_set(e, ERR_DAMAGED, "the backup has an entry \"%s\", which is none of a backup",
                   quote(t->path).text);
}

static enum err_code take_blob(struct unpacking *u, const struct tar_entry *t, struct err *e)
{
    char path[sizeof "blobs/" + DIGEST_TEXT];
    uint8_t name[DIGEST_BYTES], found[DIGEST_BYTES];
    if (!digest_parse(slice_from(t->path, 6), name) || !slice_copy(t->path, path, sizeof path))
        return err_set(e, ERR_DAMAGED, "the backup has an entry \"%s\", which is none of a backup",
                       quote(t->path).text);
    hash_of(t->content, found);
    if (memcmp(name, found, sizeof found) != 0)
        return err_set(e, ERR_DAMAGED, "%s of the backup is damaged: its bytes have another hash",
                       path);
    u->facts->blobs++;
    u->facts->blob_bytes += t->content.n;
    return write_file(u->folder, path, BLOBS_MODE, t->content, e);
}

static bool get_digest(const json_t *o, const char *name, uint8_t out[DIGEST_BYTES])
{
    const char *text = json_string_value(json_object_get(o, name));
    return text && digest_parse(slice_str(text), out);
}

static uint64_t get_count(const json_t *o, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(o, name));
    return n > 0 ? (uint64_t)n : 0;
}

/* What the manifest says must be what came before it. */
static enum err_code judge_manifest(struct unpacking *u, const json_t *m, struct err *e)
{
    struct backup_facts *f = u->facts;
    const json_t *database = json_object_get(m, "database"), *blobs = json_object_get(m, "blobs");
    const json_t *keys = json_object_get(m, "keys");
    const char *failed = json_string_value(json_object_get(m, "failed"));
    uint8_t want[DIGEST_BYTES];
    bool sound = get_digest(database, "sha256", want);
    if (failed)
        return err_set(e, ERR_DAMAGED, "the backup was not completed: %s", failed);
    if (get_count(m, "format") != FORMAT)
        return err_set(e, ERR_CONFLICT,
                       "the backup has another format than this " BRAND_COMMAND " reads");
    if (!sound || memcmp(want, u->database, sizeof want) != 0 ||
        get_count(database, "size") != f->database_bytes)
        return err_set(e, ERR_DAMAGED,
                       "db.sqlite of the backup is damaged: its bytes have another "
                       "hash than its manifest says");
    if (get_count(blobs, "count") != f->blobs || get_count(blobs, "bytes") != f->blob_bytes)
        return err_set(e, ERR_DAMAGED, "the backup has not the blobs that its manifest counts");
    f->keys = json_is_true(json_object_get(keys, "included"));
    for (int i = 0; i < BACKUP_KEYS; i++) {
        if (!get_digest(keys, backup_keys[i], f->fingerprints[i]))
            return err_set(e, ERR_DAMAGED, "the backup's manifest doesn't tell the key %s",
                           backup_keys[i]);
        if (u->key_count && memcmp(f->fingerprints[i], u->keys[i], DIGEST_BYTES) != 0)
            return err_set(e, ERR_DAMAGED, "the backup's key %s is damaged", backup_keys[i]);
    }
    if (u->key_count != (f->keys ? BACKUP_KEYS : 0))
        return err_set(e, ERR_DAMAGED, "the backup has not the keys that its manifest says");
    slice_copy(slice_str(json_string_value(json_object_get(m, "created_at"))), f->created,
               sizeof f->created);
    slice_copy(slice_str(json_string_value(json_object_get(m, "version"))), f->version,
               sizeof f->version);
    return ERR_OK;
}

static enum err_code take_manifest(struct unpacking *u, const struct tar_entry *t, struct err *e)
{
    json_t *m = t->content.n <= MANIFEST_MOST
                    ? json_loadb(t->content.p, t->content.n, JSON_REJECT_DUPLICATES, NULL)
                    : NULL;
    enum err_code rc = m ? judge_manifest(u, m, e)
                         : err_set(e, ERR_DAMAGED, "the backup's manifest is not readable");
    json_decref(m);
    return rc;
}

static enum part part_of(struct slice path)
{
    return slice_eq(path, SLICE("db.sqlite"))       ? DATABASE
           : slice_starts(path, SLICE("keys/"))     ? KEYS
           : slice_starts(path, SLICE("blobs/"))    ? BLOBS
           : slice_eq(path, SLICE("manifest.json")) ? MANIFEST
                                                    : NOTHING;
}

static enum err_code take_entry(struct unpacking *u, const struct tar_entry *t, struct err *e)
{
    enum part part = part_of(t->path);
    bool once = part == DATABASE || part == MANIFEST;
    if (part == NOTHING || t->folder)
        return err_set(e, ERR_DAMAGED, "the backup has an entry \"%s\", which is none of a backup",
                       quote(t->path).text);
    if (part < u->part || (once && part == u->part) || (part != DATABASE && u->part == NOTHING))
        return err_set(e, ERR_DAMAGED, "the backup has its entries in another order: \"%s\"",
                       quote(t->path).text);
    u->part = part;
    switch (part) {
    case DATABASE:
        hash_of(t->content, u->database);
        u->facts->database_bytes = t->content.n;
        return write_file(u->folder, "db.sqlite", 0600, t->content, e);
    case KEYS:
        return take_key(u, t, e);
    case BLOBS:
        return take_blob(u, t, e);
    case MANIFEST:
        return take_manifest(u, t, e);
    case NOTHING:
        break;
    }
    return ERR_OK;
}

static enum err_code take_entries(struct unpacking *u, struct slice archive, struct err *e)
{
    struct tar tar = tar_open(archive);
    struct tar_entry entry;
    bool end = false;
    tar.what = "the backup";
    for (;;) {
        enum err_code rc = tar_next(&tar, &entry, &end, e);
        if (rc) /* a broken archive is a damaged backup, not a refused upload */
            return e->code = rc == ERR_INVALID ? ERR_DAMAGED : rc;
        if (end)
            break;
        rc = ended ? err_set(e, ERR_CANCELLED, "it was interrupted") : take_entry(u, &entry, e);
        if (rc)
            return rc;
    }
    return u->part == MANIFEST ? ERR_OK
                               : err_set(e, ERR_DAMAGED,
                                         "the backup is cut short: it has no "
                                         "manifest at its end");
}

/* ---- the whole ---- */

static enum err_code find_blob(void *arg, const uint8_t digest[DIGEST_BYTES], struct err *e)
{
    struct unpacking *u = arg;
    char path[sizeof "blobs/" + DIGEST_TEXT] = "blobs/";
    digest_text(digest, path + strlen(path));
    if (faccessat(u->folder, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(e, ERR_DAMAGED, "the backup lacks %s, which its database names", path);
    u->named++;
    return ERR_OK;
}

static enum err_code judge_database(struct unpacking *u, const char *path, struct err *e)
{
    char database[PATH_MAX];
    uint32_t known;
    if ((size_t)snprintf(database, sizeof database, "%s/db.sqlite", path) >= sizeof database)
        return err_set(e, ERR_INVALID, "the folder's name is too long");
    enum err_code rc = store_schema(database, &u->facts->schema, &known, e);
    if (rc == ERR_OK && u->facts->schema > known)
        rc = err_set(e, ERR_CONFLICT,
                     "the backup is of a newer " BRAND_COMMAND
                     " (schema %u, this one knows %u): use that one",
                     u->facts->schema, known);
    if (rc == ERR_OK)
        rc = store_verify(database, find_blob, u, e);
    if (rc == ERR_OK && u->named != u->facts->blobs)
        rc = err_set(e, ERR_DAMAGED, "the backup has blobs that its database doesn't name");
    return rc;
}

enum err_code backup_unpack(const char *file, int folder, const char *path,
                            struct backup_facts *ret_facts, struct err *e)
{
    struct backup_facts facts = {0};
    struct unpacking u = {.folder = folder, .facts = &facts};
    struct slice archive;
    enum err_code rc = file_map(file, "a backup", &archive, e);
    if (rc)
        return rc;
    facts.bytes = archive.n;
    if (mkdirat(folder, "blobs", 0700) < 0 || mkdirat(folder, "keys", 0700) < 0)
        rc = err_errno(e, "making folders in %s", path);
    if (rc == ERR_OK)
        rc = take_entries(&u, archive, e);
    munmap((void *)archive.p, archive.n);
    if (rc == ERR_OK)
        rc = judge_database(&u, path, e);
    if (rc == ERR_OK)
        *ret_facts = facts;
    return rc;
}

static void remove_below(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (d) {
        for (struct dirent *f; (f = readdir(d));)
            if (f->d_name[0] != '.')
                unlinkat(fd, f->d_name, 0);
        closedir(d);
    }
    unlinkat(folder, name, AT_REMOVEDIR);
}

void backup_unpack_remove(int folder)
{
    static const char *const files[] = {"db.sqlite", "db.sqlite-journal", "db.sqlite-wal",
                                        "db.sqlite-shm"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlinkat(folder, files[i], 0);
    remove_below(folder, "blobs");
    remove_below(folder, "keys");
}

static void on_signal(int signal)
{
    ended = signal;
}

static enum err_code verify_in(const char *path, const char *file, struct backup_facts *ret_facts,
                               struct err *e)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return err_errno(e, "opening %s", path);
    enum err_code rc = backup_unpack(file, folder, path, ret_facts, e);
    backup_unpack_remove(folder);
    close(folder);
    return rc;
}

enum err_code backup_verify(const char *file, struct backup_facts *ret_facts, struct err *e)
{
    const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    const struct sigaction note = {.sa_handler = on_signal};
    struct sigaction before[3];
    const char *base = getenv("TMPDIR");
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/" BRAND_COMMAND "-backup-XXXXXX",
                         base && *base ? base : "/tmp") >= sizeof path)
        return err_set(e, ERR_INVALID, "TMPDIR is too long");
    for (size_t i = 0; i < 3; i++)
        if (sigaction(ending[i], NULL, &before[i]) == 0 && before[i].sa_handler != SIG_IGN)
            sigaction(ending[i], &note, NULL);
    enum err_code rc = mkdtemp(path)
                           ? verify_in(path, file, ret_facts, e)
                           : err_errno(e, "making a temporary folder %s (TMPDIR says where)", path);
    rmdir(path);
    for (size_t i = 0; i < 3; i++)
        sigaction(ending[i], &before[i], NULL);
    if (ended)
        raise(ended); /* as if nothing had been in its way */
    return rc;
}

json_t *backup_facts_json(const char *file, const struct backup_facts *f)
{
    return json_pack("{s:s, s:I, s:s, s:s, s:i, s:{s:I}, s:{s:I, s:I}, s:b}", "file", file, "size",
                     (json_int_t)f->bytes, "created_at", f->created, "version", f->version,
                     "schema", (int)f->schema, "database", "size", (json_int_t)f->database_bytes,
                     "blobs", "count", (json_int_t)f->blobs, "bytes", (json_int_t)f->blob_bytes,
                     "keys", f->keys);
}
