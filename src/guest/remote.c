#include "guest/remote.h"

#include "base/log.h"
#include "guest/resource.h"

#include <stdlib.h>

enum {
    BUCKETS = 64,
    GRANT = FRAME_CREDIT_INITIAL / 2, /* credit is given back in pieces of this size */
    KEEP = 16 << 10,                  /* bytes of a buffer that the next answer may use again */
};

static const char gone[] = "the platform's way out has failed and is being restored: try again";

struct remotes {
    struct channel channel;
    void (*on_reach)(void *arg);
    void (*on_ready)(void *arg, struct guest *g);
    void *arg;
    bool reached;
    uint64_t last; /* the id used last; 0: none */
    struct remote *buckets[BUCKETS];
};

static struct remote **bucket(struct remotes *rs, uint64_t id)
{
    return &rs->buckets[id % BUCKETS];
}

static struct remote *find(struct remotes *rs, uint64_t id)
{
    for (struct remote *r = *bucket(rs, id); r; r = r->next)
        if (r->id == id)
            return r;
    return NULL;
}

/* Egress no longer knows it. */
static void forget(struct remotes *rs, struct remote *r)
{
    struct remote **at = bucket(rs, r->id);
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    r->id = 0;
}

static void say(struct remote *r, enum err_code reason, const char *text)
{
    r->end = (struct exchange_end){.reason = (uint16_t)reason};
    slice_copy(slice_str(text), r->text, sizeof r->text);
}

/* Nobody wants it any more. */
static void cancel(struct remote *r)
{
    struct remotes *rs = r->guest->remotes;
    channel_send(&rs->channel, FRAME_CANCEL, 0, r->id, &(uint16_t){ERR_CANCELLED}, 2);
    forget(rs, r);
}

/* Conversation with egress */

/* Nobody answers any more. */
static void break_all(struct remotes *rs)
{
    for (int i = 0; i < BUCKETS; i++)
        while (rs->buckets[i]) {
            struct remote *r = rs->buckets[i];
            forget(rs, r);
            if (r->state != REMOTE_FINISHED)
                say(r, ERR_UNAVAILABLE, gone);
            r->state = REMOTE_BROKEN;
            rs->on_ready(rs->arg, r->guest);
        }
}

static void on_closed(struct channel *c, const struct err *why)
{
    struct remotes *rs = c->owner;
    log_line(rs->reached ? LOG_WARNING : LOG_DEBUG, "exec_egress_closed", "why=\"%s\"", why->text);
    break_all(rs);
}

static bool on_verdict(struct remote *r, struct slice payload)
{
    struct exchange_end end;
    struct slice text;
    struct err e;
    bool opening = r->state == REMOTE_OPENING;
    if ((!opening && r->state != REMOTE_ASKING) || exchange_end_read(payload, &end, &text, &e))
        return false;
    r->end = end;
    if (!slice_copy(text, r->text, sizeof r->text))
        return false;
    r->allowed = !opening && end.reason == ERR_OK;
    if (end.reason == ERR_OK)
        r->state = opening ? REMOTE_OPEN : REMOTE_RUNNING;
    else
        r->state = opening ? REMOTE_BROKEN : REMOTE_FINISHED;
    return true;
}

static bool on_finished(struct remote *r, struct slice payload)
{
    struct exchange_end end;
    struct slice text;
    struct err e;
    if (r->state != REMOTE_RUNNING || exchange_end_read(payload, &end, &text, &e) ||
        (end.reason == ERR_OK && !r->answered))
        return false;
    r->end = end;
    r->state = REMOTE_FINISHED;
    return slice_copy(text, r->text, sizeof r->text);
}

static bool on_credit(struct remote *r, struct slice payload)
{
    uint32_t more;
    memcpy(&more, payload.p, sizeof more);
    if (r->state != REMOTE_RUNNING || more > FRAME_CREDIT_INITIAL - r->out_credit)
        return false; /* we have never less than what was taken from it */
    r->out_credit += more;
    return true;
}

/* Guests may have used up the memory of the process. */
static bool keep(struct remote *r, struct slice bytes)
{
    if (!buf_add(&r->in, bytes.p, bytes.n)) {
        cancel(r);
        say(r, ERR_MEMORY, "there is no memory for the answer");
        r->state = REMOTE_BROKEN;
    }
    return true;
}

static bool on_answer(struct remote *r, struct slice payload)
{
    if (r->state != REMOTE_RUNNING || r->answered || payload.n > EXCHANGE_HEAD)
        return false;
    r->answered = true;
    r->head = payload.n;
    return keep(r, payload);
}

static bool on_output(struct remote *r, struct slice payload)
{
    if (r->state != REMOTE_RUNNING || !r->answered || payload.n > r->in_credit)
        return false;
    r->in_credit -= (uint32_t)payload.n;
    return keep(r, payload);
}

static bool take(struct remote *r, uint16_t type, struct slice payload)
{
    switch (type) {
    case FRAME_VERDICT:
        return on_verdict(r, payload);
    case FRAME_CREDIT:
        return on_credit(r, payload);
    case FRAME_ANSWER:
        return on_answer(r, payload);
    case FRAME_OUTPUT:
        return on_output(r, payload);
    case FRAME_FINISHED:
        return on_finished(r, payload);
    default:
        return false;
    }
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct remotes *rs = c->owner;
    struct remote *r = find(rs, f->id);
    if (!r && f->id && f->id <= rs->last)
        return; /* closed: this crossed our CANCEL */
    if (!r || f->flags || !take(r, f->type, payload)) {
        log_line(LOG_ERROR, "exec_egress_malformed", "frame=%s exchange=%llu", frame_name(f->type),
                 (unsigned long long)f->id);
        channel_done(c);
        break_all(rs);
        return;
    }
    if (r->state == REMOTE_BROKEN && r->id)
        forget(rs, r); /* OPEN was refused */
    rs->on_ready(rs->arg, r->guest);
}

enum err_code remotes_new(struct loop *loop, int fd, void (*on_reach)(void *arg),
                          void (*on_ready)(void *arg, struct guest *g), void *arg,
                          struct remotes **ret_remotes, struct err *e)
{
    struct remotes *rs = calloc(1, sizeof *rs);
    if (!rs)
        return err_set(e, ERR_MEMORY, "no memory for the way to egress");
    rs->channel = (struct channel){.on_frame = on_frame, .on_closed = on_closed, .owner = rs};
    rs->on_reach = on_reach;
    rs->on_ready = on_ready;
    rs->arg = arg;
    enum err_code rc = channel_init(&rs->channel, loop, fd, FRAME_BACK, e);
    if (rc) {
        free(rs);
        return rc;
    }
    *ret_remotes = rs;
    return ERR_OK;
}

void remotes_free(struct remotes *rs)
{
    if (!rs)
        return;
    channel_done(&rs->channel);
    free(rs);
}

void remotes_flush(struct remotes *rs)
{
    if (buf_size(&rs->channel.out))
        channel_flush(&rs->channel);
}

/* One exchange */

int32_t remote_open(struct guest *g, struct remote *r, struct slice url)
{
    struct remotes *rs = g->remotes;
    *r = (struct remote){.state = REMOTE_BROKEN, .guest = g, .url = strndup(url.p, url.n)};
    buf_init(&r->in, FRAME_CREDIT_INITIAL + EXCHANGE_HEAD);
    if (!r->url) {
        resource_say(g, "resource_open: there is no memory for it");
        return RESOURCE_UNKNOWN;
    }
    if (g->remote_opens >= g->limits->v[LIMIT_OPENS] ||
        g->remotes_open >= g->limits->v[LIMIT_OPENS_AT_ONCE]) {
        bool all = g->remote_opens >= g->limits->v[LIMIT_OPENS];
        enum limit_id limit = all ? LIMIT_OPENS : LIMIT_OPENS_AT_ONCE;
        resource_say(g, "resource_open: the limit \"%s\" is reached: %llu outbound opens%s",
                     limit_rows[limit].name, (unsigned long long)g->limits->v[limit],
                     all ? "" : " at the same time");
        return RESOURCE_INVALID;
    }
    if (!rs || rs->channel.dead) {
        say(r, ERR_UNAVAILABLE, rs ? gone : "nothing beyond this machine can be opened here");
        return remote_failed(g, r);
    }
    struct slice run;
    struct exchange_open open = {.version = g->version};
    if (strings_find(&g->meta, SLICE("RUN_ID"), &run))
        (void)uuid_parse(run, &open.run);
    if (!rs->reached) {
        rs->reached = true;
        rs->on_reach(rs->arg);
    }
    r->id = ++rs->last;
    r->next = *bucket(rs, r->id);
    *bucket(rs, r->id) = r;
    r->state = REMOTE_OPENING;
    g->remote_opens++;
    g->remotes_open++;
    r->counted = true;
    char *at = channel_place(&rs->channel, FRAME_OPEN, 0, r->id, sizeof open + url.n);
    if (at) {
        memcpy(at, &open, sizeof open);
        memcpy(at + sizeof open, url.p, url.n);
    }
    return remote_opened(g, r);
}

static int32_t wait(struct guest *g)
{
    g->waits |= GUEST_WAITS_REMOTE;
    return RESOURCE_WAIT;
}

int32_t remote_opened(struct guest *g, struct remote *r)
{
    if (r->state == REMOTE_OPENING)
        return wait(g);
    return r->state == REMOTE_BROKEN ? remote_failed(g, r) : 0;
}

void remote_abort(struct remote *r, const char *why)
{
    if (r->id)
        cancel(r);
    say(r, ERR_INVALID, why);
    r->state = REMOTE_BROKEN;
    r->allowed = r->answered = false;
    buf_clear(&r->in);
}

void remote_close(struct guest *g, struct remote *r)
{
    if (r->id)
        cancel(r);
    if (r->counted)
        g->remotes_open--;
    buf_done(&r->in);
    free(r->url);
    *r = (struct remote){0};
}

void remote_request(struct remote *r, struct slice method, char *url, struct slice fields,
                    enum exchange_body body, uint64_t length)
{
    struct channel *c = &r->guest->remotes->channel;
    size_t n = strlen(url);
    struct exchange_request q = {.length = length,
                                 .body = (uint8_t)body,
                                 .method_bytes = (uint8_t)method.n,
                                 .url_bytes = (uint16_t)n,
                                 .fields_bytes = (uint32_t)fields.n};
    if (url != r->url)
        free(r->url);
    r->url = url;
    r->allowed = r->answered = r->told = false;
    r->head = 0;
    if (r->state == REMOTE_BROKEN) {
        if (r->end.reason == ERR_OK)
            say(r, ERR_UNAVAILABLE, gone);
        return;
    }
    r->state = REMOTE_ASKING;
    r->end = (struct exchange_end){0};
    r->in_credit = r->out_credit = FRAME_CREDIT_INITIAL;
    r->in_owed = 0;
    buf_clear(&r->in);
    if (r->in.cap > KEEP)
        buf_done(&r->in);
    char *at = channel_place(c, FRAME_REQUEST, 0, r->id, sizeof q + method.n + n + fields.n);
    if (!at)
        return;
    memcpy(at, &q, sizeof q);
    at += sizeof q;
    memcpy(at, method.p, method.n);
    memcpy(at + method.n, url, n);
    if (fields.n)
        memcpy(at + method.n + n, fields.p, fields.n);
}

int32_t remote_allowed(struct guest *g, struct remote *r)
{
    if (r->state == REMOTE_ASKING)
        return wait(g);
    return r->allowed ? 0 : remote_failed(g, r);
}

uint32_t remote_room(const struct remote *r)
{
    return r->state == REMOTE_RUNNING ? r->out_credit : 0;
}

void remote_send(struct remote *r, const void *p, uint32_t n)
{
    channel_append(&r->guest->remotes->channel, FRAME_BODY, r->id, p, n);
    r->out_credit -= n;
}

void remote_send_end(struct remote *r)
{
    if (r->state == REMOTE_RUNNING)
        channel_send(&r->guest->remotes->channel, FRAME_BODY, FRAME_LAST, r->id, NULL, 0);
}

size_t remote_ready(const struct remote *r, bool *ret_end)
{
    size_t n = buf_size(&r->in);
    *ret_end = !n && (r->state == REMOTE_FINISHED || r->state == REMOTE_BROKEN);
    return n;
}

int32_t remote_read(struct guest *g, struct remote *r, void *p, uint32_t n)
{
    bool end;
    size_t have = remote_ready(r, &end);
    if (end)
        return r->end.reason ? remote_failed(g, r) : RESOURCE_END;
    if (!have)
        return wait(g);
    if (n > have)
        n = (uint32_t)have;
    memcpy(p, buf_data(&r->in), n);
    buf_consume(&r->in, n);
    size_t head = n < r->head ? n : r->head;
    r->head -= head;
    r->in_owed += (uint32_t)(n - head);
    if (r->in_owed >= GRANT && r->state == REMOTE_RUNNING) {
        channel_send(&g->remotes->channel, FRAME_CREDIT, 0, r->id, &r->in_owed, sizeof r->in_owed);
        r->in_credit += r->in_owed;
        r->in_owed = 0;
    }
    return (int32_t)n;
}

/* The result of an operation on an exchange that failed for this reason. */
static int32_t result(const struct remote *r)
{
    uint16_t reason = r->end.reason;
    const struct policy *policy = r->guest->policy;
    if (reason == ERR_POLICY)
        return policy && !policy_ends(policy) ? RESOURCE_DENIED : RESOURCE_FATAL;
    if (reason == ERR_NOT_FOUND)
        return RESOURCE_NOT_FOUND;
    /* The first may also be the limit of bytes, which is nothing that the guest asked for. */
    bool of_opens = reason == ERR_EGRESS_LIMIT && r->state == REMOTE_BROKEN;
    return of_opens || reason == ERR_INVALID || reason == ERR_RATE ? RESOURCE_INVALID
                                                                   : RESOURCE_UNKNOWN;
}

int32_t remote_failed(struct guest *g, struct remote *r)
{
    char url[LEDGER_URL + 1];
    if (r->end.reason == ERR_OK)
        return 0;
    if (r->told)
        return result(r);
    r->told = true;
    if (r->end.reason == ERR_POLICY)
        return resource_refuse(g, slice_str(r->url), r->end.operator_, slice_str(r->text));
    url_redact(slice_str(r->url), url, sizeof url);
    resource_say(g, "%s: %s", url, r->text[0] ? r->text : err_title(r->end.reason));
    return result(r);
}
