/* Files: what a command line names is read as a whole or mapped, and refused by its name. */
#pragma once

#include "base/buf.h"

/* Appends all bytes of the file, or of standard input for "-". ERR_NOT_FOUND if there is none,
 * ERR_INVALID if it is a folder, ERR_TOO_LARGE if it is more than fits into `out`. */
enum err_code file_read(const char *path, struct buf *out, struct err *e) MUST_CHECK;

/* Opens it for reading; the caller's. ERR_NOT_FOUND as above. */
enum err_code file_open(const char *path, int *ret_fd, struct err *e) MUST_CHECK;

/* Maps a file for reading: munmap(). What is no file or empty isn't `what` ("a backup"):
 * ERR_DAMAGED. */
enum err_code file_map(const char *path, const char *what, struct slice *ret_bytes,
                       struct err *e) MUST_CHECK;

/* A file without a name that has these bytes, at its start; the caller's. */
enum err_code file_of(struct slice bytes, int *ret_fd, struct err *e) MUST_CHECK;
