/* Blobs: stored once under their digest, whole or not at all. */
#include "blob/blob.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static int at;

static struct blobs *begin(void)
{
    struct blobs *b = NULL;
    struct err e;
    strcpy(folder, "/tmp/blobs-XXXXXX");
    if (!mkdtemp(folder) || (at = open(folder, O_RDONLY | O_DIRECTORY)) < 0 ||
        blobs_open(at, "blobs", &b, &e))
        abort();
    return b;
}

static void count(void *arg, const uint8_t digest[DIGEST_BYTES])
{
    (void)digest;
    ++*(int *)arg;
}

static int how_many(struct blobs *b)
{
    int n = 0;
    struct err e;
    CHECK(blobs_each(b, count, &n, &e) == ERR_OK);
    return n;
}

static void end(struct blobs *b)
{
    blobs_close(b);
    if (unlinkat(at, "blobs", AT_REMOVEDIR) < 0 || rmdir(folder) < 0)
        abort();
    close(at);
}

/* SHA-256 of "abc" (FIPS 180-2, B.1). */
static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void store(struct blobs *b, uint8_t digest[DIGEST_BYTES])
{
    struct blob_writer *w;
    struct err e;
    uint64_t size;
    CHECK(blob_begin(b, &w, &e) == ERR_OK);
    CHECK(blob_write(w, SLICE("a"), &e) == ERR_OK);
    CHECK(blob_write(w, SLICE("bc"), &e) == ERR_OK);
    CHECK(blob_finish(w, digest, &size, &e) == ERR_OK);
    CHECK(size == 3);
}

TEST(stored_once)
{
    struct blobs *b = begin();
    uint8_t digest[DIGEST_BYTES], hash[DIGEST_BYTES];
    char text[DIGEST_TEXT + 1];
    struct err e;
    struct stat st;
    uint64_t size = 0;
    int fd = -1;
    store(b, digest);
    store(b, digest);
    digest_text(digest, text);
    CHECK_STR(text, abc);
    CHECK(how_many(b) == 1);
    CHECK(blob_check(b, digest, &e) == ERR_OK);
    CHECK(blob_open(b, digest, &fd, &e) == ERR_OK);
    CHECK(fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0444);
    CHECK(blob_hash(fd, hash, &size, &e) == ERR_OK);
    CHECK(size == 3 && memcmp(hash, digest, sizeof hash) == 0);
    close(fd);
    CHECK(blob_delete(b, digest, &e) == ERR_OK);
    CHECK(blob_delete(b, digest, &e) == ERR_OK);
    CHECK(blob_open(b, digest, &fd, &e) == ERR_NOT_FOUND);
    CHECK(blob_check(b, digest, &e) == ERR_UNAVAILABLE);
    CHECK(how_many(b) == 0);
    end(b);
}

TEST(half_written)
{
    struct blobs *b = begin();
    struct blob_writer *w, *crashed;
    struct err e;
    CHECK(blob_begin(b, &w, &e) == ERR_OK);
    CHECK(blob_write(w, SLICE("abc"), &e) == ERR_OK);
    blob_abort(w);
    blob_abort(NULL);
    /* What a crash leaves goes when the folder is opened again. */
    CHECK(blob_begin(b, &crashed, &e) == ERR_OK);
    CHECK(how_many(b) == 0);
    struct blobs *next;
    CHECK(blobs_open(at, "blobs", &next, &e) == ERR_OK);
    blobs_close(next);
    char left[80];
    snprintf(left, sizeof left, "%s/blobs/tmp-2", folder);
    CHECK(access(left, F_OK) < 0);
    blob_abort(crashed);
    end(b);
}

/* Another process fills the file; what is hashed is what is there when it has ended. */
TEST(filled_by_another)
{
    struct blobs *b = begin();
    struct blob_writer *w;
    uint8_t digest[DIGEST_BYTES];
    char text[DIGEST_TEXT + 1];
    uint64_t size = 0;
    struct err e;
    CHECK(blob_begin(b, &w, &e) == ERR_OK);
    int fd = dup(blob_file(w));
    CHECK(write(fd, "xbc", 3) == 3 && pwrite(fd, "a", 1, 0) == 1);
    close(fd);
    CHECK(blob_adopt(w, digest, &size, &e) == ERR_OK);
    digest_text(digest, text);
    CHECK_STR(text, abc);
    CHECK(size == 3 && how_many(b) == 1);
    CHECK(blob_delete(b, digest, &e) == ERR_OK);
    end(b);
}

TEST_MAIN(CASE(stored_once), CASE(half_written), CASE(filled_by_another))
