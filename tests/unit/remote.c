/* Remote descriptors against an egress that this test plays: what a guest writes becomes which
 * frames, and what comes back becomes what it reads. */
#include "guest/remote.h"

#include "guest/http_request.h"
#include "guest/resource.h"
#include "guest/transfer.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    struct loop *loop;
    struct remotes *remotes;
    int egress;
    struct buf in;
    size_t used; /* bytes of the frame that was handed out last */
    unsigned reached, woken;
    char lines[32][400];
    int line_count;
} world;

static struct guest guest;
static struct limits limits;
static struct policy *policy;

static void world_log(struct guest *g, enum guest_level level, enum guest_source source,
                      struct slice line)
{
    (void)g, (void)level, (void)source;
    snprintf(world.lines[world.line_count++ % 32], sizeof *world.lines, "%.*s", SLICE_ARG(line));
}

static const char *last_line(void)
{
    return world.line_count ? world.lines[(world.line_count - 1) % 32] : "";
}

static bool line_says(const char *what)
{
    for (int i = 0; i < world.line_count && i < 32; i++)
        if (strstr(world.lines[i], what))
            return true;
    return false;
}

static void on_reach(void *arg)
{
    (void)arg;
    world.reached++;
}

static void on_ready(void *arg, struct guest *g)
{
    (void)arg;
    CHECK(g == &guest);
    world.woken++;
}

static const struct guest_host host = {.log = world_log};

static void set_policy(const char *text)
{
    struct err e = {0};
    policy_free(policy);
    policy = NULL;
    if (policy_parse(slice_str(text), POLICY_YAML, NULL, NULL, &policy, &e))
        fprintf(stderr, "%s\n", e.text), exit(1);
    guest.policy = policy;
}

static void begin(void)
{
    static const char meta[] = "RUN_ID\0"
                               "01234567-89ab-7def-8123-456789abcdef";
    struct err e;
    int pair[2];
    guest_end(&guest);
    remotes_free(world.remotes);
    if (world.loop)
        close(world.egress);
    else
        world.loop = loop_new(&e);
    buf_done(&world.in);
    buf_init(&world.in, 4 << 20);
    world.used = 0;
    world.reached = world.woken = 0;
    world.line_count = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) ||
        remotes_new(world.loop, pair[0], on_reach, on_ready, NULL, &world.remotes, &e))
        abort();
    int size = 1 << 20;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    world.egress = pair[1];
    limits_init(&limits, false);
    guest.host = &host;
    guest.limits = &limits;
    guest.remotes = world.remotes;
    guest.version.b[0] = 7;
    CHECK(strings_read(slice_make(meta, sizeof meta), true, &guest.meta));
    set_policy("allow: ['http://**', 'https://**', 'gemini://**']\n"
               "disallow: ['http://example.com/secret/**']\n");
    guest_begin(&guest);
}

/* Delivers what both sides have said. */
static void pump(void)
{
    remotes_flush(world.remotes);
    loop_turn(world.loop, 0);
}

/* The next frame that reached egress; type 0: none. */
static struct frame heard(struct slice *ret_payload)
{
    struct frame f = {0};
    struct err e;
    size_t size;
    pump();
    buf_consume(&world.in, world.used);
    world.used = 0;
    for (char *at; (at = buf_reserve(&world.in, 65536));) {
        ssize_t n = recv(world.egress, at, 65536, 0);
        if (n <= 0)
            break;
        buf_commit(&world.in, (size_t)n);
    }
    if (frame_peek(buf_slice(&world.in), FRAME_FRONT, &f, &size, &e) || !size)
        return (struct frame){0};
    *ret_payload = slice_make(buf_data(&world.in) + FRAME_HEAD, f.length);
    world.used = size;
    return f;
}

static bool hears(enum frame_type type, uint64_t id, struct slice *ret_payload)
{
    struct frame f = heard(ret_payload);
    return f.type == type && f.id == id;
}

static bool hears_nothing(void)
{
    struct slice payload;
    return heard(&payload).type == 0;
}

/* Egress says this. */
static void says(enum frame_type type, uint64_t id, const void *p, size_t n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    CHECK(frame_put(&b, type, 0, id, p, n));
    CHECK(send(world.egress, buf_data(&b), buf_size(&b), MSG_NOSIGNAL) == (ssize_t)buf_size(&b));
    buf_done(&b);
    pump();
}

static void says_text(enum frame_type type, uint64_t id, const char *text)
{
    says(type, id, text, strlen(text));
}

static void says_end(enum frame_type type, uint64_t id, enum err_code reason, bool operator_,
                     const char *text)
{
    char payload[sizeof(struct exchange_end) + EXCHANGE_TEXT];
    struct exchange_end end = {.reason = (uint16_t)reason, .operator_ = operator_};
    memcpy(payload, &end, sizeof end);
    memcpy(payload + sizeof end, text, strlen(text));
    says(type, id, payload, sizeof end + strlen(text));
}

static int32_t open_url(const char *url, uint64_t *progress)
{
    guest.waits = 0;
    return resource_open(&guest, slice_str(url), progress);
}

/* Opens it, allowed by egress as exchange `id`. */
static struct descriptor *open_allowed(const char *url, uint64_t id)
{
    struct slice payload;
    uint64_t progress = 0;
    CHECK(open_url(url, &progress) == RESOURCE_WAIT && guest.waits == GUEST_WAITS_REMOTE);
    CHECK(hears(FRAME_OPEN, id, &payload));
    says_end(FRAME_VERDICT, id, ERR_OK, false, "");
    int32_t fd = open_url(url, &progress);
    CHECK(fd >= 4);
    return fd < 0 ? NULL : &guest.descriptors[fd];
}

/* What an egress that allows everything has heard. */
static struct {
    struct exchange_request request;
    char text[70000]; /* "METHOD URL Name:value|…" */
    unsigned requests, cancels;
    char body[256];
    uint64_t body_size;
    bool body_end;
} seen;

static void note_request(struct slice payload)
{
    struct exchange_parts parts;
    struct err e;
    CHECK(exchange_request_read(payload, &seen.request, &parts, &e) == ERR_OK);
    size_t n = (size_t)snprintf(seen.text, sizeof seen.text, "%.*s %.*s ", SLICE_ARG(parts.method),
                                SLICE_ARG(parts.url));
    for (size_t i = 0, name = 1; i < parts.fields.n; i++)
        seen.text[n++] = parts.fields.p[i] ? parts.fields.p[i] : (name = !name) ? '|' : ':';
    seen.text[n] = '\0';
    seen.requests++;
    seen.body_size = 0;
    seen.body_end = false;
    memset(seen.body, 0, sizeof seen.body);
}

/* Hears all there is and allows it. */
static void serve(void)
{
    struct slice payload;
    for (struct frame f; (f = heard(&payload)).type;) {
        if (f.type == FRAME_OPEN || f.type == FRAME_REQUEST) {
            if (f.type == FRAME_REQUEST)
                note_request(payload);
            says_end(FRAME_VERDICT, f.id, ERR_OK, false, "");
        } else if (f.type == FRAME_BODY) {
            CHECK(!seen.body_end);
            if (seen.body_size + payload.n < sizeof seen.body)
                memcpy(seen.body + seen.body_size, payload.p, payload.n);
            seen.body_size += payload.n;
            seen.body_end = f.flags & FRAME_LAST;
            if (payload.n)
                says(FRAME_CREDIT, f.id, &(uint32_t){(uint32_t)payload.n}, 4);
        } else {
            CHECK(f.type == FRAME_CANCEL);
            seen.cancels++;
        }
    }
}

/* Writes all of it as the handlers do: how much was taken, or a negative code. */
static int32_t write_all(struct descriptor *d, struct slice bytes)
{
    uint64_t progress = 0;
    int64_t count = 0;
    enum engine_verdict v;
    while ((v = transfer_write(&guest, d, bytes.p, bytes.n, &progress, &count)) != ENGINE_DONE) {
        if (v == ENGINE_END)
            return RESOURCE_FATAL;
        serve();
    }
    return (int32_t)count;
}

static int32_t write_text(struct descriptor *d, const char *text)
{
    return write_all(d, slice_str(text));
}

static char got[1 << 20];
static int32_t read_some(struct descriptor *d)
{
    int32_t n = resource_read(&guest, d, got, sizeof got - 1);
    got[n > 0 ? n : 0] = '\0';
    return n;
}

/* What guests write, and what egress is asked for. */
static const struct {
    const char *open, *text, *request; /* request NULL: malformed, `body` is in the log */
    enum exchange_body kind;
    uint64_t length;
    const char *body;
} rows[] = {
    {"http://example.com/a", "GET /b HTTP/1.1\r\n\r\n", "GET http://example.com/b ", 0, 0, ""},
    {"http://example.com/a", "GET /b HTTP/1.1\n\n", "GET http://example.com/b ", 0, 0, ""},
    {"http://example.com", "\r\n\nGET / HTTP/1.0\n\r\n", "GET http://example.com/ ", 0, 0, ""},
    {"https://example.com:8443", "HEAD /?a=b HTTP/1.1\n\n", "HEAD https://example.com:8443/?a=b ",
     0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nHost: other.example\n\n", "GET http://other.example/ ",
     0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nhost:  other.example:81 \n\n",
     "GET http://other.example:81/ ", 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nHost:\n\n", "GET http://example.com/ ", 0, 0, ""},
    {"http://example.com", "GET http://third.example/x HTTP/1.1\nHost: b.example\n\n",
     "GET http://third.example/x ", 0, 0, ""},
    {"http://example.com", "GET /a/../c%7e HTTP/1.1\n\n", "GET http://example.com/c~ ", 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nAccept: */*\nX-A:\n\n",
     "GET http://example.com/ Accept:*/*|X-A:|", 0, 0, ""},
    {"http://example.com",
     "GET / HTTP/1.1\nConnection: close, X-Hop\nX-Hop: 1\nKeep-Alive: 3\nTE: trailers\nX: 1\n"
     "Upgrade: h2c\nTrailer: X\nProxy-Connection: a\nExpect: 100-continue\n\n",
     "GET http://example.com/ X:1|", 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\n\n\r\n\n", "GET http://example.com/ ", 0, 0, ""},
    {"http://example.com", "POST / HTTP/1.1\nContent-Length: 5\n\nhello",
     "POST http://example.com/ ", BODY_LENGTH, 5, "hello"},
    {"http://example.com", "POST / HTTP/1.1\nContent-Length: 5\n\nhello\r\n",
     "POST http://example.com/ ", BODY_LENGTH, 5, "hello"},
    {"http://example.com", "POST / HTTP/1.1\nContent-Length: 0\n\n\n", "POST http://example.com/ ",
     BODY_LENGTH, 0, ""},
    {"http://example.com", "POST / HTTP/1.1\r\n\r\nhel\nlo", "POST http://example.com/ ",
     BODY_CHUNKED, 0, "hel\nlo"},
    {"http://example.com", "POST / HTTP/1.1\n\n", "POST http://example.com/ ", BODY_NONE, 0, ""},
    {"http://example.com", "DELETE /x HTTP/1.1\n\n", "DELETE http://example.com/x ", 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\n\nbody", "GET http://example.com/ ", BODY_CHUNKED, 0,
     "body"},
    {"http://example.com",
     "PUT / HTTP/1.1\nTransfer-Encoding: Chunked\n\n5\r\nhello\r\n1\n!\n00\r\n\r\n",
     "PUT http://example.com/ ", BODY_CHUNKED, 0, "hello!"},
    {"http://example.com", "BREW / HTTP/1.1\n\n", "BREW http://example.com/ ", 0, 0, ""},

    {"http://example.com", "GET /\n\n", NULL, 0, 0, "first line"},
    {"http://example.com", "GET / HTTP/2\n\n", NULL, 0, 0, "first line"},
    {"http://example.com", "GET  / HTTP/1.1\n\n", NULL, 0, 0, "first line"},
    {"http://example.com", "GET / x HTTP/1.1\n\n", NULL, 0, 0, "first line"},
    {"http://example.com", "G@T / HTTP/1.1\n\n", NULL, 0, 0, "method"},
    {"http://example.com", "CONNECT example.com:443 HTTP/1.1\n\n", NULL, 0, 0, "CONNECT"},
    {"http://example.com", "GET x HTTP/1.1\n\n", NULL, 0, 0, ""},
    {"http://example.com", "OPTIONS * HTTP/1.1\n\n", NULL, 0, 0, ""},
    {"https://example.com", "GET http://example.com/ HTTP/1.1\n\n", NULL, 0, 0, "scheme"},
    {"http://example.com", "GET file:///etc/passwd HTTP/1.1\n\n", NULL, 0, 0, ""},
    {"http://example.com", "GET http://u:p@example.com/ HTTP/1.1\n\n", NULL, 0, 0, ""},
    {"http://example.com", "GET /\1 HTTP/1.1\n\n", NULL, 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nHost: a\nHost: a\n\n", NULL, 0, 0, "two Host"},
    {"http://example.com", "GET / HTTP/1.1\nHost: a b\n\n", NULL, 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nHost: a@b\n\n", NULL, 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nHost: a/b\n\n", NULL, 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nHost: 2130706433\n\n", NULL, 0, 0, ""},
    {"http://example.com", "GET / HTTP/1.1\nno colon\n\n", NULL, 0, 0, "colon"},
    {"http://example.com", "GET / HTTP/1.1\nA : b\n\n", NULL, 0, 0, "name"},
    {"http://example.com", "GET / HTTP/1.1\n: b\n\n", NULL, 0, 0, "name"},
    {"http://example.com", "GET / HTTP/1.1\nA: b\n c\n\n", NULL, 0, 0, "second line"},
    {"http://example.com", "GET / HTTP/1.1\n A: b\n\n", NULL, 0, 0, "second line"},
    {"http://example.com", "GET / HTTP/1.1\nA: b\rc\n\n", NULL, 0, 0, "control"},
    {"http://example.com", "GET / HTTP/1.1\nA: \x7f\n\n", NULL, 0, 0, "control"},
    {"http://example.com", "POST / HTTP/1.1\nContent-Length: +1\n\n", NULL, 0, 0, "number"},
    {"http://example.com", "POST / HTTP/1.1\nContent-Length: 1, 1\n\n", NULL, 0, 0, "number"},
    {"http://example.com", "POST / HTTP/1.1\nContent-Length: 99999999999999999999\n\n", NULL, 0, 0,
     "number"},
    {"http://example.com", "POST / HTTP/1.1\nContent-Length: 1\nContent-Length: 1\n\n", NULL, 0, 0,
     "two Content-Length"},
    {"http://example.com", "POST / HTTP/1.1\nContent-Length: 1\nTransfer-Encoding: chunked\n\n",
     NULL, 0, 0, "both"},
    {"http://example.com", "POST / HTTP/1.1\nTransfer-Encoding: gzip, chunked\n\n", NULL, 0, 0,
     "just"},
};

/* One row, its text in two pieces. */
static void try_request(size_t row, size_t cut)
{
    struct slice text = slice_str(rows[row].text);
    begin();
    memset(&seen, 0, sizeof seen);
    struct descriptor *d = open_allowed(rows[row].open, 1);
    int32_t code = write_all(d, slice_make(text.p, cut));
    if (code >= 0)
        code = write_all(d, slice_from(text, cut));
    if (!rows[row].request) {
        CHECK(code == RESOURCE_INVALID && strstr(last_line(), rows[row].body));
        CHECK(resource_flush(&guest, d) == RESOURCE_INVALID && read_some(d) == RESOURCE_INVALID);
        serve();
        CHECK(seen.requests == 0);
    } else {
        CHECK(code >= 0);
        guest.waits = 0;
        int32_t flushed = resource_flush(&guest, d);
        if (flushed == RESOURCE_WAIT) {
            CHECK(guest.waits == GUEST_WAITS_REMOTE);
            serve();
            flushed = resource_flush(&guest, d);
        }
        serve();
        CHECK(flushed == 0 && seen.requests == 1);
        CHECK_STR(seen.text, rows[row].request);
        CHECK(seen.request.body == rows[row].kind && seen.request.length == rows[row].length);
        CHECK_STR(seen.body, rows[row].body);
        CHECK(seen.body_end == (rows[row].kind == BODY_CHUNKED || rows[row].length > 0));
    }
    if (test_failures)
        fprintf(stderr, "row %zu \"%s\" cut at %zu\n", row, rows[row].text, cut);
}

TEST(many_fields)
{
    static char text[GUEST_REQUEST_HEAD + 100];
    for (unsigned fields = GUEST_REQUEST_FIELDS; fields <= GUEST_REQUEST_FIELDS + 1; fields++) {
        begin();
        struct descriptor *d = open_allowed("http://example.com/", 1);
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\n");
        for (unsigned i = 0; i < fields; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, "A: b\n");
        text[n++] = '\n';
        CHECK(write_all(d, slice_make(text, (size_t)n)) ==
              (fields == GUEST_REQUEST_FIELDS ? n : RESOURCE_INVALID));
    }
    begin();
    struct descriptor *d = open_allowed("http://example.com/", 1);
    memset(text, 'a', sizeof text);
    CHECK(write_text(d, "GET / HTTP/1.1\nA: ") > 0);
    CHECK(write_all(d, slice_make(text, GUEST_REQUEST_HEAD)) == RESOURCE_INVALID);
    CHECK(line_says("32 KiB"));
}

TEST(requests)
{
    for (size_t row = 0; row < sizeof rows / sizeof *rows && !test_failures; row++)
        for (size_t cut = 0; cut <= strlen(rows[row].text) && !test_failures; cut++)
            try_request(row, cut);
}

/* A GET on its way: `answer`, OUTPUT and FINISHED can follow. */
static struct descriptor *get_sent(uint64_t id)
{
    struct slice payload = {0};
    struct descriptor *d = open_allowed("http://example.com/page", id);
    guest.waits = 0;
    CHECK(read_some(d) == RESOURCE_WAIT && guest.waits == GUEST_WAITS_REMOTE);
    CHECK(hears(FRAME_REQUEST, id, &payload));
    note_request(payload);
    CHECK_STR(seen.text, "GET http://example.com/page ");
    says_end(FRAME_VERDICT, id, ERR_OK, false, "");
    CHECK(read_some(d) == RESOURCE_WAIT);
    return d;
}

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";

TEST(open_then_read)
{
    begin();
    struct descriptor *d = get_sent(1);
    unsigned woken = world.woken;
    says_text(FRAME_ANSWER, 1, head);
    says_text(FRAME_OUTPUT, 1, "hello");
    CHECK(world.woken == woken + 2 && world.reached == 1);
    /* One read has the head and as much of the body as came. */
    CHECK(read_some(d) == (int32_t)strlen(head) + 5 && strstr(got, "\r\n\r\nhello"));
    CHECK(read_some(d) == RESOURCE_WAIT);
    says_end(FRAME_FINISHED, 1, ERR_OK, false, "");
    CHECK(read_some(d) == RESOURCE_END && read_some(d) == RESOURCE_END);
    CHECK(resource_flush(&guest, d) == 0 && hears_nothing()); /* no second GET */
    CHECK(guest.uses.in == strlen(head) + 5 && d->use->row.requests == 1);
    guest_close(&guest, d);
    struct slice payload;
    CHECK(hears(FRAME_CANCEL, 1, &payload) && guest.remotes_open == 0);
    says_text(FRAME_OUTPUT, 1, "crossed"); /* nobody minds */
    CHECK(!line_says("egress") && world.line_count == 0);
}

TEST(open_says_who_and_what)
{
    struct slice payload, url;
    struct exchange_open open;
    struct err e;
    uint64_t progress = 0;
    char run[UUID_TEXT + 1];
    begin();
    CHECK(open_url("HTTP://EXAMPLE.com:80/%7Ea?q#f", &progress) == RESOURCE_WAIT);
    CHECK(hears(FRAME_OPEN, 1, &payload) && !exchange_open_read(payload, &open, &url, &e));
    uuid_text(open.run, run);
    CHECK_STR(run, "01234567-89ab-7def-8123-456789abcdef");
    CHECK(open.version.b[0] == 7 && slice_eq(url, SLICE("http://example.com/~a?q")));
    CHECK(open_url("HTTP://EXAMPLE.com:80/%7Ea?q#f", &progress) == RESOURCE_WAIT);
    guest_end(&guest); /* in the middle of it: CANCEL, and nothing is left */
    CHECK(hears(FRAME_CANCEL, 1, &payload));
    says_end(FRAME_VERDICT, 1, ERR_OK, false, "");
    CHECK(guest.uses.count == 0 && world.line_count == 0);
}

/* The same answer, whatever pieces the socket gives it in. */
TEST(answers_in_pieces)
{
    struct buf b;
    struct exchange_end end = {0};
    buf_init(&b, 1 << 20);
    CHECK(frame_put(&b, FRAME_ANSWER, 0, 1, head, strlen(head)) &&
          frame_put(&b, FRAME_OUTPUT, 0, 1, "he", 2) &&
          frame_put(&b, FRAME_OUTPUT, 0, 1, "llo", 3) &&
          frame_put(&b, FRAME_FINISHED, 0, 1, &end, sizeof end));
    for (size_t cut = 0; cut <= buf_size(&b); cut++) {
        char all[200] = "";
        begin();
        struct descriptor *d = get_sent(1);
        for (int i = 0; i < 2; i++) {
            size_t from = i ? cut : 0, n = i ? buf_size(&b) - cut : cut;
            CHECK(send(world.egress, buf_data(&b) + from, n, MSG_NOSIGNAL) == (ssize_t)n);
            pump();
            for (int32_t k; (k = read_some(d)) > 0;)
                memcpy(all + strlen(all), got, (size_t)k + 1);
        }
        CHECK(strncmp(all, head, strlen(head)) == 0 && strcmp(all + strlen(head), "hello") == 0);
        CHECK(read_some(d) == RESOURCE_END);
    }
    buf_done(&b);
}

TEST(credit_of_answers)
{
    static char block[FRAME_CREDIT_INITIAL];
    struct slice payload;
    uint32_t granted;
    begin();
    struct descriptor *d = get_sent(1);
    says_text(FRAME_ANSWER, 1, head);
    says(FRAME_OUTPUT, 1, block, sizeof block);
    CHECK(hears_nothing()); /* nothing was read, so nothing is granted */
    int32_t first = read_some(d);
    CHECK(first == RESOURCE_MOST && hears(FRAME_CREDIT, 1, &payload));
    memcpy(&granted, payload.p, 4);
    CHECK(granted == sizeof block - strlen(head)); /* the head was not on credit */
    CHECK(read_some(d) == (int32_t)strlen(head) && read_some(d) == RESOURCE_WAIT);
    says(FRAME_OUTPUT, 1, block, granted);
    CHECK(world.line_count == 0);
    /* A byte more than was granted: egress has gone mad, and everything it had fails. */
    says(FRAME_OUTPUT, 1, block, 1);
    CHECK(read_some(d) == (int32_t)granted);
    CHECK(read_some(d) == RESOURCE_UNKNOWN && line_says("way out"));
    uint64_t progress = 0;
    CHECK(open_url("http://example.com/", &progress) == RESOURCE_UNKNOWN);
}

TEST(uploads_on_credit)
{
    static char block[1 << 20];
    uint64_t progress = 0, sent = 0;
    int64_t count;
    begin();
    memset(&seen, 0, sizeof seen);
    struct descriptor *d = open_allowed("http://example.com/up", 1);
    limits.v[LIMIT_EGRESS_RUN] = 0;
    CHECK(write_text(d, "POST / HTTP/1.1\n\n") > 0);
    /* Before the verdict nothing of the body leaves. */
    CHECK(transfer_write(&guest, d, block, sizeof block, &progress, &count) == ENGINE_WAIT);
    CHECK(progress == 0 && guest.waits == GUEST_WAITS_REMOTE);
    struct slice payload;
    CHECK(hears(FRAME_REQUEST, 1, &payload));
    says_end(FRAME_VERDICT, 1, ERR_OK, false, "");
    CHECK(transfer_write(&guest, d, block, sizeof block, &progress, &count) == ENGINE_WAIT);
    CHECK(progress == FRAME_CREDIT_INITIAL);
    for (struct frame f; (f = heard(&payload)).type == FRAME_BODY;)
        sent += payload.n;
    CHECK(sent == FRAME_CREDIT_INITIAL && hears_nothing());
    says(FRAME_CREDIT, 1, &(uint32_t){1000}, 4);
    CHECK(transfer_write(&guest, d, block, sizeof block, &progress, &count) == ENGINE_WAIT);
    CHECK(progress == FRAME_CREDIT_INITIAL + 1000);
    /* The answer comes early: the rest is swallowed. */
    says_text(FRAME_ANSWER, 1, "HTTP/1.1 413 No\r\n\r\n");
    says_end(FRAME_FINISHED, 1, ERR_OK, false, "");
    while (transfer_write(&guest, d, block, sizeof block, &progress, &count) == ENGINE_YIELD)
        ;
    CHECK(count == sizeof block && resource_flush(&guest, d) == 0);
    CHECK(read_some(d) > 0 && strstr(got, "413") && read_some(d) == RESOURCE_END);
}

/* Megabytes through a descriptor, with never more on the way than the credit. */
TEST(long_upload)
{
    static char block[100000];
    begin();
    memset(&seen, 0, sizeof seen);
    limits.v[LIMIT_EGRESS_RUN] = 0;
    struct descriptor *d = open_allowed("http://example.com/up", 1);
    CHECK(write_text(d, "PUT / HTTP/1.1\nContent-Length: 10000000\n\n") > 0);
    for (int i = 0; i < 100; i++)
        CHECK(write_all(d, slice_make(block, sizeof block)) == sizeof block);
    serve();
    CHECK(seen.body_size == 10000000 && seen.body_end && seen.request.length == 10000000);
    CHECK(write_text(d, "x") == RESOURCE_INVALID && line_says("read to its end"));
}

TEST(reading_ends_a_body)
{
    begin();
    memset(&seen, 0, sizeof seen);
    struct descriptor *d = open_allowed("http://example.com/", 1);
    CHECK(write_text(d, "POST / HTTP/1.1\n\nhello") > 0);
    CHECK(read_some(d) == RESOURCE_WAIT);
    serve();
    CHECK(seen.body_end && strcmp(seen.body, "hello") == 0);

    d = open_allowed("http://example.com/", 2);
    CHECK(write_text(d, "POST / HTTP/1.1\nContent-Length: 9\n\nhello") > 0);
    CHECK(read_some(d) == RESOURCE_INVALID && line_says("too early"));
    CHECK(resource_flush(&guest, d) == 0); /* what there is is on its way */
    CHECK(write_text(d, "1234") == 4);
    serve();
    CHECK(seen.body_end && seen.body_size == 9 && read_some(d) == RESOURCE_WAIT);

    d = open_allowed("http://example.com/", 3);
    CHECK(write_text(d, "POST / HTT") > 0 && read_some(d) == RESOURCE_INVALID);
    CHECK(line_says("empty line"));
}

TEST(bad_chunks)
{
    static const char *const bad[] = {"x",
                                      "5;a=b\r\nhello\r\n",
                                      "\n",
                                      "3\r\nabcd",
                                      "0\r\nA: b\r\n\r\n",
                                      "1\r\na\r\r",
                                      "1\rx",
                                      "-1\r\n",
                                      "fffffffffffffffff\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        begin();
        memset(&seen, 0, sizeof seen);
        struct descriptor *d = open_allowed("http://example.com/", 1);
        CHECK(write_text(d, "POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n") > 0);
        write_text(d, bad[i]);
        CHECK(write_text(d, "0\r\n\r\n") == RESOURCE_INVALID && line_says("chunked body"));
        CHECK(resource_flush(&guest, d) == RESOURCE_INVALID);
        serve();
        CHECK(seen.cancels == 1 && !seen.body_end); /* not a whole request */
        CHECK(write_text(d, "GET / HTTP/1.1\n\n") > 0 && read_some(d) == RESOURCE_INVALID);
    }
}

TEST(second_request)
{
    begin();
    memset(&seen, 0, sizeof seen);
    struct descriptor *d = get_sent(1);
    says_text(FRAME_ANSWER, 1, head);
    says_text(FRAME_OUTPUT, 1, "hello");
    CHECK(write_text(d, "GET /two HTTP/1.1\n\n") == RESOURCE_INVALID);
    CHECK(line_says("read to its end"));
    CHECK(read_some(d) > 0);
    CHECK(resource_write(&guest, d, "G", 1) == RESOURCE_WAIT); /* its end may be on the way */
    says_end(FRAME_FINISHED, 1, ERR_OK, false, "");
    CHECK(write_text(d, "GET /two HTTP/1.1\nHost: b.example\n\n") > 0);
    CHECK(resource_flush(&guest, d) == RESOURCE_WAIT);
    serve();
    CHECK_STR(seen.text, "GET http://b.example/two ");
    CHECK(resource_flush(&guest, d) == 0 && read_some(d) == RESOURCE_WAIT);
    says_text(FRAME_ANSWER, 1, head);
    says_text(FRAME_OUTPUT, 1, "again");
    says_end(FRAME_FINISHED, 1, ERR_OK, false, "");
    CHECK(read_some(d) > 0 && strstr(got, "again") && read_some(d) == RESOURCE_END);
    CHECK(d->use->row.requests == 2);
}

TEST(policy_ends_the_guest)
{
    static const char *const lines[] = {"vibe check failed: URL forbidden by policy",
                                        "  URL: http://example.com/secret/a?\xe2\x80\xa6",
                                        "  decided by: disallow http://example.com/secret/**",
                                        "  to allow it: take that rule out, then wasmcloud policy "
                                        "allow 'http://example.com/secret/a' "};
    uint64_t progress = 0;
    begin();
    CHECK(open_url("http://example.com/x/../secret/a?b", &progress) == RESOURCE_FATAL);
    CHECK(guest.end_reason == ERR_POLICY && hears_nothing());
    CHECK(strncmp(guest.end_text, lines[0], strlen(lines[0])) == 0);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        CHECK(line_says(lines[i]));
    CHECK(line_says("disallow") && guest.uses.refused == 1);

    /* By the path of a request, and by its Host. */
    static const char *const requests[] = {"GET /secret/ HTTP/1.1\n\n",
                                           "GET /a/..//../secret/b HTTP/1.1\n\n",
                                           "GET http://example.com/secret/ HTTP/1.1\nHost: a\n\n",
                                           "GET /%73ecret/x HTTP/1.1\nHost: EXAMPLE.com.\n\n",
                                           "GET /secret/x HTTP/1.1\nHost: example.com:80\n\n"};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        begin();
        struct descriptor *d = open_allowed("http://example.com/", 1);
        CHECK(write_text(d, requests[i]) == RESOURCE_FATAL && guest.end_reason == ERR_POLICY);
        CHECK(hears_nothing());
    }
}

TEST(pasted_lines)
{
    uint64_t progress = 0;
    begin();
    CHECK(open_url("http://example.com/secret/';reboot;'?x", &progress) == RESOURCE_FATAL);
    CHECK(line_says("policy allow 'http://example.com/secret/'\\'';reboot;'\\''' "));
}

TEST(policy_denies)
{
    struct slice payload;
    uint64_t progress = 0;
    begin();
    set_policy("allow: ['http://example.com/**']\nmethods: [GET]\non_violation: error\n");
    CHECK(open_url("http://other.example/", &progress) == RESOURCE_DENIED);
    CHECK(open_url("null://", &progress) >= 0); /* needs no rule */
    progress = 0;
    struct descriptor *d = open_allowed("http://example.com/", 1);
    CHECK(write_text(d, "POST / HTTP/1.1\n\n") == RESOURCE_DENIED && line_says("`methods`"));
    CHECK(resource_flush(&guest, d) == RESOURCE_DENIED && read_some(d) == RESOURCE_DENIED);
    CHECK(write_text(d, "GET / HTTP/1.1\nHost: other.example\n\n") == RESOURCE_DENIED);
    CHECK(hears_nothing() && guest.uses.refused == 3);
    CHECK(write_text(d, "GET /fine HTTP/1.1\n\n") > 0);
    CHECK(resource_flush(&guest, d) == RESOURCE_WAIT && hears(FRAME_REQUEST, 1, &payload));
    /* Egress knows of the operator's policy too. */
    says_end(FRAME_VERDICT, 1, ERR_POLICY, true, "disallow http://example.com/fine");
    CHECK(resource_flush(&guest, d) == RESOURCE_DENIED && line_says("operator"));
    int lines = world.line_count;
    CHECK(read_some(d) == RESOURCE_DENIED && world.line_count == lines); /* said once */
    CHECK(write_text(d, "GET /other HTTP/1.1\n\n") > 0);
    CHECK(resource_flush(&guest, d) == RESOURCE_WAIT && hears(FRAME_REQUEST, 1, &payload));

    CHECK(open_url("http://example.com/2", &progress) == RESOURCE_WAIT);
    CHECK(hears(FRAME_OPEN, 2, &payload));
    says_end(FRAME_VERDICT, 2, ERR_POLICY, true, "no rule allows it");
    CHECK(open_url("http://example.com/2", &progress) == RESOURCE_DENIED);
    CHECK(hears_nothing() && guest.remotes_open == 1 && guest.uses.refused == 5);
}

TEST(failing_requests)
{
    static const struct {
        enum err_code reason;
        int32_t code;
    } reasons[] = {{ERR_TIMEOUT, RESOURCE_UNKNOWN},
                   {ERR_UNREACHABLE, RESOURCE_UNKNOWN},
                   {ERR_INVALID, RESOURCE_INVALID},
                   {ERR_NOT_FOUND, RESOURCE_NOT_FOUND},
                   {ERR_EGRESS_LIMIT, RESOURCE_UNKNOWN}};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        begin();
        struct descriptor *d = get_sent(1);
        says_end(FRAME_FINISHED, 1, reasons[i].reason, false, "because of the weather");
        CHECK(read_some(d) == reasons[i].code && line_says("because of the weather"));
        CHECK(read_some(d) == reasons[i].code && world.line_count == 1);
        /* In the middle of an answer: what came, then the error. */
        begin();
        d = get_sent(1);
        says_text(FRAME_ANSWER, 1, head);
        says_text(FRAME_OUTPUT, 1, "he");
        says_end(FRAME_FINISHED, 1, reasons[i].reason, false, "");
        CHECK(read_some(d) == (int32_t)strlen(head) + 2 && read_some(d) == reasons[i].code);
        CHECK(line_says(err_title(reasons[i].reason)));
    }
    uint64_t progress = 0;
    struct slice payload;
    begin();
    CHECK(open_url("http://example.com/", &progress) == RESOURCE_WAIT &&
          hears(FRAME_OPEN, 1, &payload));
    says_end(FRAME_VERDICT, 1, ERR_EGRESS_LIMIT, false, "too many");
    CHECK(open_url("http://example.com/", &progress) == RESOURCE_INVALID && line_says("too many"));
}

TEST(egress_dies)
{
    begin();
    uint64_t progress = 0;
    struct slice payload;
    struct descriptor *d = get_sent(1);
    CHECK(open_url("http://example.com/2", &progress) == RESOURCE_WAIT && heard(&payload).type);
    world.woken = 0;
    shutdown(world.egress, SHUT_RDWR);
    pump();
    CHECK(world.woken == 2);
    CHECK(read_some(d) == RESOURCE_UNKNOWN && line_says("way out"));
    CHECK(open_url("http://example.com/2", &progress) == RESOURCE_UNKNOWN);
    progress = 0;
    CHECK(open_url("http://example.com/3", &progress) == RESOURCE_UNKNOWN);
    CHECK(write_text(d, "GET / HTTP/1.1\n\n") > 0 && read_some(d) == RESOURCE_UNKNOWN);
    guest.remotes = NULL;
    CHECK(open_url("http://example.com/3", &progress) == RESOURCE_UNKNOWN &&
          line_says("beyond this machine"));
    guest.remotes = world.remotes;
}

/* Frames that an exchange can't have in its state end the conversation. */
TEST(mad_egress)
{
    static const enum frame_type types[] = {FRAME_VERDICT, FRAME_ANSWER, FRAME_OUTPUT,
                                            FRAME_FINISHED, FRAME_CREDIT};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int state = 0; state < 4; state++) {
            static char zeros[sizeof(struct exchange_end)] = {[sizeof(uint16_t)] = 1};
            uint64_t progress = 0;
            struct slice payload;
            begin();
            struct descriptor *d = NULL;
            if (state == 0)
                CHECK(open_url("http://example.com/", &progress) == RESOURCE_WAIT);
            else if (state == 1)
                d = open_allowed("http://example.com/", 1);
            else
                d = get_sent(1);
            if (state == 3) {
                says_text(FRAME_ANSWER, 1, "HTTP/1.1 200 OK\r\n\r\n");
                says_end(FRAME_FINISHED, 1, ERR_OK, false, "");
            }
            /* In state 2, running without an answer: ANSWER only, and no success. */
            bool legal = (state == 0 && types[i] == FRAME_VERDICT) ||
                         (state == 2 && types[i] == FRAME_ANSWER);
            size_t n = types[i] == FRAME_CREDIT ? 4 : sizeof zeros;
            says(types[i], 1, types[i] == FRAME_CREDIT ? (const void *)"\1\0\0" : zeros, n);
            uint64_t again = 0;
            int32_t rc = open_url("http://example.com/again", &again);
            CHECK(rc == (legal ? RESOURCE_WAIT : RESOURCE_UNKNOWN));
            (void)heard(&payload);
            (void)d;
        }
    begin();
    says_text(FRAME_OUTPUT, 7, "of an exchange that never was");
    uint64_t progress = 0;
    CHECK(open_url("http://example.com/", &progress) == RESOURCE_UNKNOWN);
}

TEST(limits_of_opens)
{
    begin();
    struct slice payload;
    uint64_t progress;
    limits.v[LIMIT_OPENS_AT_ONCE] = 2;
    limits.v[LIMIT_OPENS] = 3;
    struct descriptor *first = open_allowed("http://example.com/1", 1);
    open_allowed("http://example.com/2", 2);
    progress = 0;
    CHECK(open_url("http://example.com/3", &progress) == RESOURCE_INVALID);
    CHECK(line_says("opens-at-once"));
    guest_close(&guest, first);
    (void)heard(&payload);
    first = open_allowed("http://example.com/3", 3);
    guest_close(&guest, first);
    progress = 0;
    CHECK(open_url("http://example.com/4", &progress) == RESOURCE_INVALID);
    CHECK(line_says("\"opens\""));

    begin();
    limits.v[LIMIT_EGRESS_RUN] = strlen(head) + 3;
    struct descriptor *d = get_sent(1);
    says_text(FRAME_ANSWER, 1, head);
    says_text(FRAME_OUTPUT, 1, "hello");
    CHECK(read_some(d) == (int32_t)strlen(head) + 3 && read_some(d) == RESOURCE_UNKNOWN);
    CHECK(line_says("egress-run"));
}

TEST(gemini)
{
    begin();
    struct slice payload = {0};
    memset(&seen, 0, sizeof seen);
    struct descriptor *d = open_allowed("gemini://example.com/a?b", 1);
    CHECK(write_text(d, "x") == RESOURCE_INVALID && resource_flush(&guest, d) == 0);
    CHECK(read_some(d) == RESOURCE_WAIT && hears(FRAME_REQUEST, 1, &payload));
    note_request(payload);
    CHECK_STR(seen.text, "GET gemini://example.com/a?b ");
    says_end(FRAME_VERDICT, 1, ERR_OK, false, "");
    says_text(FRAME_ANSWER, 1, "20 text/gemini\r\n");
    says_text(FRAME_OUTPUT, 1, "# Hi\n");
    says_end(FRAME_FINISHED, 1, ERR_OK, false, "");
    CHECK(read_some(d) > 0 && strcmp(got, "20 text/gemini\r\n# Hi\n") == 0);
    CHECK(read_some(d) == RESOURCE_END);
}

TEST(polling)
{
    begin();
    uint64_t bytes;
    bool end;
    memset(&seen, 0, sizeof seen);
    struct descriptor *d = open_allowed("http://example.com/", 1);
    CHECK(resource_ready(&guest, d, true, &bytes, &end));
    guest.waits = 0;
    CHECK(!resource_ready(&guest, d, false, &bytes, &end)); /* which sends the GET */
    CHECK(guest.waits == GUEST_WAITS_REMOTE);
    serve();
    CHECK(seen.requests == 1 && !resource_ready(&guest, d, false, &bytes, &end));
    says_text(FRAME_ANSWER, 1, head);
    CHECK(resource_ready(&guest, d, false, &bytes, &end) && bytes == strlen(head) && !end);
    says_end(FRAME_FINISHED, 1, ERR_OK, false, "");
    CHECK(read_some(d) > 0 && resource_ready(&guest, d, false, &bytes, &end) && end && !bytes);
}

int main(void)
{
    static const struct test_case cases[] = {
        CASE(requests),
        CASE(many_fields),
        CASE(open_then_read),
        CASE(open_says_who_and_what),
        CASE(answers_in_pieces),
        CASE(credit_of_answers),
        CASE(uploads_on_credit),
        CASE(long_upload),
        CASE(reading_ends_a_body),
        CASE(bad_chunks),
        CASE(second_request),
        CASE(policy_ends_the_guest),
        CASE(policy_denies),
        CASE(pasted_lines),
        CASE(failing_requests),
        CASE(egress_dies),
        CASE(mad_egress),
        CASE(limits_of_opens),
        CASE(gemini),
        CASE(polling),
    };
    int status = test_main(cases, (int)(sizeof cases / sizeof *cases));
    guest_done(&guest);
    remotes_free(world.remotes);
    policy_free(policy);
    buf_done(&world.in);
    loop_free(world.loop);
    close(world.egress);
    return status;
}
