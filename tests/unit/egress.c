/* Egress driven as an edge and an exec drive it: answers, requests, bodies, decisions, limits,
 * malice, and what is written down. Where it connects to is egress_reach.c's. */
#include "egress_world.h"

/* ---- answers ---- */

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

/* ---- requests ---- */

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

/* ---- bodies and credit ---- */

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
    while (buf_size(&r->body) < FRAME_CREDIT_INITIAL && !w.exec_closed)
        loop_turn(w.loop, 100000);
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

/* ---- decisions ---- */

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

/* ---- limits ---- */

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
        CHECK(took >= 190000);
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

/* ---- malice ---- */

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
    uint64_t end = clock_mono_us() + 60000000;
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

/* ---- idleness ---- */

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

/* ---- the journal ---- */

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
    static const struct test_case cases[] = {CASE(answers),
                                             CASE(request_is_ours),
                                             CASE(bad_requests),
                                             CASE(policy_saw_what_was_sent),
                                             CASE(uploads),
                                             CASE(early_answer),
                                             CASE(early_answer_waits),
                                             CASE(answers_wait_for_credit),
                                             CASE(second_request),
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
                                             CASE(journal),
                                             CASE(idle)};
    return egress_main(cases, (int)(sizeof cases / sizeof *cases));
}
