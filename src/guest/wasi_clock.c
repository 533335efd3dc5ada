/* WASI: clocks and poll_oneoff. Clocks tick in milliseconds: a finer one would help a guest to
 * time what its neighbours do. */
#include "base/clock.h"
#include "guest/resource.h"
#include "guest/tape.h"
#include "guest/wasi.h"

enum { CLOCK_REAL = 0, CLOCK_MONO = 1 };
enum { NS_PER_US = 1000, US_PER_TICK = 1000 };

enum engine_verdict preview1_clock_res_get(struct engine_call *c)
{
    void *out = engine_span(c, engine_u32(c, 1), 8);
    if (engine_u32(c, 0) > CLOCK_MONO)
        return guest_return(c, WASI_ENOTSUP);
    if (!out)
        return guest_return(c, WASI_EFAULT);
    wasi_put64(out, 0, US_PER_TICK * NS_PER_US);
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_clock_time_get(struct engine_call *c)
{
    void *out = engine_span(c, engine_u32(c, 2), 8);
    uint32_t id = engine_u32(c, 0);
    if (id > CLOCK_MONO)
        return guest_return(c, WASI_ENOTSUP);
    if (!out)
        return guest_return(c, WASI_EFAULT);
    uint64_t us;
    if (!guest_time(guest_of(c), id == CLOCK_MONO, &us))
        return ENGINE_END;
    wasi_put64(out, 0, us / US_PER_TICK * US_PER_TICK * NS_PER_US);
    return guest_return(c, WASI_OK);
}

/* poll_oneoff */

enum { EVENT_CLOCK = 0, EVENT_READ = 1, EVENT_WRITE = 2 };
enum { SUBSCRIPTION_BYTES = 48, OLD_SUBSCRIPTION_BYTES = 56, EVENT_BYTES = 32 };
enum { SUBSCRIPTIONS_MOST = 1024, EVENT_HANGUP = 1, CLOCK_ABSOLUTE = 1 };

struct subscription {
    uint64_t userdata;
    uint8_t type;
    uint32_t subject; /* clock or descriptor */
    uint64_t timeout_ns;
    bool absolute;
};

/* The old module's clock subscription has an identifier before the clock. */
static struct subscription read_subscription(const uint8_t *p, bool old)
{
    return (struct subscription){.userdata = wasi_get64(p, 0),
                                 .type = p[8],
                                 .subject = wasi_get32(p, p[8] == EVENT_CLOCK && old ? 24 : 16),
                                 .timeout_ns = wasi_get64(p, old ? 32 : 24),
                                 .absolute = p[old ? 48 : 40] & CLOCK_ABSOLUTE};
}

/* When the clock is due, in monotonic microseconds; `begun_us` is when the call was made. */
static uint64_t clock_due(const struct subscription *s, uint64_t begun_us)
{
    uint64_t us = s->timeout_ns / NS_PER_US + (s->timeout_ns % NS_PER_US != 0);
    if (!s->absolute)
        return begun_us + us;
    if (s->subject == CLOCK_MONO)
        return us;
    uint64_t real = clock_real_us();
    return us > real ? clock_mono_us() + (us - real) : 0;
}

/* Has the `i`th happened? Then *ret_event holds it; otherwise what it waits for is noted. */
static bool happened(struct guest *g, uint32_t i, const struct subscription *s, uint64_t begun_us,
                     uint64_t now_us, uint64_t *wake_us, uint8_t ret_event[EVENT_BYTES])
{
    uint64_t bytes = 0;
    int error = WASI_OK;
    bool hangup = false;
    if (s->type == EVENT_CLOCK) {
        uint64_t due = s->subject > CLOCK_MONO ? 0 : clock_due(s, begun_us);
        error = s->subject > CLOCK_MONO ? WASI_ENOTSUP : WASI_OK;
        if (!error && tape_plays(g)) {
            if (!tape_was_ready(g, i, &bytes, &hangup))
                return false;
        } else if (due > now_us) {
            if (due < *wake_us)
                *wake_us = due;
            g->waits |= GUEST_WAITS_TIME;
            return false;
        }
    } else {
        struct descriptor *d = guest_descriptor(g, s->subject);
        if (!d || s->type > EVENT_WRITE ||
            !(s->type == EVENT_READ ? (void *)d->scheme->read : (void *)d->scheme->write)) {
            error = d ? WASI_EINVAL : WASI_EBADF;
        } else if (tape_plays(g)) {
            if (!tape_was_ready(g, i, &bytes, &hangup))
                return false;
        } else if (!resource_ready(g, d, s->type == EVENT_WRITE, &bytes, &hangup)) {
            return false;
        }
    }
    if (g->tape && !error)
        tape_ready(g, i, bytes, hangup);
    memset(ret_event, 0, EVENT_BYTES);
    wasi_put64(ret_event, 0, s->userdata);
    ret_event[8] = (uint8_t)error;
    ret_event[10] = s->type;
    wasi_put64(ret_event, 16, bytes);
    ret_event[24] = hangup && !bytes ? EVENT_HANGUP : 0;
    return true;
}

enum engine_verdict preview1_poll_oneoff(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    uint32_t count = engine_u32(c, 2), events = 0;
    uint64_t size = c->alias ? OLD_SUBSCRIPTION_BYTES : SUBSCRIPTION_BYTES;
    const uint8_t *in = engine_span(c, engine_u32(c, 0), count * size);
    uint8_t *out = engine_span(c, engine_u32(c, 1), (uint64_t)count * EVENT_BYTES);
    uint8_t *out_count = engine_span(c, engine_u32(c, 3), 4);
    if (!count || count > SUBSCRIPTIONS_MOST)
        return guest_return(c, WASI_EINVAL);
    if (!in || !out || !out_count)
        return guest_return(c, WASI_EFAULT);
    uint64_t now = clock_mono_us(), wake = UINT64_MAX;
    if (!c->progress[0])
        c->progress[0] = now;
    g->waits = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct subscription s = read_subscription(in + i * size, c->alias);
        uint8_t event[EVENT_BYTES];
        if (happened(g, i, &s, c->progress[0], now, &wake, event))
            memcpy(out + (uint64_t)events++ * EVENT_BYTES, event, EVENT_BYTES);
    }
    if (!events && tape_plays(g))
        return tape_not_ready(g);
    if (!events) {
        if (g->waits & GUEST_WAITS_TIME)
            g->host->wake_at(g, wake);
        return ENGINE_WAIT;
    }
    wasi_put32(out_count, 0, events);
    return guest_return(c, WASI_OK);
}
