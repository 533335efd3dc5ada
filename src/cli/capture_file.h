/* Files of captured runs: what `runs pull` and `run --record` write and `run --replay` reads.
 *
 * All that the run needs is in one file: its tape (ipc/tape.h), its module, and
 * the bundle of its assets if it had any. It begins with a line that says what
 * it is; then each part has its name (8 bytes, padded with NULs), its length
 * (8 bytes, little-endian) and its bytes. */
#pragma once

#include "base/buf.h"

struct capture_file {
    struct buf bytes;                  /* what the parts point into */
    struct slice tape, module, bundle; /* bundle may be empty */
};

/* Writes a new file, or replaces an old one when all of it is written. ERR_IO, ERR_DISK_FULL. */
enum err_code capture_file_write(const char *path, const struct capture_file *f,
                                 struct err *e) MUST_CHECK;
/* ERR_NOT_FOUND; ERR_DAMAGED if it is none or not whole. On success capture_file_done(). */
enum err_code capture_file_read(const char *path, struct capture_file *ret_file,
                                struct err *e) MUST_CHECK;
/* The parts of a file's bytes, which they borrow; ret->bytes is left alone. */
enum err_code capture_file_parts(struct slice bytes, struct capture_file *ret,
                                 struct err *e) MUST_CHECK;
void capture_file_done(struct capture_file *f);
