/* Egress driven as an edge and an exec drive it, over socket pairs, against servers of this test on
 * loopback: good ones, and ones that hang, lie and babble. */
#include "test.h"

#include "base/log.h"
#include "egress/head.h"
#include "egress/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ── servers ─────────────────────────────────────────────────────────────────────────────── */

enum { HEAD_MOST = 64 << 10 };

struct server {
    int fd;
    uint16_t port;
    pthread_t thread;
    _Atomic unsigned connections, requests;
};

struct visit {
    struct server *server;
    int fd;
};

static bool put(int fd, const void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t w = send(fd, (const char *)p + at, n - at, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        at += (size_t)w;
    }
    return true;
}

static bool puts_to(int fd, const char *s)
{
    return put(fd, s, strlen(s));
}

/* Reads a head, then as much of the body as its framing says; false at the connection's end. */
static bool read_request(int fd, struct buf *in, size_t *ret_head, size_t *ret_all)
{
    size_t head = 0, want = 0;
    bool chunked = false;
    for (;;) {
        char *p = buf_size(in) ? buf_data(in) : NULL;
        char *end = p ? memmem(p, buf_size(in), "\r\n\r\n", 4) : NULL;
        if (end && !head) {
            head = (size_t)(end - p) + 4;
            const char *cl = memmem(p, head, "Content-Length: ", 16);
            want = head + (cl ? strtoul(cl + 16, NULL, 10) : 0);
            chunked = memmem(p, head, "Transfer-Encoding: chunked", 26);
        }
        if (head && chunked) {
            char *last = memmem(p + head, buf_size(in) - head, "0\r\n\r\n", 5);
            if (last) {
                *ret_head = head;
                *ret_all = (size_t)(last - p) + 5;
                return true;
            }
        } else if (head && buf_size(in) >= want) {
            *ret_head = head;
            *ret_all = want;
            return true;
        }
        char *at = buf_reserve(in, 65536);
        ssize_t n = at ? recv(fd, at, 65536, 0) : 0;
        if (n <= 0)
            return false;
        buf_commit(in, (size_t)n);
    }
}

static void until_closed(int fd)
{
    char sink[4096];
    while (recv(fd, sink, sizeof sink, 0) > 0)
        ;
}

/* What it says by itself, byte for byte; it closes after those that don't say how long they are. */
static const struct {
    const char *path, *answer;
    bool closes;
} said[] = {
    {"/hello", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
     false},
    {"/chunked",
     "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\nX-A: 1\r\n\r\n"
     "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX: y\r\n\r\n",
     false},
    {"/both",
     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nabc\r\n0\r\n\r\n",
     false},
    {"/open", "HTTP/1.0 200 OK\r\n\r\nuntil the end", true},
    {"/short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", true},
    {"/long", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n0123456789", true},
    {"/none", "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", false},
    {"/same", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: \"a\"\r\n\r\n", false},
    {"/hops",
     "HTTP/1.1 200 OK\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n"
     "Upgrade: h2c\r\nx-mine: 2\r\nX-Other: 3\r\nContent-Length: 0\r\n\r\n",
     true},
    {"/moved",
     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/canary\r\nContent-Length: 0\r\n\r\n",
     false},
    {"/early",
     "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     false},
    {"/fold", "HTTP/1.1 200 OK\r\nX-A: b\r\n  c\r\nContent-Length: 0\r\n\r\n", false},
    {"/gzip", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8bz",
     false},
    {"/garbage", "\x80\x81 what is this\r\n\r\nnothing", true},
    {"/nine", "just a body, as in 1991", true},
    {"/two", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", true},
    {"/negative", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", true},
    {"/list", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", true},
    {"/coded", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", true},
    {"/colon", "HTTP/1.1 200 OK\r\nNo colon here\r\n\r\n", true},
    {"/space", "HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 0\r\n\r\n", true},
    {"/badchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", true},
    {"/switch", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw bytes", true},
    {"/cut", "HTTP/1.1 200 OK\r\nX-A", true},
    {"/closed", "", true},
};

static bool serve_one(struct visit *v, const char *p, size_t head, size_t all)
{
    char path[4096] = "";
    sscanf(p, "%*s %4095s", path);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (strcmp(path, said[i].path) == 0)
            return puts_to(v->fd, said[i].answer) && !said[i].closes;
    if (strcmp(path, "/hang") == 0) {
        until_closed(v->fd);
        return false;
    }
    if (strcmp(path, "/headers") == 0) {
        puts_to(v->fd, "HTTP/1.1 200 OK\r\n");
        while (puts_to(v->fd, "X-Endless: 0123456789012345678901234567890123456789\r\n"))
            ;
        return false;
    }
    if (strcmp(path, "/line") == 0) {
        puts_to(v->fd, "HTTP/1.1 200 OK\r\nX: ");
        while (puts_to(v->fd, "0123456789012345678901234567890123456789"))
            ;
        return false;
    }
    if (strcmp(path, "/continue") == 0) {
        while (puts_to(v->fd, "HTTP/1.1 100 Continue\r\n\r\n"))
            ;
        return false;
    }
    if (strcmp(path, "/big") == 0) { /* 1 MiB whose byte i is i / 1024 */
        char block[1024];
        bool ok = puts_to(v->fd, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
        for (int i = 0; i < 1024 && ok; i++) {
            memset(block, i & 0xff, sizeof block);
            ok = put(v->fd, block, sizeof block);
        }
        return ok;
    }
    char line[128];
    snprintf(line, sizeof line, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", all);
    (void)head;
    return puts_to(v->fd, line) && (strncmp(p, "HEAD", 4) == 0 || put(v->fd, p, all));
}

static void *visit(void *arg)
{
    struct visit v = *(struct visit *)arg;
    struct buf in;
    size_t head, all;
    free(arg);
    buf_init(&in, 64 << 20);
    while (read_request(v.fd, &in, &head, &all)) {
        v.server->requests++;
        if (!serve_one(&v, buf_data(&in), head, all))
            break;
        buf_consume(&in, all);
    }
    buf_done(&in);
    close(v.fd);
    return NULL;
}

static void *serve(void *arg)
{
    struct server *s = arg;
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        s->connections++;
        struct visit *v = malloc(sizeof *v);
        *v = (struct visit){s, fd};
        pthread_t t;
        pthread_create(&t, NULL, visit, v);
        pthread_detach(t);
    }
}

static void server_start(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(s->fd, (void *)&at, n) == 0 && listen(s->fd, 512) == 0);
    getsockname(s->fd, (void *)&at, &n);
    s->port = ntohs(at.sin_port);
    pthread_create(&s->thread, NULL, serve, s);
}

static void server_stop(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
}

/* ── an edge and an exec ─────────────────────────────────────────────────────────────────── */

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

static void reply_reset(struct reply *r)
{
    buf_done(&r->head);
    buf_done(&r->body);
    *r = (struct reply){0};
    buf_init(&r->head, 1 << 20);
    buf_init(&r->body, 8 << 20);
}

static void on_exec_frame(struct channel *c, const struct frame *f, struct slice payload)
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

static void on_exec_closed(struct channel *c, const struct err *why)
{
    fprintf(stderr, "exec closed: %s\n", why->text);
    ((struct world *)c->owner)->exec_closed = true;
}

static void on_edge_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    (void)c, (void)f, (void)payload;
    CHECK(!"egress says nothing to an edge");
}

static void on_edge_closed(struct channel *c, const struct err *why)
{
    fprintf(stderr, "edge closed: %s\n", why->text);
    ((struct world *)c->owner)->edge_closed = true;
}

static void world_policy(struct world *w, const char *policy)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    CHECK(buf_add(&b, &w->version, sizeof w->version) && buf_add(&b, policy, strlen(policy)));
    channel_send(&w->edge, FRAME_POLICY, 0, 7, buf_data(&b), buf_size(&b));
    buf_done(&b);
}

static void world_join(struct world *w)
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
static void world_start(struct world *w, const char *addresses, const char *operator_policy)
{
    struct err e = {0};
    int pair[2];
    *w = (struct world){0};
    w->loop = loop_new(&e);
    struct egress_config config = {.loop = w->loop};
    CHECK(curl_open(&config.curl, &e) == ERR_OK);
    CHECK(cidr_parse(slice_str(addresses), &config.allowed, &e) == ERR_OK);
    CHECK(port_set_parse(SLICE("25,465,587"), &config.refused, &e) == ERR_OK);
    if (operator_policy)
        CHECK(policy_parse(slice_str(operator_policy), POLICY_YAML, NULL, NULL, &w->operator_,
                           &e) == ERR_OK);
    config.operator_ = w->operator_;
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

static void world_stop(struct world *w)
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

/* Turns the loop until *flag or ten seconds have passed. */
static bool await(struct world *w, const bool *flag)
{
    uint64_t end = loop_now(w->loop) + 10000000;
    while (!*flag && !w->exec_closed && loop_now(w->loop) < end)
        loop_turn(w->loop, 100000);
    return *flag;
}

static uint64_t send_open(struct world *w, const char *url)
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

static void send_request(struct world *w, uint64_t id, const char *method, const char *url,
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

static struct reply *reply_of(struct world *w, uint64_t id)
{
    return &w->replies[id % 256];
}

/* Opens and waits for the verdict. */
static uint64_t opened(struct world *w, const char *url)
{
    uint64_t id = send_open(w, url);
    CHECK(await(w, &reply_of(w, id)->verdict));
    return id;
}

/* A URL of the test's server. */
static const char *at(const char *path)
{
    static char text[8192];
    snprintf(text, sizeof text, "http://127.0.0.1:%u%s", server.port, path);
    return text;
}

static struct reply *fetch_with(struct world *w, const char *method, const char *path,
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

static struct reply *fetch(struct world *w, const char *path)
{
    return fetch_with(w, "GET", path, SLICE(""));
}

static const char *text_of(struct buf *b)
{
    CHECK(buf_add(b, "", 1));
    b->len--;
    return buf_data(b);
}

static void start_allowed(struct world *w)
{
    world_start(w, "127.0.0.0/8", NULL);
    world_policy(w, "{\"allow\":[\"http://127.0.0.1:*/**\",\"gemini://127.0.0.1:*/**\"]}");
    world_join(w);
}

/* ── answers ─────────────────────────────────────────────────────────────────────────────── */

TEST(get)
{
    struct world w;
    start_allowed(&w);
    struct reply *r = fetch(&w, "/hello");
    CHECK(r->end.reason == ERR_OK);
    CHECK_STR(text_of(&r->head),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n");
    CHECK_STR(text_of(&r->body), "hello");
    CHECK(r->end.received == 5 && r->end.sent == 0);
    world_stop(&w);
}

int main(void)
{
    static const struct test_case cases[] = {CASE(get)};
    log_init("test", LOG_DEBUG);
    server_start(&server);
    int rc = test_main(cases, (int)(sizeof cases / sizeof *cases));
    server_stop(&server);
    return rc;
}
