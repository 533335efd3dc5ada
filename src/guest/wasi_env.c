/* WASI: arguments, environment, random bytes, the end. */
#include "guest/tape.h"
#include "guest/wasi.h"

/* Stores two sizes where arguments 0 and 1 point. */
static enum engine_verdict give_sizes(struct engine_call *c, uint64_t count, uint64_t bytes)
{
    void *to_count = engine_span(c, engine_u32(c, 0), 4);
    void *to_bytes = engine_span(c, engine_u32(c, 1), 4);
    if (!to_count || !to_bytes)
        return guest_return(c, WASI_EFAULT);
    wasi_put32(to_count, 0, (uint32_t)count);
    wasi_put32(to_bytes, 0, (uint32_t)bytes);
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_args_sizes_get(struct engine_call *c)
{
    const struct strings *args = &guest_of(c)->args;
    return give_sizes(c, args->count, args->bytes.n);
}

enum engine_verdict preview1_args_get(struct engine_call *c)
{
    const struct strings *args = &guest_of(c)->args;
    char *pointers = engine_span(c, engine_u32(c, 0), args->count * UINT64_C(4));
    char *text = engine_span(c, engine_u32(c, 1), args->bytes.n);
    if (!pointers || !text)
        return guest_return(c, WASI_EFAULT);
    size_t at = 0;
    for (uint32_t i = 0; i < args->count; i++) {
        wasi_put32(pointers, i * 4, engine_u32(c, 1) + (uint32_t)at);
        at += strlen(args->bytes.p + at) + 1;
    }
    memcpy(text, args->bytes.p, args->bytes.n);
    return guest_return(c, WASI_OK);
}

/* `NAME\0value\0` and `NAME=value\0` have the same length. */
enum engine_verdict preview1_environ_sizes_get(struct engine_call *c)
{
    const struct guest *g = guest_of(c);
    return give_sizes(c, (g->meta.count + g->env.count) / 2, g->meta.bytes.n + g->env.bytes.n);
}

static char *put_pairs(const struct strings *pairs, char *text, char *pointers, uint32_t address)
{
    memcpy(text, pairs->bytes.p, pairs->bytes.n);
    char *p = text;
    for (uint32_t i = 0; i < pairs->count; i += 2) {
        wasi_put32(pointers, i * 2, address + (uint32_t)(p - text));
        p += strlen(p);
        *p++ = '=';
        p += strlen(p) + 1;
    }
    return p;
}

enum engine_verdict preview1_environ_get(struct engine_call *c)
{
    const struct guest *g = guest_of(c);
    uint64_t count = (g->meta.count + g->env.count) / 2;
    uint64_t size = g->meta.bytes.n + g->env.bytes.n;
    uint32_t address = engine_u32(c, 1);
    char *text = engine_span(c, address, size);
    /* Through a copy: the two spans may overlap, and then neither may end the other's strings. */
    char *pointers = engine_span(c, engine_u32(c, 0), count * 4);
    if (!pointers || !text)
        return guest_return(c, WASI_EFAULT);
    if (pointers < text + size && text < pointers + count * 4)
        return guest_return(c, WASI_EINVAL);
    char *rest = put_pairs(&g->meta, text, pointers, address);
    put_pairs(&g->env, rest, pointers + g->meta.count * 2, address + (uint32_t)(rest - text));
    return guest_return(c, WASI_OK);
}

/* In pieces, so that a gigabyte of it doesn't hold up the others. */
enum engine_verdict preview1_random_get(struct engine_call *c)
{
    enum { PIECE = 65536 };
    uint64_t size = engine_u32(c, 1), *done = &c->progress[0];
    char *to = engine_span(c, engine_u32(c, 0), size);
    if (!to)
        return guest_return(c, WASI_EFAULT);
    uint64_t n = size - *done < PIECE ? size - *done : PIECE;
    if (!guest_random(guest_of(c), to + *done, n))
        return ENGINE_END;
    *done += n;
    return *done < size ? ENGINE_YIELD : guest_return(c, WASI_OK);
}

enum engine_verdict preview1_proc_exit(struct engine_call *c)
{
    return guest_exit(guest_of(c), (int32_t)engine_u32(c, 0));
}

enum engine_verdict preview1_proc_raise(struct engine_call *c)
{
    return guest_return(c, WASI_ENOTSUP);
}

enum engine_verdict preview1_sched_yield(struct engine_call *c)
{
    return c->progress[0]++ ? guest_return(c, WASI_OK) : ENGINE_YIELD;
}
