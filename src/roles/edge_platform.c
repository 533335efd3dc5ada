/* The platform edge: control is just another CGI program.
 *
 * Every request of the platform's listener goes to control as frames and comes
 * back as CGI output, streamed both ways with credit. Nothing is judged here
 * but HTTP itself and the size of a body; the token travels along as
 * HTTP_AUTHORIZATION. While control restarts, the answer is 503. */
#include "roles/edge.h"

#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    CALLS = 4096,         /* requests at once */
    OUT_GRANT = 16 << 10, /* as edge_run.c */
    OUT_BACKLOG = 32 << 10,
};

/* A request that control has. */
struct call {
    uint64_t id; /* index in the low 16 bits; 0 in the rest: free */
    struct edge *edge;
    struct edge_answer answer;
    uint32_t credit, owed, out_credit;
    uint64_t body;
};

struct edge_platform {
    struct call *calls[CALLS];
    uint32_t count; /* made */
    uint32_t live;
    uint64_t serial;
};

static struct call *find_call(struct edge *e, uint64_t id)
{
    uint64_t index = id & 0xffff;
    struct call *k = index < e->front->count ? e->front->calls[index] : NULL;
    return k && k->id == id ? k : NULL;
}

static struct call *new_call(struct edge *e)
{
    struct edge_platform *f = e->front;
    uint32_t index = 0;
    while (index < f->count && f->calls[index]->id)
        index++;
    if (index == CALLS)
        return NULL;
    if (index == f->count) {
        f->calls[index] = calloc(1, sizeof **f->calls);
        if (!f->calls[index])
            return NULL;
        f->calls[index]->edge = e;
        f->count++;
    }
    struct call *k = f->calls[index];
    k->id = ++f->serial << 16 | index;
    k->credit = k->out_credit = FRAME_CREDIT_INITIAL;
    k->owed = 0;
    k->body = 0;
    f->live++;
    return k;
}

static void free_call(struct call *k)
{
    struct edge *e = k->edge;
    k->id = 0;
    k->answer.conn = NULL;
    e->front->live--;
    edge_maybe_stop(e);
}

bool edge_platform_idle(const struct edge *e)
{
    return e->front->live == 0;
}

/* The other side of credit: what the client has taken control may send anew. */
static void grant(struct call *k)
{
    struct http_conn *c = k->answer.conn;
    if (k->owed < OUT_GRANT || (c && http_backlog(c) > OUT_BACKLOG))
        return;
    channel_send(&k->edge->control, FRAME_CREDIT, 0, k->id, &k->owed, sizeof k->owed);
    k->out_credit += k->owed;
    k->owed = 0;
}

static void send_cancel(struct call *k, enum err_code cause)
{
    uint16_t reason = (uint16_t)cause;
    channel_send(&k->edge->control, FRAME_CANCEL, 0, k->id, &reason, sizeof reason);
}

/* Requests */

/* The largest body that any route takes; control, which knows the route, judges by its own limit.
 */
static uint64_t body_most(const struct edge *e)
{
    const uint64_t *v = e->options.limits.v;
    uint64_t archive = v[LIMIT_ASSETS] + v[LIMIT_ASSET_FILES] * 4096, /* as control reckons */
        input = limit_rows[LIMIT_REQUEST_BODY].maximum,               /* of invoke */
        most = v[LIMIT_MODULE];
    most = archive > most ? archive : most;
    return input > most ? input : most;
}

static void on_request(struct http_conn *c, const struct http_request *q)
{
    struct edge *e = c->server->owner;
    struct problem problem = {.code = ERR_UNAVAILABLE, .retry_s = 1};
    if (q->length > 0 && (uint64_t)q->length > body_most(e)) {
        problem = (struct problem){.code = ERR_TOO_LARGE,
                                   .detail = "no request here may have a body that large"};
        http_problem(c, &problem);
        return;
    }
    struct call *k = e->has_control ? new_call(e) : NULL;
    if (!k) {
        problem.detail = e->has_control ? "there are too many requests"
                                        : "the server's control process is restarting";
        http_problem(c, &problem);
        return;
    }
    char id[UUID_TEXT + 1];
    struct slice begin;
    struct err why;
    uuid_text(uuid_new(), id);
    enum err_code rc =
        edge_begin(e, c, q, SLICE(""), q->path, slice_str(id), SLICE("platform"), &begin, &why);
    if (rc) {
        problem = (struct problem){.code = rc, .detail = why.text};
        free_call(k);
        http_problem(c, &problem);
        return;
    }
    edge_answer_begin(&k->answer, c, &e->options.limits, SLICE(""), NULL, false, true);
    c->owner = k;
    channel_send(&e->control, FRAME_BEGIN, q->length ? 0 : FRAME_LAST, k->id, begin.p, begin.n);
    if (q->length)
        http_window(c, FRAME_CREDIT_INITIAL);
}

static void on_body(struct http_conn *c, struct slice bytes)
{
    struct call *k = c->owner;
    if (!k)
        return;
    k->body += bytes.n;
    if (k->body > body_most(k->edge) || bytes.n > k->credit) {
        send_cancel(k, ERR_TOO_LARGE);
        edge_answer_fail(&k->answer, ERR_TOO_LARGE, "no request here may have a body that large");
        return;
    }
    k->credit -= (uint32_t)bytes.n;
    channel_send(&k->edge->control, FRAME_BODY, 0, k->id, bytes.p, bytes.n);
}

static void on_body_end(struct http_conn *c)
{
    struct call *k = c->owner;
    if (k)
        channel_send(&k->edge->control, FRAME_BODY, FRAME_LAST, k->id, NULL, 0);
}

static void on_drained(struct http_conn *c)
{
    grant(c->owner);
}

static void on_gone(struct http_conn *c)
{
    struct call *k = c->owner;
    k->answer.conn = NULL;
    send_cancel(k, ERR_CANCELLED); /* its END ends the call */
}

const struct http_ops edge_platform_ops = {
    .on_request = on_request,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_drained = on_drained,
    .on_gone = on_gone,
};

/* Control */

static void on_output(struct call *k, struct slice bytes)
{
    if (bytes.n > k->out_credit) {
        log_line(LOG_ERROR, "control_frame", "type=OUTPUT why=credit");
        bytes.n = 0;
    }
    k->out_credit -= (uint32_t)bytes.n;
    k->owed += (uint32_t)bytes.n;
    if (k->answer.conn && edge_answer_output(&k->answer, bytes)) {
        log_line(LOG_ERROR, "control_answer", "why=\"%s\"",
                 k->answer.head.why ? k->answer.head.why : "malformed");
        send_cancel(k, ERR_BAD_CGI);
        edge_answer_fail(&k->answer, ERR_INTERNAL, NULL);
    }
    if (!k->answer.conn || !http_backlog(k->answer.conn))
        grant(k);
}

static void on_end(struct call *k, struct slice payload)
{
    struct ledger l;
    struct err e;
    enum err_code reason =
        ledger_read(payload, &l, &e) ? ERR_INTERNAL : (enum err_code)l.head.reason;
    if (k->answer.conn) {
        if (reason)
            edge_answer_fail(&k->answer, reason, reason == ERR_INTERNAL ? NULL : l.text);
        else if (edge_answer_end(&k->answer, SLICE("")) && k->answer.conn)
            edge_answer_fail(&k->answer, ERR_INTERNAL, NULL);
    }
    free_call(k);
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct edge *e = c->owner;
    struct call *k = find_call(e, f->id);
    uint32_t n;
    if (!k)
        return;
    switch (f->type) {
    case FRAME_OUTPUT:
        on_output(k, payload);
        return;
    case FRAME_CREDIT:
        memcpy(&n, payload.p, sizeof n);
        if (n > FRAME_CREDIT_INITIAL - k->credit)
            n = FRAME_CREDIT_INITIAL - k->credit;
        k->credit += n;
        if (k->answer.conn)
            http_window(k->answer.conn, n);
        return;
    case FRAME_END:
        on_end(k, payload);
        return;
    default:
        log_line(LOG_ERROR, "control_frame", "type=%s", frame_name(f->type));
        return;
    }
}

static void fail_all(struct edge *e)
{
    for (uint32_t i = 0; i < e->front->count; i++) {
        struct call *k = e->front->calls[i];
        if (!k->id)
            continue;
        if (k->answer.conn)
            edge_answer_fail(&k->answer, ERR_UNAVAILABLE,
                             "the server's control process ended; ask again");
        free_call(k);
    }
}

static void on_closed(struct channel *c, const struct err *why)
{
    struct edge *e = c->owner;
    log_line(LOG_WARNING, "control_gone", "why=\"%s\"", why->text);
    e->has_control = false;
    channel_done(c);
    fail_all(e);
}

enum err_code edge_platform_control(struct edge *e, int fd, struct err *err)
{
    if (e->has_control) {
        channel_done(&e->control);
        fail_all(e);
    }
    e->control = (struct channel){.on_frame = on_frame, .on_closed = on_closed, .owner = e};
    enum err_code rc = channel_init(&e->control, e->loop, fd, FRAME_BACK, err);
    e->has_control = rc == ERR_OK;
    if (rc)
        close(fd);
    return rc;
}

enum err_code edge_platform_init(struct edge *e, struct err *err)
{
    e->front = calloc(1, sizeof *e->front);
    return e->front ? ERR_OK : err_set(err, ERR_MEMORY, "no memory for the platform edge");
}

void edge_platform_done(struct edge *e)
{
    if (e->has_control)
        channel_done(&e->control);
    e->has_control = false;
    for (uint32_t i = 0; e->front && i < e->front->count; i++) {
        cgi_head_done(&e->front->calls[i]->answer.head);
        free(e->front->calls[i]);
    }
    free(e->front);
    e->front = NULL;
}
