/* Where egress connects to and whom it believes: addresses, names, certificates, gemini's keys. */
#include "egress_world.h"

/* ---- addresses ---- */

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

/* ---- names ---- */

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
    r = fetch_url(&w, named("silent.test", "/hello"));
    CHECK(r->end.reason == ERR_TIMEOUT && strstr(r->text, "egress-dns"));
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

/* ---- TLS and gemini ---- */

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
    while (buf_size(&r->body) < FRAME_CREDIT_INITIAL && !w.exec_closed)
        loop_turn(w.loop, 100000);
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

int main(void)
{
    static const struct test_case cases[] = {CASE(certificates),   CASE(gemini), CASE(addresses),
                                             CASE(numeric_hosts),  CASE(names),  CASE(rebinding),
                                             CASE(names_that_hang)};
    return egress_main(cases, (int)(sizeof cases / sizeof *cases));
}
