/* Execs: what they ask for, and whether they may.
 *
 * An exec runs hostile code. Whatever comes on its socket is judged as if that code had written it:
 * a frame that breaks the rules of ipc/exchange.h ends this socket and nothing else, and every
 * decision is made here once more, whatever the exec decided. */
#include "egress/private.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    POLICY_WAIT_US = 2000000, /* an OPEN may overtake its version's POLICY */
    BURST = 5,                /* seconds of egress-rate that may come at once */
};

static struct slice id_key(const uint64_t *id)
{
    return slice_make(id, sizeof *id);
}

static struct slice uuid_key(const struct uuid *id)
{
    return slice_make(id, sizeof *id);
}

void exchange_say(struct exchange *x, enum frame_type type, const struct exchange_end *end,
                  const char *text)
{
    size_t n = strlen(text);
    if (n > EXCHANGE_TEXT)
        n = EXCHANGE_TEXT;
    char *at = channel_place(&x->member->channel, type, 0, x->id, sizeof *end + n);
    if (!at)
        return;
    memcpy(at, end, sizeof *end);
    memcpy(at + sizeof *end, text, n);
}

/* ---- runs ---- */

/* Sums outlive the opens: the next open of the run goes on from there. Nobody says when a run ends,
 * so the longest unused are forgotten first. */
static struct run *run_get(struct member *m, struct uuid id)
{
    struct run *run = map_get(&m->runs, uuid_key(&id));
    if (!run) {
        run = calloc(1, sizeof *run);
        if (!run)
            return NULL;
        run->id = id;
        list_init(&run->node);
        if (!map_put(&m->runs, uuid_key(&run->id), run)) {
            free(run);
            return NULL;
        }
    } else if (!run->open) {
        list_remove(&run->node);
        m->idle_runs--;
    }
    run->open++;
    return run;
}

static void run_release(struct member *m, struct run *run)
{
    if (!run || --run->open)
        return;
    list_push(&m->runs_by_age, &run->node);
    if (++m->idle_runs <= RUNS_KEPT)
        return;
    run = LIST_ITEM(list_pop(&m->runs_by_age), struct run, node);
    m->idle_runs--;
    map_remove(&m->runs, uuid_key(&run->id));
    free(run);
}

/* ---- exchanges ---- */

static void stop_waiting(struct exchange *x)
{
    if (list_empty(&x->node))
        return;
    list_remove(&x->node);
    loop_timer_stop(x->member->egress->loop, &x->timer);
    x->member->waiting_count--;
}

static void exchange_free(struct exchange *x)
{
    struct member *m = x->member;
    if (x->transfer)
        transfer_cancel(x->transfer);
    stop_waiting(x);
    map_remove(&m->exchanges, id_key(&x->id));
    m->exchange_count--;
    run_release(m, x->run);
    version_unref(x->version);
    buf_done(&x->url);
    free(x);
}

/* Says no, and ends the exchange. */
static void refuse_open(struct exchange *x, enum err_code reason, bool operator_, const char *text)
{
    const struct exchange_end end = {.reason = (uint16_t)reason, .operator_ = operator_};
    exchange_say(x, FRAME_VERDICT, &end, text);
    exchange_free(x);
}

/* Both layers, then what the operator's options say about ports. */
static bool allowed(const struct exchange *x, const struct url *url, struct slice method,
                    struct exchange_end *end, char *text, size_t cap)
{
    const struct egress_config *config = &x->member->egress->config;
    struct policy_decision d;
    end->operator_ = 1;
    end->reason = ERR_POLICY;
    if (config->operator_) {
        policy_decide(config->operator_, url, method, &d);
        snprintf(text, cap, "%s", d.why);
        if (!d.allowed)
            return false;
    }
    if (port_set_has(&config->refused, url->port)) {
        snprintf(text, cap, "port %u is not reachable from here (egress-refused-ports)", url->port);
        return false;
    }
    end->operator_ = 0;
    policy_decide(x->version->policy, url, method, &d);
    snprintf(text, cap, "%s", d.why);
    if (d.allowed)
        end->reason = ERR_OK;
    return d.allowed;
}

/* The bucket holds BURST seconds of opens; rate_us is when it is full again. */
static bool within_rate(struct project *p, uint64_t rate)
{
    uint64_t now = loop_now(p->egress->loop), step = rate ? 1000000 / rate : 0;
    if (!rate)
        return true;
    if (p->rate_us < now)
        p->rate_us = now;
    if (p->rate_us + step > now + (uint64_t)BURST * 1000000)
        return false;
    p->rate_us += step;
    return true;
}

/* The version is known: decides about the OPEN. */
static void decide_open(struct exchange *x, struct slice text, struct uuid run)
{
    struct member *m = x->member;
    struct exchange_end end = {0};
    char why[EXCHANGE_TEXT + 1];
    struct url url;
    struct err e;
    if (url_parse(text, &url, &e)) {
        refuse_open(x, ERR_INVALID, false, e.text);
        return;
    }
    if (!url.remote || url.scheme.n >= sizeof x->scheme) {
        refuse_open(x, ERR_INVALID, false, "not a scheme that is opened beyond this machine");
        return;
    }
    if (!within_rate(m->project, x->version->limits.v[LIMIT_EGRESS_RATE])) {
        refuse_open(x, ERR_EGRESS_LIMIT, false, "the project opens too often (egress-rate)");
        return;
    }
    if (!allowed(x, &url, (struct slice){"", 0}, &end, why, sizeof why)) {
        refuse_open(x, end.reason, end.operator_, why);
        return;
    }
    x->run = run_get(m, run);
    if (!x->run) {
        refuse_open(x, ERR_MEMORY, false, "no memory for a run");
        return;
    }
    (void)slice_copy(url.scheme, x->scheme, sizeof x->scheme);
    exchange_say(x, FRAME_VERDICT, &end, why);
}

static void on_policy_wait(struct loop_timer *t)
{
    refuse_open(LIST_ITEM(t, struct exchange, timer), ERR_UNAVAILABLE, false,
                "nobody told egress what this version may open");
}

static void wait_for_version(struct exchange *x, struct slice payload)
{
    struct member *m = x->member;
    if (m->waiting_count == WAITING_MOST || !buf_add(&x->url, payload.p, payload.n)) {
        refuse_open(x, ERR_BUSY, false, "too many opens wait for their policy");
        return;
    }
    list_push(&m->waiting, &x->node);
    m->waiting_count++;
    loop_timer_start(m->egress->loop, &x->timer, loop_now(m->egress->loop) + POLICY_WAIT_US,
                     on_policy_wait);
}

static void open_with(struct exchange *x, struct version *v, struct slice payload)
{
    struct exchange_open open;
    memcpy(&open, payload.p, sizeof open);
    v->refs++;
    x->version = v;
    decide_open(x, slice_from(payload, sizeof open), open.run);
}

void member_version(struct member *m, struct version *v)
{
    LIST_EACH(at, &m->waiting)
    {
        struct exchange *x = LIST_ITEM(at, struct exchange, node);
        if (!uuid_eq(x->version_id, v->id))
            continue;
        struct buf payload = x->url; /* the exchange may end */
        x->url = (struct buf){0};
        stop_waiting(x);
        open_with(x, v, buf_slice(&payload));
        buf_done(&payload);
    }
}

static enum err_code on_open(struct member *m, const struct frame *f, struct slice payload,
                             struct err *e)
{
    struct exchange_open open;
    struct slice url;
    enum err_code rc = exchange_open_read(payload, &open, &url, e);
    if (rc)
        return rc;
    if (map_get(&m->exchanges, id_key(&f->id)))
        return err_set(e, ERR_PROTOCOL, "two OPENs of one exchange");
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return err_set(e, ERR_MEMORY, "no memory for an exchange");
    x->id = f->id;
    x->member = m;
    x->version_id = open.version;
    list_init(&x->node);
    buf_init(&x->url, FRAME_MOST);
    if (!map_put(&m->exchanges, id_key(&x->id), x)) {
        free(x);
        return err_set(e, ERR_MEMORY, "no memory for an exchange");
    }
    if (++m->exchange_count > EXCHANGES_MOST) {
        refuse_open(x, ERR_EGRESS_LIMIT, false, "too many descriptors are open at once");
        return ERR_OK;
    }
    struct version *v = map_get(&m->versions, uuid_key(&open.version));
    if (v)
        open_with(x, v, payload);
    else
        wait_for_version(x, payload);
    return ERR_OK;
}

/* ---- requests ---- */

/* CONNECT and TRACE are for proxies and for those who debug them (RFC 9110 9.3.6, 9.3.8). */
static enum err_code take_method(struct transfer *t, struct slice method, struct err *e)
{
    if (!head_is_token(method) || !slice_copy(method, t->method, sizeof t->method))
        return err_set(e, ERR_INVALID, "the method is not one");
    if (slice_ieq(method, SLICE("CONNECT")) || slice_ieq(method, SLICE("TRACE")))
        return err_set(e, ERR_INVALID, "%s is not offered", t->method);
    return ERR_OK;
}

static bool is_field_value(struct slice value)
{
    for (size_t i = 0; i < value.n; i++) {
        uint8_t b = (uint8_t)value.p[i];
        if ((b < 0x20 && b != '\t') || b == 0x7f)
            return false;
    }
    return true;
}

/* The guest's header fields, judged and in libcurl's form; what is ours is left out. */
static enum err_code take_fields(struct transfer *t, struct slice fields, struct err *e)
{
    while (fields.n) {
        struct slice name = slice_str(fields.p);
        fields = slice_from(fields, name.n + 1);
        struct slice value = slice_str(fields.p);
        fields = slice_from(fields, value.n + 1);
        value = slice_trim(value);
        if (!head_is_token(name) || !is_field_value(value))
            return err_set(e, ERR_INVALID, "a malformed header field");
        if (head_is_hop(name) || slice_ieq(name, SLICE("Host")) || slice_ieq(name, SLICE("Expect")))
            continue;
        if (t->field_count == FIELDS_MOST)
            return err_set(e, ERR_INVALID, "more than %d header fields", FIELDS_MOST);
        if (slice_ieq(name, SLICE("User-Agent")))
            t->has_agent = true;
        /* `Name;` is how libcurl is told to send an empty one. */
        bool ok = buf_add(&t->fields, name.p, name.n) &&
                  (value.n ? buf_add(&t->fields, ": ", 2) && buf_add(&t->fields, value.p, value.n)
                           : buf_add(&t->fields, ";", 1)) &&
                  buf_add(&t->fields, "", 1);
        if (!ok)
            return err_set(e, ERR_MEMORY, "no memory for a request");
        t->field_count++;
    }
    return ERR_OK;
}

/* Fills in the transfer and judges it. On failure *end and `why` say what the VERDICT says. */
static enum err_code take_request(struct exchange *x, struct transfer *t,
                                  const struct exchange_request *r,
                                  const struct exchange_parts *parts, struct exchange_end *end,
                                  char *why, size_t cap)
{
    struct err e = {0};
    bool gemini = strcmp(x->scheme, "gemini") == 0;
    enum err_code rc = url_parse(parts->url, &t->url, &e);
    if (rc == ERR_OK && !slice_eq(t->url.scheme, slice_str(x->scheme)))
        rc = err_set(&e, ERR_INVALID, "the descriptor was opened for %s", x->scheme);
    if (rc == ERR_OK && !gemini)
        rc = take_method(t, parts->method, &e);
    if (rc == ERR_OK && gemini && r->body != BODY_NONE)
        rc = err_set(&e, ERR_INVALID, "a gemini request has no body");
    if (rc == ERR_OK && strcmp(t->method, "HEAD") == 0 && (r->length || r->body == BODY_CHUNKED))
        rc = err_set(&e, ERR_INVALID, "a HEAD request with a body");
    if (rc == ERR_OK)
        rc = take_fields(t, parts->fields, &e);
    if (rc) {
        end->reason = (uint16_t)(rc == ERR_MEMORY ? rc : ERR_INVALID);
        snprintf(why, cap, "%s", e.text);
        return rc;
    }
    t->body_kind = r->body;
    t->body_length = r->body == BODY_LENGTH ? r->length : 0;
    return allowed(x, &t->url, slice_str(t->method), end, why, cap) ? ERR_OK : ERR_POLICY;
}

static enum err_code on_request(struct exchange *x, struct slice payload, struct err *e)
{
    struct exchange_request r;
    struct exchange_parts parts;
    struct exchange_end end = {0};
    char why[EXCHANGE_TEXT + 1];
    enum err_code rc = exchange_request_read(payload, &r, &parts, e);
    if (rc)
        return rc;
    if (!x->scheme[0] || x->transfer)
        return err_set(e, ERR_PROTOCOL, "a REQUEST before its time");
    struct transfer *t = x->member->transfer_count < TRANSFERS_MOST ? transfer_new(x) : NULL;
    if (!t) {
        end.reason = ERR_BUSY;
        exchange_say(x, FRAME_VERDICT, &end, "too many requests are under way");
        return ERR_OK;
    }
    rc = take_request(x, t, &r, &parts, &end, why, sizeof why);
    exchange_say(x, FRAME_VERDICT, &end, why);
    if (rc)
        transfer_free(t);
    else
        transfer_start(t);
    return ERR_OK;
}

/* ---- the socket ---- */

static enum err_code on_credit(struct exchange *x, struct slice payload, struct err *e)
{
    uint32_t n;
    memcpy(&n, payload.p, sizeof n);
    if (x->transfer && !transfer_credit(x->transfer, n))
        return err_set(e, ERR_PROTOCOL, "more CREDIT than there may be");
    return ERR_OK;
}

static enum err_code on_body(struct exchange *x, const struct frame *f, struct slice payload,
                             struct err *e)
{
    if (x->transfer && !transfer_body(x->transfer, payload, f->flags & FRAME_LAST))
        return err_set(e, ERR_PROTOCOL, "a BODY that was not granted or announced");
    return ERR_OK;
}

static enum err_code dispatch(struct member *m, const struct frame *f, struct slice payload,
                              struct err *e)
{
    if (f->type == FRAME_OPEN)
        return on_open(m, f, payload, e);
    bool known = f->type == FRAME_REQUEST || f->type == FRAME_BODY || f->type == FRAME_CREDIT ||
                 f->type == FRAME_CANCEL;
    if (!known)
        return err_set(e, ERR_PROTOCOL, "a frame %s from an exec", frame_name(f->type));
    struct exchange *x = map_get(&m->exchanges, id_key(&f->id));
    if (!x)
        return ERR_OK; /* it crossed the VERDICT that ended the exchange */
    if (f->type == FRAME_REQUEST)
        return on_request(x, payload, e);
    if (f->type == FRAME_BODY)
        return on_body(x, f, payload, e);
    if (f->type == FRAME_CREDIT)
        return on_credit(x, payload, e);
    exchange_free(x); /* CANCEL */
    return ERR_OK;
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct member *m = c->owner;
    struct err e;
    if (dispatch(m, f, payload, &e) == ERR_OK)
        return;
    char project[UUID_TEXT + 1];
    uuid_text(m->project->id, project);
    log_line(LOG_ERROR, "exec_frame", "project=%s error=\"%s\"", project, e.text);
    member_free(m);
}

static void on_closed(struct channel *c, const struct err *why)
{
    (void)why; /* it ends when its edge wants it to */
    member_free(c->owner);
}

enum err_code member_join(struct member *m, struct project *p, int fd, struct err *e)
{
    enum err_code rc = channel_init(&m->channel, m->egress->loop, fd, FRAME_FRONT, e);
    if (rc) {
        close(fd);
        return rc;
    }
    m->channel.owner = m;
    m->channel.on_frame = on_frame;
    m->channel.on_closed = on_closed;
    m->project = p;
    p->members++;
    m->egress->joined++;
    return ERR_OK;
}

void member_free(struct member *m)
{
    struct egress *g = m->egress;
    bool joined = m->project;
    struct exchange *x;
    struct version *v;
    struct run *run;
    for (size_t at = 0; (x = map_next(&m->exchanges, &at));)
        exchange_free(x);
    for (size_t at = 0; (v = map_next(&m->versions, &at));)
        version_unref(v);
    for (size_t at = 0; (run = map_next(&m->runs, &at));)
        free(run);
    map_done(&m->exchanges);
    map_done(&m->versions);
    map_done(&m->runs);
    buf_done(&m->pieces);
    if (m->project) {
        m->project->members--;
        channel_done(&m->channel);
        egress_sweep_later(g);
    }
    if (m->edge)
        edge_forget_member(m->edge, m);
    list_remove(&m->node);
    free(m);
    if (joined && --g->joined == 0 && g->config.on_alone)
        g->config.on_alone(g->config.arg);
}
