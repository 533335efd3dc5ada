/* A backup, streamed: the database as it is at one moment, the blobs that it names, the keys if
 * asked.
 *
 * First a consistent copy of the database is made beside it, a few pages a turn.
 * Then a tar archive leaves as fast as the client takes it: db.sqlite, keys/…,
 * blobs/DIGEST, and at last manifest.json, without which nobody takes an archive
 * for whole. Every blob is hashed on its way. One that is damaged doesn't cut the
 * answer without a word: the rest of its entry is zeros, nothing follows but a
 * manifest that says what failed. Until the end no blob is deleted. */
#include "api/request.h"

#include "base/brand.h"
#include "base/clock.h"
#include "base/log.h"
#include "module/tar.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT = 1, KEY_BYTES = 32, PIECE = 64 << 10 };

/* Control stands in the data folder. */
static const char copy_path[] = "backup.part";
static const char *const key_names[] = {"signing", "secrets", "node"};
enum { KEYS = sizeof key_names / sizeof *key_names };

struct backup {
    struct api_request *request;
    struct api *api;
    struct store_copy *copy;
    struct loop_task step; /* at the end of each turn: nobody's timer waits for it */
    enum { COPYING, DATABASE, KEY, BLOB, MANIFEST, END } part;
    bool filling; /* on_room is called from within a write, too */
    bool keys;    /* were they asked for? */
    int key;      /* which is next */
    /* the entry under way; fd -1: none */
    int fd;
    uint64_t at, size;
    crypto_hash_sha256_state hash;
    uint8_t name[DIGEST_BYTES]; /* of a blob: what its hash must be */
    /* for the manifest */
    uint64_t database_size, blobs, blob_bytes;
    uint8_t database[DIGEST_BYTES], fingerprints[KEYS][DIGEST_BYTES];
    char failed[256];
};

static struct backup *running; /* one at a time: the copy has one name */

void backup_clean_up(void)
{
    unlink(copy_path);
}

static void backup_free(struct backup *b)
{
    loop_task_cancel(&b->step);
    store_copy_end(b->copy);
    if (b->fd >= 0)
        close(b->fd);
    if (blobs_release(b->api->blobs))
        b->api->backend->sweep(b->api);
    running = NULL;
    free(b);
}

static void backup_gone(struct api_request *r)
{
    struct backup *b = r->state;
    r->state = NULL;
    r->on_gone = r->on_room = NULL;
    backup_free(b);
}

/* ---- entries ---- */

static enum err_code read_key(const char *name, uint8_t key[KEY_BYTES], struct err *e)
{
    char path[32];
    snprintf(path, sizeof path, "keys/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, "reading the key %s", name);
    ssize_t n = pread(fd, key, KEY_BYTES, 0);
    close(fd);
    return n == KEY_BYTES ? ERR_OK : err_set(e, ERR_IO, "the key %s is not readable", name);
}

/* What tells two keys apart and gives neither away: they are random, each of 256 bits. */
static enum err_code fingerprints(struct backup *b, struct err *e)
{
    uint8_t key[KEY_BYTES];
    enum err_code rc = ERR_OK;
    for (int i = 0; i < KEYS && rc == ERR_OK; i++) {
        rc = read_key(key_names[i], key, e);
        if (rc == ERR_OK)
            crypto_hash_sha256(b->fingerprints[i], key, sizeof key);
    }
    sodium_memzero(key, sizeof key);
    return rc;
}

static bool write_head(struct backup *b, const char *name, uint64_t size)
{
    char head[TAR_BLOCK];
    tar_head(head, '0', 0600, slice_str(name), size);
    return api_stream_write(b->request, slice_make(head, sizeof head));
}

static bool write_fill(struct backup *b, uint64_t size)
{
    static const char zeros[TAR_BLOCK];
    return api_stream_write(b->request, slice_make(zeros, tar_fill(size)));
}

static bool write_key(struct backup *b, const char *name)
{
    uint8_t key[KEY_BYTES];
    char path[32];
    struct err e;
    snprintf(path, sizeof path, "keys/%s", name);
    if (read_key(name, key, &e)) {
        snprintf(b->failed, sizeof b->failed, "%.200s", e.text);
        b->part = MANIFEST;
        return true;
    }
    bool written = write_head(b, path, sizeof key) &&
                   api_stream_write(b->request, slice_make(key, sizeof key)) &&
                   write_fill(b, sizeof key);
    sodium_memzero(key, sizeof key);
    return written;
}

static bool write_manifest(struct backup *b)
{
    char at[25];
    clock_rfc3339(clock_real_us(), at);
    json_t *keys = json_pack("{s:b}", "included", b->keys);
    for (int i = 0; i < KEYS; i++)
        json_object_set_new(keys, key_names[i], shape_digest(b->fingerprints[i]));
    json_t *o =
        json_pack("{s:i, s:s, s:s, s:s, s:{s:I, s:o}, s:{s:I, s:I}, s:o, s:o}", "format", FORMAT,
                  "program", BRAND_COMMAND, "version", BRAND_VERSION, "created_at", at, "database",
                  "size", (json_int_t)b->database_size, "sha256", shape_digest(b->database),
                  "blobs", "count", (json_int_t)b->blobs, "bytes", (json_int_t)b->blob_bytes,
                  "keys", keys, "failed", b->failed[0] ? json_string(b->failed) : json_null());
    char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    static const char end[2 * TAR_BLOCK];
    size_t n = text ? strlen(text) : 0;
    bool written = text && write_head(b, "manifest.json", n) &&
                   api_stream_write(b->request, slice_make(text, n)) && write_fill(b, n) &&
                   api_stream_write(b->request, slice_make(end, sizeof end));
    json_decref(o);
    free(text);
    return written;
}

static bool begin_file(struct backup *b, const char *name, int fd)
{
    struct stat st;
    b->fd = fd;
    b->at = 0;
    if (fstat(fd, &st) < 0)
        return false;
    b->size = (uint64_t)st.st_size;
    crypto_hash_sha256_init(&b->hash);
    return write_head(b, name, b->size);
}

/* The entry of the copy, or of the next blob, begins; after the last one the part ends. */
static bool next_file(struct backup *b)
{
    char path[sizeof "blobs/" + DIGEST_TEXT] = "blobs/";
    struct err e;
    int fd;
    if (b->part == DATABASE) {
        fd = open(copy_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd >= 0 && begin_file(b, "db.sqlite", fd);
    }
    enum err_code rc = store_copy_blob(b->copy, b->name, &e);
    if (rc == ERR_NOT_FOUND) {
        b->part = MANIFEST;
        return true;
    }
    digest_text(b->name, path + strlen(path));
    if (rc == ERR_OK)
        rc = blob_open(b->api->blobs, b->name, &fd, &e);
    if (rc) {
        snprintf(b->failed, sizeof b->failed, "%.200s", e.text);
        b->part = MANIFEST;
        return true;
    }
    return begin_file(b, path, fd);
}

static void end_file(struct backup *b)
{
    uint8_t found[DIGEST_BYTES];
    char name[DIGEST_TEXT + 1];
    crypto_hash_sha256_final(&b->hash, found);
    close(b->fd);
    b->fd = -1;
    if (b->part == DATABASE) {
        memcpy(b->database, found, sizeof found);
        b->database_size = b->size;
        b->part = b->keys ? KEY : BLOB;
        return;
    }
    b->blobs++;
    b->blob_bytes += b->size;
    if (memcmp(found, b->name, sizeof found) == 0)
        return;
    digest_text(b->name, name);
    snprintf(b->failed, sizeof b->failed,
             "the stored bytes of %s are damaged: delete what uses it, or put the right file in "
             "its place",
             name);
    b->part = MANIFEST;
}

static bool copy_piece(struct backup *b)
{
    char piece[PIECE];
    size_t want = b->size - b->at < sizeof piece ? (size_t)(b->size - b->at) : sizeof piece;
    ssize_t n = pread(b->fd, piece, want, (off_t)b->at);
    if (n <= 0) { /* what its head promised must come: the hash will not fit */
        memset(piece, 0, want);
        n = (ssize_t)want;
    }
    crypto_hash_sha256_update(&b->hash, (unsigned char *)piece, (size_t)n);
    b->at += (uint64_t)n;
    return api_stream_write(b->request, slice_make(piece, (size_t)n));
}

/* The next few KiB of the archive; false: they can't be written. */
static bool advance(struct backup *b)
{
    if (b->fd >= 0 && b->at < b->size)
        return copy_piece(b);
    if (b->fd >= 0) {
        bool written = write_fill(b, b->size);
        end_file(b);
        return written;
    }
    switch (b->part) {
    case DATABASE:
    case BLOB:
        return next_file(b);
    case KEY: {
        const char *name = key_names[b->key++];
        if (b->key == KEYS)
            b->part = BLOB;
        return write_key(b, name);
    }
    case MANIFEST:
        b->part = END;
        return write_manifest(b);
    case COPYING:
    case END:
        break;
    }
    return false;
}

static void fill(struct api_request *r)
{
    struct backup *b = r->state;
    bool good = true;
    if (!b || b->filling)
        return;
    b->filling = true;
    while (good && b->part != END && buf_size(&r->out) <= API_STREAM_ROOM / 2 && !r->gone)
        good = advance(b);
    b->filling = false;
    if (good && b->part != END)
        return;
    if (!good)
        log_line(LOG_ERROR, "backup", "error=\"it could not be sent to its end\"");
    else if (b->failed[0])
        log_line(LOG_ERROR, "backup", "error=\"%s\"", b->failed);
    else
        log_line(LOG_INFO, "backup", "database=%llu blobs=%llu blob_bytes=%llu keys=%d",
                 (unsigned long long)b->database_size, (unsigned long long)b->blobs,
                 (unsigned long long)b->blob_bytes, b->keys);
    backup_gone(r);
    api_stream_end(r);
}

/* ---- the copy ---- */

static void on_step(struct loop_task *t)
{
    struct backup *b = LIST_ITEM(t, struct backup, step);
    struct api_request *r = b->request;
    bool done = false;
    struct err e;
    if (store_copy_step(b->copy, &done, &e) || (done && fingerprints(b, &e))) {
        backup_gone(r);
        api_fail(r, &e);
        return;
    }
    if (!done) {
        loop_task_add(b->api->loop, t);
        return;
    }
    b->part = DATABASE;
    r->on_room = fill;
    api_stream(r, 200, "application/x-tar");
    fill(r);
}

static enum err_code note(struct api_request *r, bool keys, struct err *e)
{
    struct store *st = r->api->store;
    struct store_actor who = api_actor(r);
    enum err_code rc = store_begin(st, e);
    if (rc)
        return rc;
    rc = store_audit(st, &who, (struct uuid){{0}}, "server.backup",
                     keys ? SLICE("with keys") : SLICE("without keys"), SLICE(""), e);
    return store_end(st, rc, e);
}

void backup_get(struct api_request *r)
{
    struct err e;
    bool keys = api_flag(r, "keys");
    if (running) {
        api_refuse(r, ERR_CONFLICT, "another backup is being made: try again when it is done");
        return;
    }
    api_drain(r);
    if (note(r, keys, &e)) {
        api_fail(r, &e);
        return;
    }
    struct backup *b = calloc(1, sizeof *b);
    if (!b) {
        api_refuse(r, ERR_MEMORY, "no memory for a backup");
        return;
    }
    *b = (struct backup){.request = r, .api = r->api, .keys = keys, .fd = -1};
    running = b;
    loop_task_init(&b->step, on_step);
    blobs_hold(b->api->blobs);
    if (store_copy_begin(r->api->store, copy_path, &b->copy, &e)) {
        backup_free(b);
        api_fail(r, &e);
        return;
    }
    r->state = b;
    r->on_gone = backup_gone;
    loop_task_add(b->api->loop, &b->step);
}
