/* Olin / CWA: section 1 of the guest ABI, import modules `cwa` and `env`.
 *
 * A span outside of the guest's memory ends the guest (bad_pointer); everything
 * else that is wrong is a negative result and changes nothing. */
#include "base/clock.h"
#include "guest/handlers.h"
#include "guest/tape.h"
#include "guest/transfer.h"

#include <stdio.h>

static enum engine_verdict bad_pointer(struct engine_call *c, int arg)
{
    return guest_fail(guest_of(c), ERR_BAD_POINTER,
                      "%u bytes at %u are not all within the %llu bytes of its memory",
                      engine_u32(c, arg + 1), engine_u32(c, arg),
                      (unsigned long long)c->memory_size);
}

/* The span whose pointer and length are arguments `arg` and `arg` + 1; NULL if it is bad. */
static void *span(struct engine_call *c, int arg)
{
    static char nothing[1]; /* a length of 0 at address 0 of a guest without memory */
    void *p = engine_span(c, engine_u32(c, arg), engine_u32(c, arg + 1));
    return p || engine_u32(c, arg) || engine_u32(c, arg + 1) ? p : nothing;
}

static struct slice span_slice(struct engine_call *c, int arg)
{
    return slice_make(span(c, arg), engine_u32(c, arg + 1));
}

/* "Copies if it fits (equal fits), returns the length": the buffer is arguments `arg`, `arg` + 1.
 * A buffer that is too small is not looked at, so a caller may ask with (0, 0). */
static enum engine_verdict give(struct engine_call *c, int arg, struct slice value)
{
    if (value.n <= engine_u32(c, arg + 1)) {
        void *to = span(c, arg);
        if (!to)
            return bad_pointer(c, arg);
        memcpy(to, value.p, value.n);
    }
    return guest_return(c, (int64_t)value.n);
}

enum engine_verdict cwa_env_get(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct slice key = span_slice(c, 0), value;
    if (!key.p)
        return bad_pointer(c, 0);
    if (!strings_find(&g->meta, key, &value) && !strings_find(&g->env, key, &value))
        return guest_return(c, RESOURCE_NOT_FOUND);
    return give(c, 2, value);
}

enum engine_verdict cwa_io_get_stdin(struct engine_call *c)
{
    return guest_return(c, 0);
}

enum engine_verdict cwa_io_get_stdout(struct engine_call *c)
{
    return guest_return(c, 1);
}

enum engine_verdict cwa_io_get_stderr(struct engine_call *c)
{
    return guest_return(c, 2);
}

enum engine_verdict cwa_log_write(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct slice text = span_slice(c, 1);
    int32_t level = (int32_t)engine_u32(c, 0);
    if (!text.p)
        return bad_pointer(c, 1);
    bool known = level == GUEST_ERROR || level == GUEST_WARNING || level == GUEST_INFO;
    char prefix[32];
    int n = known ? 0 : snprintf(prefix, sizeof prefix, "level %d", level);
    struct guest_line whole = {0};
    guest_log_bytes(g, known ? (enum guest_level)level : GUEST_INFO, GUEST_LOG,
                    slice_make(prefix, (size_t)n), &whole, text);
    guest_log_flush(g, known ? (enum guest_level)level : GUEST_INFO, GUEST_LOG,
                    slice_make(prefix, (size_t)n), &whole);
    buf_done(&whole.text);
    return ENGINE_DONE;
}

enum engine_verdict cwa_random_32(struct engine_call *c)
{
    int32_t value;
    return guest_random(guest_of(c), &value, sizeof value) ? guest_return(c, value) : ENGINE_END;
}

enum engine_verdict cwa_random_64(struct engine_call *c)
{
    int64_t value;
    return guest_random(guest_of(c), &value, sizeof value) ? guest_return(c, value) : ENGINE_END;
}

/* The result of an operation, unless it has to wait or ends the guest. */
static enum engine_verdict answer(struct engine_call *c, int32_t code)
{
    enum engine_verdict v = resource_verdict(code);
    return v == ENGINE_DONE ? guest_return(c, code) : v;
}

enum engine_verdict cwa_resource_open(struct engine_call *c)
{
    struct slice url = span_slice(c, 0);
    if (!url.p)
        return bad_pointer(c, 0);
    return answer(c, resource_open(guest_of(c), url, &c->progress[0]));
}

enum engine_verdict cwa_resource_close(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct descriptor *d = guest_descriptor(g, engine_u32(c, 0));
    if (!d)
        return guest_fail(g, ERR_BAD_DESCRIPTOR,
                          "resource_close of descriptor %d, which is not open",
                          (int)engine_u32(c, 0));
    guest_close(g, d);
    return ENGINE_DONE;
}

enum engine_verdict cwa_resource_read(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct descriptor *d = guest_descriptor(g, engine_u32(c, 0));
    void *p = span(c, 1);
    int64_t count = 0;
    if (!p)
        return bad_pointer(c, 1);
    if (!d)
        return guest_return(c, RESOURCE_INVALID);
    enum engine_verdict v = transfer_read(g, d, p, engine_u32(c, 2), &count);
    return v == ENGINE_DONE ? guest_return(c, count) : v;
}

enum engine_verdict cwa_resource_write(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct descriptor *d = guest_descriptor(g, engine_u32(c, 0));
    const void *p = span(c, 1);
    int64_t count = 0;
    if (!p)
        return bad_pointer(c, 1);
    if (!d)
        return guest_return(c, RESOURCE_INVALID);
    uint32_t n = engine_u32(c, 2);
    if (n > INT32_MAX)
        n = INT32_MAX; /* a count is not negative */
    enum engine_verdict v = transfer_write(g, d, p, n, &c->progress[0], &count);
    return v == ENGINE_DONE ? guest_return(c, count) : v;
}

enum engine_verdict cwa_resource_flush(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct descriptor *d = guest_descriptor(g, engine_u32(c, 0));
    return answer(c, d ? resource_flush(g, d) : RESOURCE_INVALID);
}

enum engine_verdict cwa_runtime_exit(struct engine_call *c)
{
    return guest_exit(guest_of(c), (int32_t)engine_u32(c, 0));
}

enum engine_verdict cwa_runtime_msleep(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    uint64_t now = clock_mono_us(), *until = &c->progress[0];
    if (!*until)
        *until = now + engine_u32(c, 0) * UINT64_C(1000);
    if (now >= *until || tape_plays(g))
        return guest_slept(g, engine_u32(c, 0)) ? ENGINE_DONE : ENGINE_END;
    g->waits = GUEST_WAITS_TIME;
    g->host->wake_at(g, *until);
    return ENGINE_WAIT;
}

enum engine_verdict cwa_runtime_name(struct engine_call *c)
{
    return give(c, 0, SLICE("pa'i")); /* programs in the wild test for it */
}

enum engine_verdict cwa_runtime_spec(struct engine_call *c)
{
    return guest_return(c, 0);
}

enum engine_verdict cwa_startup_arg_len(struct engine_call *c)
{
    return guest_return(c, guest_of(c)->args.count);
}

enum engine_verdict cwa_startup_arg_at(struct engine_call *c)
{
    const struct strings *args = &guest_of(c)->args;
    uint32_t index = engine_u32(c, 0);
    if (index >= args->count)
        return guest_return(c, RESOURCE_INVALID);
    const char *p = args->bytes.p;
    while (index--)
        p += strlen(p) + 1;
    return give(c, 1, slice_str(p));
}

enum engine_verdict cwa_time_now(struct engine_call *c)
{
    uint64_t us;
    return guest_time(guest_of(c), false, &us) ? guest_return(c, (int64_t)(us / 1000000))
                                               : ENGINE_END;
}
