/* CGI: meta-variables and the judging of what programs print. */
#include "test.h"

#include "cgi/head.h"
#include "cgi/meta.h"

#include <stdio.h>
#include <stdlib.h>

static char out[65536];
static size_t out_n;

static const char *value(const char *name)
{
    for (const char *p = out; p < out + out_n;) {
        const char *v = p + strlen(p) + 1;
        if (strcmp(p, name) == 0)
            return v;
        p = v + strlen(v) + 1;
    }
    return "(unset)";
}

#define FIELD(n, v)                                                                                \
    {                                                                                              \
        {n, sizeof(n) - 1},                                                                        \
        {                                                                                          \
            v, sizeof(v) - 1                                                                       \
        }                                                                                          \
    }

static struct cgi_request request(const struct field *fields, size_t count)
{
    return (struct cgi_request){.method = SLICE("POST"),
                                .uri = SLICE("/f/a%20b?x=1"),
                                .query = SLICE("x=1"),
                                .script_name = SLICE("/f"),
                                .path = SLICE("/a%20b"),
                                .server_name = SLICE("f.localhost"),
                                .server_port = 8080,
                                .minor = 1,
                                .remote = SLICE("192.0.2.1"),
                                .run = SLICE("RUN"),
                                .worker = SLICE("WORK"),
                                .has_length = true,
                                .length = 12,
                                .fields = fields,
                                .count = count};
}

TEST(meta_variables)
{
    static const struct field fields[] = {
        FIELD("Host", "f.localhost"),
        FIELD("Accept", "a"),
        FIELD("Cookie", "a=1"),
        FIELD("accept", "b"),
        FIELD("Cookie", "b=2"),
        FIELD("Proxy", "http://evil"),
        FIELD("X_Under", "x"),
        FIELD("Connection", "close, X-Hop"),
        FIELD("X-Hop", "1"),
        FIELD("Content-Type", "text/plain"),
        FIELD("Content-Length", "12"),
        FIELD("X-Forwarded-For", "1.2.3.4"),
        FIELD("Authorization", "Bearer t"),
        FIELD("TE", "trailers"),
    };
    struct cgi_request r = request(fields, sizeof fields / sizeof *fields);
    CHECK(cgi_meta_write(&r, out, sizeof out, &out_n) == CGI_META_OK);
    CHECK_STR(value("GATEWAY_INTERFACE"), "CGI/1.1");
    CHECK_STR(value("REQUEST_METHOD"), "POST");
    CHECK_STR(value("REQUEST_URI"), "/f/a%20b?x=1");
    CHECK_STR(value("QUERY_STRING"), "x=1");
    CHECK_STR(value("SCRIPT_NAME"), "/f");
    CHECK_STR(value("PATH_INFO"), "/a b");
    CHECK_STR(value("PATH_TRANSLATED"), "(unset)");
    CHECK_STR(value("SERVER_NAME"), "f.localhost");
    CHECK_STR(value("SERVER_PORT"), "8080");
    CHECK_STR(value("SERVER_PROTOCOL"), "HTTP/1.1");
    CHECK_STR(value("REMOTE_ADDR"), "192.0.2.1");
    CHECK_STR(value("REMOTE_HOST"), "192.0.2.1");
    CHECK_STR(value("CONTENT_LENGTH"), "12");
    CHECK_STR(value("CONTENT_TYPE"), "text/plain");
    CHECK_STR(value("RUN_ID"), "RUN");
    CHECK_STR(value("WORKER_ID"), "WORK");
    CHECK(memcmp(out + CGI_WORKER_AT, "WORK", 4) == 0);
    CHECK_STR(value("HTTP_HOST"), "f.localhost");
    CHECK_STR(value("HTTP_ACCEPT"), "a, b");
    CHECK_STR(value("HTTP_COOKIE"), "a=1; b=2");
    CHECK_STR(value("HTTP_AUTHORIZATION"), "Bearer t");
    static const char *const never[] = {
        "HTTP_PROXY",          "HTTP_X_UNDER", "HTTP_CONNECTION",      "HTTP_X_HOP",
        "HTTP_CONTENT_LENGTH", "HTTPS",        "HTTP_X_FORWARDED_FOR", "HTTP_TE",
        "HTTP_CONTENT_TYPE"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        CHECK_STR(value(never[i]), "(unset)");
    r.trusted = r.https = true;
    r.path = r.query = SLICE("");
    CHECK(cgi_meta_write(&r, out, sizeof out, &out_n) == CGI_META_OK);
    CHECK_STR(value("HTTP_X_FORWARDED_FOR"), "1.2.3.4");
    CHECK_STR(value("HTTPS"), "on");
    CHECK_STR(value("PATH_INFO"), "/");
    CHECK_STR(value("QUERY_STRING"), "");
    r.path = SLICE("/%00");
    CHECK(cgi_meta_write(&r, out, sizeof out, &out_n) == CGI_META_BAD_PATH);
    r.path = SLICE("/%4");
    CHECK(cgi_meta_write(&r, out, sizeof out, &out_n) == CGI_META_BAD_PATH);
    r.path = SLICE("/");
    CHECK(cgi_meta_write(&r, out, 200, &out_n) == CGI_META_FULL);
    CHECK(cgi_is_meta(SLICE("PATH_INFO")) && cgi_is_meta(SLICE("HTTP_X")) &&
          !cgi_is_meta(SLICE("HOME")));
}

static struct limits limits;

/* Feeds `text` in pieces of `step` bytes; returns the result and what was left as body. */
static enum cgi_result feed(struct cgi_head *h, const char *text, size_t n, size_t step, char *body,
                            bool trusted)
{
    enum cgi_result rc = CGI_MORE;
    size_t at = 0, body_n = 0;
    cgi_head_init(h, &limits, SLICE("/f"), trusted);
    while (at < n && rc == CGI_MORE) {
        struct slice piece = slice_make(text + at, n - at < step ? n - at : step);
        at += piece.n;
        rc = cgi_head_feed(h, &piece);
        memcpy(body, piece.p, piece.n);
        body_n = piece.n;
    }
    if (rc == CGI_READY) {
        memcpy(body + body_n, text + at, n - at);
        body_n += n - at;
    }
    body[body_n] = '\0';
    return rc;
}

TEST(heads)
{
    static const struct {
        const char *text;
        int status; /* 0: bad; -1: more */
        const char *lines, *body;
    } cases[] = {
        {"Content-Type: text/plain\n\nhi", 200, "Content-Type: text/plain\r\n", "hi"},
        {"content-type:text/plain\r\n\r\nhi", 200, "content-type: text/plain\r\n", "hi"},
        {"Status: 404 Not Found\nContent-Type: a/b\n\n", 404, "Content-Type: a/b\r\n", ""},
        {"Status: 201\nX-A: 1 \n\n", 201, "X-A: 1\r\n", ""},
        {"Location: https://x/y\n\n", 302, "Location: https://x/y\r\n", ""},
        {"Location: /p\n\n", 302, "Location: /f/p\r\n", ""},
        {"Location: /f/p\n\n", 302, "Location: /f/p\r\n", ""},
        {"Location: //x/p\nStatus: 301\n\n", 301, "Location: //x/p\r\n", ""},
        {"X: 1\nConnection: close\nTransfer-Encoding: chunked\nDate: x\n\n", 200, "X: 1\r\n", ""},
        {"X: 1\nWasmcloud-Error: trap\nwasmcloud-run: 1\n\n", 200, "X: 1\r\n", ""},
        {"Set-Cookie: a=b; Domain=x; Path=/; domain = y\n\n", 200, "Set-Cookie: a=b; Path=/\r\n",
         ""},
        {"\n\nbody", 0, "", ""},
        {"\r\n\r\n", 0, "", ""},
        {"hello world\n", 0, "", ""},
        {"hello world", -1, "", ""},
        {"Content-Type: text/plain\n", -1, "", ""},
        {"Bad Name: x\n\n", 0, "", ""},
        {"Name : x\n\n", 0, "", ""},
        {": x\n\n", 0, "", ""},
        {"X: a\rSet-Cookie: b\n\n", 0, "", ""},
        {"X: a\x01\n\n", 0, "", ""},
        {" folded: x\n\n", 0, "", ""},
        {"X: 1\n y\n\n", 0, "", ""},
        {"Status: abc\n\n", 0, "", ""},
        {"Status: 99\n\n", 0, "", ""},
        {"Status: 101 Switching\n\n", 0, "", ""},
        {"Status: 200OK\n\n", 0, "", ""},
        {"Status: 200\nStatus: 200\n\n", 0, "", ""},
        {"Content-Length: 1\nContent-Length: 1\n\n", 0, "", ""},
        {"Content-Length: -1\n\n", 0, "", ""},
        {"Content-Type: a/b\nContent-Type: a/b\n\n", 0, "", ""},
        {"HTTP/1.1 200 OK\nContent-Type: a/b\n\n", 0, "", ""},
    };
    struct cgi_head h = {0};
    char body[256];
    limits_init(&limits, false);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step <= 64; step += 7) {
            enum cgi_result rc = feed(&h, cases[i].text, strlen(cases[i].text), step, body, false);
            enum cgi_result want = cases[i].status == 0    ? CGI_BAD
                                   : cases[i].status == -1 ? CGI_MORE
                                                           : CGI_READY;
            if (rc != want)
                fprintf(stderr, "case %zu step %zu: %s\n", i, step, cases[i].text);
            CHECK(rc == want);
            CHECK(rc != CGI_BAD || h.why);
            if (rc != CGI_READY || want != CGI_READY)
                continue;
            CHECK(h.status == cases[i].status);
            CHECK(slice_eq(buf_slice(&h.lines), slice_str(cases[i].lines)));
            CHECK_STR(body, cases[i].body);
        }
    CHECK(feed(&h, "A: \0\n\n", 6, 3, body, false) == CGI_BAD);
    CHECK(feed(&h, "Wasmcloud-Run: 1\n\n", 18, 99, body, true) == CGI_READY);
    CHECK(slice_eq(buf_slice(&h.lines), SLICE("Wasmcloud-Run: 1\r\n")));
    cgi_head_done(&h);
}

TEST(limits_of_heads)
{
    struct cgi_head h = {0};
    static char text[70000], body[70000];
    limits_init(&limits, false);
    memset(text, 'a', sizeof text);
    memcpy(text, "X: ", 3);
    CHECK(feed(&h, text, sizeof text, 1000, body, false) == CGI_BAD);
    size_t n = 0;
    for (int i = 0; i < 65; i++)
        n += (size_t)sprintf(text + n, "X-%d: y\n", i);
    text[n++] = '\n';
    CHECK(feed(&h, text, n, 100, body, false) == CGI_BAD);
    n = 0;
    for (int i = 0; i < 51; i++)
        n += (size_t)sprintf(text + n, "Set-Cookie: a=%d\n", i);
    text[n++] = '\n';
    CHECK(feed(&h, text, n, 100, body, false) == CGI_BAD);
    char why[512];
    feed(&h, "oops \"\x1b\n", 8, 100, body, false);
    cgi_head_explain(&h, why, sizeof why);
    CHECK(strstr(why, "oops \\x22\\x1b\\n") != NULL);
    CHECK(strstr(why, "response: text") != NULL);
    cgi_head_done(&h);
}

TEST_MAIN(CASE(meta_variables), CASE(heads), CASE(limits_of_heads))
