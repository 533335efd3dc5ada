/* Buffers: bytes that grow up to a ceiling given at birth.
 *
 * Every buffer that a client or guest can grow has a limit; reaching it, or
 * running out of memory, is an error the caller turns into 413, 431 or 503. A
 * buffer is a queue too: bytes are appended at the end and consumed at the
 * start without moving the rest each time. */
#pragma once

#include "base/err.h"

#include <assert.h>

struct buf {
    char *p;      /* first unread byte is p[head] */
    size_t head;  /* consumed bytes at the start */
    size_t len;   /* end of the bytes, head included */
    size_t cap;   /* allocated */
    size_t limit; /* most unread bytes it may hold */
    bool private; /* memory is wiped before it is given back, and where bytes were moved from */
};

/* An empty buffer that will hold at most `limit` unread bytes. Allocates nothing yet. */
void buf_init(struct buf *b, size_t limit);
/* One that holds what must not be left behind in memory: values of secrets, environments. Who
 * consumes bytes wipes them. */
void buf_init_private(struct buf *b, size_t limit);
/* Frees the memory and leaves the buffer empty and usable. */
void buf_done(struct buf *b);

static inline size_t buf_size(const struct buf *b)
{
    return b->len - b->head;
}
static inline char *buf_data(struct buf *b)
{
    return b->p + b->head;
}
static inline struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->p ? b->p + b->head : "", b->len - b->head};
}

/* Makes room for `n` more bytes; NULL if the limit or memory does not allow it.
 * Write there, then buf_commit(). The pointer is valid until the next call. */
char *buf_grow(struct buf *b, size_t n);
static inline char *buf_reserve(struct buf *b, size_t n)
{
    bool fits = b->p && n <= b->cap - b->len && n <= b->limit - buf_size(b);
    return fits ? b->p + b->len : buf_grow(b, n);
}
static inline void buf_commit(struct buf *b, size_t n)
{
    b->len += n;
}

/* Append; false if it does not fit (then nothing was appended). */
static inline MUST_CHECK bool buf_add(struct buf *b, const void *p, size_t n)
{
    char *at = n ? buf_reserve(b, n) : NULL;
    if (at) {
        memcpy(at, p, n);
        b->len += n;
    }
    return at || n == 0;
}
bool buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3))) MUST_CHECK;

/* Drops `n` bytes at the start. */
static inline void buf_consume(struct buf *b, size_t n)
{
    assert(n <= buf_size(b));
    b->head += n;
    if (b->head == b->len)
        b->head = b->len = 0;
}
static inline void buf_clear(struct buf *b)
{
    b->head = b->len = 0;
}
