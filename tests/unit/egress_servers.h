/* Servers on loopback for the tests of egress: HTTP that is good, hangs, lies and babbles; names
 * that change; TLS. */
#pragma once

#include "test.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

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

static inline bool put(int fd, const void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t w = send(fd, (const char *)p + at, n - at, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        at += (size_t)w;
    }
    return true;
}

static inline bool puts_to(int fd, const char *s)
{
    return put(fd, s, strlen(s));
}

/* Reads a head, then as much of the body as its framing says; false at the connection's end. */
static inline bool read_request(int fd, struct buf *in, size_t *ret_head, size_t *ret_all)
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

static inline void until_closed(int fd)
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

static inline bool serve_one(struct visit *v, const char *p, size_t head, size_t all)
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

static inline void *visit(void *arg)
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

static inline void *serve(void *arg)
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

static inline void server_start(struct server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(s->fd, (void *)&at, n) == 0 && listen(s->fd, 512) == 0);
    getsockname(s->fd, (void *)&at, &n);
    s->port = ntohs(at.sin_port);
    pthread_create(&s->thread, NULL, serve, s);
}

static inline void server_stop(struct server *s)
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
static inline size_t put_a(uint8_t *p, const uint8_t a[4])
{
    static const uint8_t head[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4};
    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, a, 4);
    return sizeof head + 4;
}

/* Writes the answer over the question; 0: stay silent. */
static inline size_t answer_name(uint8_t *p, size_t n)
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

static inline void *serve_names(void *arg)
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

static inline void dns_start(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    dns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(bind(dns.fd, (void *)&at, n) == 0);
    getsockname(dns.fd, (void *)&at, &n);
    snprintf(dns.address, sizeof dns.address, "127.0.0.1:%u", ntohs(at.sin_port));
    pthread_create(&dns.thread, NULL, serve_names, NULL);
}

static inline void dns_stop(void)
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

static inline void tls_start(void)
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

static inline void tls_stop(void)
{
    char command[128];
    close(tls.in);
    waitpid(tls.pid, NULL, 0);
    snprintf(command, sizeof command, "rm -r %s", tls.folder);
    CHECK(system(command) == 0);
    buf_done(&tls.ca);
}
