/* One request and its answer: its place in the project's queue, the addresses it may use, its
 * deadlines, its bytes.
 *
 * How bytes reach the server and come back is http.c's and gemini.c's. They call here from within
 * libcurl, so nothing here that they call may end a transfer at once: they set `why` and stop, and
 * libcurl's own end of the transfer leads to transfer_finish(). */
#include "egress/private.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t *limits(const struct transfer *t)
{
    return t->x->version->limits.v;
}

static bool is_gemini(const struct transfer *t)
{
    return t->x->scheme[0] == 'g';
}

/* ---- deadlines ---- */

static void on_deadline(struct loop_timer *timer);

static void set_phase(struct transfer *t, enum phase phase, uint64_t phase_us)
{
    struct loop *loop = t->project->egress->loop;
    t->phase = phase;
    t->phase_us = phase_us;
    uint64_t at = phase_us && (!t->total_us || phase_us < t->total_us) ? phase_us : t->total_us;
    if (at)
        loop_timer_start(loop, &t->timer, at, on_deadline);
    else
        loop_timer_stop(loop, &t->timer);
}

/* Zero is no deadline. */
static uint64_t deadline(const struct transfer *t, enum limit_id limit)
{
    uint64_t us = limits(t)[limit];
    return us ? loop_now(t->project->egress->loop) + us : 0;
}

static void time_out(struct transfer *t, enum limit_id limit, const char *what)
{
    char text[EXCHANGE_TEXT + 1], time[32];
    limit_format(limit, limits(t)[limit], time);
    snprintf(text, sizeof text, "%s within %s (%s)", what, time, limit_rows[limit].name);
    transfer_finish(t, ERR_TIMEOUT, text);
}

static void say_finished(struct transfer *t);

static void on_deadline(struct loop_timer *timer)
{
    struct transfer *t = LIST_ITEM(timer, struct transfer, timer);
    uint64_t now = loop_now(t->project->egress->loop);
    if (t->phase == PHASE_DRAINING) {
        err_set(&t->why, ERR_TIMEOUT, "the answer was not read to its end in time (egress-total)");
        say_finished(t);
    } else if (t->complete) {
        transfer_finish(t, ERR_OK, "");
    } else if (t->total_us && now >= t->total_us) {
        time_out(t, LIMIT_EGRESS_TOTAL, "the answer was not complete");
    } else if (t->phase == PHASE_RESOLVING) {
        time_out(t, LIMIT_EGRESS_DNS, "the name was not resolved");
    } else if (t->phase == PHASE_CONNECTING) {
        transfer_unconnected(t, NULL);
    } else {
        time_out(t, LIMIT_EGRESS_FIRST_BYTE, "the server did not answer");
    }
}

/* ---- the journal ---- */

/* For whoever answers an abuse report: who was at this address at that time, and with how much. */
static void journal(const struct transfer *t, const struct http_address *address,
                    enum err_code outcome)
{
    const struct exchange *x = t->x;
    struct spool *spool = t->project->egress->config.journal;
    if (!spool)
        return;
    struct spool_connection c = {
        .run = x->run->id,
        .function = x->version->function,
        .project = t->project->id,
        .at_us = t->began_us,
        .port = t->url.port,
        .outcome = (uint16_t)outcome,
        .sent = t->sent,
        .received = t->received,
    };
    memcpy(c.address, address->b, sizeof c.address);
    snprintf(c.host, sizeof c.host, "%.*s", SLICE_ARG(t->url.host));
    snprintf(c.scheme, sizeof c.scheme, "%s", x->scheme);
    (void)spool_connection(spool, &c); /* a full ring counts what it drops */
}

/* ---- beginning ---- */

struct transfer *transfer_new(struct exchange *x)
{
    struct project *p = x->member->project;
    struct list *spare = list_pop(&p->spares);
    struct transfer *t = spare ? LIST_ITEM(spare, struct transfer, node) : calloc(1, sizeof *t);
    if (!t)
        return NULL;
    if (spare) {
        p->spare_count--;
    } else {
        list_init(&t->node);
        t->project = p;
        buf_init(&t->fields, 2 * FRAME_MOST);
        buf_init(&t->body, FRAME_CREDIT_INITIAL);
        buf_init(&t->rest, 1 << 20);
        head_init(&t->head);
    }
    t->x = x;
    t->method[0] = '\0';
    t->field_count = t->address_count = t->address_at = 0;
    t->has_agent = t->body_last = t->complete = false;
    t->may_send = t->granted = FRAME_CREDIT_INITIAL;
    t->owed = 0;
    t->body_came = t->sent = t->received = t->connect_us = 0;
    t->why = (struct err){0};
    t->paused = 0;
    return t;
}

static void trim(struct buf *b)
{
    if (b->cap > SPARE_BYTES)
        buf_done(b);
    else
        buf_clear(b);
}

void transfer_free(struct transfer *t)
{
    struct project *p = t->project;
    t->x = NULL;
    if (p->spare_count < SPARES_MOST) {
        trim(&t->fields);
        trim(&t->body);
        trim(&t->rest);
        list_push(p->spares.next, &t->node); /* in front: what was used last is used next */
        p->spare_count++;
        return;
    }
    transfer_drop(t);
}

void transfer_drop(struct transfer *t)
{
    if (t->easy)
        t->project->egress->curl->easy_cleanup(t->easy);
    buf_done(&t->fields);
    buf_done(&t->body);
    buf_done(&t->rest);
    head_done(&t->head);
    free(t);
}

static void connect_next(struct transfer *t)
{
    struct err e;
    uint64_t now = loop_now(t->project->egress->loop), at = t->connect_us;
    unsigned left = t->address_count - t->address_at;
    if (at > now && left > 1)
        at = now + (at - now) / left; /* one that never answers leaves time for the others */
    set_phase(t, PHASE_CONNECTING, at);
    enum err_code rc = is_gemini(t) ? gemini_begin(t, &e) : http_begin(t, &e);
    if (rc)
        transfer_finish(t, rc, e.text);
}

/* Keeps the addresses that may be reached; with none left, says why the first may not. */
static void judge(struct transfer *t, const struct http_address *addresses, unsigned n)
{
    const struct egress_config *config = &t->project->egress->config;
    const char *first = NULL;
    unsigned refused = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *what = address_refused(&addresses[i], &config->allowed);
        if (!what) {
            t->addresses[t->address_count++] = addresses[i];
        } else if (!first) {
            first = what;
            refused = i;
        }
    }
    if (t->address_count) {
        t->connect_us = deadline(t, LIMIT_EGRESS_CONNECT);
        connect_next(t);
        return;
    }
    char text[EXCHANGE_TEXT + 1], address[ADDRESS_TEXT];
    address_text(&addresses[refused], address);
    snprintf(text, sizeof text,
             "%.*s is %s%s%s: not reachable from here; the operator may allow it "
             "(egress-addresses)",
             SLICE_ARG(t->url.host), t->url.numeric ? "" : address, t->url.numeric ? "" : ", ",
             first);
    journal(t, &addresses[refused], ERR_POLICY);
    transfer_finish(t, ERR_POLICY, text);
}

static void on_resolved(struct resolve *r, const struct http_address *addresses, unsigned n,
                        const struct err *why)
{
    struct transfer *t = LIST_ITEM(r, struct transfer, lookup);
    if (n) {
        judge(t, addresses, n);
        return;
    }
    char text[2 * EXCHANGE_TEXT];
    snprintf(text, sizeof text, "%.*s: %s", SLICE_ARG(t->url.host), why->text);
    transfer_finish(t, why->code == ERR_NOT_FOUND ? ERR_NOT_FOUND : ERR_UNREACHABLE, text);
}

static void begin(struct transfer *t)
{
    struct project *p = t->project;
    struct http_address address;
    char host[256];
    p->running++;
    p->idle_us = 0;
    t->placed = true;
    if (t->url.numeric) {
        if (address_parse(t->url.host, &address))
            judge(t, &address, 1);
        else
            transfer_finish(t, ERR_INVALID, "the host is no address");
        return;
    }
    if (!slice_copy(t->url.host, host, sizeof host)) {
        transfer_finish(t, ERR_INVALID, "the host's name is too long");
        return;
    }
    set_phase(t, PHASE_RESOLVING, deadline(t, LIMIT_EGRESS_DNS));
    t->lookup.on_resolved = on_resolved;
    resolve_start(p->egress->resolver, &t->lookup, host, &p->lookups);
}

/* Begun at the turn's end: one that fails at once makes room for the next. */
static void on_admit(struct loop_task *task)
{
    struct project *p = LIST_ITEM(task, struct project, admit);
    while (!list_empty(&p->queue)) {
        struct transfer *t = LIST_ITEM(p->queue.next, struct transfer, node);
        if (p->running >= limits(t)[LIMIT_EGRESS_AT_ONCE])
            return;
        list_remove(&t->node);
        begin(t);
    }
}

void transfer_init(struct project *p)
{
    list_init(&p->queue);
    list_init(&p->spares);
    loop_task_init(&p->admit, on_admit);
}

void transfer_start(struct transfer *t)
{
    struct project *p = t->project;
    t->x->transfer = t;
    t->x->member->transfer_count++;
    t->began_us = clock_real_us();
    t->total_us = deadline(t, LIMIT_EGRESS_TOTAL);
    head_reset(&t->head, strcmp(t->method, "HEAD") == 0);
    if (t->body_kind == BODY_NONE || (t->body_kind == BODY_LENGTH && !t->body_length))
        t->body_last = true;
    if (list_empty(&p->queue) && p->running < limits(t)[LIMIT_EGRESS_AT_ONCE]) {
        begin(t);
        return;
    }
    set_phase(t, PHASE_QUEUED, 0);
    list_push(&p->queue, &t->node);
    loop_task_add(p->egress->loop, &p->admit);
}

/* ---- ending ---- */

/* Gives its place to the next in the queue. */
static void leave(struct transfer *t)
{
    struct project *p = t->project;
    if (!list_empty(&p->queue))
        loop_task_add(p->egress->loop, &p->admit);
    if (!t->placed)
        return;
    t->placed = false;
    p->running--;
    if (p->running)
        return;
    p->idle_us = loop_now(p->egress->loop);
    egress_sweep_later(p->egress);
}

/* Lets go of everything that could still call back. */
static void detach(struct transfer *t)
{
    loop_timer_stop(t->project->egress->loop, &t->timer);
    resolve_cancel(&t->lookup);
    list_remove(&t->node);
    if (is_gemini(t))
        gemini_end(t);
    multi_remove(t);
}

static void part(struct transfer *t)
{
    t->x->transfer = NULL;
    t->x->member->transfer_count--;
    transfer_free(t);
}

static void say_finished(struct transfer *t)
{
    const struct exchange_end end = {.reason = (uint16_t)t->why.code,
                                     .operator_ = t->why.code == ERR_POLICY,
                                     .sent = t->sent,
                                     .received = t->received};
    loop_timer_stop(t->project->egress->loop, &t->timer);
    exchange_say(t->x, FRAME_FINISHED, &end, t->why.text);
    part(t);
}

void transfer_finish(struct transfer *t, enum err_code code, const char *text)
{
    detach(t);
    err_set(&t->why, code, "%.*s", EXCHANGE_TEXT - 1, text);
    if (t->address_count)
        journal(t, transfer_address(t), code);
    if (buf_size(&t->rest))
        set_phase(t, PHASE_DRAINING, 0);
    leave(t);
    if (!buf_size(&t->rest))
        say_finished(t);
}

void transfer_cancel(struct transfer *t)
{
    if (t->address_count && t->phase != PHASE_DRAINING)
        journal(t, transfer_address(t), ERR_CANCELLED);
    detach(t);
    leave(t);
    part(t);
}

void transfer_unconnected(struct transfer *t, const char *why)
{
    uint64_t now = loop_now(t->project->egress->loop);
    if (t->address_at + 1 < t->address_count && (!t->connect_us || now < t->connect_us)) {
        journal(t, transfer_address(t), why ? ERR_UNREACHABLE : ERR_TIMEOUT);
        if (is_gemini(t))
            gemini_end(t);
        multi_remove(t);
        t->address_at++;
        connect_next(t);
    } else if (why) {
        transfer_finish(t, ERR_UNREACHABLE, why);
    } else {
        time_out(t, LIMIT_EGRESS_CONNECT, "the server could not be connected to");
    }
}

/* ---- bytes ---- */

void transfer_connected(struct transfer *t)
{
    if (t->phase != PHASE_CONNECTING)
        return;
    if (t->body_last && !buf_size(&t->body))
        set_phase(t, PHASE_WAITING, deadline(t, LIMIT_EGRESS_FIRST_BYTE));
    else
        set_phase(t, PHASE_SENDING, 0);
}

void transfer_sent(struct transfer *t)
{
    if (t->phase == PHASE_SENDING)
        set_phase(t, PHASE_WAITING, deadline(t, LIMIT_EGRESS_FIRST_BYTE));
}

static bool over(struct transfer *t, uint64_t bytes, enum limit_id limit, const char *whose)
{
    char size[32];
    uint64_t most = limits(t)[limit];
    if (!most || bytes <= most)
        return false;
    limit_format(limit, most, size);
    err_set(&t->why, ERR_EGRESS_LIMIT, "%s transferred more than %s (%s)", whose, size,
            limit_rows[limit].name);
    return true;
}

bool transfer_count(struct transfer *t, uint64_t sent, uint64_t received)
{
    struct exchange *x = t->x;
    t->sent += sent;
    t->received += received;
    x->bytes += sent + received;
    x->run->bytes += sent + received;
    return !over(t, x->bytes, LIMIT_EGRESS_OPEN, "one open") &&
           !over(t, x->run->bytes, LIMIT_EGRESS_RUN, "the run");
}

void transfer_answer(struct transfer *t, struct slice head)
{
    if (t->phase == PHASE_SENDING || t->phase == PHASE_WAITING)
        set_phase(t, PHASE_READING, 0);
    channel_send(&t->x->member->channel, FRAME_ANSWER, 0, t->x->id, head.p, head.n);
}

/* Sends as much as is granted; returns how much. */
static size_t give(struct transfer *t, struct slice bytes)
{
    size_t n = bytes.n < t->granted ? bytes.n : t->granted;
    if (n)
        channel_append(&t->x->member->channel, FRAME_OUTPUT, t->x->id, bytes.p, n);
    t->granted -= (uint32_t)n;
    return n;
}

bool transfer_output(struct transfer *t, struct slice bytes)
{
    if (!buf_size(&t->rest))
        bytes = slice_from(bytes, give(t, bytes));
    return !bytes.n || buf_add(&t->rest, bytes.p, bytes.n);
}

void transfer_complete(struct transfer *t)
{
    if (t->body_last)
        return; /* its end comes by itself */
    t->complete = true;
    set_phase(t, PHASE_READING, loop_now(t->project->egress->loop));
}

size_t transfer_take(struct transfer *t, char *out, size_t most)
{
    size_t n = buf_size(&t->body);
    if (n > most)
        n = most;
    if (!n)
        return 0;
    memcpy(out, buf_data(&t->body), n);
    buf_consume(&t->body, n);
    t->owed += (uint32_t)n;
    if (t->owed >= GRANT && !t->body_last) {
        channel_send(&t->x->member->channel, FRAME_CREDIT, 0, t->x->id, &t->owed, sizeof t->owed);
        t->may_send += t->owed;
        t->owed = 0;
    }
    return n;
}

static void resume(struct transfer *t)
{
    if (t->phase < PHASE_CONNECTING || t->phase == PHASE_DRAINING)
        return;
    if (is_gemini(t))
        gemini_resume(t);
    else
        http_resume(t);
}

bool transfer_credit(struct transfer *t, uint32_t n)
{
    if (n > CREDIT_MOST - t->granted)
        return false;
    t->granted += n;
    if (!buf_size(&t->rest))
        return true;
    buf_consume(&t->rest, give(t, buf_slice(&t->rest)));
    if (buf_size(&t->rest))
        return true;
    if (t->phase == PHASE_DRAINING)
        say_finished(t);
    else
        resume(t);
    return true;
}

bool transfer_body(struct transfer *t, struct slice bytes, bool last)
{
    if (t->phase == PHASE_DRAINING)
        return true;
    uint64_t room = t->body_kind == BODY_LENGTH ? t->body_length - t->body_came : UINT64_MAX;
    if (bytes.n > t->may_send || bytes.n > room || (bytes.n && t->body_kind == BODY_NONE) ||
        (bytes.n && t->body_last))
        return false;
    t->may_send -= (uint32_t)bytes.n;
    t->body_came += bytes.n;
    if (t->body_kind == BODY_LENGTH && last && t->body_came < t->body_length) {
        transfer_finish(t, ERR_INVALID, "the body is shorter than its Content-Length");
        return true;
    }
    if (!buf_add(&t->body, bytes.p, bytes.n)) {
        transfer_finish(t, ERR_MEMORY, "no memory for the request's body");
        return true;
    }
    t->body_last =
        t->body_last || last || (t->body_kind == BODY_LENGTH && t->body_came == t->body_length);
    resume(t);
    return true;
}
