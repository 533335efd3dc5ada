/* The Dagger calls. Descriptors 0, 1 and 2 are open from the start; URLs end with NUL.
 *
 * The dialect: results are i32 unless RESULT is `long long`, descriptors unless DESCRIPTOR is. */
#pragma once

#ifndef RESULT
#define RESULT int
#endif
#ifndef DESCRIPTOR
#define DESCRIPTOR int
#endif
#define DAGGER(name) __attribute__((import_module("dagger"), import_name(#name)))

DAGGER(open) RESULT dagger_open(const char *furl, int flags);
DAGGER(close) RESULT dagger_close(DESCRIPTOR fd);
DAGGER(read) RESULT dagger_read(DESCRIPTOR fd, void *buf, int len);
DAGGER(write) RESULT dagger_write(DESCRIPTOR fd, const void *buf, int len);
DAGGER(sync) RESULT dagger_sync(DESCRIPTOR fd);
