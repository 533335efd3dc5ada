/* Guests that write and read http://, with an egress that answers anything.
 *
 * The input is a row of steps: what the guest does (open, write the bytes that follow, read, flush,
 * poll, close) and what egress says. Egress's ear is strict: each OPEN and REQUEST names a
 * normalised URL that the policy allows, fields are whole and say nothing about framing, and a body
 * has no byte that was not announced and granted. */
#include "fuzz.h"

#include "guest/http_request.h"
#include "guest/remote.h"
#include "guest/resource.h"

#include <ctype.h>
#include <sys/socket.h>
#include <unistd.h>

enum { STEPS = 400, OPENS = 4 };

static struct guest g;
static struct limits limits;
static struct policy *policy;
static struct loop *loop;
static struct remotes *remotes;
static int egress;
static struct buf in;

/* What egress knows of an exchange. */
static struct known {
    uint64_t id;
    bool asked, allowed, ended; /* a REQUEST came; its verdict was yes; its body's LAST came */
    bool finished;
    uint8_t body;
    uint64_t left, may_send;
} known[OPENS];

static void log_entry(struct guest *guest, enum guest_level level, enum guest_source source,
                      struct slice line)
{
    (void)guest, (void)level, (void)source;
    MUST(!memchr(line.p, '\n', line.n));
}

static void on_reach(void *arg)
{
    (void)arg;
}

static void on_ready(void *arg, struct guest *guest)
{
    (void)arg;
    MUST(guest == &g);
}

static void connect_egress(void)
{
    struct err e;
    int pair[2];
    if (remotes) {
        remotes_free(remotes);
        close(egress);
    }
    buf_clear(&in);
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    MUST(remotes_new(loop, pair[0], on_reach, on_ready, NULL, &remotes, &e) == ERR_OK);
    egress = pair[1];
    g.remotes = remotes;
}

static struct known *find(uint64_t id)
{
    for (int i = 0; i < OPENS; i++)
        if (known[i].id == id)
            return &known[i];
    return NULL;
}

static void must_be_allowed(struct slice text, struct slice method)
{
    struct url url;
    struct err e;
    struct policy_decision d;
    MUST(url_parse(text, &url, &e) == ERR_OK && slice_eq(url_slice(&url), text) && url.remote);
    policy_decide(policy, &url, method, &d);
    MUST(d.allowed);
}

static void hear_request(struct known *k, struct slice payload)
{
    static const char *const framing[] = {
        "Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Keep-Alive"};
    struct exchange_request r;
    struct exchange_parts parts;
    struct err e;
    MUST(exchange_request_read(payload, &r, &parts, &e) == ERR_OK);
    MUST(!k->asked || k->finished);
    MUST(parts.method.n && parts.method.n <= GUEST_REQUEST_METHOD);
    must_be_allowed(parts.url, parts.method);
    for (const char *p = parts.fields.p, *end = p + parts.fields.n; p < end;) {
        struct slice name = slice_str(p), value = slice_str(p + name.n + 1);
        p = value.p + value.n + 1;
        MUST(name.n && !strpbrk(name.p, " \t\r\n:") && !strpbrk(value.p, "\r\n"));
        for (size_t i = 0; i < sizeof framing / sizeof *framing; i++)
            MUST(!slice_ieq(name, slice_str(framing[i])));
    }
    *k = (struct known){.id = k->id,
                        .asked = true,
                        .body = r.body,
                        .left = r.body == BODY_LENGTH ? r.length : UINT64_MAX,
                        .may_send = FRAME_CREDIT_INITIAL};
}

static void hear(const struct frame *f, struct slice payload)
{
    struct known *k = find(f->id);
    struct exchange_open open;
    struct slice url;
    struct err e;
    if (f->type == FRAME_OPEN) {
        MUST(!k && f->id && exchange_open_read(payload, &open, &url, &e) == ERR_OK);
        must_be_allowed(url, SLICE(""));
        k = find(0);
        MUST(k);
        *k = (struct known){.id = f->id};
        return;
    }
    MUST(k);
    if (f->type == FRAME_REQUEST) {
        hear_request(k, payload);
    } else if (f->type == FRAME_BODY) {
        MUST(k->allowed && k->body != BODY_NONE && !k->ended);
        MUST(payload.n <= k->left && payload.n <= k->may_send);
        k->left -= payload.n;
        k->may_send -= payload.n;
        k->ended = f->flags & FRAME_LAST;
        MUST(!k->ended || k->body != BODY_LENGTH || !k->left);
    } else if (f->type == FRAME_CANCEL) {
        *k = (struct known){0};
    } else {
        MUST(f->type == FRAME_CREDIT);
    }
}

static void pump(void)
{
    struct frame f;
    struct err e;
    size_t size;
    remotes_flush(remotes);
    loop_turn(loop, 0);
    for (char *at; (at = buf_reserve(&in, 65536));) {
        ssize_t n = recv(egress, at, 65536, 0);
        if (n <= 0)
            break;
        buf_commit(&in, (size_t)n);
    }
    for (;;) {
        MUST(frame_peek(buf_slice(&in), FRAME_FRONT, &f, &size, &e) == ERR_OK);
        if (!size)
            break;
        hear(&f, slice_make(buf_data(&in) + FRAME_HEAD, f.length));
        buf_consume(&in, size);
    }
}

static void say(uint8_t step, struct known *k, struct slice more)
{
    static const enum frame_type types[] = {FRAME_VERDICT, FRAME_ANSWER,   FRAME_OUTPUT,
                                            FRAME_CREDIT,  FRAME_FINISHED, FRAME_VERDICT};
    static char block[4096];
    static struct buf out;
    struct exchange_end end = {.reason = step & 64 ? (uint16_t)(more.n % ERR_COUNT) : 0};
    enum frame_type type = types[step % 6];
    uint32_t credit = more.n ? (uint8_t)more.p[0] * 100u : 0;
    const void *p = type == FRAME_CREDIT ? (const void *)&credit : (const void *)&end;
    size_t n = type == FRAME_CREDIT ? sizeof credit : sizeof end;
    if (type == FRAME_ANSWER || type == FRAME_OUTPUT) {
        p = block;
        n = (more.n ? (uint8_t)more.p[0] : 0) * 16u + 1;
    }
    buf_init(&out, 1 << 17);
    MUST(frame_put(&out, type, 0, k->id, p, n));
    if (type == FRAME_VERDICT && end.reason == ERR_OK)
        k->allowed = k->asked;
    if (type == FRAME_CREDIT && k->may_send + credit <= FRAME_CREDIT_INITIAL)
        k->may_send += credit;
    if (type == FRAME_FINISHED || (type == FRAME_VERDICT && end.reason))
        k->finished = true;
    if (type == FRAME_VERDICT && end.reason && !k->asked)
        *k = (struct known){0}; /* a refused OPEN ends the exchange */
    (void)!send(egress, buf_data(&out), buf_size(&out), MSG_NOSIGNAL);
    buf_done(&out);
    pump();
}

FUZZ(bytes)
{
    static const struct guest_host host = {.log = log_entry};
    static const char rules[] = "allow: ['http://a.example/**', 'http://*.b.example/x']\n"
                                "disallow: ['http://a.example/no/**']\nmethods: [GET, POST, PUT]\n"
                                "on_violation: error\n";
    struct descriptor *open[OPENS] = {0};
    uint64_t progress[OPENS] = {0};
    struct err e;
    if (!loop) {
        loop = loop_new(&e);
        buf_init(&in, 4 << 20);
        MUST(loop && !policy_parse(slice_str(rules), POLICY_YAML, NULL, NULL, &policy, &e));
    }
    connect_egress();
    memset(known, 0, sizeof known);
    limits_init(&limits, false);
    g.host = &host;
    g.limits = &limits;
    g.policy = policy;
    guest_begin(&g);
    for (int step = 0; step < STEPS && bytes.n >= 2; step++) {
        uint8_t what = (uint8_t)bytes.p[0], size = (uint8_t)bytes.p[1];
        int i = what % OPENS;
        struct slice more = slice_from(bytes, 2);
        if (more.n > size)
            more.n = size;
        char buffer[300];
        uint64_t ready;
        bool end;
        struct descriptor *d = open[i];
        int32_t rc = 0;
        switch (what / OPENS % 8) {
        case 0: /* what an open of a fuzzed URL would be is fuzz/url's affair */
        case 1:
            if (d) {
                rc = resource_write(&g, d, more.p, more.n);
                MUST(rc == RESOURCE_WAIT || rc <= (int32_t)more.n);
            } else {
                rc = resource_open(&g, SLICE("http://a.example/page"), &progress[i]);
                if (rc >= 0)
                    open[i] = &g.descriptors[rc];
                if (rc != RESOURCE_WAIT)
                    progress[i] = 0;
                more.n = 0;
            }
            bytes = slice_from(bytes, more.n);
            break;
        case 2:
            rc = d ? resource_read(&g, d, buffer, size) : 0;
            MUST(rc == RESOURCE_WAIT || rc <= size);
            break;
        case 3:
            rc = d ? resource_flush(&g, d) : 0;
            break;
        case 4:
            if (d)
                resource_ready(&g, d, size & 1, &ready, &end);
            break;
        case 5:
            if (d && size % 8 == 0) {
                guest_close(&g, d);
                open[i] = NULL;
            }
            break;
        default:
            if (known[i].id)
                say(size, &known[i], more);
            break;
        }
        MUST(rc != RESOURCE_FATAL);
        bytes = slice_from(bytes, 2);
        pump();
    }
    guest_end(&g);
    pump();
    MUST(g.remotes_open == 0);
}
