/* Egress driven as an edge and an exec drive it, over socket pairs, against servers of this test on
 * loopback: good ones, and ones that hang, lie and babble. */
#include "test.h"

#include "base/clock.h"
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
#include <sys/wait.h>
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
        if (head && strncmp(p, "POST /early-", 12) == 0) {
            *ret_head = *ret_all = head; /* not interested in its body */
            return true;
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
    {"/early-answer", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnow", false},
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
    if (strcmp(path, "/early-big") == 0) {
        static const char zeros[100000];
        return puts_to(v->fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n") &&
               put(v->fd, zeros, sizeof zeros);
    }
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

/* A name server: each name says what it answers. */
static struct {
    int fd;
    char address[32];
    pthread_t thread;
    _Atomic unsigned questions;
} dns;

static const struct {
    const char *name;
    unsigned n;
    uint8_t a[4][4];
} zone[] = {
    {"one.test", 1, {{127, 0, 0, 1}}},
    {"two.test", 2, {{127, 0, 0, 2}, {127, 0, 0, 1}}}, /* nobody listens at the first */
    {"mixed.test", 3, {{10, 0, 0, 1}, {127, 0, 0, 1}, {169, 254, 169, 254}}},
    {"private.test", 2, {{10, 0, 0, 1}, {192, 168, 0, 1}}},
    {"none.test", 0, {{0}}},
};

/* Appends an A record for the name at offset 12. */
static size_t put_a(uint8_t *p, const uint8_t a[4])
{
    static const uint8_t head[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4};
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, a, 4);
    return sizeof head + 4;
}

/* Writes the answer over the question; 0: stay silent. */
static size_t answer_name(uint8_t *p, size_t n)
{
    static const uint8_t here[4] = {127, 0, 0, 1}, there[4] = {10, 0, 0, 1};
    char name[256] = "";
    size_t at = 12, out = 0;
    while (at < n && p[at] && out + p[at] + 1 < sizeof name) {
        out += (size_t)snprintf(name + out, sizeof name - out, "%s%.*s", out ? "." : "", p[at],
                                (const char *)p + at + 1);
        at += 1u + p[at];
    }
    size_t end = at + 5; /* its type and class */
    bool a = end <= n && p[at + 2] == 1;
    unsigned count = 0, known = 0;
    if (end > n || strcmp(name, "silent.test") == 0)
        return 0;
    unsigned question = a ? dns.questions++ : 0;
    for (size_t i = 0; i < sizeof zone / sizeof *zone; i++)
        if (strcasecmp(name, zone[i].name) == 0)
            for (known = 1; a && count < zone[i].n; count++)
                end += put_a(p + end, zone[i].a[count]);
    if (strcasecmp(name, "rebind.test") == 0 || strcasecmp(name, "flood.test") == 0) {
        unsigned most = name[0] == 'f' ? 28 : 1;
        for (known = 1; a && count < most; count++)
            end += put_a(p + end, most == 1 && question % 2 ? there : here);
    }
    p[2] = 0x84; /* an answer, and the last word */
    p[3] = known ? 0 : 3;
    p[6] = 0;
    p[7] = (uint8_t)count;
    memset(p + 8, 0, 4);
    return end;
}

static void *serve_names(void *arg)
{
    uint8_t p[1024];
    struct sockaddr_storage from;
    (void)arg;
    for (;;) {
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(dns.fd, p, 512, 0, (void *)&from, &size);
        if (n <= 1)
            return NULL;
        size_t out = answer_name(p, (size_t)n);
        if (out)
            sendto(dns.fd, p, out, 0, (void *)&from, size);
    }
}

static void dns_start(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(bind(dns.fd, (void *)&at, n) == 0);
    getsockname(dns.fd, (void *)&at, &n);
    snprintf(dns.address, sizeof dns.address, "127.0.0.1:%u", ntohs(at.sin_port));
    pthread_create(&dns.thread, NULL, serve_names, NULL);
}

static void dns_stop(void)
{
    struct sockaddr_storage at;
    socklen_t n = sizeof at;
    getsockname(dns.fd, (void *)&at, &n);
    sendto(dns.fd, "", 1, 0, (void *)&at, n);
    pthread_join(dns.thread, NULL);
    close(dns.fd);
}

/* tests/unit/egress_tls.py */
static struct {
    bool on;
    pid_t pid;
    int in;                     /* it ends when this is closed */
    unsigned good, self, named; /* ports */
    char folder[64];
    struct buf ca;
} tls;

static void tls_start(void)
{
    int to[2], from[2];
    char script[512], line[64] = "", name[128];
    size_t n = 0;
    const char *root = getenv("SOURCE_ROOT");
    snprintf(script, sizeof script, "%s/tests/unit/egress_tls.py", root ? root : ".");
    snprintf(tls.folder, sizeof tls.folder, "/tmp/egress-XXXXXX");
    CHECK(mkdtemp(tls.folder) && pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    tls.pid = fork();
    if (tls.pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execlp("python3", "python3", script, tls.folder, (char *)NULL);
        _exit(77);
    }
    close(to[0]);
    close(from[1]);
    tls.in = to[1];
    while (n < sizeof line - 1 && !memchr(line, '\n', n)) {
        ssize_t got = read(from[0], line + n, sizeof line - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(from[0]);
    tls.on = sscanf(line, "%u %u %u", &tls.good, &tls.self, &tls.named) == 3;
    if (!tls.on) {
        fprintf(stderr, "skipped what needs TLS: no python3 with ssl, or no openssl here\n");
        return;
    }
    buf_init(&tls.ca, 1 << 20);
    snprintf(name, sizeof name, "%s/ca.pem", tls.folder);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    char *at = buf_reserve(&tls.ca, 65536);
    ssize_t got = read(fd, at, 65536);
    CHECK(got > 0);
    buf_commit(&tls.ca, got > 0 ? (size_t)got : 0);
    close(fd);
}

static void tls_stop(void)
{
    char command[128];
    close(tls.in);
    waitpid(tls.pid, NULL, 0);
    snprintf(command, sizeof command, "rm -r %s", tls.folder);
    CHECK(system(command) == 0);
    buf_done(&tls.ca);
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
static struct spool *journal; /* of the next world; NULL: none */

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
    (void)why;
    ((struct world *)c->owner)->exec_closed = true;
}

static void on_edge_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    (void)c, (void)f, (void)payload;
    CHECK(!"egress says nothing to an edge");
}

static void on_edge_closed(struct channel *c, const struct err *why)
{
    (void)why;
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

/* What becomes of each thing that the server says. */
static const struct {
    const char *path;
    enum err_code reason;
    const char *head, *body;
} answers[] = {
    {"/hello", ERR_OK, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n",
     "hello"},
    {"/chunked", ERR_OK, "HTTP/1.1 200 Fine\r\nX-A: 1\r\n\r\n", "abcdefg"},
    {"/both", ERR_OK, "HTTP/1.1 200 OK\r\n\r\n", "abc"},
    {"/open", ERR_OK, "HTTP/1.1 200 OK\r\n\r\n", "until the end"},
    {"/short", ERR_UNREACHABLE, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", "0123456789"},
    {"/long", ERR_OK, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "01234"},
    {"/none", ERR_OK, "HTTP/1.1 204 No Content\r\n\r\n", ""},
    {"/same", ERR_OK, "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 7\r\n\r\n", ""},
    {"/hops", ERR_OK, "HTTP/1.1 200 OK\r\nX-Other: 3\r\nContent-Length: 0\r\n\r\n", ""},
    {"/moved", ERR_OK,
     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/canary\r\nContent-Length: 0\r\n\r\n", ""},
    {"/early", ERR_OK, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "ok"},
    {"/fold", ERR_OK, "HTTP/1.1 200 OK\r\nX-A: b c\r\nContent-Length: 0\r\n\r\n", ""},
    {"/gzip", ERR_OK, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n",
     "\x1f\x8bz"},
    {"/garbage", ERR_UNREACHABLE, "", ""},
    {"/nine", ERR_UNREACHABLE, "", ""},
    {"/two", ERR_UNREACHABLE, "", ""},
    {"/negative", ERR_UNREACHABLE, "", ""},
    {"/list", ERR_UNREACHABLE, "", ""},
    {"/coded", ERR_UNREACHABLE, "", ""},
    {"/colon", ERR_UNREACHABLE, "", ""},
    {"/space", ERR_UNREACHABLE, "", ""},
    {"/badchunk", ERR_UNREACHABLE, "HTTP/1.1 200 OK\r\n\r\n", ""},
    {"/switch", ERR_UNREACHABLE, "", ""},
    {"/cut", ERR_UNREACHABLE, "", ""},
    {"/closed", ERR_UNREACHABLE, "", ""},
    {"/headers", ERR_TOO_LARGE, "", ""},
    {"/line", ERR_UNREACHABLE, "", ""},
    {"/continue", ERR_TOO_LARGE, "", ""},
};

TEST(answers)
{
    struct world w;
    start_allowed(&w);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct reply *r = fetch(&w, answers[i].path);
        int before = test_failures;
        CHECK(r->finished && r->end.reason == answers[i].reason);
        CHECK_STR(text_of(&r->head), answers[i].head);
        CHECK_STR(text_of(&r->body), answers[i].body);
        CHECK(r->end.received == buf_size(&r->body) && r->end.sent == 0);
        CHECK(!answers[i].reason == !r->text[0]); /* an error always says why */
        if (test_failures > before)
            fprintf(stderr, "%s: reason %s, \"%s\"\n", answers[i].path, err_slug(r->end.reason),
                    r->text);
    }
    CHECK(!w.exec_closed && !w.edge_closed);
    world_stop(&w);
}

/* ── requests ────────────────────────────────────────────────────────────────────────────── */

TEST(request_is_ours)
{
    struct world w;
    char want[1024];
    start_allowed(&w);
    struct reply *r = fetch(&w, "/echo/a?b=c&d");
    snprintf(want, sizeof want,
             "GET /echo/a?b=c&d HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nVia: 1.1 wasmcloud\r\n"
             "User-Agent: wasmcloud/0.1.0\r\n\r\n",
             server.port);
    CHECK_STR(text_of(&r->body), want);

    static const char fields[] = "Accept\0text/html\0User-Agent\0mine\0X-Empty\0\0Via\0"
                                 "1.0 fred\0Host\0evil.example\0Connection\0close, X-A\0"
                                 "Content-Length\0"
                                 "7\0Transfer-Encoding\0chunked\0Expect\0"
                                 "100-continue\0TE\0gzip\0Upgrade\0h2c\0Keep-Alive\0"
                                 "1";
    r = fetch_with(&w, "OPTIONS", "/echo", slice_make(fields, sizeof fields));
    snprintf(
        want, sizeof want,
        "OPTIONS /echo HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: text/html\r\nUser-Agent: mine\r\n"
        "X-Empty:\r\nVia: 1.0 fred\r\nVia: 1.1 wasmcloud\r\n\r\n",
        server.port);
    CHECK_STR(text_of(&r->body), want);

    r = fetch_with(&w, "HEAD", "/hello", SLICE(""));
    CHECK(r->end.reason == ERR_OK && buf_size(&r->body) == 0);
    CHECK_STR(text_of(&r->head),
              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n");
    r = fetch_with(&w, "POST", "/echo", SLICE(""));
    CHECK(strstr(text_of(&r->body), "POST /echo HTTP/1.1\r\n") &&
          strstr(text_of(&r->body), "\r\nContent-Length: 0\r\n"));
    r = fetch_with(&w, "PROPFIND", "/echo", SLICE(""));
    CHECK(strstr(text_of(&r->body), "PROPFIND /echo HTTP/1.1\r\n"));
    world_stop(&w);
}

static void CHECK_refused(struct world *w, const char *method, const char *url, struct slice fields,
                          enum err_code reason)
{
    uint64_t id = opened(w, at("/"));
    struct reply *r = reply_of(w, id);
    unsigned before = server.requests;
    r->verdict = false;
    send_request(w, id, method, url, fields, BODY_NONE, 0);
    CHECK(await(w, &r->verdict));
    CHECK(r->verdict_end.reason == reason && r->verdict_text[0]);
    CHECK(server.requests == before && !r->finished);
    if (r->verdict_end.reason != reason)
        fprintf(stderr, "%s %s: %s\n", method, url, err_slug(r->verdict_end.reason));
    r->verdict = false; /* only the request is over */
    send_request(w, id, "GET", at("/hello"), SLICE(""), BODY_NONE, 0);
    CHECK(await(w, &r->finished) && r->end.reason == ERR_OK);
}

TEST(bad_requests)
{
    static const char *const methods[] = {
        "",      "G ET",    "GET\r\n",   "CONNECT",
        "TRACE", "connect", "M\xc3\xa9", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG",
        "(GET)"};
    static const struct {
        const char *p;
        size_t n;
    } fields[] = {
#define F(s) {s, sizeof s}
        F("X\0a\r\nY: b"), F("X\0a\nb"), F("X y\0a"),  F("X:\0a"),    F("\0a"),
        F("X\r\n\0a"),     F("X\0\x01"), F("X\0a\rb"), F("X\x7f\0a"), F("X\0\x7f"),
#undef F
    };
    struct world w;
    start_allowed(&w);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        CHECK_refused(&w, methods[i], at("/"), SLICE(""), ERR_INVALID);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        CHECK_refused(&w, "GET", at("/"), slice_make(fields[i].p, fields[i].n), ERR_INVALID);
    char many[8 * 400];
    size_t n = 0;
    for (int i = 0; i < 400; i++) {
        memcpy(many + n, "X-A\0b", 6);
        n += 6;
    }
    CHECK_refused(&w, "GET", at("/"), slice_make(many, n), ERR_INVALID);
    char https[64];
    snprintf(https, sizeof https, "https://127.0.0.1:%u/", server.port);
    CHECK_refused(&w, "GET", https, SLICE(""), ERR_INVALID); /* opened as http */
    CHECK_refused(&w, "GET", "http://user@127.0.0.1/", SLICE(""), ERR_INVALID);
    CHECK_refused(&w, "GET", "http://10.0.0.1/", SLICE(""), ERR_POLICY);
    CHECK_refused(&w, "GET", "file:///etc/passwd", SLICE(""), ERR_INVALID);
    CHECK_refused(&w, "GET", "", SLICE(""), ERR_INVALID);
    CHECK(!w.exec_closed);
    world_stop(&w);
}

/* The property: the request line and Host that the server got are the URL that the policy saw. */
TEST(policy_saw_what_was_sent)
{
    static const char alphabet[] = "ab/.%?#;=&:@!$'()*+,-_~<>[]|\\^`{} \"\t0f2E\xc3\xa9";
    struct world w;
    unsigned sent = 0;
    srandom(4);
    start_allowed(&w);
    for (int i = 0; i < 400; i++) {
        char path[64] = "/echo/", want[512];
        size_t n = 6, more = (size_t)random() % 24;
        while (more--)
            path[n++] = alphabet[(size_t)random() % (sizeof alphabet - 1)];
        path[n] = '\0';
        struct url url;
        struct err e;
        if (url_parse(slice_str(at(path)), &url, &e))
            continue;
        struct reply *r = fetch(&w, path);
        if (r->verdict_end.reason)
            continue;
        const char *got = text_of(&r->body);
        const char *after = strchr(got, ' ');
        snprintf(want, sizeof want, " %s HTTP/1.1\r\nHost: %.*s\r\n", url.path.p,
                 SLICE_ARG(url.authority));
        CHECK(after && strncmp(after, want, strlen(want)) == 0);
        sent++;
    }
    CHECK(sent > 100);
    world_stop(&w);
}

/* ── bodies and credit ───────────────────────────────────────────────────────────────────── */

/* Sends `n` bytes as far as credit goes. */
static void send_body(struct world *w, uint64_t id, size_t n, bool last)
{
    struct reply *r = reply_of(w, id);
    char block[16 << 10];
    uint64_t sent = 0, end = loop_now(w->loop) + 20000000;
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

static struct reply *upload(struct world *w, size_t n, enum exchange_body kind)
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

TEST(uploads)
{
    struct world w;
    start_allowed(&w);
    struct reply *r = upload(&w, 3000000, BODY_LENGTH);
    const char *body = text_of(&r->body);
    CHECK(r->end.reason == ERR_OK && r->end.sent == 3000000);
    CHECK(strstr(body, "Content-Length: 3000000\r\n") && !strstr(body, "Transfer-Encoding"));
    CHECK(buf_size(&r->body) > 3000000 && r->end.received == buf_size(&r->body));
    r = upload(&w, 300000, BODY_CHUNKED);
    body = text_of(&r->body);
    CHECK(r->end.reason == ERR_OK && r->end.sent == 300000);
    CHECK(strstr(body, "Transfer-Encoding: chunked\r\n") && !strstr(body, "Content-Length"));
    r = upload(&w, 0, BODY_CHUNKED);
    CHECK(r->end.reason == ERR_OK);
    r = upload(&w, 0, BODY_LENGTH);
    CHECK(r->end.reason == ERR_OK && strstr(text_of(&r->body), "Content-Length: 0\r\n"));
    world_stop(&w);
}

/* The answer is complete before the request's body: the exchange is over. */
TEST(early_answer)
{
    struct world w;
    start_allowed(&w);
    for (enum exchange_body kind = BODY_LENGTH; kind <= BODY_CHUNKED; kind++) {
        uint64_t id = opened(&w, at("/early-answer"));
        struct reply *r = reply_of(&w, id);
        send_request(&w, id, "POST", at("/early-answer"), SLICE(""), kind,
                     kind == BODY_LENGTH ? 90 : 0);
        channel_send(&w.exec, FRAME_BODY, 0, id, "abc", 3);
        CHECK(await(&w, &r->finished) && r->end.reason == ERR_OK);
        CHECK_STR(text_of(&r->body), "now");
        channel_send(&w.exec, FRAME_BODY, 0, id, "def", 3); /* crossed it */
        CHECK(fetch(&w, "/hello")->end.reason == ERR_OK && !w.exec_closed);
    }
    world_stop(&w);
}

/* … and not yet read when it is. */
TEST(early_answer_waits)
{
    struct world w;
    start_allowed(&w);
    w.hold = true;
    uint64_t id = opened(&w, at("/early-big"));
    struct reply *r = reply_of(&w, id);
    send_request(&w, id, "POST", at("/early-big"), SLICE(""), BODY_CHUNKED, 0);
    while (buf_size(&r->body) < FRAME_CREDIT_INITIAL && !w.exec_closed)
        loop_turn(w.loop, 100000);
    for (int i = 0; i < 5; i++)
        loop_turn(w.loop, 10000);
    CHECK(!r->finished);
    channel_send(&w.exec, FRAME_CREDIT, 0, id, &(uint32_t){40000}, 4);
    CHECK(await(&w, &r->finished) && r->end.reason == ERR_OK && r->finishes == 1);
    CHECK(buf_size(&r->body) == 100000);
    world_stop(&w);
}

/* With nothing granted, no more than the first credit comes; then everything does. */
TEST(answers_wait_for_credit)
{
    struct world w;
    start_allowed(&w);
    w.hold = true;
    uint64_t id = opened(&w, at("/big"));
    struct reply *r = reply_of(&w, id);
    send_request(&w, id, "GET", at("/big"), SLICE(""), BODY_NONE, 0);
    uint64_t end = clock_mono_us() + 300000;
    while (clock_mono_us() < end)
        loop_turn(w.loop, 50000);
    CHECK(buf_size(&r->body) == FRAME_CREDIT_INITIAL && !r->finished);
    /* an odd amount, then in one go */
    uint32_t n = 1;
    channel_send(&w.exec, FRAME_CREDIT, 0, id, &n, sizeof n);
    n = 777;
    channel_send(&w.exec, FRAME_CREDIT, 0, id, &n, sizeof n);
    while (buf_size(&r->body) < FRAME_CREDIT_INITIAL + 778 && !w.exec_closed)
        loop_turn(w.loop, 100000);
    w.hold = false;
    n = FRAME_CREDIT_INITIAL;
    channel_send(&w.exec, FRAME_CREDIT, 0, id, &n, sizeof n);
    CHECK(await(&w, &r->finished) && r->end.reason == ERR_OK);
    CHECK(buf_size(&r->body) == 1 << 20);
    bool right = true;
    for (size_t i = 0; i < buf_size(&r->body); i++)
        right &= (uint8_t)buf_data(&r->body)[i] == (uint8_t)(i / 1024);
    CHECK(right);
    world_stop(&w);
}

TEST(second_request)
{
    struct world w;
    start_allowed(&w);
    unsigned before = server.connections;
    uint64_t id = opened(&w, at("/hello"));
    struct reply *r = reply_of(&w, id);
    for (int i = 0; i < 50; i++) {
        reply_reset(r);
        send_request(&w, id, "GET", at("/hello"), SLICE(""), BODY_NONE, 0);
        CHECK(await(&w, &r->finished) && r->end.reason == ERR_OK && buf_size(&r->body) == 5);
    }
    CHECK(server.connections == before + 1); /* the connection was kept */
    world_stop(&w);
}

/* ── decisions ───────────────────────────────────────────────────────────────────────────── */

TEST(two_layers)
{
    struct world w;
    world_start(
        &w, "127.0.0.0/8",
        "{disallow: ['http://127.0.0.1:*/secret/**'], allow: ['http://**', 'gemini://**']}");
    world_policy(&w, "{\"allow\":[\"http://127.0.0.1:*/**\"],"
                     "\"disallow\":[\"http://127.0.0.1:*/admin/**\"],\"methods\":[\"GET\"]}");
    world_join(&w);
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK);
    struct reply *r = fetch(&w, "/admin/x");
    CHECK(r->verdict_end.reason == ERR_POLICY && !r->verdict_end.operator_ && r->verdict_text[0]);
    r = fetch(&w, "/secret/x");
    CHECK(r->verdict_end.reason == ERR_POLICY && r->verdict_end.operator_);
    r = fetch_with(&w, "DELETE", "/hello", SLICE(""));
    CHECK(r->verdict_end.reason == ERR_POLICY && strstr(r->verdict_text, "method"));
    r = reply_of(&w, opened(&w, "http://example.com/"));
    CHECK(r->verdict_end.reason == ERR_POLICY && !r->verdict_end.operator_);
    r = reply_of(&w, opened(&w, "https://127.0.0.1/"));
    CHECK(r->verdict_end.reason == ERR_POLICY && r->verdict_end.operator_);
    r = reply_of(&w, opened(&w, "null://"));
    CHECK(r->verdict_end.reason == ERR_INVALID);
    r = reply_of(&w, opened(&w, "http://2130706433/"));
    CHECK(r->verdict_end.reason == ERR_INVALID);
    r = reply_of(&w, opened(&w, "http://127.0.0.1:25/"));
    CHECK(r->verdict_end.reason == ERR_POLICY && r->verdict_end.operator_);
    /* opened where it may, then asked where it may not */
    uint64_t id = opened(&w, at("/hello"));
    r = reply_of(&w, id);
    r->verdict = false;
    send_request(&w, id, "GET", at("/admin/x"), SLICE(""), BODY_NONE, 0);
    CHECK(await(&w, &r->verdict) && r->verdict_end.reason == ERR_POLICY);
    world_stop(&w);
}

TEST(open_waits_for_its_policy)
{
    struct world w;
    world_start(&w, "127.0.0.0/8", NULL);
    world_join(&w);
    uint64_t id = send_open(&w, at("/hello")), other;
    for (int i = 0; i < 5; i++)
        loop_turn(w.loop, 10000);
    CHECK(!reply_of(&w, id)->verdict);
    world_policy(&w, "{\"allow\":[\"http://127.0.0.1:*/**\"]}");
    CHECK(await(&w, &reply_of(&w, id)->verdict));
    CHECK(reply_of(&w, id)->verdict_end.reason == ERR_OK);
    /* forgotten: what is open stays, what is opened is refused after two seconds */
    channel_send(&w.edge, FRAME_FORGET, 0, 7, &w.version.version, sizeof w.version.version);
    loop_turn(w.loop, 0);
    loop_turn(w.loop, 0);
    other = send_open(&w, at("/hello"));
    uint64_t began = clock_mono_us();
    CHECK(await(&w, &reply_of(&w, other)->verdict));
    CHECK(reply_of(&w, other)->verdict_end.reason == ERR_UNAVAILABLE);
    CHECK(clock_mono_us() - began >= 1900000);
    send_request(&w, id, "GET", at("/hello"), SLICE(""), BODY_NONE, 0);
    CHECK(await(&w, &reply_of(&w, id)->finished) && !reply_of(&w, id)->end.reason);
    world_stop(&w);
}

/* ── limits ──────────────────────────────────────────────────────────────────────────────── */

static void start_limited(struct world *w, enum limit_id limit, uint64_t value)
{
    world_start(w, "127.0.0.0/8", NULL);
    w->version.limits.v[limit] = value;
    world_policy(w, "{\"allow\":[\"http://127.0.0.1:*/**\"]}");
    world_join(w);
}

TEST(deadlines)
{
    static const enum limit_id limits[] = {LIMIT_EGRESS_FIRST_BYTE, LIMIT_EGRESS_TOTAL};
    for (size_t i = 0; i < 2; i++) {
        struct world w;
        start_limited(&w, limits[i], 200000);
        uint64_t began = clock_mono_us();
        struct reply *r = fetch(&w, "/hang");
        uint64_t took = clock_mono_us() - began;
        CHECK(r->end.reason == ERR_TIMEOUT && strstr(r->text, limit_rows[limits[i]].name));
        CHECK(took >= 190000 && took < 2000000);
        CHECK(fetch(&w, "/hello")->end.reason == ERR_OK);
        world_stop(&w);
    }
}

TEST(bytes)
{
    struct world w;
    start_limited(&w, LIMIT_EGRESS_OPEN, 100000);
    struct reply *r = fetch(&w, "/big");
    CHECK(r->end.reason == ERR_EGRESS_LIMIT && strstr(r->text, "egress-open"));
    CHECK(buf_size(&r->body) <= 100000);
    CHECK(upload(&w, 200000, BODY_LENGTH)->end.reason == ERR_EGRESS_LIMIT);
    world_stop(&w);
    start_limited(&w, LIMIT_EGRESS_RUN, 2500000);
    CHECK(fetch(&w, "/big")->end.reason == ERR_OK);
    CHECK(fetch(&w, "/big")->end.reason == ERR_OK);
    r = fetch(&w, "/big");
    CHECK(r->end.reason == ERR_EGRESS_LIMIT && strstr(r->text, "egress-run"));
    w.run = uuid_new();
    CHECK(fetch(&w, "/big")->end.reason == ERR_OK);
    world_stop(&w);
}

TEST(rate)
{
    struct world w;
    unsigned allowed = 0;
    start_limited(&w, LIMIT_EGRESS_RATE, 10);
    for (int i = 0; i < 100; i++)
        allowed += reply_of(&w, opened(&w, at("/")))->verdict_end.reason == ERR_OK;
    CHECK(allowed >= 50 && allowed < 70); /* five seconds' worth at once */
    world_stop(&w);
}

TEST(at_once)
{
    struct world w;
    uint64_t ids[6];
    start_limited(&w, LIMIT_EGRESS_AT_ONCE, 2);
    for (int i = 0; i < 6; i++) {
        ids[i] = opened(&w, at("/hello"));
        send_request(&w, ids[i], "GET", at(i < 2 ? "/hang" : "/hello"), SLICE(""), BODY_NONE, 0);
    }
    uint64_t end = clock_mono_us() + 200000;
    while (clock_mono_us() < end)
        loop_turn(w.loop, 50000);
    for (int i = 0; i < 6; i++)
        CHECK(!reply_of(&w, ids[i])->finished);
    channel_send(&w.exec, FRAME_CANCEL, 0, ids[3], &(uint16_t){ERR_CANCELLED}, 2);
    channel_send(&w.exec, FRAME_CANCEL, 0, ids[0], &(uint16_t){ERR_CANCELLED}, 2);
    CHECK(await(&w, &reply_of(&w, ids[2])->finished) && await(&w, &reply_of(&w, ids[4])->finished));
    CHECK(await(&w, &reply_of(&w, ids[5])->finished) && !reply_of(&w, ids[3])->finished);
    CHECK(!reply_of(&w, ids[0])->finished && !reply_of(&w, ids[1])->finished);
    world_stop(&w);
}

/* ── TLS and gemini ──────────────────────────────────────────────────────────────────────── */

static struct reply *fetch_url(struct world *w, const char *url)
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

static const char *url_of(const char *scheme, unsigned port, const char *path)
{
    static char text[256];
    snprintf(text, sizeof text, "%s://127.0.0.1:%u%s", scheme, port, path);
    return text;
}

static void start_tls(struct world *w)
{
    world_start(w, "127.0.0.0/8", NULL);
    w->version.limits.v[LIMIT_EGRESS_CONNECT] = 1000000;
    world_policy(w, "{\"allow\":[\"https://127.0.0.1:*/**\",\"gemini://127.0.0.1:*/**\"]}");
    world_join(w);
}

TEST(certificates)
{
    struct world w;
    if (!tls.on)
        return;
    start_tls(&w);
    struct reply *r = fetch_url(&w, url_of("https", tls.good, "/"));
    CHECK(r->end.reason == ERR_OK);
    CHECK_STR(text_of(&r->body), "secure");
    r = fetch_url(&w, url_of("https", tls.self, "/"));
    CHECK(r->end.reason == ERR_UNREACHABLE && strstr(r->text, "certificate"));
    r = fetch_url(&w, url_of("https", tls.named, "/"));
    CHECK(r->end.reason == ERR_UNREACHABLE && strstr(r->text, "certificate"));
    r = fetch_url(&w, url_of("https", server.port, "/hello")); /* speaks no TLS */
    CHECK(r->end.reason == ERR_TIMEOUT && strstr(r->text, "egress-connect"));
    world_stop(&w);
}

static const struct {
    const char *path;
    enum err_code reason;
    const char *head, *body;
} capsule[] = {
    {"/hello", ERR_OK, "20 text/gemini\r\n", "# hello\n"},
    {"/empty", ERR_OK, "20 \r\n", ""},
    {"/none", ERR_OK, "51 Not here\r\n", ""},
    {"/input", ERR_OK, "10 Your name?\r\n", ""},
    {"/babble", ERR_UNREACHABLE, "", ""},
    {"/status", ERR_UNREACHABLE, "", ""},
    {"/newline", ERR_UNREACHABLE, "", ""},
    {"/meta", ERR_UNREACHABLE, "", ""},
    {"/closed", ERR_UNREACHABLE, "", ""},
    {"/cut", ERR_OK, "20 text/plain\r\n", "the first half"},
    {"/hello", ERR_OK, "20 text/gemini\r\n", "# hello\n"},
};

TEST(gemini)
{
    struct world w;
    char url[256];
    if (!tls.on)
        return;
    start_tls(&w);
    for (size_t i = 0; i < sizeof capsule / sizeof *capsule; i++) {
        struct reply *r = fetch_url(&w, url_of("gemini", tls.self, capsule[i].path));
        int before = test_failures;
        CHECK(r->finished && r->end.reason == capsule[i].reason);
        CHECK_STR(text_of(&r->head), capsule[i].head);
        CHECK_STR(text_of(&r->body), capsule[i].body);
        if (test_failures > before)
            fprintf(stderr, "%s: %s \"%s\"\n", capsule[i].path, err_slug(r->end.reason), r->text);
    }
    struct reply *r = fetch_url(&w, url_of("gemini", tls.self, "/big"));
    CHECK(r->end.reason == ERR_OK && buf_size(&r->body) == 300000);
    snprintf(url, sizeof url, "%s", url_of("gemini", tls.self, "/echo/a%20b?c"));
    r = fetch_url(&w, url);
    CHECK(strncmp(text_of(&r->body), url, strlen(url)) == 0); /* the URL that the policy saw */
    r = fetch_url(&w, url_of("gemini", server.port, "/"));    /* no TLS */
    CHECK(r->end.reason == ERR_TIMEOUT);
    /* one that waits for credit, and one that is cancelled */
    w.hold = true;
    uint64_t id = opened(&w, url_of("gemini", tls.self, "/big"));
    r = reply_of(&w, id);
    send_request(&w, id, "GET", url_of("gemini", tls.self, "/big"), SLICE(""), BODY_NONE, 0);
    uint64_t end = clock_mono_us() + 300000;
    while (clock_mono_us() < end)
        loop_turn(w.loop, 50000);
    CHECK(buf_size(&r->body) == FRAME_CREDIT_INITIAL && !r->finished);
    w.hold = false;
    channel_send(&w.exec, FRAME_CREDIT, 0, id, &(uint32_t){FRAME_CREDIT_INITIAL}, 4);
    CHECK(await(&w, &r->finished) && buf_size(&r->body) == 300000);
    id = opened(&w, url_of("gemini", tls.self, "/hang"));
    send_request(&w, id, "GET", url_of("gemini", tls.self, "/hang"), SLICE(""), BODY_NONE, 0);
    for (int i = 0; i < 20; i++)
        loop_turn(w.loop, 5000);
    channel_send(&w.exec, FRAME_CANCEL, 0, id, &(uint16_t){ERR_CANCELLED}, 2);
    /* another key than the first */
    CHECK(fetch_url(&w, url_of("gemini", tls.self, "/rotate"))->end.reason == ERR_OK);
    r = fetch_url(&w, url_of("gemini", tls.self, "/hello"));
    CHECK(r->end.reason == ERR_UNREACHABLE && strstr(r->text, "another key"));
    CHECK(fetch_url(&w, url_of("gemini", tls.good, "/hello"))->end.reason == ERR_OK);
    CHECK(!w.exec_closed);
    world_stop(&w);
}

/* ── malice ──────────────────────────────────────────────────────────────────────────────── */

/* CANCEL after any number of turns: nothing follows it, everything else goes on. */
TEST(cancel_anywhere)
{
    static const char *const paths[] = {"/hello", "/big", "/hang", "/chunked"};
    struct world w;
    start_allowed(&w);
    for (int turns = 0; turns < 24; turns++) {
        const char *path = paths[turns % 4];
        uint64_t id = send_open(&w, at(path));
        if (turns > 3) {
            CHECK(await(&w, &reply_of(&w, id)->verdict));
            send_request(&w, id, "GET", at(path), SLICE(""), BODY_NONE, 0);
        }
        for (int i = 0; i < turns / 2; i++)
            loop_turn(w.loop, 1000);
        channel_send(&w.exec, FRAME_CANCEL, 0, id, &(uint16_t){ERR_CANCELLED}, 2);
    }
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK && !w.exec_closed);
    world_stop(&w);
}

static void expect_end(struct world *w)
{
    uint64_t end = clock_mono_us() + 5000000;
    while (!w->exec_closed && clock_mono_us() < end)
        loop_turn(w->loop, 100000);
    CHECK(w->exec_closed && !w->edge_closed);
    channel_done(&w->exec);
    w->exec_closed = false;
    world_join(w); /* the next exec is served */
    world_policy(w, "{\"allow\":[\"http://127.0.0.1:*/**\"]}");
    CHECK(fetch(w, "/hello")->end.reason == ERR_OK);
}

TEST(malformed_frames)
{
    struct world w;
    start_allowed(&w);
    char junk[600] = {0};
    static const struct {
        enum frame_type type;
        size_t n;
    } frames[] = {
        {FRAME_OPEN, 5},
        {FRAME_BIND, 16},
        {FRAME_JOIN, 16},
        {FRAME_POLICY, 600},
        {FRAME_FORGET, 16},
        {FRAME_LOAD, 10},
        {FRAME_OUTPUT, 10},
        {FRAME_VERDICT, 40},
        {FRAME_CREDIT, 3},
        {FRAME_CANCEL, 0},
        {99, 4},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        channel_send(&w.exec, frames[i].type, 0, 1, junk, frames[i].n);
        expect_end(&w);
    }
    uint64_t id = opened(&w, at("/hello"));
    send_request(&w, id, "GET", at("/hang"), SLICE(""), BODY_NONE, 0);
    send_request(&w, id, "GET", at("/hang"), SLICE(""), BODY_NONE, 0); /* before its time */
    expect_end(&w);
    id = opened(&w, at("/hello"));
    send_request(&w, id, "GET", at("/hang"), SLICE(""), BODY_NONE, 0);
    channel_send(&w.exec, FRAME_BODY, 0, id, junk, 10); /* was not announced */
    expect_end(&w);
    id = opened(&w, at("/hello"));
    send_request(&w, id, "POST", at("/hang"), SLICE(""), BODY_LENGTH, 5);
    channel_send(&w.exec, FRAME_BODY, 0, id, junk, 10); /* is too long */
    expect_end(&w);
    id = opened(&w, at("/hello"));
    send_request(&w, id, "POST", at("/hang"), SLICE(""), BODY_CHUNKED, 0);
    for (int i = 0; i < 200; i++)
        channel_send(&w.exec, FRAME_BODY, 0, id, junk, sizeof junk); /* over its credit */
    for (int i = 0; i < 100; i++)
        channel_send(&w.exec, FRAME_BODY, 0, id, junk, sizeof junk);
    expect_end(&w);
    id = opened(&w, at("/hello"));
    send_request(&w, id, "GET", at("/hang"), SLICE(""), BODY_NONE, 0);
    channel_send(&w.exec, FRAME_CREDIT, 0, id, &(uint32_t){UINT32_MAX}, 4);
    expect_end(&w);
    id = opened(&w, at("/hello"));
    send_open(&w, at("/hello"));
    w.next--;
    send_open(&w, at("/hello")); /* the same number twice */
    expect_end(&w);
    /* an exchange that nobody knows: it crossed the end */
    channel_send(&w.exec, FRAME_BODY, 0, 12345, junk, 10);
    channel_send(&w.exec, FRAME_CREDIT, 0, 12345, &(uint32_t){1}, 4);
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK);
    /* the body must be as long as it says */
    id = opened(&w, at("/echo"));
    send_request(&w, id, "POST", at("/echo"), SLICE(""), BODY_LENGTH, 5);
    channel_send(&w.exec, FRAME_BODY, FRAME_LAST, id, junk, 3);
    CHECK(await(&w, &reply_of(&w, id)->finished) && reply_of(&w, id)->end.reason == ERR_INVALID);
    world_stop(&w);
}

/* Frames that no exec of ours would send: valid ones with bytes changed. Only that exec ends. */
TEST(forged_frames)
{
    static const enum frame_type types[] = {FRAME_OPEN,   FRAME_REQUEST, FRAME_BODY,   FRAME_CREDIT,
                                            FRAME_CANCEL, FRAME_OPEN,    FRAME_REQUEST};
    struct world w;
    unsigned ended = 0;
    srandom(6);
    start_allowed(&w);
    for (int i = 0; i < 3000; i++) {
        char payload[700];
        enum frame_type type = types[(size_t)random() % 7];
        struct exchange_open open = {w.run, w.version.version};
        struct exchange_request r = {.method_bytes = 3, .body = (uint8_t)(random() % 4)};
        size_t n = (size_t)random() % 8;
        const char *url = at("/hello");
        if (type == FRAME_OPEN) {
            memcpy(payload, &open, n = sizeof open);
        } else if (type == FRAME_REQUEST) {
            r.url_bytes = (uint16_t)strlen(url);
            memcpy(payload, &r, sizeof r);
            memcpy(payload + sizeof r, "GET", 3);
            n = sizeof r + 3;
        } else {
            memset(payload, 0, sizeof payload);
        }
        if (type == FRAME_OPEN || type == FRAME_REQUEST) {
            memcpy(payload + n, url, strlen(url));
            n += strlen(url);
        }
        for (long changes = random() % 3; changes && n; changes--)
            payload[(size_t)random() % n] = (char)random();
        uint64_t id = (uint64_t)random() % 64;
        reply_reset(reply_of(&w, id));
        channel_send(&w.exec, type, (uint16_t)(random() % 40 ? 0 : random()), id, payload, n);
        if (i % 4 == 0)
            loop_turn(w.loop, 1000);
        if (!w.exec_closed)
            continue;
        ended++;
        channel_done(&w.exec);
        w.exec_closed = false;
        world_join(&w);
        world_policy(&w, "{\"allow\":[\"http://127.0.0.1:*/**\"]}");
    }
    CHECK(ended > 10 && !w.edge_closed);
    channel_done(&w.exec);
    w.exec_closed = false;
    w.next = 1000;
    world_join(&w);
    world_policy(&w, "{\"allow\":[\"http://127.0.0.1:*/**\"]}");
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK);
    world_stop(&w);
}

TEST(edge_breaks_the_rules)
{
    struct world w;
    start_allowed(&w);
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK);
    channel_send(&w.edge, FRAME_JOIN, 0, 9, &w.project, sizeof w.project); /* without a socket */
    while (!w.edge_closed)
        loop_turn(w.loop, 100000);
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK); /* what it joined stays */
    world_stop(&w);
}

/* ── addresses ───────────────────────────────────────────────────────────────────────────── */

/* One of each block and its edges, and public ones around them. */
static const char *const forbidden[] = {
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1",
    "::127.0.0.1",
    "::8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.1.2.3",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:ffff::1",
    "64:ff9b:2::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:0:a00:1:0:0:f7f7:f7f7",
    "2001:0:808:808:0:0:f5ff:fffe",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:100::1",
    "2001:db8::1",
    "2001:db8:ffff::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "2002:c0a8:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "8000::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:42::42",
    "fdff:ffff::1",
    "fe00::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff00::1",
    "ff02::1",
    "ffff::1",
    "2606:4700::5efe:10.0.0.1",
    "2606:4700::200:5efe:127.0.0.1",
    "1::1",
    "1fff::1",
};
static const char *const public[] = {
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.1",
    "192.0.3.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "192.175.48.1",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.1",
    "198.51.101.1",
    "203.0.112.1",
    "203.0.114.1",
    "223.255.255.255",
    "168.63.129.15",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2002:808:808::1",
    "2001:0:808:808:0:0:f7f7:f7f7",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450::1",
    "2600::1",
    "3ffe::1",
    "2606:4700::5efe:8.8.8.8",
};

TEST(addresses)
{
    struct cidr_list none = {0}, some;
    struct http_address a;
    struct err e;
    unsigned n = 0;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++, n++) {
        CHECK(address_parse(slice_str(forbidden[i]), &a));
        if (!address_refused(&a, &none))
            fprintf(stderr, "%s is reachable\n", forbidden[i]);
        CHECK(address_refused(&a, &none));
    }
    for (size_t i = 0; i < sizeof public / sizeof *public; i++, n++) {
        CHECK(address_parse(slice_str(public[i]), &a));
        if (address_refused(&a, &none))
            fprintf(stderr, "%s: %s\n", public[i], address_refused(&a, &none));
        CHECK(!address_refused(&a, &none));
    }
    /* every IPv4 verdict holds in each form that carries it */
    static const char *const forms[] = {"::ffff:%u.%u.%u.%u", "64:ff9b::%u.%u.%u.%u"};
    srandom(1);
    for (int i = 0; i < 2000; i++, n++) {
        unsigned b[4] = {(unsigned)random() & 255, (unsigned)random() & 255,
                         (unsigned)random() & 255, (unsigned)random() & 255};
        char plain[64], form[64];
        struct http_address inner;
        snprintf(plain, sizeof plain, "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
        CHECK(address_parse(slice_str(plain), &inner));
        bool refused = address_refused(&inner, &none);
        for (int f = 0; f < 3; f++) {
            if (f < 2)
                snprintf(form, sizeof form, forms[f], b[0], b[1], b[2], b[3]);
            else
                snprintf(form, sizeof form, "2002:%02x%02x:%02x%02x::1", b[0], b[1], b[2], b[3]);
            CHECK(address_parse(slice_str(form), &a));
            CHECK(!address_refused(&a, &none) == !refused);
        }
    }
    CHECK(n > 2000);
    /* what the operator allows, in the forms that carry it too */
    CHECK(cidr_parse(SLICE("10.1.0.0/16, fd12::/16"), &some, &e) == ERR_OK);
    static const char *const now[] = {"10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1",
                                      "fd12::1"};
    for (size_t i = 0; i < 4; i++)
        CHECK(address_parse(slice_str(now[i]), &a) && !address_refused(&a, &some));
    CHECK(address_parse(SLICE("10.2.2.3"), &a) && address_refused(&a, &some));
    cidr_done(&some);
    struct port_set ports;
    CHECK(port_set_parse(SLICE("25, 465,587,65535"), &ports, &e) == ERR_OK);
    CHECK(port_set_has(&ports, 25) && port_set_has(&ports, 65535) && !port_set_has(&ports, 80));
    CHECK(port_set_parse(SLICE("25,x"), &ports, &e) == ERR_USAGE);
    CHECK(port_set_parse(SLICE("65536"), &ports, &e) == ERR_USAGE);
}

TEST(numeric_hosts)
{
    struct world w;
    world_start(&w, "", NULL);
    world_policy(&w, "{\"allow\":[\"http://**\"]}");
    world_join(&w);
    unsigned before = server.connections;
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        char url[128];
        bool v6 = strchr(forbidden[i], ':');
        snprintf(url, sizeof url, v6 ? "http://[%s]:%u/" : "http://%s:%u/", forbidden[i],
                 server.port);
        uint64_t id = opened(&w, url);
        struct reply *r = reply_of(&w, id);
        if (r->verdict_end.reason)
            continue; /* not even a URL */
        r->verdict = false;
        send_request(&w, id, "GET", url, SLICE(""), BODY_NONE, 0);
        CHECK(await(&w, &r->finished) && r->end.reason == ERR_POLICY && r->end.operator_);
        CHECK(strstr(r->text, "egress-addresses"));
    }
    CHECK(server.connections == before);
    world_stop(&w);
}

/* ── names ───────────────────────────────────────────────────────────────────────────────── */

static const char *named(const char *host, const char *path)
{
    static char text[256];
    snprintf(text, sizeof text, "http://%s:%u%s", host, server.port, path);
    return text;
}

static void start_named(struct world *w)
{
    world_start(w, "127.0.0.0/8", NULL);
    w->version.limits.v[LIMIT_EGRESS_DNS] = 300000;
    world_policy(w, "{\"allow\":[\"http://*:*/**\",\"http://*.test:*/**\"]}");
    world_join(w);
}

TEST(names)
{
    struct world w;
    start_named(&w);
    struct reply *r = fetch_url(&w, named("one.test", "/echo"));
    CHECK(r->end.reason == ERR_OK);
    char host[64];
    snprintf(host, sizeof host, "\r\nHost: one.test:%u\r\n", server.port);
    CHECK(strstr(text_of(&r->body), host));
    r = fetch_url(&w, named("two.test", "/hello"));
    CHECK(r->end.reason == ERR_OK); /* by its second address */
    r = fetch_url(&w, named("mixed.test", "/hello"));
    CHECK(r->end.reason == ERR_OK); /* only the acceptable one is used */
    r = fetch_url(&w, named("private.test", "/hello"));
    CHECK(r->end.reason == ERR_POLICY && r->end.operator_ && strstr(r->text, "10.0.0.1") &&
          strstr(r->text, "RFC 1918"));
    r = fetch_url(&w, named("none.test", "/hello"));
    CHECK(r->end.reason == ERR_NOT_FOUND);
    r = fetch_url(&w, named("missing.test", "/hello"));
    CHECK(r->end.reason == ERR_NOT_FOUND && strstr(r->text, "missing.test"));
    r = fetch_url(&w, named("flood.test", "/hello"));
    CHECK(r->end.reason == ERR_OK);
    uint64_t began = clock_mono_us();
    r = fetch_url(&w, named("silent.test", "/hello"));
    CHECK(r->end.reason == ERR_TIMEOUT && strstr(r->text, "egress-dns"));
    CHECK(clock_mono_us() - began < 2000000);
    world_stop(&w);
}

/* The name server changes its mind with every question: what was not judged is never reached. */
TEST(rebinding)
{
    struct world w;
    unsigned reached = 0, refused = 0;
    start_named(&w);
    for (int i = 0; i < 500; i++) {
        struct reply *r = fetch_url(&w, named("rebind.test", "/hello"));
        reached += r->end.reason == ERR_OK;
        refused += r->end.reason == ERR_POLICY;
    }
    CHECK(reached + refused == 500 && reached >= 200 && refused >= 200);
    world_stop(&w);
}

/* Questions that nobody answers are bounded, cost no other project its names, and end. */
TEST(names_that_hang)
{
    struct world w;
    uint64_t ids[100];
    start_named(&w);
    for (int i = 0; i < 100; i++) {
        ids[i] = opened(&w, named("silent.test", "/"));
        send_request(&w, ids[i], "GET", named("silent.test", "/"), SLICE(""), BODY_NONE, 0);
    }
    CHECK(fetch_url(&w, at("/hello"))->end.reason == ERR_OK); /* 64 at once: this one waited */
    for (int i = 0; i < 100; i++)
        CHECK(await(&w, &reply_of(&w, ids[i])->finished));
    CHECK(fetch_url(&w, named("one.test", "/hello"))->end.reason == ERR_OK);
    world_stop(&w);
}

/* ── idleness ────────────────────────────────────────────────────────────────────────────── */

/* As if the project had done nothing for a long time. */
static void sweep(struct world *w, struct project *p)
{
    struct loop_timer *timer = &w->egress->sweep;
    p->idle_us = 1;
    CHECK(timer->slot); /* it looks again by itself */
    loop_timer_start(w->loop, timer, loop_now(w->loop), timer->on_timeout);
    loop_turn(w->loop, 0);
}

TEST(idle)
{
    struct world w;
    start_allowed(&w);
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK);
    unsigned before = server.connections;
    struct project *p = project_get(w.egress, w.project);
    CHECK(p->members == 1 && p->multi && p->spare_count);
    sweep(&w, p);
    CHECK(!p->multi && !p->spare_count); /* its connections are closed, it is still known */
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK && server.connections == before + 1);
    channel_done(&w.exec);
    while (p->members)
        loop_turn(w.loop, 100000);
    CHECK(list_empty(&w.egress->members) && egress_alone(w.egress));
    sweep(&w, p);
    CHECK(!map_get(&w.egress->projects, slice_make(&w.project, sizeof w.project)));
    world_join(&w); /* and known again */
    world_policy(&w, "{\"allow\":[\"http://127.0.0.1:*/**\"]}");
    CHECK(fetch(&w, "/hello")->end.reason == ERR_OK);
    world_stop(&w);
}

/* ── the journal ─────────────────────────────────────────────────────────────────────────── */

TEST(journal)
{
    struct world w;
    struct err e;
    struct spool *reader;
    struct spool_record record;
    char path[] = "/tmp/egress-XXXXXX", command[64];
    int folder = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    CHECK(spool_open(folder, "egress", 1 << 20, true, &journal, &e) == ERR_OK);
    CHECK(spool_open(folder, "egress", 1 << 20, false, &reader, &e) == ERR_OK);
    start_named(&w);
    (void)fetch_url(&w, named("one.test", "/hello"));
    (void)fetch_url(&w, named("private.test", "/hello"));
    (void)fetch_url(&w, named("two.test", "/short"));
    (void)fetch_url(&w, named("missing.test", "/hello")); /* went nowhere */
    (void)upload(&w, 5000, BODY_LENGTH);
    world_stop(&w);
    static const struct {
        const char *host, *address;
        enum err_code outcome;
        uint64_t sent, received;
    } want[] = {
        {"one.test", "127.0.0.1", ERR_OK, 0, 5},
        {"private.test", "10.0.0.1", ERR_POLICY, 0, 0},
        {"two.test", "127.0.0.2", ERR_UNREACHABLE, 0, 0},
        {"two.test", "127.0.0.1", ERR_UNREACHABLE, 0, 10},
        {"127.0.0.1", "127.0.0.1", ERR_OK, 5000, 0},
    };
    uint64_t at_tail = spool_tail(reader);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char address[ADDRESS_TEXT];
        CHECK(spool_next(reader, &at_tail, &record) && record.type == SPOOL_CONNECTION);
        const struct spool_connection *c = &record.connection;
        address_text((const struct http_address *)c->address, address);
        CHECK_STR(c->host, want[i].host);
        CHECK_STR(address, want[i].address);
        CHECK_STR(c->scheme, "http");
        CHECK(c->outcome == want[i].outcome && c->port == server.port);
        CHECK(c->sent == want[i].sent && c->received >= want[i].received);
        CHECK(uuid_eq(c->run, w.run) && uuid_eq(c->project, w.project) &&
              uuid_eq(c->function, w.version.function));
        CHECK(clock_real_us() - c->at_us < 60000000);
    }
    CHECK(!spool_next(reader, &at_tail, &record));
    spool_close(reader);
    spool_close(journal);
    journal = NULL;
    close(folder);
    snprintf(command, sizeof command, "rm -r %s", path);
    CHECK(system(command) == 0);
}

int main(void)
{
    static const struct test_case cases[] = {
        CASE(answers),
        CASE(request_is_ours),
        CASE(bad_requests),
        CASE(policy_saw_what_was_sent),
        CASE(uploads),
        CASE(early_answer),
        CASE(early_answer_waits),
        CASE(answers_wait_for_credit),
        CASE(second_request),
        CASE(certificates),
        CASE(gemini),
        CASE(two_layers),
        CASE(open_waits_for_its_policy),
        CASE(deadlines),
        CASE(bytes),
        CASE(rate),
        CASE(at_once),
        CASE(cancel_anywhere),
        CASE(malformed_frames),
        CASE(forged_frames),
        CASE(edge_breaks_the_rules),
        CASE(addresses),
        CASE(numeric_hosts),
        CASE(names),
        CASE(rebinding),
        CASE(names_that_hang),
        CASE(journal),
        CASE(idle),
    };
    log_init("test", LOG_ERROR);
    server_start(&server);
    dns_start();
    tls_start();
    int rc = test_main(cases, (int)(sizeof cases / sizeof *cases));
    tls_stop();
    dns_stop();
    server_stop(&server);
    return rc;
}
