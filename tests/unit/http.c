/* HTTP: heads and bodies of requests, addresses, which function a host names. */
#include "test.h"

#include "http/address.h"
#include "http/request.h"
#include "roles/edge.h"

#include <stdio.h>

static struct limits limits;
static struct http_request r;
static struct http_parser parser;
static char content[65536];
static size_t content_n;

static void on_content(void *owner, struct slice bytes)
{
    (void)owner;
    memcpy(content + content_n, bytes.p, bytes.n);
    content_n += bytes.n;
}

/* 0, or the status that the request is refused with; 1: incomplete. */
static int parse_bytes(struct slice bytes)
{
    struct err e;
    size_t scanned = 0, size = 0;
    limits_init(&limits, false);
    enum err_code rc = http_head_end(bytes, &limits, &scanned, &size, &e);
    if (!rc && !size)
        return 1;
    parser.on_body = on_content;
    if (!rc)
        rc = http_head_parse(&parser, slice_make(bytes.p, size), &limits, &r, &e);
    content_n = 0;
    struct slice rest = slice_from(bytes, size);
    size_t used;
    if (!rc && parser.in_body && rest.n)
        rc = http_body_parse(&parser, rest, &used, &e);
    return rc ? err_http(rc) : 0;
}

static int parse(const char *text)
{
    return parse_bytes(slice_str(text));
}

TEST(requests)
{
    CHECK(parse("GET /a/b?c=d HTTP/1.1\r\nHost: x:80\r\nX-Y:  z \r\n\r\n") == 0);
    CHECK(slice_eq(r.method, SLICE("GET")));
    CHECK(slice_eq(r.path, SLICE("/a/b")));
    CHECK(slice_eq(r.query, SLICE("c=d")));
    CHECK(slice_eq(r.host, SLICE("x")));
    CHECK(slice_eq(http_field(&r, SLICE("x-y")), SLICE("z")));
    CHECK(r.keep_alive && r.minor == 1 && r.length == 0 && !parser.in_body);
    CHECK(parse("GET / HTTP/1.0\r\n\r\n") == 0);
    CHECK(!r.keep_alive && r.minor == 0 && r.query.p == NULL);
    CHECK(parse("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n") == 0);
    CHECK(parse("GET http://x/y HTTP/1.1\r\nHost: x\r\n\r\n") == 0);
    CHECK(slice_eq(r.path, SLICE("/y")));
    CHECK(parse("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n") == 0);
    CHECK(slice_eq(r.host, SLICE("::1")));
    CHECK(parse("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n") == 0);
    CHECK(parse("GET / HTTP/1.1\r\nHost: x\r\nUpg") == 1);
}

TEST(bodies)
{
    CHECK(parse("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello") == 0);
    CHECK(content_n == 5 && !parser.in_body);
    CHECK(parse("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n"
                "5\r\nhello\r\n2;a=b\r\n !\r\n0\r\nTrailer: x\r\n\r\n") == 0);
    CHECK(content_n == 7 && memcmp(content, "hello !", 7) == 0 && !parser.in_body);
    CHECK(parse("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe") == 0);
    CHECK(content_n == 2 && parser.in_body);
}

TEST(refusals)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET /\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
        {" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
        {"GET / http/1.1\r\nHost: x\r\n\r\n", 400},
        {"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", 501},
        {"GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /#f HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET /\x80 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: \r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b"
         "chunked\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
         400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\n",
         400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: "
         "y\n\r\n",
         400},
        {"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\rabc\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
         400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = parse(cases[i].text);
        if (status != cases[i].status)
            fprintf(stderr, "case %zu: %d for %s\n", i, status, cases[i].text);
        CHECK(status == cases[i].status);
    }
    static const char nul[] = "GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n";
    CHECK(parse_bytes(slice_make(nul, sizeof nul - 1)) == 400);
}

TEST(sizes)
{
    static char text[65536];
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    CHECK(parse_bytes(slice_make(text, 9000)) == 414);
    int n = sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
    memset(text + n, 'a', sizeof text - (size_t)n);
    CHECK(parse_bytes(slice_make(text, 20000)) == 431);
    n = sprintf(text, "GET / HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 101; i++)
        n += sprintf(text + n, "X: y\r\n");
    n += sprintf(text + n, "\r\n");
    CHECK(parse_bytes(slice_make(text, (size_t)n)) == 431);
}

TEST(addresses)
{
    struct err e;
    struct cidr_list l;
    struct http_address a;
    char text[ADDRESS_TEXT];
    CHECK(cidr_parse(SLICE("10.0.0.0/8, 192.0.2.7,2001:db8::/32"), &l, &e) == ERR_OK);
    CHECK(l.count == 3);
    static const struct {
        const char *text;
        bool in;
    } cases[] = {{"10.1.2.3", true},   {"11.0.0.1", false},       {"192.0.2.7:99", true},
                 {"192.0.2.8", false}, {"[2001:db8::5]:1", true}, {"2001:db9::", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(address_parse(slice_str(cases[i].text), &a));
        CHECK(cidr_match(&l, &a) == cases[i].in);
    }
    static const char *const texts[] = {"0.0.0.0", "10.20.30.4", "255.100.99.9", "::1",
                                        "2001:db8::a"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK(address_parse(slice_str(texts[i]), &a));
        address_text(&a, text);
        CHECK_STR(text, texts[i]);
    }
    CHECK(!address_parse(SLICE("unknown"), &a) && !address_parse(SLICE(""), &a));

    address_parse(SLICE("10.0.0.1"), &a);
    CHECK(forwarded_client(&l, SLICE("10.9.9.9"), false, &a));
    CHECK(!forwarded_client(&l, SLICE("6.6.6.6, 203.0.113.9, 10.9.9.9"), false, &a));
    address_text(&a, text);
    CHECK_STR(text, "203.0.113.9");
    address_parse(SLICE("10.0.0.1"), &a);
    forwarded_client(&l, SLICE("for=6.6.6.6, for=\"[2001:db9::1]:4\";proto=https"), true, &a);
    address_text(&a, text);
    CHECK_STR(text, "2001:db9::1");
    CHECK(forwarded_https(SLICE("for=a;proto=HTTPS"), true));
    CHECK(!forwarded_https(SLICE("https, http"), false));
    struct http_address net = address_network(&a);
    address_text(&net, text);
    CHECK_STR(text, "2001:db9::");
    cidr_done(&l);
    CHECK(cidr_parse(SLICE("10.0.0.0/33"), &l, &e) == ERR_USAGE);
    CHECK(cidr_parse(SLICE("x"), &l, &e) == ERR_USAGE);
}

TEST(proxy)
{
    static const char v2[] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x05\x0a\0\0\1\x12\x34\0\x50";
    struct http_address a = {{0}};
    size_t size;
    struct err e;
    char text[ADDRESS_TEXT];
    CHECK(proxy_header(slice_make(v2, sizeof v2 - 1), &size, &a, &e) == ERR_OK);
    CHECK(size == sizeof v2 - 1);
    address_text(&a, text);
    CHECK_STR(text, "203.0.113.5");
    for (size_t n = 1; n < sizeof v2 - 1; n++)
        CHECK(proxy_header(slice_make(v2, n), &size, &a, &e) == ERR_OK && size == SIZE_MAX);
    CHECK(proxy_header(SLICE("GET /"), &size, &a, &e) == ERR_OK && size == 0);
}

TEST(sites)
{
    static const struct {
        const char *host, *path, *domain;
        enum site site;
        const char *name, *script, *rest;
        uint32_t preview;
    } cases[] = {
        {"3--hello.localhost", "/x", "localhost", SITE_FUNCTION, "hello", "", "/x", 3},
        {"localhost", "/12--a-b/y", "localhost", SITE_FUNCTION, "a-b", "/12--a-b", "/y", 12},
        {"0--a.localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"03--a.localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"x--a.localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"--a.localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"3--.localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"3--a--b.localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"99999999999--a.localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"hello.localhost", "/x", "localhost", SITE_FUNCTION, "hello", "", "/x", 0},
        {"Hello.LOCALHOST.", "/x", "localhost", SITE_FUNCTION, "Hello", "", "/x", 0},
        {"localhost", "/hello/x/y", "localhost", SITE_FUNCTION, "hello", "/hello", "/x/y", 0},
        {"localhost", "/hello", "localhost", SITE_FUNCTION, "hello", "/hello", "", 0},
        {"localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"localhost", "//x", "localhost", SITE_NONE, "", "", "", 0},
        {"127.0.0.1", "/hello", "localhost", SITE_LOCALHOST, "", "", "", 0},
        {"::1", "/hello", "localhost", SITE_LOCALHOST, "", "", "", 0},
        {"a.b.localhost", "/", "localhost", SITE_NONE, "", "", "", 0},
        {"a.example.org", "/", "example.org", SITE_FUNCTION, "a", "", "/", 0},
        {"example.org", "/a/b", "example.org", SITE_NONE, "", "", "", 0},
        {"aexample.org", "/", "example.org", SITE_NONE, "", "", "", 0},
        {"127.0.0.1", "/a", "example.org", SITE_NONE, "", "", "", 0},
        {".example.org", "/", "example.org", SITE_NONE, "", "", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice name, script, path;
        uint32_t preview;
        enum site s = site_find(slice_str(cases[i].host), slice_str(cases[i].path),
                                slice_str(cases[i].domain), &name, &preview, &script, &path);
        CHECK(s == cases[i].site);
        if (s != SITE_FUNCTION || cases[i].site != SITE_FUNCTION)
            continue;
        CHECK(slice_eq(name, slice_str(cases[i].name)) && preview == cases[i].preview);
        CHECK(slice_eq(script, slice_str(cases[i].script)));
        CHECK(slice_eq(path, slice_str(cases[i].rest)));
    }
}

TEST_MAIN(CASE(requests), CASE(bodies), CASE(refusals), CASE(sizes), CASE(addresses), CASE(proxy),
          CASE(sites))
