/* Downloading what was uploaded: a project's modules and bundles of assets, by digest.
 *
 * The bytes are hashed on their way out, and the last piece leaves only if they
 * are the ones of that name: a damaged file reaches nobody as a whole answer. */
#include "api/request.h"

#include "base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct download {
    int fd;
    uint64_t at, size;
    uint8_t digest[DIGEST_BYTES];
    crypto_hash_sha256_state hash;
    bool filling; /* on_room is called from within a write, too */
};

static void download_end(struct api_request *r)
{
    struct download *d = r->state;
    close(d->fd);
    free(d);
    r->state = NULL;
    r->on_gone = NULL;
    r->on_room = NULL;
}

/* The next piece of the file into `piece`; 0: it can't be read, or is not what its name says. */
static size_t next_piece(struct download *d, char *piece, size_t cap)
{
    uint8_t found[DIGEST_BYTES];
    ssize_t n = pread(d->fd, piece, cap, (off_t)d->at);
    if (n <= 0)
        return 0;
    crypto_hash_sha256_update(&d->hash, (unsigned char *)piece, (size_t)n);
    d->at += (uint64_t)n;
    if (d->at < d->size)
        return (size_t)n;
    crypto_hash_sha256_final(&d->hash, found);
    return d->at == d->size && memcmp(found, d->digest, sizeof found) == 0 ? (size_t)n : 0;
}

static void fill(struct api_request *r)
{
    struct download *d = r->state;
    char piece[64 << 10], name[DIGEST_TEXT + 1];
    if (!d || d->filling)
        return;
    d->filling = true;
    while (d->at < d->size && buf_size(&r->out) <= API_STREAM_ROOM / 2 && !r->gone) {
        size_t n = next_piece(d, piece, sizeof piece);
        if (n == 0 || !api_stream_write(r, slice_make(piece, n))) {
            digest_text(d->digest, name);
            log_line(LOG_ERROR, "blob_damaged", "blob=%s", name);
            d->size = d->at; /* the answer stays shorter than its length: the client sees that */
        }
    }
    d->filling = false;
    if (d->at < d->size && !r->gone)
        return;
    download_end(r);
    if (!r->gone)
        api_stream_end(r);
}

static void download(struct api_request *r, const uint8_t digest[DIGEST_BYTES], const char *type)
{
    struct stat st;
    struct err e;
    int fd;
    if (blob_open(r->api->blobs, digest, &fd, &e)) {
        api_fail(r, &e);
        return;
    }
    struct download *d = calloc(1, sizeof *d);
    if (!d || fstat(fd, &st) < 0) {
        close(fd);
        free(d);
        api_refuse(r, ERR_MEMORY, "no memory for a download");
        return;
    }
    d->fd = fd;
    d->size = (uint64_t)st.st_size;
    memcpy(d->digest, digest, sizeof d->digest);
    crypto_hash_sha256_init(&d->hash);
    r->state = d;
    r->on_gone = download_end;
    r->on_room = fill;
    snprintf(r->extra, sizeof r->extra, "Content-Length: %llu\n", (unsigned long long)d->size);
    api_stream(r, 200, type);
    fill(r);
}

static bool read_digest(struct api_request *r, const char *what, uint8_t digest[DIGEST_BYTES])
{
    if (digest_parse(r->id_text, digest))
        return true;
    api_refuse(r, ERR_NOT_FOUND, "%s are named by their SHA-256, 64 hexadecimal digits", what);
    return false;
}

void modules_get(struct api_request *r)
{
    uint8_t digest[DIGEST_BYTES];
    uint64_t size;
    struct err e;
    if (!read_digest(r, "modules", digest))
        return;
    enum err_code rc = store_module(r->api->store, r->project.id, digest, &size, &e);
    if (rc == ERR_NOT_FOUND)
        err_set(&e, rc, "the project has no module of this digest");
    if (rc)
        api_fail(r, &e);
    else
        download(r, digest, "application/wasm");
}

void assets_get(struct api_request *r)
{
    uint8_t digest[DIGEST_BYTES];
    struct store_assets assets;
    struct err e;
    if (!read_digest(r, "assets", digest))
        return;
    enum err_code rc = store_assets(r->api->store, r->project.id, digest, &assets, &e);
    if (rc == ERR_NOT_FOUND)
        err_set(&e, rc, "the project has no assets of this digest");
    if (rc)
        api_fail(r, &e);
    else
        download(r, digest, "application/octet-stream");
}
