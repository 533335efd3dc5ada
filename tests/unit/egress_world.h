/* Egress in this process, and an edge and an exec that speak to it over socket pairs. */
#pragma once

#include "egress_servers.h"

#include "base/clock.h"
#include "base/log.h"
#include "egress/private.h"

struct reply {
    bool verdict, answered, finished;
    struct exchange_end verdict_end, end;
    char verdict_text[EXCHANGE_TEXT + 1], text[EXCHANGE_TEXT + 1];
    struct buf head, body;
    uint64_t granted; /* CREDIT for our body */
    unsigned verdicts, finishes;
};

struct world {
    struct loop *loop;
    struct egress *egress;
    struct channel edge, exec;
    bool edge_closed, exec_closed, hold; /* hold: grant nothing */
    struct exchange_policy version;
    struct uuid project, run;
    uint64_t next;
    struct reply replies[256];
    struct policy *operator_;
};

static struct server server;
static struct spool *journal; /* of the next world; NULL: none */

static inline void reply_reset(struct reply *r)
{
    buf_done(&r->head);
    buf_done(&r->body);
    *r = (struct reply){0};
    buf_init(&r->head, 1 << 20);
    buf_init(&r->body, 8 << 20);
}

static inline void on_exec_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct world *w = c->owner;
    struct reply *r = &w->replies[f->id % 256];
    struct slice text;
    struct err e;
    if (f->type == FRAME_VERDICT) {
        CHECK(exchange_end_read(payload, &r->verdict_end, &text, &e) == ERR_OK);
        snprintf(r->verdict_text, sizeof r->verdict_text, "%.*s", SLICE_ARG(text));
        r->verdict = true;
        r->verdicts++;
    } else if (f->type == FRAME_ANSWER) {
        CHECK(!r->answered && buf_add(&r->head, payload.p, payload.n));
        r->answered = true;
    } else if (f->type == FRAME_OUTPUT) {
        CHECK(r->answered && !r->finished && buf_add(&r->body, payload.p, payload.n));
        uint32_t n = (uint32_t)payload.n;
        if (!w->hold)
            channel_send(c, FRAME_CREDIT, 0, f->id, &n, sizeof n);
    } else if (f->type == FRAME_FINISHED) {
        CHECK(!r->finished && exchange_end_read(payload, &r->end, &text, &e) == ERR_OK);
        snprintf(r->text, sizeof r->text, "%.*s", SLICE_ARG(text));
        r->finished = true;
        r->finishes++;
    } else if (f->type == FRAME_CREDIT) {
        uint32_t n;
        memcpy(&n, payload.p, sizeof n);
        r->granted += n;
    } else {
        CHECK(!"a frame that egress may not send");
    }
}

static inline void on_exec_closed(struct channel *c, const struct err *why)
{
    (void)why;
    ((struct world *)c->owner)->exec_closed = true;
}

static inline void on_edge_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    (void)c, (void)f, (void)payload;
    CHECK(!"egress says nothing to an edge");
}

static inline void on_edge_closed(struct channel *c, const struct err *why)
{
    (void)why;
    ((struct world *)c->owner)->edge_closed = true;
}

static inline void world_policy(struct world *w, const char *policy)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    CHECK(buf_add(&b, &w->version, sizeof w->version) && buf_add(&b, policy, strlen(policy)));
    channel_send(&w->edge, FRAME_POLICY, 0, 7, buf_data(&b), buf_size(&b));
    buf_done(&b);
}

static inline void world_join(struct world *w)
{
    int pair[2];
    struct err e;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    channel_send_fd(&w->edge, FRAME_JOIN, 7, &w->project, sizeof w->project, pair[1]);
    CHECK(channel_init(&w->exec, w->loop, pair[0], FRAME_BACK, &e) == ERR_OK);
    w->exec.owner = w;
    w->exec.on_frame = on_exec_frame;
    w->exec.on_closed = on_exec_closed;
}

/* Everything of 127.0.0.1 is allowed by address; `policy` is the version's. */
static inline void world_start(struct world *w, const char *addresses, const char *operator_policy)
{
    struct err e = {0};
    int pair[2];
    *w = (struct world){0};
    w->loop = loop_new(&e);
    struct egress_config config = {
        .loop = w->loop, .ca = buf_slice(&tls.ca), .servers = dns.address};
    CHECK(curl_open(&config.curl, &e) == ERR_OK);
    CHECK(cidr_parse(slice_str(addresses), &config.allowed, &e) == ERR_OK);
    CHECK(port_set_parse(SLICE("25,465,587"), &config.refused, &e) == ERR_OK);
    if (operator_policy)
        CHECK(policy_parse(slice_str(operator_policy), POLICY_YAML, NULL, NULL, &w->operator_,
                           &e) == ERR_OK);
    config.operator_ = w->operator_;
    config.journal = journal;
    CHECK(egress_new(&config, &w->egress, &e) == ERR_OK);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK(egress_edge(w->egress, pair[1], &e) == ERR_OK);
    CHECK(channel_init(&w->edge, w->loop, pair[0], FRAME_BACK, &e) == ERR_OK);
    w->edge.owner = w;
    w->edge.on_frame = on_edge_frame;
    w->edge.on_closed = on_edge_closed;
    w->project = uuid_new();
    w->run = uuid_new();
    w->version.version = uuid_new();
    w->version.function = uuid_new();
    limits_init(&w->version.limits, false);
    w->version.limits.v[LIMIT_EGRESS_RATE] = 0;
    for (int i = 0; i < 256; i++)
        reply_reset(&w->replies[i]);
}

static inline void world_stop(struct world *w)
{
    egress_free(w->egress);
    channel_done(&w->edge);
    channel_done(&w->exec);
    loop_free(w->loop);
    policy_free(w->operator_);
    for (int i = 0; i < 256; i++) {
        buf_done(&w->replies[i].head);
        buf_done(&w->replies[i].body);
    }
}

/* Turns the loop until *flag; what takes a minute hangs. */
static inline bool await(struct world *w, const bool *flag)
{
    uint64_t end = loop_now(w->loop) + 60000000;
    while (!*flag && !w->exec_closed && loop_now(w->loop) < end)
        loop_turn(w->loop, 100000);
    return *flag;
}

static inline uint64_t send_open(struct world *w, const char *url)
{
    struct exchange_open open = {w->run, w->version.version};
    char payload[sizeof open + URL_MOST * 2];
    uint64_t id = ++w->next;
    reply_reset(&w->replies[id % 256]);
    size_t n = strlen(url);
    memcpy(payload, &open, sizeof open);
    memcpy(payload + sizeof open, url, n);
    channel_send(&w->exec, FRAME_OPEN, 0, id, payload, sizeof open + n);
    return id;
}

static inline void send_request(struct world *w, uint64_t id, const char *method, const char *url,
                                struct slice fields, enum exchange_body body, uint64_t length)
{
    struct exchange_request r = {.length = length,
                                 .body = (uint8_t)body,
                                 .method_bytes = (uint8_t)strlen(method),
                                 .url_bytes = (uint16_t)strlen(url),
                                 .fields_bytes = (uint32_t)fields.n};
    struct buf b;
    buf_init(&b, 1 << 20);
    CHECK(buf_add(&b, &r, sizeof r) && buf_add(&b, method, strlen(method)) &&
          buf_add(&b, url, strlen(url)) && buf_add(&b, fields.p, fields.n));
    channel_send(&w->exec, FRAME_REQUEST, 0, id, buf_data(&b), buf_size(&b));
    buf_done(&b);
}

static inline struct reply *reply_of(struct world *w, uint64_t id)
{
    return &w->replies[id % 256];
}

/* Opens and waits for the verdict. */
static inline uint64_t opened(struct world *w, const char *url)
{
    uint64_t id = send_open(w, url);
    CHECK(await(w, &reply_of(w, id)->verdict));
    return id;
}

/* A URL of the test's server. */
static inline const char *at(const char *path)
{
    static char text[8192];
    snprintf(text, sizeof text, "http://127.0.0.1:%u%s", server.port, path);
    return text;
}

static inline struct reply *fetch_with(struct world *w, const char *method, const char *path,
                                       struct slice fields)
{
    uint64_t id = opened(w, at(path));
    struct reply *r = reply_of(w, id);
    if (r->verdict_end.reason)
        return r;
    r->verdict = false;
    send_request(w, id, method, at(path), fields, BODY_NONE, 0);
    CHECK(await(w, &r->verdict));
    if (!r->verdict_end.reason)
        CHECK(await(w, &r->finished));
    return r;
}

static inline struct reply *fetch(struct world *w, const char *path)
{
    return fetch_with(w, "GET", path, SLICE(""));
}

static inline const char *text_of(struct buf *b)
{
    CHECK(buf_add(b, "", 1));
    b->len--;
    return buf_data(b);
}

static inline void start_allowed(struct world *w)
{
    world_start(w, "127.0.0.0/8", NULL);
    world_policy(w, "{\"allow\":[\"http://127.0.0.1:*/**\",\"gemini://127.0.0.1:*/**\"]}");
    world_join(w);
}

/* Sends `n` bytes as far as credit goes. */
static inline void send_body(struct world *w, uint64_t id, size_t n, bool last)
{
    struct reply *r = reply_of(w, id);
    char block[16 << 10];
    uint64_t sent = 0, end = loop_now(w->loop) + 60000000;
    memset(block, 'b', sizeof block);
    while (sent < n && !r->finished && loop_now(w->loop) < end) {
        uint64_t room = FRAME_CREDIT_INITIAL + r->granted - sent;
        size_t some = n - sent < sizeof block ? n - sent : sizeof block;
        if (some > room)
            some = room;
        if (some)
            channel_append(&w->exec, FRAME_BODY, id, block, some);
        sent += some;
        loop_turn(w->loop, some ? 0 : 100000);
    }
    if (last)
        channel_send(&w->exec, FRAME_BODY, FRAME_LAST, id, NULL, 0);
}

static inline struct reply *upload(struct world *w, size_t n, enum exchange_body kind)
{
    uint64_t id = opened(w, at("/echo"));
    struct reply *r = reply_of(w, id);
    r->verdict = false;
    send_request(w, id, "POST", at("/echo"), SLICE(""), kind, kind == BODY_LENGTH ? n : 0);
    CHECK(await(w, &r->verdict) && !r->verdict_end.reason);
    send_body(w, id, n, true);
    CHECK(await(w, &r->finished));
    return r;
}

static inline struct reply *fetch_url(struct world *w, const char *url)
{
    uint64_t id = opened(w, url);
    struct reply *r = reply_of(w, id);
    r->verdict = false;
    if (r->verdict_end.reason)
        return r;
    send_request(w, id, "GET", url, SLICE(""), BODY_NONE, 0);
    CHECK(await(w, &r->finished));
    return r;
}

static inline const char *url_of(const char *scheme, unsigned port, const char *path)
{
    static char text[256];
    snprintf(text, sizeof text, "%s://127.0.0.1:%u%s", scheme, port, path);
    return text;
}

static inline const char *named(const char *host, const char *path)
{
    static char text[256];
    snprintf(text, sizeof text, "http://%s:%u%s", host, server.port, path);
    return text;
}

static inline void start_named(struct world *w)
{
    world_start(w, "127.0.0.0/8", NULL);
    w->version.limits.v[LIMIT_EGRESS_DNS] = 300000;
    world_policy(w, "{\"allow\":[\"http://*:*/**\",\"http://*.test:*/**\"]}");
    world_join(w);
}

/* Runs the cases with all servers up. */
static inline int egress_main(const struct test_case *cases, int n)
{
    log_init("test", LOG_ERROR);
    server_start(&server);
    dns_start();
    tls_start();
    int rc = test_main(cases, n);
    tls_stop();
    dns_stop();
    server_stop(&server);
    return rc;
}
