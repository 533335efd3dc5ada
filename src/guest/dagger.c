/* Dagger: section 3 of the guest ABI, import module `dagger`, the oldest of the three.
 *
 * Its modules were built in two dialects, with i32 or i64 in every place; here an argument has 64
 * bits and one that doesn't fit into the guest's memory or table is out of range: -1. open answers
 * with CWA's codes, which are negative as Dagger's own numbers were. */
#include "guest/handlers.h"
#include "guest/transfer.h"
#include "policy/url.h"

static enum engine_verdict failed(struct engine_call *c)
{
    return guest_return(c, RESOURCE_UNKNOWN);
}

static struct descriptor *descriptor(struct engine_call *c)
{
    return c->arg[0] <= UINT32_MAX ? guest_descriptor(guest_of(c), (uint32_t)c->arg[0]) : NULL;
}

/* open(furl, flags): a URL that ends in NUL; flags mean nothing. */
enum engine_verdict dagger_open(struct engine_call *c)
{
    uint64_t at = c->arg[0], most = URL_MOST + 1;
    if (at >= c->memory_size)
        return failed(c);
    if (most > c->memory_size - at)
        most = c->memory_size - at;
    const char *url = engine_span(c, at, most);
    size_t n = strnlen(url, most);
    if (n == most)
        return guest_return(c, RESOURCE_INVALID);
    int32_t fd = resource_open(guest_of(c), slice_make(url, n), &c->progress[0]);
    enum engine_verdict v = resource_verdict(fd);
    return v == ENGINE_DONE ? guest_return(c, fd) : v;
}

enum engine_verdict dagger_close(struct engine_call *c)
{
    struct descriptor *d = descriptor(c);
    if (!d)
        return failed(c);
    guest_close(guest_of(c), d);
    return guest_return(c, 0);
}

/* What a transfer ended with: -1 stands for every error. */
static enum engine_verdict counted(struct engine_call *c, enum engine_verdict v, int64_t count)
{
    if (v != ENGINE_DONE)
        return v;
    if (count == RESOURCE_END)
        return guest_return(c, 0);
    return count < 0 ? failed(c) : guest_return(c, count);
}

/* A count is not negative, in either dialect. */
static uint64_t length(const struct engine_call *c)
{
    return c->arg[2] < INT32_MAX ? c->arg[2] : INT32_MAX;
}

enum engine_verdict dagger_read(struct engine_call *c)
{
    struct descriptor *d = descriptor(c);
    void *p = engine_span(c, c->arg[1], c->arg[2]);
    int64_t count = 0;
    if (!d || !p)
        return failed(c);
    enum engine_verdict v = transfer_read(guest_of(c), d, p, length(c), &count);
    return counted(c, v, count);
}

enum engine_verdict dagger_write(struct engine_call *c)
{
    struct descriptor *d = descriptor(c);
    const void *p = engine_span(c, c->arg[1], c->arg[2]);
    int64_t count = 0;
    if (!d || !p)
        return failed(c);
    enum engine_verdict v = transfer_write(guest_of(c), d, p, length(c), &c->progress[0], &count);
    return counted(c, v, count);
}

enum engine_verdict dagger_sync(struct engine_call *c)
{
    struct descriptor *d = descriptor(c);
    if (!d)
        return failed(c);
    int32_t rc = resource_flush(guest_of(c), d);
    enum engine_verdict v = resource_verdict(rc);
    return v == ENGINE_DONE ? guest_return(c, rc < 0 ? RESOURCE_UNKNOWN : 0) : v;
}
