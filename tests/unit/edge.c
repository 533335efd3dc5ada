/* The functions edge as a whole: this program plays master, control's publications and an exec,
 * and talks HTTP to it over a real socket. Nothing waits for time to pass. */
#include "test.h"

#include "ipc/channel.h"
#include "ipc/exchange.h"
#include "ipc/leash.h"
#include "ipc/ledger.h"
#include "roles/edge.h"
#include "roles/roles.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The fake exec: a thread per process that the edge asks for. */

struct fake_run {
    bool used, echo, last;
    uint64_t id;
    struct buf pending;  /* to be echoed */
    uint32_t out_credit; /* bytes that the edge takes */
};

struct fake {
    int fd;
    struct buf out;
    struct fake_run runs[64];
};

static int loads, execs; /* seen so far; written by the fake's thread, read when it is quiet */
static bool image_missing;

static void put_frame(struct fake *k, enum frame_type type, uint16_t flags, uint64_t id,
                      const void *p, size_t n)
{
    if (!frame_put(&k->out, type, flags, id, p, n))
        abort();
}

static void leave(struct fake *k)
{
    close(k->fd);
    buf_done(&k->out);
    for (int i = 0; i < 64; i++)
        buf_done(&k->runs[i].pending);
    pthread_exit(NULL);
}

/* As a real exec, it sends all that one read led to at once. */
static void flush(struct fake *k)
{
    while (buf_size(&k->out)) {
        ssize_t n = write(k->fd, buf_data(&k->out), buf_size(&k->out));
        if (n <= 0)
            leave(k);
        buf_consume(&k->out, (size_t)n);
    }
}

static void output(struct fake *k, uint64_t id, const char *text)
{
    put_frame(k, FRAME_OUTPUT, 0, id, text, strlen(text));
}

static void end(struct fake *k, uint64_t id, enum err_code reason, int status)
{
    struct ledger l = {.head = {.cpu_us = 5, .wall_us = 10, .memory_peak = 65536}};
    char bytes[4096];
    l.head.reason = (uint16_t)reason;
    l.head.status = status;
    ledger_write(&l, bytes);
    put_frame(k, FRAME_END, 0, id, bytes, ledger_size(&l));
}

/* Echoes what the credit allows; what was said may be heard anew. */
static void echo(struct fake *k, struct fake_run *r)
{
    uint32_t n = (uint32_t)buf_size(&r->pending);
    n = n < r->out_credit ? n : r->out_credit;
    if (n) {
        put_frame(k, FRAME_OUTPUT, 0, r->id, buf_data(&r->pending), n);
        put_frame(k, FRAME_CREDIT, 0, r->id, &n, sizeof n);
        buf_consume(&r->pending, n);
        r->out_credit -= n;
    }
    if (r->last && !buf_size(&r->pending)) {
        buf_done(&r->pending);
        r->used = false;
        end(k, r->id, ERR_OK, 0);
    }
}

static struct fake_run *keep(struct fake *k, uint64_t id)
{
    for (int i = 0; i < 64; i++)
        if (!k->runs[i].used) {
            k->runs[i] = (struct fake_run){.used = true, .id = id};
            buf_init(&k->runs[i].pending, FRAME_CREDIT_INITIAL);
            return &k->runs[i];
        }
    abort();
}

static struct slice variable(struct slice pairs, const char *name)
{
    while (pairs.p && pairs.n) {
        struct slice key = slice_split(&pairs, '\0'), value = slice_split(&pairs, '\0');
        if (slice_eq(key, slice_str(name)))
            return value;
    }
    return SLICE("");
}

static void begin(struct fake *k, const struct frame *f, struct slice payload)
{
    struct slice pairs = slice_from(payload, 4);
    struct slice path = variable(pairs, "PATH_INFO");
    char text[512];
    if (slice_eq(path, SLICE("/hello"))) {
        output(k, f->id, "Content-Type: text/plain\n\nhello\n");
    } else if (slice_eq(path, SLICE("/vars"))) {
        struct slice script = variable(pairs, "SCRIPT_NAME"), run = variable(pairs, "RUN_ID");
        struct slice query = variable(pairs, "QUERY_STRING"), w = variable(pairs, "WORKER_ID");
        snprintf(text, sizeof text, "Content-Type: text/plain\n\n%.*s|%.*s|%zu|%zu|%d\n",
                 SLICE_ARG(script), SLICE_ARG(query), run.n, w.n,
                 w.p[0] == '0' && w.p[1] == '0' && w.p[2] == '0' && w.p[3] == '0');
        output(k, f->id, text);
    } else if (slice_eq(path, SLICE("/echo"))) {
        output(k, f->id, "Content-Type: text/plain\n\n");
        struct fake_run *r = keep(k, f->id);
        r->echo = true;
        r->last = f->flags & FRAME_LAST;
        r->out_credit = FRAME_CREDIT_INITIAL - 26;
        echo(k, r);
        return;
    } else if (slice_eq(path, SLICE("/garbage"))) {
        output(k, f->id, "no header here");
    } else if (slice_eq(path, SLICE("/split"))) {
        output(k, f->id, "Content-Type: text/plain\nX: a\rSet-Cookie: b\n\nbody");
    } else if (slice_eq(path, SLICE("/exit"))) {
        end(k, f->id, ERR_EXIT_STATUS, 3);
        return;
    } else if (slice_eq(path, SLICE("/late-exit"))) {
        output(k, f->id, "Content-Type: text/plain\n\npart");
        end(k, f->id, ERR_EXIT_STATUS, 3);
        return;
    } else if (slice_eq(path, SLICE("/trap"))) {
        output(k, f->id, "Content-Type: text/plain\n\npart");
        end(k, f->id, ERR_TRAP, 0);
        return;
    } else if (slice_eq(path, SLICE("/short"))) {
        output(k, f->id, "Content-Type: text/plain\nContent-Length: 10\n\nfour");
    } else if (slice_eq(path, SLICE("/local"))) {
        output(k, f->id, "Location: /there\n\n");
    } else if (slice_eq(path, SLICE("/reach"))) {
        put_frame(k, FRAME_REACH, 0, 0, NULL, 0);
        output(k, f->id, "Content-Type: text/plain\n\nreached\n");
    } else if (slice_eq(path, SLICE("/die"))) {
        leave(k);
    } else if (slice_eq(path, SLICE("/forge"))) {
        text[0] = (char)FRAME_LOG_HEAD(1, 2); /* the platform's voice */
        put_frame(k, FRAME_LOG, 0, f->id, text, 1);
    } else if (slice_eq(path, SLICE("/tape"))) {
        put_frame(k, FRAME_CAPTURE, FRAME_MORE, f->id, "tape", 4);
        output(k, f->id, "Content-Type: text/plain\n\nfirst\n");
        keep(k, f->id);
        return;
    } else if (slice_eq(path, SLICE("/other-tape"))) {
        put_frame(k, FRAME_CAPTURE, FRAME_MORE, f->id, "tape", 4);
        keep(k, f->id);
        return;
    } else if (slice_eq(path, SLICE("/hold"))) {
        output(k, f->id, "Content-Type: text/plain\n\nfirst\n");
        keep(k, f->id);
        return;
    }
    end(k, f->id, ERR_OK, 0);
}

static struct fake_run *held(struct fake *k, uint64_t id)
{
    for (int i = 0; i < 64; i++)
        if (k->runs[i].used && k->runs[i].id == id)
            return &k->runs[i];
    return NULL;
}

static void on_fake_frame(struct fake *k, const struct frame *f, struct slice payload)
{
    struct fake_run *r = held(k, f->id);
    uint16_t reason;
    uint32_t credit;
    switch (f->type) {
    case FRAME_LOAD:
        loads++;
        if (image_missing) {
            uint16_t code = ERR_NOT_FOUND;
            put_frame(k, FRAME_LOAD_FAILED, 0, f->id, &code, sizeof code);
        }
        return;
    case FRAME_BEGIN:
        if (image_missing) {
            image_missing = false; /* control compiled it meanwhile */
            end(k, f->id, ERR_NOT_FOUND, 0);
        } else {
            begin(k, f, payload);
        }
        return;
    case FRAME_BODY:
        if (r && r->echo && buf_add(&r->pending, payload.p, payload.n)) {
            r->last = f->flags & FRAME_LAST;
            echo(k, r);
        }
        return;
    case FRAME_CREDIT:
        memcpy(&credit, payload.p, sizeof credit);
        if (r && r->echo) {
            r->out_credit += credit;
            echo(k, r);
        }
        return;
    case FRAME_CANCEL:
        memcpy(&reason, payload.p, sizeof reason);
        if (r)
            r->used = false;
        end(k, f->id, (enum err_code)reason, 0);
        return;
    default:
        return;
    }
}

static void *fake_exec(void *arg)
{
    struct fake k = {.fd = (int)(intptr_t)arg};
    buf_init(&k.out, 1 << 20);
    static __thread char in[1 << 20];
    size_t have = 0;
    for (;;) {
        ssize_t n = read(k.fd, in + have, sizeof in - have);
        if (n <= 0)
            break;
        have += (size_t)n;
        size_t at = 0;
        for (;;) {
            struct frame f;
            struct err e;
            size_t size;
            if (frame_peek(slice_make(in + at, have - at), FRAME_FRONT, &f, &size, &e) || !size)
                break;
            on_fake_frame(&k, &f, slice_make(in + at + FRAME_HEAD, f.length));
            at += size;
        }
        memmove(in, in + at, have - at);
        have -= at;
        flush(&k);
    }
    leave(&k);
    return NULL;
}

/* The fake master: a thread that reads the leash. */

static int leash_fd;
static pthread_cond_t ready_cond = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t ready_lock = PTHREAD_MUTEX_INITIALIZER;
static bool ready, ended;

static int exec_egress; /* the socket to egress of the exec that was given last */

/* Says it with descriptors, which are the edge's then. */
static void tell(const struct leash_msg *m, const int *fds, size_t n)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)m, .iov_len = sizeof *m};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    if (sendmsg(leash_fd, &h, 0) < 0)
        abort();
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

static void give_exec(uint64_t cookie)
{
    int pair[2], egress[2];
    struct leash_msg m = {.type = LEASH_EXEC, .id = cookie, .arg = (uint32_t)++execs};
    pthread_t thread;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, egress))
        abort();
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    if (exec_egress)
        close(exec_egress);
    exec_egress = egress[1];
    tell(&m, (const int[]){pair[0], egress[0]}, 2);
    pthread_create(&thread, NULL, fake_exec, (void *)(intptr_t)pair[1]);
    pthread_detach(thread);
}

static void *fake_master(void *arg)
{
    struct leash_msg m;
    (void)arg;
    while (read(leash_fd, &m, sizeof m) == sizeof m) {
        if (m.type == LEASH_READY || m.type == LEASH_FATAL) {
            pthread_mutex_lock(&ready_lock);
            ready = true;
            pthread_cond_signal(&ready_cond);
            pthread_mutex_unlock(&ready_lock);
        } else if (m.type == LEASH_WANT_EXEC) {
            give_exec(m.id);
        }
    }
    ended = true;
    return NULL;
}

/* The edge under test */

static pid_t edge_pid;
static uint16_t port;
static int routes_fd, spool_fd;
static struct uuid function_id;

static void publish(const char *name, enum response_kind response)
{
    static uint64_t generation;
    static struct route_table *t;
    static const uint8_t key[ROUTE_KEY_BYTES] = {1, 2, 3};
    struct err e;
    struct route_row row = {
        .project = {{7}}, .state = ROUTE_LIVE, .concurrency = 32, .version_count = 1};
    row.function = function_id = uuid_new();
    snprintf(row.name, sizeof row.name, "%s", name);
    row.versions[0] = (struct route_version){
        .id = uuid_new(), .number = 1, .weight = 1, .response = (uint8_t)response, .timing = 1};
    limits_init(&row.versions[0].load.limits, false);
    row.versions[0].load.capture = strcmp(name, "taped") == 0 ? CAPTURE_ALL : CAPTURE_NONE;
    row.versions[0].load.env = SLICE("");
    row.versions[0].load.policy = SLICE("{\"allow\":[\"x\"]}");
    row.versions[0].load.args = slice_make("hello", 6);
    if (!t && route_table_open(routes_fd, true, key, &t, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
    if (route_begin(t, &e) || route_put(t, &row, &e) || route_commit(t, ++generation, &e)) {
        fprintf(stderr, "%s\n", e.text);
        exit(1);
    }
}

static void give(int fd, int at)
{
    dup2(fd, at);
    fcntl(at, F_SETFD, 0);
}

static void start_edge(void)
{
    char folder[] = "/tmp/test-edge-XXXXXX";
    int pair[2], one = 1;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    if (!mkdtemp(folder) || chdir(folder) || mkdir("routes", 0700) || mkdir("spool", 0700))
        abort();
    routes_fd = open("routes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    spool_fd = open("spool", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int key = open("node", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    static const uint8_t node[ROUTE_KEY_BYTES] = {1, 2, 3};
    if (write(key, node, sizeof node) != sizeof node)
        abort();
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&sa, n) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&sa, &n) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        abort();
    port = ntohs(sa.sin_port);
    publish("hello", RESPONSE_CGI);
    edge_pid = fork();
    if (edge_pid == 0) {
        int from[] = {pair[1], listener, routes_fd, spool_fd, key};
        for (int i = 0; i < 5; i++)
            from[i] = fcntl(from[i], F_DUPFD, 50);
        fcntl(from[0], F_SETFL, O_NONBLOCK);
        for (int i = 0; i < 5; i++)
            give(from[i], 3 + i);
        for (int i = 8; i < 100; i++)
            close(i);
        static char words[][16] = {"edge", "0", "--spool-size", "1048576", "--log-level", "error"};
        char *argv[7] = {0};
        for (int i = 0; i < 6; i++)
            argv[i] = words[i];
        _exit(role_edge(6, argv));
    }
    close(pair[1]);
    close(listener);
    leash_fd = pair[0];
    pthread_t thread;
    pthread_create(&thread, NULL, fake_master, NULL);
    pthread_mutex_lock(&ready_lock);
    while (!ready)
        pthread_cond_wait(&ready_cond, &ready_lock);
    pthread_mutex_unlock(&ready_lock);
}

/* A client */

static int dial(void)
{
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa))
        abort();
    return fd;
}

static char got[4 << 20];

/* Reads until `until` was seen, or the end. */
static const char *receive(int fd, const char *until)
{
    size_t have = 0;
    got[0] = '\0';
    while (!until || !strstr(got, until)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 60000) <= 0)
            break;
        ssize_t n = read(fd, got + have, sizeof got - 1 - have);
        if (n <= 0)
            break;
        have += (size_t)n;
        got[have] = '\0';
    }
    return got;
}

static void say(int fd, const char *text)
{
    size_t n = strlen(text);
    CHECK(write(fd, text, n) == (ssize_t)n);
}

/* One request, read to the end of the connection. */
static const char *ask(const char *method, const char *target, const char *fields)
{
    char text[8192];
    int fd = dial();
    snprintf(text, sizeof text,
             "%s %s HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n%s\r\n", method,
             target, fields);
    say(fd, text);
    receive(fd, NULL);
    close(fd);
    return got;
}

#define HAS(text, part) CHECK(strstr((text), (part)) != NULL)
#define HAS_NOT(text, part) CHECK(strstr((text), (part)) == NULL)

TEST(hello)
{
    const char *a = ask("GET", "/hello", "");
    HAS(a, "HTTP/1.1 200 OK\r\n");
    HAS(a, "Content-Type: text/plain\r\n");
    HAS(a, "Content-Length: 6\r\n");
    HAS(a, "Wasmcloud-Run: ");
    HAS(a, "Server-Timing: cpu;dur=0.005, wall;dur=0.010\r\n");
    HAS(a, "\r\n\r\nhello\n");
}

TEST(variables)
{
    HAS(ask("GET", "/vars?a=b", ""), "\r\n\r\n|a=b|36|36|0\n");
    int fd = dial();
    say(fd, "GET /hello/vars?q HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    HAS(receive(fd, NULL), "\r\n\r\n/hello|q|36|36|0\n");
    close(fd);
}

TEST(keep_alive_and_pipelining)
{
    int fd = dial();
    say(fd, "GET /hello HTTP/1.1\r\nHost: hello.localhost\r\n\r\n"
            "HEAD /hello HTTP/1.1\r\nHost: hello.localhost\r\n\r\n"
            "GET /vars?end HTTP/1.1\r\nHost: hello.localhost\r\n\r\n");
    const char *a = receive(fd, "|end|");
    const char *second = strstr(a, "\r\n\r\nhello\nHTTP/1.1 200 OK\r\n");
    CHECK(second != NULL);
    HAS(second ? second : "", "Content-Length: 6\r\n");
    HAS_NOT(second ? second + 10 : "", "hello\n");
    close(fd);
}

TEST(body_streams_both_ways)
{
    enum { SIZE = 1 << 20 };
    static char body[SIZE + 1];
    memset(body, 'x', SIZE);
    int fd = dial();
    char head[256];
    snprintf(head, sizeof head,
             "POST /echo HTTP/1.1\r\nHost: hello.localhost\r\nConnection: close\r\n"
             "Content-Length: %d\r\n\r\n",
             SIZE);
    say(fd, head);
    pid_t writer = fork();
    if (writer == 0) {
        for (size_t at = 0; at < SIZE;) {
            ssize_t n = write(fd, body + at, SIZE - at);
            if (n <= 0)
                _exit(1);
            at += (size_t)n;
        }
        _exit(0);
    }
    receive(fd, NULL);
    int status = -1;
    waitpid(writer, &status, 0);
    CHECK(status == 0);
    size_t count = 0;
    const char *start = strstr(got, "\r\n\r\n");
    for (const char *p = start; p && *p; p++)
        count += *p == 'x';
    CHECK(count == SIZE);
    HAS(got, "Transfer-Encoding: chunked\r\n");
    CHECK(strcmp(got + strlen(got) - 5, "0\r\n\r\n") == 0);
    close(fd);
}

TEST(chunked_body_and_continue)
{
    int fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nHost: hello.localhost\r\nTransfer-Encoding: chunked\r\n"
            "Expect: 100-continue\r\n\r\n");
    HAS(receive(fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n");
    HAS(receive(fd, "0\r\n\r\n"), "defg");
    say(fd, "GET /hello HTTP/1.1\r\nHost: hello.localhost\r\n\r\n");
    HAS(receive(fd, "hello\n"), "200 OK");
    close(fd);
}

TEST(causes)
{
    const char *a = ask("GET", "/garbage", "");
    HAS(a, "HTTP/1.1 502 ");
    HAS(a, "Wasmcloud-Error: bad_cgi\r\n");
    HAS(a, "no header here");
    a = ask("GET", "/split", "");
    HAS(a, "Wasmcloud-Error: bad_cgi\r\n");
    a = ask("GET", "/exit", "Accept: text/html\r\n");
    HAS(a, "HTTP/1.1 502 ");
    HAS(a, "Wasmcloud-Error: exit_status\r\n");
    HAS(a, "<!doctype html>");
    a = ask("GET", "/late-exit", "");
    HAS(a, "HTTP/1.1 200 OK\r\n");
    HAS(a, "Content-Length: 4\r\n");
    a = ask("GET", "/trap", "");
    HAS(a, "Transfer-Encoding: chunked\r\n");
    HAS(a, "4\r\npart\r\n");
    HAS_NOT(a, "\r\n0\r\n");
    a = ask("GET", "/short", "");
    HAS(a, "Content-Length: 10\r\n");
    CHECK(strcmp(a + strlen(a) - 4, "four") == 0);
    a = ask("GET", "/local", "");
    HAS(a, "HTTP/1.1 302 Found\r\n");
    HAS(a, "Location: /there\r\n");
}

TEST(dead_exec_is_replaced)
{
    int before = execs;
    const char *a = ask("GET", "/die", "");
    HAS(a, "HTTP/1.1 502 ");
    HAS(a, "Wasmcloud-Error: exec_died\r\n");
    HAS(ask("GET", "/hello", ""), "HTTP/1.1 200 OK\r\n");
    CHECK(execs == before + 1);
    HAS(ask("GET", "/forge", ""), "Wasmcloud-Error: exec_died\r\n");
    HAS(ask("GET", "/hello", ""), "HTTP/1.1 200 OK\r\n");
    CHECK(execs == before + 2);
}

/* A process that begins a second tape before the first has ended would have us keep any number. */
TEST(one_tape_at_a_time)
{
    struct uuid hello = function_id;
    publish("taped", RESPONSE_CGI);
    function_id = hello;
    int fd = dial();
    say(fd, "GET /tape HTTP/1.1\r\nHost: taped.localhost\r\n\r\n");
    HAS(receive(fd, "first\n"), "200 OK");
    int other = dial();
    say(other, "GET /other-tape HTTP/1.1\r\nHost: taped.localhost\r\nConnection: close\r\n\r\n");
    HAS(receive(other, NULL), "Wasmcloud-Error: exec_died\r\n");
    HAS_NOT(receive(fd, NULL), "\r\n0\r\n"); /* that one's end is cut off */
    close(fd);
    close(other);
}

TEST(streams_as_it_is_written)
{
    int fd = dial();
    say(fd, "GET /hold HTTP/1.1\r\nHost: hello.localhost\r\n\r\n");
    HAS(receive(fd, "first\n"), "Transfer-Encoding: chunked\r\n");
    close(fd); /* the run is cancelled; the next test sees the edge alive */
}

TEST(many_at_once_wait_in_the_queue)
{
    enum { MANY = 100 };
    int fds[MANY], before = execs, loaded = loads, good = 0;
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial();
        say(fds[i], "GET /hello HTTP/1.1\r\nHost: hello.localhost\r\n\r\n");
    }
    for (int i = 0; i < MANY; i++) {
        good += strstr(receive(fds[i], "hello\n"), "200 OK") != NULL;
        close(fds[i]);
    }
    CHECK(good == MANY);
    CHECK(execs == before && loads == loaded);
}

TEST(unknown_and_missing)
{
    int fd = dial();
    say(fd, "GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n");
    HAS(receive(fd, "}\n"), "HTTP/1.1 404 Not Found\r\n");
    HAS(got, "Wasmcloud-Error: no_function\r\n");
    say(fd, "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    char want[64];
    snprintf(want, sizeof want, "Location: http://localhost:%u/a?b\r\n", port);
    HAS(receive(fd, "\r\n\r\n"), want);
    close(fd);
}

TEST(missing_image_is_asked_for_again)
{
    image_missing = true;
    publish("other", RESPONSE_TEXT);
    int fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\nHost: other.localhost\r\nContent-Length: 4\r\n\r\nkept");
    const char *a = receive(fd, "kept");
    HAS(a, "200 OK\r\n");
    HAS(a, "text/plain; charset=utf-8\r\n");
    HAS(a, "kept");
    close(fd);
}

/* A fake egress: what the edge tells it, one frame and descriptor at a time. */

struct told {
    struct frame f;
    char payload[FRAME_MOST];
    int fd; /* -1: none came */
};

/* False at the end of the channel. */
static bool hear(int fd, struct told *t)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = &t->f, .iov_len = sizeof t->f};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    if (recvmsg(fd, &h, MSG_CMSG_CLOEXEC | MSG_WAITALL) != sizeof t->f)
        return false;
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    t->fd = -1;
    if (c)
        memcpy(&t->fd, CMSG_DATA(c), sizeof t->fd);
    CHECK(t->f.length <= sizeof t->payload);
    return recv(fd, t->payload, t->f.length, MSG_WAITALL) == (ssize_t)t->f.length;
}

static int new_egress(void)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    tell(&(struct leash_msg){.type = LEASH_EGRESS}, pair, 1);
    return pair[1];
}

static void hears_policy(int egress, struct told *t)
{
    struct exchange_policy p;
    struct slice text;
    struct err e;
    CHECK(hear(egress, t) && t->f.type == FRAME_POLICY && t->f.id == (uint64_t)execs);
    CHECK(!exchange_policy_read(slice_make(t->payload, t->f.length), &p, &text, &e));
    CHECK(uuid_eq(p.function, function_id) && slice_eq(text, SLICE("{\"allow\":[\"x\"]}")));
}

static void hears_join(int egress, struct told *t)
{
    static const uint8_t project[16] = {7};
    char byte = 0;
    CHECK(hear(egress, t) && t->f.type == FRAME_JOIN && t->f.id == (uint64_t)execs);
    CHECK(memcmp(t->payload, project, sizeof project) == 0);
    CHECK(t->fd >= 0 && write(exec_egress, "x", 1) == 1 && read(t->fd, &byte, 1) == 1);
    close(t->fd);
}

TEST(execs_are_joined_to_egress)
{
    static struct told t;
    int before = execs;
    HAS(ask("GET", "/die", ""), "exec_died");
    publish("hello", RESPONSE_CGI);
    /* it reaches before there is an egress, and once more for nothing */
    HAS(ask("GET", "/reach", ""), "reached\n");
    HAS(ask("GET", "/reach", ""), "reached\n");
    CHECK(execs == before + 1);
    int egress = new_egress();
    hears_policy(egress, &t);
    hears_join(egress, &t);

    publish("hello", RESPONSE_CGI); /* another version: LOAD */
    HAS(ask("GET", "/hello", ""), "hello\n");
    hears_policy(egress, &t);

    /* the next egress: this exec can't reach it, another one can */
    close(egress);
    egress = new_egress();
    HAS(ask("GET", "/hello", ""), "hello\n");
    CHECK(execs == before + 2);
    HAS(ask("GET", "/reach", ""), "reached\n");
    hears_policy(egress, &t);
    hears_join(egress, &t);

    /* one that it never reached is not the exec's concern */
    HAS(ask("GET", "/die", ""), "exec_died");
    HAS(ask("GET", "/hello", ""), "hello\n");
    int last = new_egress();
    CHECK(!hear(egress, &t));
    HAS(ask("GET", "/hello", ""), "hello\n");
    CHECK(execs == before + 3);
    close(egress);

    /* versions come and go: those that it no longer holds are forgotten */
    HAS(ask("GET", "/reach", ""), "reached\n");
    hears_policy(last, &t);
    hears_join(last, &t);
    int forgotten = 0;
    for (int i = 0; i < EDGE_EXEC_IMAGES; i++) {
        publish("hello", RESPONSE_CGI);
        HAS(ask("GET", "/hello", ""), "hello\n");
        if (i == EDGE_EXEC_IMAGES - 1)
            forgotten += hear(last, &t) && t.f.type == FRAME_FORGET;
        hears_policy(last, &t);
    }
    CHECK(forgotten == 1);
    close(last);
}

TEST(refused_requests)
{
    static const struct {
        const char *text, *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: hello.localhost\nX: y\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", "400"},
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
        {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "405"},
        {"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "501"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "400"},
        {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "400"},
        {"POST /echo HTTP/1.1\r\nHost: hello.localhost\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\nabc\r\n",
         "400"},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
        {"GET /%zz HTTP/1.1\r\nHost: hello.localhost\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", "417"},
        {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", "400"},
        {"\x16\x03\x01\n", "400"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial();
        char want[32];
        say(fd, cases[i].text);
        snprintf(want, sizeof want, "HTTP/1.1 %s ", cases[i].status);
        receive(fd, "\r\n\r\n"); /* some leave the connection open */
        if (strncmp(got, want, strlen(want)))
            fprintf(stderr, "case %zu: %s→ %.60s\n", i, cases[i].text, got);
        CHECK(strncmp(got, want, strlen(want)) == 0);
        close(fd);
    }
}

TEST(drains)
{
    struct leash_msg m = {.type = LEASH_DRAIN};
    int status = -1;
    CHECK(write(leash_fd, &m, sizeof m) == sizeof m);
    CHECK(waitpid(edge_pid, &status, 0) == edge_pid);
    CHECK(status == 0);
}

int main(void)
{
    static const struct test_case cases[] = {
        CASE(hello),
        CASE(variables),
        CASE(keep_alive_and_pipelining),
        CASE(body_streams_both_ways),
        CASE(chunked_body_and_continue),
        CASE(causes),
        CASE(dead_exec_is_replaced),
        CASE(one_tape_at_a_time),
        CASE(streams_as_it_is_written),
        CASE(many_at_once_wait_in_the_queue),
        CASE(unknown_and_missing),
        CASE(missing_image_is_asked_for_again),
        CASE(execs_are_joined_to_egress),
        CASE(refused_requests),
        CASE(drains),
    };
    signal(SIGPIPE, SIG_IGN);
    start_edge();
    return test_main(cases, sizeof cases / sizeof *cases);
}
