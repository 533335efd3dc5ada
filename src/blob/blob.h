/* Blobs: modules as they were uploaded and bundles of assets, named by their SHA-256.
 *
 * Bytes are written to blobs/tmp-… as they arrive and hashed on the way; at the
 * end the file is synced, renamed to its digest and the folder synced, so a
 * digest that is there is whole and stays. The same bytes are stored once. */
#pragma once

#include "ipc/spec.h"

struct blobs;
struct blob_writer;

/* Opens (creates) the folder `name` of `folder` and removes what a crash left half-written. */
enum err_code blobs_open(int folder, const char *name, struct blobs **ret_blobs,
                         struct err *e) MUST_CHECK;
void blobs_close(struct blobs *b);

/* A new blob. ERR_DISK_FULL, ERR_IO. */
enum err_code blob_begin(struct blobs *b, struct blob_writer **ret_writer,
                         struct err *e) MUST_CHECK;
enum err_code blob_write(struct blob_writer *w, struct slice bytes, struct err *e) MUST_CHECK;
/* Makes it durable under its digest. The writer is gone afterwards, also on failure. */
enum err_code blob_finish(struct blob_writer *w, uint8_t ret_digest[DIGEST_BYTES],
                          uint64_t *ret_size, struct err *e) MUST_CHECK;
/* For bytes that another process writes: its file, empty, borrowed; and, when that process is gone,
 * blob_finish() for what is in it then. */
int blob_file(const struct blob_writer *w);
enum err_code blob_adopt(struct blob_writer *w, uint8_t ret_digest[DIGEST_BYTES],
                         uint64_t *ret_size, struct err *e) MUST_CHECK;
/* Forgets it; accepts NULL. */
void blob_abort(struct blob_writer *w);

/* For reading; close() it. ERR_NOT_FOUND. */
enum err_code blob_open(struct blobs *b, const uint8_t digest[DIGEST_BYTES], int *ret_fd,
                        struct err *e) MUST_CHECK;
/* Is it still there? ERR_UNAVAILABLE if not: another upload of the same bytes, refused meanwhile,
 * has taken it away, and the client may try again. */
enum err_code blob_check(struct blobs *b, const uint8_t digest[DIGEST_BYTES],
                         struct err *e) MUST_CHECK;
/* Harmless if it is not there. */
enum err_code blob_delete(struct blobs *b, const uint8_t digest[DIGEST_BYTES],
                          struct err *e) MUST_CHECK;

/* While it is held nothing is deleted: a backup copies what it has seen in the database. Holds
 * nest. blobs_release() of the last one says whether blob_delete() was asked for something
 * meanwhile: then the caller looks for blobs that nobody knows any more. */
void blobs_hold(struct blobs *b);
bool blobs_release(struct blobs *b) MUST_CHECK;

/* Visits the digests of all blobs; `each` may delete the one it is given. */
enum err_code blobs_each(struct blobs *b,
                         void (*each)(void *arg, const uint8_t digest[DIGEST_BYTES]), void *arg,
                         struct err *e) MUST_CHECK;

/* 0 if it is not there. */
uint64_t blob_size(struct blobs *b, const uint8_t digest[DIGEST_BYTES]);

/* SHA-256 of a whole file, from its start. */
enum err_code blob_hash(int fd, uint8_t ret_hash[DIGEST_BYTES], uint64_t *ret_size,
                        struct err *e) MUST_CHECK;
