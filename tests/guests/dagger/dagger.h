/* The Dagger calls. Descriptors 0, 1 and 2 are open from the start; URLs end with NUL.
 *
 * RESULT is the dialect: results are i32 unless it is `long long`. */
#pragma once

#ifndef RESULT
#define RESULT int
#endif
#define DAGGER(name) __attribute__((import_module("dagger"), import_name(#name)))

DAGGER(open) RESULT dagger_open(const char *furl, int flags);
DAGGER(close) RESULT dagger_close(int fd);
DAGGER(read) RESULT dagger_read(int fd, void *buf, int len);
DAGGER(write) RESULT dagger_write(int fd, const void *buf, int len);
DAGGER(sync) RESULT dagger_sync(int fd);
