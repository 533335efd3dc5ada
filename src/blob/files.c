/* Blobs in a folder.
 *
 * Dirty pages are pushed out every few MiB while an upload arrives: the fsync
 * at its end then has little left to do, for it runs on control's loop. */
#include "blob/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PUSH_BYTES = 4 << 20, NAME = 80 };

struct blobs {
    int folder;
    uint64_t serial; /* of temporary names */
    unsigned holds;
    bool kept; /* while it was held something was to be deleted */
};

struct blob_writer {
    struct blobs *blobs;
    int fd;
    char name[NAME];
    uint64_t size, pushed;
    crypto_hash_sha256_state hash;
};

static const struct slice tmp_prefix = SLICE("tmp-");

static enum err_code open_folder(int folder, DIR **ret_dir, struct err *e)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        enum err_code rc = err_errno(e, "reading the folder of blobs");
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_dir = d;
    return ERR_OK;
}

static enum err_code remove_leftovers(int folder, struct err *e)
{
    DIR *d;
    enum err_code rc = open_folder(folder, &d, e);
    if (rc)
        return rc;
    for (struct dirent *f; (f = readdir(d));)
        if (slice_starts(slice_str(f->d_name), tmp_prefix))
            unlinkat(folder, f->d_name, 0);
    closedir(d);
    return ERR_OK;
}

enum err_code blobs_each(struct blobs *b,
                         void (*each)(void *arg, const uint8_t digest[DIGEST_BYTES]), void *arg,
                         struct err *e)
{
    DIR *d;
    uint8_t digest[DIGEST_BYTES];
    enum err_code rc = open_folder(b->folder, &d, e);
    if (rc)
        return rc;
    for (struct dirent *f; (f = readdir(d));)
        if (digest_parse(slice_str(f->d_name), digest))
            each(arg, digest);
    closedir(d);
    return ERR_OK;
}

enum err_code blobs_open(int folder, const char *name, struct blobs **ret_blobs, struct err *e)
{
    if (mkdirat(folder, name, 0700) < 0 && errno != EEXIST)
        return err_errno(e, "making the folder %s", name);
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, "opening the folder %s", name);
    enum err_code rc = remove_leftovers(fd, e);
    struct blobs *b = rc ? NULL : calloc(1, sizeof *b);
    if (!b) {
        close(fd);
        return rc ? rc : err_set(e, ERR_MEMORY, "no memory for blobs");
    }
    b->folder = fd;
    *ret_blobs = b;
    return ERR_OK;
}

void blobs_close(struct blobs *b)
{
    if (!b)
        return;
    close(b->folder);
    free(b);
}

enum err_code blob_begin(struct blobs *b, struct blob_writer **ret_writer, struct err *e)
{
    struct blob_writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_MEMORY, "no memory for an upload");
    w->blobs = b;
    snprintf(w->name, sizeof w->name, "tmp-%llu", (unsigned long long)++b->serial);
    w->fd = openat(b->folder, w->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        enum err_code rc = err_errno(e, "storing the upload");
        free(w);
        return rc;
    }
    crypto_hash_sha256_init(&w->hash);
    *ret_writer = w;
    return ERR_OK;
}

enum err_code blob_write(struct blob_writer *w, struct slice bytes, struct err *e)
{
    crypto_hash_sha256_update(&w->hash, (const unsigned char *)bytes.p, bytes.n);
    while (bytes.n) {
        ssize_t n = write(w->fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "storing the upload");
        w->size += (uint64_t)n;
        bytes = slice_from(bytes, (size_t)n);
    }
    if (w->size - w->pushed >= PUSH_BYTES) {
        sync_file_range(w->fd, (off_t)w->pushed, (off_t)(w->size - w->pushed),
                        SYNC_FILE_RANGE_WRITE);
        w->pushed = w->size;
    }
    return ERR_OK;
}

/* Makes it durable under `digest`, and ends the writer in any case. */
static enum err_code keep(struct blob_writer *w, const uint8_t digest[DIGEST_BYTES], struct err *e)
{
    char name[DIGEST_TEXT + 1];
    digest_text(digest, name);
    if (fchmod(w->fd, 0444) < 0 || fsync(w->fd) < 0 ||
        renameat(w->blobs->folder, w->name, w->blobs->folder, name) < 0 ||
        fsync(w->blobs->folder) < 0) {
        enum err_code rc = err_errno(e, "storing the upload");
        blob_abort(w);
        return rc;
    }
    close(w->fd);
    free(w);
    return ERR_OK;
}

enum err_code blob_finish(struct blob_writer *w, uint8_t ret_digest[DIGEST_BYTES],
                          uint64_t *ret_size, struct err *e)
{
    uint8_t digest[DIGEST_BYTES];
    uint64_t size = w->size;
    crypto_hash_sha256_final(&w->hash, digest);
    enum err_code rc = keep(w, digest, e);
    if (rc)
        return rc;
    memcpy(ret_digest, digest, sizeof digest);
    *ret_size = size;
    return ERR_OK;
}

int blob_file(const struct blob_writer *w)
{
    return w->fd;
}

enum err_code blob_adopt(struct blob_writer *w, uint8_t ret_digest[DIGEST_BYTES],
                         uint64_t *ret_size, struct err *e)
{
    uint8_t digest[DIGEST_BYTES];
    uint64_t size;
    enum err_code rc = blob_hash(w->fd, digest, &size, e);
    if (rc) {
        blob_abort(w);
        return rc;
    }
    rc = keep(w, digest, e);
    if (rc)
        return rc;
    memcpy(ret_digest, digest, sizeof digest);
    *ret_size = size;
    return ERR_OK;
}

void blob_abort(struct blob_writer *w)
{
    if (!w)
        return;
    unlinkat(w->blobs->folder, w->name, 0);
    close(w->fd);
    free(w);
}

enum err_code blob_open(struct blobs *b, const uint8_t digest[DIGEST_BYTES], int *ret_fd,
                        struct err *e)
{
    char name[DIGEST_TEXT + 1];
    digest_text(digest, name);
    int fd = openat(b->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "there is no module %s", name)
                               : err_errno(e, "opening the module %s", name);
    *ret_fd = fd;
    return ERR_OK;
}

uint64_t blob_size(struct blobs *b, const uint8_t digest[DIGEST_BYTES])
{
    char name[DIGEST_TEXT + 1];
    struct stat st;
    digest_text(digest, name);
    return fstatat(b->folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (uint64_t)st.st_size : 0;
}

enum err_code blob_check(struct blobs *b, const uint8_t digest[DIGEST_BYTES], struct err *e)
{
    char name[DIGEST_TEXT + 1];
    digest_text(digest, name);
    if (faccessat(b->folder, name, F_OK, 0) == 0)
        return ERR_OK;
    return errno == ENOENT ? err_set(e, ERR_UNAVAILABLE,
                                     "the same module was refused in another upload just now; try "
                                     "again")
                           : err_errno(e, "looking for the module %s", name);
}

void blobs_hold(struct blobs *b)
{
    b->holds++;
}

bool blobs_release(struct blobs *b)
{
    if (--b->holds)
        return false;
    bool kept = b->kept;
    b->kept = false;
    return kept;
}

enum err_code blob_delete(struct blobs *b, const uint8_t digest[DIGEST_BYTES], struct err *e)
{
    char name[DIGEST_TEXT + 1];
    if (b->holds) {
        b->kept = true;
        return ERR_OK;
    }
    digest_text(digest, name);
    if (unlinkat(b->folder, name, 0) < 0 && errno != ENOENT)
        return err_errno(e, "removing the module %s", name);
    return ERR_OK;
}

enum err_code blob_hash(int fd, uint8_t ret_hash[DIGEST_BYTES], uint64_t *ret_size, struct err *e)
{
    crypto_hash_sha256_state hash;
    unsigned char piece[64 << 10];
    uint64_t size = 0;
    crypto_hash_sha256_init(&hash);
    for (;;) {
        ssize_t n = pread(fd, piece, sizeof piece, (off_t)size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "reading a file to hash it");
        if (n == 0)
            break;
        crypto_hash_sha256_update(&hash, piece, (size_t)n);
        size += (uint64_t)n;
    }
    crypto_hash_sha256_final(&hash, ret_hash);
    *ret_size = size;
    return ERR_OK;
}
