#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUF_MIN = 256 };

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_init_private(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit, .private = true};
}

static void give_back(struct buf *b)
{
    if (b->private && b->p)
        explicit_bzero(b->p, b->cap);
    free(b->p);
}

void buf_done(struct buf *b)
{
    give_back(b);
    *b = (struct buf){.limit = b->limit, .private = b->private};
}

char *buf_grow(struct buf *b, size_t n)
{
    size_t used = buf_size(b);
    if (n > b->limit || used > b->limit - n)
        return NULL;
    if (b->cap - b->len >= n && b->p)
        return b->p + b->len;
    if (b->head && b->cap >= used + n && b->head >= used) {
        memcpy(b->p, b->p + b->head, used);
        if (b->private)
            explicit_bzero(b->p + b->head, used);
        b->head = 0;
        b->len = used;
        return b->p + b->len;
    }
    size_t cap = b->cap ? b->cap : BUF_MIN;
    while (cap < used + n)
        cap *= 2;
    char *p = malloc(cap);
    if (!p)
        return NULL;
    if (used)
        memcpy(p, b->p + b->head, used);
    give_back(b);
    b->p = p;
    b->cap = cap;
    b->head = 0;
    b->len = used;
    return b->p + b->len;
}

bool buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *at = n < 0 ? NULL : buf_reserve(b, (size_t)n + 1);
    if (at) {
        vsnprintf(at, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return at != NULL;
}
