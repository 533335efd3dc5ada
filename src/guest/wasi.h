/* WASI preview 1: numbers and layouts of the witx files, as far as we use them. */
#pragma once

#include "guest/handlers.h"
#include "guest/place.h"

enum {
    WASI_OK = 0,
    WASI_EACCES = 2,
    WASI_EAGAIN = 6,
    WASI_EBADF = 8,
    WASI_EEXIST = 20,
    WASI_EFAULT = 21,
    WASI_EILSEQ = 25,
    WASI_EINVAL = 28,
    WASI_EIO = 29,
    WASI_EISDIR = 31,
    WASI_EMFILE = 33,
    WASI_ENAMETOOLONG = 37,
    WASI_ENOENT = 44,
    WASI_ENOMEM = 48,
    WASI_ENOSYS = 52,
    WASI_ENOTDIR = 54,
    WASI_ENOTSOCK = 57,
    WASI_ENOTSUP = 58,
    WASI_EROFS = 69,
    WASI_ESPIPE = 70,
    WASI_ENOTCAPABLE = 76,
};

enum { WASI_RIGHT_WRITE = 1 << 6 };
enum { WASI_IOV_BYTES = 8 /* of an entry of a list of spans: address, length */ };

/* Stores little-endian values (as wasm memory is) into a span that was checked. */
static inline void wasi_put32(void *p, size_t at, uint32_t v)
{
    memcpy((char *)p + at, &v, sizeof v);
}
static inline void wasi_put64(void *p, size_t at, uint64_t v)
{
    memcpy((char *)p + at, &v, sizeof v);
}
static inline uint32_t wasi_get32(const void *p, size_t at)
{
    uint32_t v;
    memcpy(&v, (const char *)p + at, sizeof v);
    return v;
}
static inline uint64_t wasi_get64(const void *p, size_t at)
{
    uint64_t v;
    memcpy(&v, (const char *)p + at, sizeof v);
    return v;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "guest memory is little-endian");

/* The open descriptor that argument 0 names, or NULL. */
static inline struct descriptor *wasi_descriptor(struct engine_call *c)
{
    return guest_descriptor(guest_of(c), engine_u32(c, 0));
}
/* The filetype of what lies there. */
uint8_t wasi_filetype(const struct place *place);
/* Its filestat; the old module's has 56 bytes, the new one's 64. */
void wasi_put_filestat(uint8_t *out, const struct place *place, bool old);
/* Checks the list of spans of arguments 1 and 2, each span, and the place for a count, where
 * argument `count` points. The list's first entry, or an errno. */
int wasi_spans(struct engine_call *c, int count, const uint8_t **ret_spans);
/* The errno of a negative code of an operation. */
int wasi_errno(int64_t code);
