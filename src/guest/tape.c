#include "guest/tape.h"

#include "base/clock.h"
#include "guest/uses.h"
#include "policy/url.h"

#include <stdio.h>

enum { SAID = 300 /* bytes of words about a record */ };

void tape_record(struct guest_tape *t, uint64_t most)
{
    *t = (struct guest_tape){.records = t->records};
    t->records.limit = most;
    buf_clear(&t->records);
    crypto_hash_sha256_init(&t->output);
}

void tape_recorded(struct guest_tape *t, const struct guest *g, struct tape *ret)
{
    crypto_hash_sha256_final(&t->output, ret->output);
    ret->output_bytes = g->bytes_out;
    ret->whole = !t->cut;
    ret->count = t->count;
    ret->records = buf_slice(&t->records);
}

void tape_play(struct guest_tape *t, const struct tape *tape)
{
    *t = (struct guest_tape){
        .playing = true, .played = *tape, .rest = tape->records, .records = t->records};
}

void tape_done(struct guest_tape *t)
{
    buf_done(&t->records);
}

/* ---- recording ---- */

static void put(struct guest *g, const struct tape_record *r)
{
    struct guest_tape *t = g->tape;
    t->cut = t->cut || !tape_put(&t->records, r);
    t->count += !t->cut;
}

/* Also why it ended the guest, if it did. */
static void put_result(struct guest *g, const struct tape_record *r)
{
    char end[64 + sizeof g->end_text];
    put(g, r);
    if (r->result != RESOURCE_FATAL)
        return;
    int n = snprintf(end, sizeof end, "%s%c%s", err_slug(g->end_reason), '\0', g->end_text);
    put(g, &(struct tape_record){.kind = TAPE_FATAL, .bytes = slice_make(end, (size_t)n)});
}

static uint32_t number_of(const struct guest *g, const struct descriptor *d)
{
    return (uint32_t)(d - g->descriptors);
}

/* Does what it gives come from outside? Standard output only tells something to who may not wait
 * for it. */
static bool outside(const struct descriptor *d)
{
    return d->scheme->remote || d->scheme == scheme_stdio[0] ||
           (d->scheme == scheme_stdio[1] && d->nonblocking);
}

void tape_note(struct guest *g, enum tape_kind kind, const struct descriptor *d, int32_t result,
               const void *p, size_t n)
{
    if (g->tape->playing || !outside(d) || (result == RESOURCE_WAIT && !d->nonblocking))
        return;
    struct tape_record r = {
        .kind = kind, .fd = number_of(g, d), .result = result, .value = kind == TAPE_WRITE ? n : 0};
    if (kind == TAPE_READ && result > 0)
        r.bytes = slice_make(p, (size_t)result);
    put_result(g, &r);
}

void tape_opened(struct guest *g, uint32_t fd, struct slice url, int32_t result)
{
    char text[LEDGER_URL + 1];
    if (g->tape->playing || result == RESOURCE_WAIT)
        return;
    url_redact(url, text, sizeof text);
    put_result(g, &(struct tape_record){
                      .kind = TAPE_OPEN, .fd = fd, .result = result, .bytes = slice_str(text)});
}

void tape_waited(struct guest *g, const struct descriptor *d)
{
    if (!g->tape->playing && outside(d))
        put(g, &(struct tape_record){
                   .kind = TAPE_READ, .fd = number_of(g, d), .result = RESOURCE_WAIT});
}

void tape_output(struct guest *g, const void *p, size_t n)
{
    if (!g->tape->playing)
        crypto_hash_sha256_update(&g->tape->output, p, n);
}

void tape_ready(struct guest *g, uint32_t i, uint64_t bytes, bool end)
{
    if (!g->tape->playing)
        put(g, &(struct tape_record){.kind = TAPE_READY, .fd = i, .result = end, .value = bytes});
}

/* ---- playing ---- */

/* Ended the recorded run while it waited, or between two of its calls? Then what it would have got
 * next is not known. */
static bool ended_from_outside(enum err_code reason)
{
    return reason == ERR_CANCELLED || reason == ERR_WALL_LIMIT || reason == ERR_CPU_LIMIT ||
           reason == ERR_OUTPUT_LIMIT || reason == ERR_BAD_CGI || reason == ERR_TOO_LARGE ||
           reason == ERR_REQUEST_TIMEOUT || reason == ERR_GAS_LIMIT;
}

static void used_up(struct guest *g, const char *asked)
{
    const struct tape *tape = &g->tape->played;
    if (!tape->whole)
        guest_fail(g, ERR_DIVERGED,
                   "the capture was cut after %u records, at the limit \"%s\": the program now "
                   "asks for %s",
                   tape->count, limit_rows[LIMIT_CAPTURE].name, asked);
    else if (ended_from_outside(tape->reason))
        guest_fail(g, tape->reason, "as recorded: it was ended here");
    else
        guest_fail(g, ERR_DIVERGED,
                   "the recorded run ended (%s) after %u records; this one goes on and asks for %s",
                   err_slug(tape->reason), tape->count, asked);
}

static void diverged(struct guest *g, const struct tape_record *recorded, const char *asked)
{
    char said[SAID];
    tape_say(recorded, said, sizeof said);
    guest_fail(g, ERR_DIVERGED, "record %u is %s, but the program asks for %s", g->tape->at + 1,
               said, asked);
}

/* The record that `wanted` must be: same kind, same descriptor. false: the guest ends. */
static bool next(struct guest *g, const struct tape_record *wanted, struct tape_record *ret)
{
    struct guest_tape *t = g->tape;
    struct slice rest = t->rest;
    struct tape_record r;
    char asked[SAID];
    if (tape_next(&rest, &r) && r.kind == wanted->kind && r.fd == wanted->fd &&
        (r.kind != TAPE_OPEN || slice_eq(r.bytes, wanted->bytes)) &&
        (r.kind != TAPE_RANDOM || r.bytes.n == wanted->bytes.n)) {
        t->rest = rest;
        t->at++;
        *ret = r;
        return true;
    }
    tape_say(wanted, asked, sizeof asked);
    if (!t->rest.n)
        used_up(g, asked);
    else
        diverged(g, &r, asked);
    return false;
}

/* The result of the record; a fatal one ends the guest as it did then. */
static int32_t result_of(struct guest *g, const struct tape_record *r)
{
    struct tape_record fatal;
    enum err_code reason;
    if (r->result != RESOURCE_FATAL)
        return r->result;
    if (next(g, &(struct tape_record){.kind = TAPE_FATAL}, &fatal)) {
        struct slice text = fatal.bytes, slug = slice_split(&text, '\0');
        if (!err_from_slug(slug, &reason))
            reason = ERR_DIVERGED;
        guest_fail(g, reason, "%.*s", (int)text.n, text.p ? text.p : "");
    }
    return RESOURCE_FATAL;
}

bool guest_time(struct guest *g, bool monotonic, uint64_t *ret_us)
{
    struct tape_record r = {.kind = monotonic ? TAPE_MONO : TAPE_REAL};
    if (tape_plays(g)) {
        if (!next(g, &r, &r))
            return false;
        *ret_us = r.value;
        return true;
    }
    *ret_us = r.value = monotonic ? clock_mono_us() : clock_real_us();
    if (g->tape)
        put(g, &r);
    return true;
}

bool guest_random(struct guest *g, void *p, size_t n)
{
    struct tape_record r = {.kind = TAPE_RANDOM, .bytes = slice_make(p, n)};
    if (tape_plays(g)) {
        if (!next(g, &r, &r))
            return false;
        memcpy(p, r.bytes.p, n);
        return true;
    }
    random_bytes(p, n);
    if (g->tape)
        put(g, &r);
    return true;
}

bool guest_slept(struct guest *g, uint32_t ms)
{
    struct tape_record r = {.kind = TAPE_SLEPT, .value = ms};
    if (tape_plays(g))
        return next(g, &r, &r);
    if (g->tape)
        put(g, &r);
    return true;
}

static int32_t played_open(struct guest *g, struct descriptor *d, const struct url *url)
{
    char text[LEDGER_URL + 1];
    url_redact(url_slice(url), text, sizeof text);
    struct tape_record r = {.kind = TAPE_OPEN, .fd = number_of(g, d), .bytes = slice_str(text)};
    return next(g, &r, &r) ? result_of(g, &r) : RESOURCE_FATAL;
}

static int32_t played_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    struct guest_tape *t = g->tape;
    struct tape_record r = {.kind = TAPE_READ, .fd = number_of(g, d)};
    struct slice bytes = t->held;
    if (!bytes.n || t->held_fd != r.fd) {
        if (!next(g, &r, &r))
            return RESOURCE_FATAL;
        if (r.result <= 0)
            return result_of(g, &r);
        bytes = r.bytes;
    }
    uint32_t give = bytes.n < n ? (uint32_t)bytes.n : n;
    memcpy(p, bytes.p, give);
    if (bytes.n > give || t->held_fd == r.fd) {
        t->held = slice_from(bytes, give);
        t->held_fd = r.fd;
    }
    return (int32_t)give;
}

static int32_t played_input(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    int32_t got = played_read(g, d, p, n);
    if (got > 0)
        g->bytes_in += (uint32_t)got;
    return got;
}

static int32_t played_write(struct guest *g, struct descriptor *d, const void *p, uint32_t n)
{
    struct tape_record r = {.kind = TAPE_WRITE, .fd = number_of(g, d)};
    (void)p;
    if (!next(g, &r, &r))
        return RESOURCE_FATAL;
    if (r.result < 0)
        return result_of(g, &r);
    /* All of it was taken: then so it is now, however much that is. */
    return r.value == (uint32_t)r.result || (uint32_t)r.result > n ? (int32_t)n : r.result;
}

static int32_t played_flush(struct guest *g, struct descriptor *d)
{
    struct tape_record r = {.kind = TAPE_FLUSH, .fd = number_of(g, d)};
    return next(g, &r, &r) ? result_of(g, &r) : RESOURCE_FATAL;
}

/* Standard output really goes out. Who may not wait for it is told what was told then. */
static int32_t played_output(struct guest *g, struct descriptor *d, const void *p, uint32_t n)
{
    struct guest_tape *t = g->tape;
    struct tape_record r = {.kind = TAPE_WRITE, .fd = number_of(g, d)};
    t->real = true;
    if (!d->nonblocking)
        return scheme_stdio[1]->write(g, d, p, n);
    if (!t->left) {
        if (!next(g, &r, &r))
            return RESOURCE_FATAL;
        t->real = r.result >= 0;
        if (r.result < 0)
            return result_of(g, &r);
        t->left = r.value == (uint32_t)r.result || (uint32_t)r.result > n ? n : (uint32_t)r.result;
    }
    int32_t took = scheme_stdio[1]->write(g, d, p, n < t->left ? n : t->left);
    if (took > 0)
        t->left -= (uint32_t)took;
    return took;
}

bool tape_waits(const struct guest *g)
{
    return tape_plays(g) && g->tape->real;
}

bool tape_was_ready(struct guest *g, uint32_t i, uint64_t *ret_bytes, bool *ret_end)
{
    struct guest_tape *t = g->tape;
    struct slice rest = t->rest;
    struct tape_record r;
    if (!tape_next(&rest, &r) || r.kind != TAPE_READY || r.fd != i)
        return false;
    t->rest = rest;
    t->at++;
    *ret_bytes = r.value;
    *ret_end = r.result != 0;
    return true;
}

enum engine_verdict tape_not_ready(struct guest *g)
{
    struct tape_record r;
    /* No list has so many: it is what a poll gets when no record of one comes next. */
    (void)!next(g, &(struct tape_record){.kind = TAPE_READY, .fd = UINT32_MAX}, &r);
    return ENGINE_END;
}

static const struct scheme input = {.read = played_input};
static const struct scheme output = {.write = played_output};
static const struct scheme remote = {.remote = true,
                                     .open = played_open,
                                     .read = played_read,
                                     .write = played_write,
                                     .flush = played_flush};
static const struct scheme remote_readable = {
    .remote = true, .open = played_open, .read = played_read};

const struct scheme *tape_stdio(const struct guest *g, unsigned fd)
{
    return tape_plays(g) && fd == 0   ? &input
           : tape_plays(g) && fd == 1 ? &output
                                      : scheme_stdio[fd];
}

const struct scheme *tape_scheme(const struct guest *g, const struct scheme *scheme)
{
    if (!tape_plays(g) || !scheme->remote)
        return scheme;
    return scheme->write ? &remote : &remote_readable;
}
