/* Runs: one invocation, from its request to its receipt.
 *
 *   NEW ─▶ GATHER ─▶ QUEUED ─▶ EXEC ─▶ HEAD ─▶ BODY ─▶ FREE
 *    │       │         │        │ ▲     │ │     │
 *    └───────┴─────────┴────────┘ IMAGE ◀┘└──▶ CANCEL ─▶ FREE
 *
 * Credit goes both ways: the client's body is read as far as the guest takes
 * it, and the guest writes as far as the client reads. The wall clock to the
 * head stands while the guest may be waiting for the client's body.
 *
 * Until the first word about a version comes from an exec, its image may turn
 * out to be missing; so what was sent is kept, and sent again once control has
 * compiled it. Run objects are reused with their buffers and timer: a timer
 * that was armed for an earlier run is left in the heap and found harmless when
 * it fires, so that a request costs no work on the heap. */
#include "roles/edge.h"

#include "base/clock.h"
#include "base/log.h"
#include "cgi/meta.h"
#include "ipc/tape.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    KEEP_BYTES = 16 << 10,  /* of a buffer that the next run may use again */
    OUT_GRANT = 16 << 10,   /* credit goes back in pieces of at least this size … */
    OUT_BACKLOG = 32 << 10, /* … while no more than this waits for the client */
};

static const bool legal[RUN_STATES][RUN_STATES] = {
    [RUN_FREE] = {[RUN_NEW] = true},
    [RUN_NEW] = {[RUN_GATHER] = true, [RUN_QUEUED] = true, [RUN_EXEC] = true, [RUN_FREE] = true},
    [RUN_GATHER] = {[RUN_QUEUED] = true, [RUN_EXEC] = true, [RUN_FREE] = true},
    [RUN_QUEUED] = {[RUN_EXEC] = true, [RUN_FREE] = true},
    [RUN_EXEC] = {[RUN_HEAD] = true, [RUN_FREE] = true},
    [RUN_IMAGE] = {[RUN_EXEC] = true, [RUN_FREE] = true},
    [RUN_HEAD] = {[RUN_BODY] = true, [RUN_CANCEL] = true, [RUN_IMAGE] = true, [RUN_FREE] = true},
    [RUN_BODY] = {[RUN_CANCEL] = true, [RUN_FREE] = true},
    [RUN_CANCEL] = {[RUN_FREE] = true},
};

void edge_run_state(struct edge_run *r, enum run_state next)
{
    assert(legal[r->state][next]);
    r->state = next;
}

static bool has_begun(const struct edge_run *r)
{
    return r->state == RUN_HEAD || r->state == RUN_BODY || r->state == RUN_CANCEL;
}

/* Objects */

static struct edge_run *new_object(struct edge *e)
{
    if (e->run_count == e->run_most) {
        uint32_t most = e->run_most ? e->run_most * 2 : 64;
        if (most > EDGE_RUNS)
            return NULL;
        struct edge_run **runs = realloc(e->runs, most * sizeof *runs);
        if (!runs)
            return NULL;
        e->runs = runs;
        struct edge_run **free_runs = realloc(e->free_runs, most * sizeof *free_runs);
        if (!free_runs)
            return NULL;
        e->free_runs = free_runs;
        e->run_most = most;
    }
    struct edge_run *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->edge = e;
    r->id = e->run_count;
    buf_init(&r->begin, FRAME_MOST);
    buf_init(&r->body, FRAME_CREDIT_INITIAL);
    buf_init_private(&r->capture, TAPE_MOST);
    list_init(&r->node);
    list_init(&r->inject_node);
    e->runs[e->run_count++] = r;
    return r;
}

struct edge_run *edge_run_find(struct edge *e, uint64_t id)
{
    uint64_t index = id & 0xffff;
    struct edge_run *r = index < e->run_count ? e->runs[index] : NULL;
    return r && r->id == id && r->state != RUN_FREE ? r : NULL;
}

/* A new id for it: what is said about the old one finds nobody. */
static void renumber(struct edge_run *r)
{
    r->id = ++r->edge->run_serial << 16 | (r->id & 0xffff);
}

struct edge_run *edge_run_new(struct edge *e, struct edge_function *f, struct edge_route *route,
                              const struct route_version *v)
{
    struct edge_run *r = e->free_count ? e->free_runs[--e->free_count] : new_object(e);
    if (!r)
        return NULL;
    renumber(r);
    edge_run_state(r, RUN_NEW);
    r->function = f;
    r->route = route;
    r->version = v;
    route->refs++;
    f->runs++;
    r->exec = NULL;
    r->injected = false;
    r->body_last = r->awaiting = false;
    r->body_limit = v->load.limits.v[LIMIT_REQUEST_BODY];
    r->credit = r->out_credit = FRAME_CREDIT_INITIAL;
    r->owed = 0;
    r->image_until_us = r->image_told_us = 0;
    r->log_lines = 0;
    r->log_unkept = 0;
    r->cause = ERR_OK;
    r->detail[0] = '\0';
    r->receipt.started_us = clock_real_us();
    r->receipt.run = uuid_born(r->receipt.started_us);
    uuid_text(r->receipt.run, r->text);
    r->receipt.function = route->row.function;
    r->receipt.project = route->row.project;
    r->receipt.version = v->id;
    r->receipt.status = r->receipt.cause = 0;
    r->receipt.injected = r->receipt.sampled = 0;
    r->receipt.client[0] = '\0';
    r->receipt.request_bytes = r->receipt.response_bytes = 0;
    return r;
}

static void reset(struct buf *b)
{
    buf_clear(b);
    if (b->cap > KEEP_BYTES)
        buf_done(b);
}

static void free_run(struct edge_run *r)
{
    struct edge *e = r->edge;
    edge_run_state(r, RUN_FREE);
    r->deadline_us = UINT64_MAX;
    r->function->runs--;
    edge_route_unref(r->route);
    r->route = NULL;
    r->version = NULL;
    r->function = NULL;
    r->answer.conn = NULL;
    list_remove(&r->node);
    list_remove(&r->inject_node);
    reset(&r->begin);
    reset(&r->body);
    if (r->capture.p) /* it ended without a receipt */
        buf_done(&r->capture);
    r->capturing = r->captured = false;
    e->free_runs[e->free_count++] = r;
    edge_maybe_stop(e);
}

/* Time */

static void on_timeout(struct loop_timer *t);

void edge_run_deadline(struct edge_run *r, uint64_t at_us)
{
    r->deadline_us = at_us;
    if (at_us != UINT64_MAX && (!r->timer.slot || r->timer.at_us > at_us))
        loop_timer_start(r->edge->loop, &r->timer, at_us, on_timeout);
}

/* Lets the wall clock stand or run, after something that changes whom we wait for. */
static void set_clock(struct edge_run *r)
{
    struct http_conn *c = r->answer.conn;
    uint64_t now = loop_now(r->edge->loop);
    if (r->state != RUN_HEAD)
        return;
    bool awaiting = !r->body_last && (r->injected ? r->credit > 0 : c && c->window > 0);
    if (awaiting == r->awaiting)
        return;
    r->awaiting = awaiting;
    if (awaiting)
        r->wall_left_us = r->deadline_us > now ? r->deadline_us - now : 0;
    edge_run_deadline(r, awaiting ? UINT64_MAX : now + r->wall_left_us);
}

/* When a streamed answer has gone on too long. A client that takes nothing is the connection's
 * to judge. */
static uint64_t stream_deadline(struct edge_run *r)
{
    const uint64_t *limit = r->version->load.limits.v;
    uint64_t idle = r->output_us + limit[LIMIT_STREAM_IDLE];
    uint64_t total = r->head_us + limit[LIMIT_STREAM_TOTAL];
    return idle < total ? idle : total;
}

static void on_timeout(struct loop_timer *t)
{
    struct edge_run *r = LIST_ITEM(t, struct edge_run, timer);
    struct edge *e = r->edge;
    uint64_t now = loop_now(e->loop);
    if (r->state == RUN_FREE || r->deadline_us == UINT64_MAX)
        return;
    if (r->state == RUN_BODY) {
        if (r->answer.conn && http_backlog(r->answer.conn))
            r->output_us = now;
        r->deadline_us = stream_deadline(r);
    }
    if (now < r->deadline_us) {
        edge_run_deadline(r, r->deadline_us);
        return;
    }
    switch (r->state) {
    case RUN_QUEUED:
        edge_run_fail(r, ERR_BUSY, "no place became free in time");
        return;
    case RUN_EXEC:
        edge_run_fail(r, ERR_UNAVAILABLE, "no process was ready in time to run the program");
        return;
    case RUN_IMAGE:
        edge_run_fail(r, ERR_UNAVAILABLE, "the program was not compiled in time");
        return;
    case RUN_HEAD:
        edge_run_cancel(r, ERR_WALL_LIMIT, "the response's head did not come in time");
        return;
    case RUN_BODY:
        edge_run_cancel(r, ERR_WALL_LIMIT,
                        now < r->head_us + r->version->load.limits.v[LIMIT_STREAM_TOTAL]
                            ? "nothing more of the response's body came (limit \"stream-idle\")"
                            : "the response's body took too long (limit \"stream-total\")");
        return;
    case RUN_CANCEL:
        if (r->exec) {
            log_line(LOG_ERROR, "exec_deaf", "exec=%u run=%s", r->exec->number, r->text);
            leash_send(&e->leash, LEASH_KILL_EXEC, r->exec->number, 0, NULL, NULL, 0);
        }
        edge_run_deadline(r, now + EDGE_CANCEL_US);
        return;
    case RUN_FREE:
    case RUN_NEW:
    case RUN_GATHER:
    case RUN_STATES:
        return;
    }
}

/* Start */

bool edge_run_keep(struct edge_run *r, struct slice begin)
{
    if (begin.p == r->begin.p + r->begin.head && buf_size(&r->begin))
        return true; /* it is what is kept */
    buf_clear(&r->begin);
    if (buf_add(&r->begin, begin.p, begin.n))
        return true;
    edge_run_fail(r, ERR_MEMORY, NULL);
    return false;
}

void edge_run_place(struct edge_run *r, struct slice begin)
{
    edge_run_state(r, RUN_EXEC);
    struct edge_exec *x =
        edge_exec_want(r->function->project, (enum engine_kind)r->version->load.kind);
    if (!x) {
        edge_run_fail(r, ERR_MEMORY, NULL);
        return;
    }
    if (x->bound) {
        edge_run_start(r, x, begin);
        return;
    }
    if (!edge_run_keep(r, begin))
        return;
    list_push(&x->waiting, &r->node);
    edge_run_deadline(r, loop_now(r->edge->loop) + EDGE_EXEC_WAIT_US);
}

static void send_body(struct edge_run *r, struct slice bytes, bool last)
{
    assert(bytes.n <= r->credit);
    r->credit -= (uint32_t)bytes.n;
    channel_send(&r->exec->channel, FRAME_BODY, last ? FRAME_LAST : 0, r->id, bytes.p, bytes.n);
}

void edge_run_start(struct edge_run *r, struct edge_exec *x, struct slice begin)
{
    struct edge *e = r->edge;
    uint64_t now = loop_now(e->loop);
    uint32_t slot = edge_exec_slot(x, r->route, r->version);
    if (slot == UINT32_MAX) {
        edge_run_fail(r, ERR_UNAVAILABLE, "the process holds too many versions");
        return;
    }
    bool empty = r->body_last && !buf_size(&r->body);
    uint16_t flags = (uint16_t)(empty ? FRAME_LAST : 0);
    if (r->version->load.capture && edge_capture_begin(r))
        flags |= FRAME_KEEP;
    char *payload = channel_place(&x->channel, FRAME_BEGIN, flags, r->id, begin.n);
    if (!payload) {
        edge_run_fail(r, ERR_EXEC_DIED, NULL);
        return;
    }
    memcpy(payload, begin.p, begin.n);
    memcpy(payload, &slot, sizeof slot);
    memcpy(payload + sizeof slot + CGI_WORKER_AT, x->worker, UUID_TEXT);

    edge_run_state(r, RUN_HEAD);
    r->exec = x;
    r->slot = slot;
    r->credit = r->out_credit = FRAME_CREDIT_INITIAL;
    x->begun++;
    x->slots[slot].running++;
    x->slots[slot].used_us = now;
    list_push(&x->runs, &r->node);
    r->awaiting = false;
    edge_run_deadline(r, now + r->version->load.limits.v[LIMIT_WALL]);

    bool sure = x->slots[slot].sure;
    if (!sure && !edge_run_keep(r, begin))
        return;
    if (!empty && (buf_size(&r->body) || r->body_last))
        send_body(r, buf_slice(&r->body), r->body_last);
    if (sure)
        buf_clear(&r->body);
    set_clock(r);
}

/* Is what was sent still kept, for sending it again? */
static bool keeps(const struct edge_run *r)
{
    return r->exec && !r->exec->slots[r->slot].sure;
}

void edge_run_missing(struct edge_run *r)
{
    struct edge *e = r->edge;
    uint64_t now = loop_now(e->loop);
    bool told = false;
    edge_run_state(r, RUN_IMAGE);
    renumber(r);
    LIST_EACH(n, &e->missing)
    told |= uuid_eq(LIST_ITEM(n, struct edge_run, node)->version->id, r->version->id);
    if (!r->image_until_us)
        r->image_until_us = now + EDGE_IMAGE_WAIT_US;
    if (!told && now >= r->image_told_us + EDGE_IMAGE_TELL_US) {
        r->image_told_us = now;
        edge_control_missing(e, r->version->id);
    }
    edge_run_deadline(r, r->image_until_us);
    list_push(&e->missing, &r->node);
    edge_watch_missing(e);
}

void edge_run_retry_missing(struct edge *e)
{
    struct list now;
    list_init(&now);
    for (struct list *n; (n = list_pop(&e->missing));)
        list_push(&now, n);
    for (struct list *n; (n = list_pop(&now));) {
        struct edge_run *r = LIST_ITEM(n, struct edge_run, node);
        edge_run_place(r, buf_slice(&r->begin));
    }
}

/* Body */

static bool over_body(struct edge_run *r, size_t n)
{
    r->receipt.request_bytes += n;
    return r->receipt.request_bytes > r->body_limit;
}

void edge_run_body(struct edge_run *r, struct slice bytes)
{
    if (r->state == RUN_CANCEL || r->body_last || bytes.n == 0)
        return;
    if (over_body(r, bytes.n)) {
        edge_run_cancel(r, ERR_TOO_LARGE, EDGE_BODY_OVER);
        return;
    }
    bool begun = has_begun(r), keep = !begun || keeps(r);
    if ((begun && bytes.n > r->credit) || (keep && !buf_add(&r->body, bytes.p, bytes.n))) {
        edge_run_cancel(r, ERR_PROTOCOL, "more body than was granted");
        return;
    }
    if (begun) {
        send_body(r, bytes, false);
        set_clock(r);
    } else if (r->state == RUN_GATHER && buf_size(&r->body) >= EDGE_BODY_EARLY) {
        edge_queue_admit(r, buf_slice(&r->begin));
    }
}

void edge_run_body_end(struct edge_run *r)
{
    r->body_last = true;
    if (r->state == RUN_HEAD || r->state == RUN_BODY) {
        send_body(r, SLICE(""), true);
        set_clock(r);
    } else if (r->state == RUN_GATHER) {
        edge_queue_admit(r, buf_slice(&r->begin));
    }
}

void edge_run_credit(struct edge_run *r, uint32_t n)
{
    r->credit += n;
    if (r->state == RUN_CANCEL)
        return;
    if (r->injected) {
        if (!list_empty(&r->inject_node))
            channel_send(&r->edge->control, FRAME_CREDIT, 0, r->inject_id, &n, sizeof n);
    } else if (r->answer.conn) {
        http_window(r->answer.conn, n);
    }
    set_clock(r);
}

/* Output */

/* Grants the exec what the client has taken. */
static void grant(struct edge_run *r)
{
    struct http_conn *c = r->answer.conn;
    if (r->injected || r->owed < OUT_GRANT || (c && http_backlog(c) > OUT_BACKLOG) ||
        (r->state != RUN_HEAD && r->state != RUN_BODY))
        return;
    channel_send(&r->exec->channel, FRAME_CREDIT, 0, r->id, &r->owed, sizeof r->owed);
    r->out_credit += r->owed;
    r->owed = 0;
}

void edge_run_drained(struct edge_run *r)
{
    grant(r);
}

void edge_run_output(struct edge_run *r, struct slice bytes)
{
    uint64_t most = r->version->load.limits.v[LIMIT_RESPONSE_BODY];
    uint64_t id = r->id;
    if (r->state == RUN_CANCEL)
        return; /* written before it heard */
    r->output_us = loop_now(r->edge->loop);
    r->owed += (uint32_t)bytes.n;
    r->receipt.response_bytes += bytes.n;
    if (r->injected && !list_empty(&r->inject_node))
        channel_send(&r->edge->control, FRAME_OUTPUT, 0, r->inject_id, bytes.p, bytes.n);
    enum err_code rc = edge_answer_output(&r->answer, bytes);
    if (edge_run_find(r->edge, id) != r || r->state == RUN_CANCEL)
        return; /* the connection couldn't take it and has gone */
    if (rc) {
        cgi_head_explain(&r->answer.head, r->detail, sizeof r->detail);
        edge_run_cancel(r, rc, r->detail);
        return;
    }
    if (r->state == RUN_HEAD && r->answer.ready) {
        edge_run_state(r, RUN_BODY);
        r->head_us = r->output_us;
        edge_run_deadline(r, stream_deadline(r));
    }
    if (most && r->answer.body > most)
        edge_run_cancel(r, ERR_OUTPUT_LIMIT, "the body is over the limit `response-body`");
    else if (!r->answer.conn || !http_backlog(r->answer.conn))
        grant(r);
}

/* End */

/* What the edge knows of the end, then what exec told of the program. */
static void put_before(const char *detail, struct ledger *l)
{
    char told[sizeof l->text];
    memcpy(told, l->text, sizeof told);
    snprintf(l->text, sizeof l->text, "%.200s%s%.800s", detail, told[0] ? "\n" : "", told);
}

/* The run is over: its receipt, its place, the object. The client has its answer. */
static void finish(struct edge_run *r, struct ledger *l, bool counts)
{
    struct edge_exec *x = r->exec;
    r->receipt.status = (uint16_t)r->answer.status;
    r->receipt.cause = (uint16_t)r->cause;
    if (r->cause && !l->head.reason)
        l->head.reason = (uint16_t)r->cause;
    if (r->detail[0])
        put_before(r->detail, l);
    if (counts)
        edge_receipt_keep(r, l);
    if (r->injected)
        edge_inject_done(r, l);
    list_remove(&r->node);
    if (x) {
        x->slots[r->slot].running--;
        edge_exec_slot_rest(x, r->slot);
        r->exec = NULL;
    }
    edge_queue_release(r);
    free_run(r);
    if (x)
        edge_exec_rest(x);
}

/* The platform's own words in the function's log. */
static void note(struct edge_run *r, const char *text)
{
    if (*text)
        edge_receipt_log(r, 1, EDGE_LOG_PLATFORM, slice_str(text));
}

static size_t timing(const struct edge_run *r, const struct ledger *l, char *out, size_t cap)
{
    if (!r->version->timing)
        return 0;
    int n = snprintf(out, cap, "Server-Timing: cpu;dur=%.3f, wall;dur=%.3f\r\n",
                     (double)l->head.cpu_us / 1000, (double)l->head.wall_us / 1000);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

void edge_run_ended(struct edge_run *r, struct ledger *l)
{
    enum err_code reason = (enum err_code)l->head.reason;
    if (r->state == RUN_CANCEL) {
        l->head.reason = (uint16_t)r->cause;
        finish(r, l, true);
        return;
    }
    char late[112];
    bool headed = r->answer.text ? r->answer.begun : r->answer.ready;
    if (reason == ERR_OK || (reason == ERR_EXIT_STATUS && headed)) {
        enum err_code rc =
            edge_answer_end(&r->answer, slice_make(late, timing(r, l, late, sizeof late)));
        r->cause = rc ? rc : reason;
        if (rc && !r->answer.begun) {
            cgi_head_explain(&r->answer.head, r->detail, sizeof r->detail);
            edge_answer_fail(&r->answer, rc, r->detail);
        } else if (rc) {
            snprintf(r->detail, sizeof r->detail, "the body is %s than its Content-Length",
                     r->answer.surplus ? "longer" : "shorter");
        }
        if (rc)
            note(r, r->detail);
        l->head.reason = (uint16_t)r->cause;
    } else {
        r->cause = reason;
        if (reason == ERR_EXIT_STATUS && !l->text[0])
            snprintf(l->text, sizeof l->text, "the program ended with status %d", l->head.status);
        note(r, l->text[0] ? l->text : err_title(reason));
        struct slice text = slice_str(l->text), first = slice_split(&text, '\n');
        slice_copy(first, r->detail, sizeof r->detail); /* the stack is for its author's eyes */
        edge_answer_fail(&r->answer, reason, r->detail);
        r->detail[0] = '\0';
    }
    finish(r, l, true);
}

void edge_run_fail(struct edge_run *r, enum err_code cause, const char *detail)
{
    struct ledger l;
    /* What was never begun is no run, unless it was our fault that it wasn't. */
    bool counts = has_begun(r) || (cause != ERR_BUSY && cause != ERR_CANCELLED &&
                                   cause != ERR_TOO_LARGE && cause != ERR_HEADERS_TOO_LARGE);
    if (r->state != RUN_CANCEL) { /* else the cause is known, and was told */
        r->cause = cause;
        if (detail && detail != r->detail)
            slice_copy(slice_str(detail), r->detail, sizeof r->detail);
        if (counts && cause != ERR_CANCELLED)
            note(r, r->detail[0] ? r->detail : err_title(cause));
        edge_answer_fail(&r->answer, cause, r->detail);
    }
    l.head = (struct ledger_head){.reason = (uint16_t)r->cause};
    l.text[0] = '\0';
    finish(r, &l, counts);
}

void edge_run_cancel(struct edge_run *r, enum err_code cause, const char *detail)
{
    uint16_t reason = (uint16_t)cause;
    if (r->state == RUN_CANCEL)
        return;
    if (!has_begun(r)) {
        edge_run_fail(r, cause, detail);
        return;
    }
    r->cause = cause;
    if (detail && detail != r->detail)
        slice_copy(slice_str(detail), r->detail, sizeof r->detail);
    if (cause != ERR_CANCELLED)
        note(r, r->detail);
    channel_send(&r->exec->channel, FRAME_CANCEL, 0, r->id, &reason, sizeof reason);
    edge_run_state(r, RUN_CANCEL);
    edge_run_deadline(r, loop_now(r->edge->loop) + EDGE_CANCEL_US);
    edge_answer_fail(&r->answer, cause, r->detail);
}

void edge_runs_done(struct edge *e)
{
    for (uint32_t i = 0; i < e->run_count; i++) {
        struct edge_run *r = e->runs[i];
        loop_timer_stop(e->loop, &r->timer);
        cgi_head_done(&r->answer.head);
        buf_done(&r->begin);
        buf_done(&r->body);
        buf_done(&r->capture);
        free(r);
    }
    free(e->runs);
    free(e->free_runs);
    e->runs = e->free_runs = NULL;
    e->run_count = e->free_count = e->run_most = 0;
}
