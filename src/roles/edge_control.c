/* The channel between control and a functions edge.
 *
 * Control injects runs (a version's check, `invoke`): it sends the version and
 * the request as frames and gets back what the guest printed, as frames, with
 * the credit of both directions passed through. Injected runs take places and
 * queues, have receipts and logs as all others. */
#include "roles/edge.h"

#include "base/log.h"
#include "cgi/meta.h"

#include <stdlib.h>
#include <unistd.h>

/* An INJECT that waits for its BEGIN, or a run of control's. */
static struct edge_run *find_injected(struct edge *e, uint64_t id)
{
    LIST_EACH(n, &e->injected)
    {
        struct edge_run *r = LIST_ITEM(n, struct edge_run, inject_node);
        if (r->inject_id == id)
            return r;
    }
    return NULL;
}

static void refuse(struct edge *e, uint64_t id, enum err_code cause, const char *text)
{
    struct ledger l = {.head.reason = (uint16_t)cause};
    slice_copy(slice_str(text), l.text, sizeof l.text);
    void *at = channel_place(&e->control, FRAME_END, FRAME_LAST, id, ledger_size(&l));
    if (at)
        ledger_write(&l, at);
}

static void on_inject(struct edge *e, uint64_t id, struct slice payload)
{
    struct err err;
    struct edge_route *route = calloc(1, sizeof *route);
    if (!route || find_injected(e, id)) {
        free(route);
        refuse(e, id, route ? ERR_PROTOCOL : ERR_MEMORY, "the run can't be injected");
        return;
    }
    enum err_code rc = route_row_read(payload, NULL, &route->row, &err);
    if (rc || route->row.version_count != 1) {
        route_row_done(&route->row);
        free(route);
        refuse(e, id, ERR_PROTOCOL, rc ? err.text : "an injected row has one version");
        return;
    }
    route->refs = 1;
    struct edge_function *f = edge_function_get(e, slice_str(route->row.name));
    struct edge_run *r = NULL;
    if (f && edge_function_bind(f, e, route->row.project, route->row.function))
        r = edge_run_new(e, f, route, &route->row.versions[0]);
    edge_route_unref(route);
    if (!r) {
        refuse(e, id, ERR_MEMORY, "there are too many runs");
        return;
    }
    r->injected = true;
    r->inject_id = id;
    list_push(&e->injected, &r->inject_node);
    edge_answer_begin(&r->answer, NULL, &e->options.limits, SLICE(""), r->text,
                      r->version->response == RESPONSE_TEXT, false);
    channel_send(&e->control, FRAME_RUN, 0, id, r->receipt.run.b, sizeof r->receipt.run.b);
}

/* The pieces of an INJECT come one after another: a row with a large environment has two. */
static void on_inject_piece(struct edge *e, const struct frame *f, struct slice payload)
{
    bool more = f->flags & FRAME_MORE, first = !buf_size(&e->injecting);
    if (first && !more) {
        on_inject(e, f->id, payload);
        return;
    }
    bool fits = buf_add(&e->injecting, payload.p, payload.n);
    if (!more && fits)
        on_inject(e, f->id, buf_slice(&e->injecting));
    else if (!more)
        refuse(e, f->id, ERR_PROTOCOL, "an injected row is too long");
    if (!more)
        buf_done(&e->injecting);
}

/* The value of a variable in NUL-terminated pairs. */
static struct slice pair_value(struct slice pairs, struct slice name)
{
    while (pairs.p && pairs.n) {
        struct slice key = slice_split(&pairs, '\0');
        struct slice value = pairs.p ? slice_split(&pairs, '\0') : SLICE("");
        if (slice_eq(key, name))
            return value;
    }
    return SLICE("");
}

static void cut_copy(struct slice s, char *dst, size_t cap)
{
    slice_copy(slice_make(s.p, s.n < cap ? s.n : cap - 1), dst, cap);
}

static void on_begin(struct edge *e, struct edge_run *r, const struct frame *f,
                     struct slice payload)
{
    struct slice pairs = slice_from(payload, 4);
    struct slice path = pair_value(pairs, SLICE("PATH_INFO"));
    struct buf *begin = &r->begin;
    uint32_t slot = 0;
    cut_copy(pair_value(pairs, SLICE("REQUEST_METHOD")), r->receipt.method,
             sizeof r->receipt.method);
    cut_copy(path, r->receipt.path, sizeof r->receipt.path);
    r->receipt.injected = 1;
    r->body_last = f->flags & FRAME_LAST;
    /* Ours first, as cgi_meta_write() has it; edge_run_start() fills slot and worker in. */
    static const char worker[] = "WORKER_ID\0"
                                 "00000000-0000-0000-0000-000000000000";
    static const char run[] = "RUN_ID";
    buf_clear(begin);
    if (!buf_add(begin, &slot, sizeof slot) || !buf_add(begin, worker, sizeof worker) ||
        !buf_add(begin, run, sizeof run) || !buf_add(begin, r->text, sizeof r->text) ||
        !buf_add(begin, pairs.p, pairs.n)) {
        edge_run_fail(r, ERR_HEADERS_TOO_LARGE, "the request's variables are over the limit");
        return;
    }
    edge_queue_admit(r, buf_slice(begin));
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct edge *e = c->owner;
    if (f->type == FRAME_INJECT) {
        on_inject_piece(e, f, payload);
        return;
    }
    if (f->type == FRAME_ROUTES) {
        edge_routes_look(e);
        edge_run_retry_missing(e);
        return;
    }
    struct edge_run *r = find_injected(e, f->id);
    if (!r)
        return; /* it has ended meanwhile */
    uint32_t n;
    uint16_t cause;
    switch (f->type) {
    case FRAME_BEGIN:
        if (r->state == RUN_NEW)
            on_begin(e, r, f, payload);
        return;
    case FRAME_BODY:
        edge_run_body(r, payload);
        /* a body over the limit has ended the run */
        if (f->flags & FRAME_LAST && find_injected(e, f->id) == r)
            edge_run_body_end(r);
        return;
    case FRAME_CREDIT:
        memcpy(&n, payload.p, sizeof n);
        if (n > FRAME_CREDIT_INITIAL)
            n = FRAME_CREDIT_INITIAL;
        r->owed = r->owed > n ? r->owed - n : 0;
        if (r->exec && r->state != RUN_CANCEL) {
            r->out_credit += n;
            channel_send(&r->exec->channel, FRAME_CREDIT, 0, r->id, &n, sizeof n);
        }
        return;
    case FRAME_CANCEL:
        memcpy(&cause, payload.p, sizeof cause);
        if (!cause || cause >= ERR_COUNT)
            cause = ERR_CANCELLED;
        edge_run_cancel(r, (enum err_code)cause, cause == ERR_TOO_LARGE ? EDGE_BODY_OVER : "");
        return;
    default:
        log_line(LOG_ERROR, "control_frame", "type=%s", frame_name(f->type));
        return;
    }
}

void edge_inject_done(struct edge_run *r, const struct ledger *l)
{
    struct edge *e = r->edge;
    if (list_empty(&r->inject_node))
        return; /* the control that asked is gone */
    list_remove(&r->inject_node);
    void *at = channel_place(&e->control, FRAME_END, FRAME_LAST, r->inject_id, ledger_size(l));
    if (at)
        ledger_write(l, at);
}

static void forget_injected(struct edge *e)
{
    buf_done(&e->injecting);
    for (struct list *n; (n = list_pop(&e->injected));)
        edge_run_cancel(LIST_ITEM(n, struct edge_run, inject_node), ERR_CANCELLED, "");
}

static void on_closed(struct channel *c, const struct err *why)
{
    struct edge *e = c->owner;
    log_line(LOG_INFO, "control_gone", "why=\"%s\"", why->text);
    e->has_control = false;
    channel_done(c);
    forget_injected(e);
}

enum err_code edge_control_set(struct edge *e, int fd, struct err *err)
{
    edge_control_done(e);
    e->control = (struct channel){.on_frame = on_frame, .on_closed = on_closed, .owner = e};
    enum err_code rc = channel_init(&e->control, e->loop, fd, FRAME_FRONT, err);
    if (rc) {
        close(fd);
        return rc;
    }
    e->has_control = true;
    edge_control_spooled(e);
    edge_run_retry_missing(e);
    return ERR_OK;
}

void edge_control_missing(struct edge *e, struct uuid version)
{
    if (e->has_control)
        channel_send(&e->control, FRAME_MISSING, 0, 0, version.b, sizeof version.b);
}

void edge_control_spooled(struct edge *e)
{
    if (e->has_control)
        channel_send(&e->control, FRAME_SPOOLED, 0, 0, NULL, 0);
}

void edge_control_damaged(struct edge *e)
{
    if (e->has_control)
        channel_send(&e->control, FRAME_DAMAGED, 0, 0, NULL, 0);
}

void edge_control_done(struct edge *e)
{
    if (e->has_control) {
        e->has_control = false;
        channel_done(&e->control);
        forget_injected(e);
    }
}
