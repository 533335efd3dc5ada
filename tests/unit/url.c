/* URLs: one normal form, and what has none. */
#include "policy/url.h"
#include "test.h"

#include <stdlib.h>

static struct url url;
static struct err why;

static bool parses(struct slice text)
{
    why = (struct err){0};
    return url_parse(text, &url, &why) == ERR_OK;
}

/* The normal form; "" and the reason in `why` if there is none. */
static const char *normal(const char *text)
{
    return parses(slice_str(text)) ? url.text : "";
}

struct row {
    const char *given, *want;
};

static const struct row normal_forms[] = {
    /* scheme, host, port */
    {"https://example.com", "https://example.com/"},
    {"HTTPS://EXAMPLE.com:443/", "https://example.com/"},
    {"hTTp://example.com:443/", "http://example.com:443/"},
    {"https://example.com./a", "https://example.com/a"},
    {"https://example.com:/a", "https://example.com/a"},
    {"https://example.com.:443", "https://example.com/"},
    {"http://example.com:80?q", "http://example.com/?q"},
    {"http://example.com:8080/?", "http://example.com:8080/?"},
    {"http://example.com:65535", "http://example.com:65535/"},
    {"http://xn--bcher-kva.example", "http://xn--bcher-kva.example/"},
    {"http://_dmarc.Example.com", "http://_dmarc.example.com/"},
    {"http://1e100.net", "http://1e100.net/"},
    {"http://3com.example", "http://3com.example/"},
    {"http://127.0.0.1.example", "http://127.0.0.1.example/"},
    {"http://0xg.example", "http://0xg.example/"},
    {"http://beef", "http://beef/"},
    /* addresses */
    {"http://192.0.2.1", "http://192.0.2.1/"},
    {"http://192.0.2.1./", "http://192.0.2.1/"},
    {"http://0.0.0.0", "http://0.0.0.0/"},
    {"http://255.255.255.255", "http://255.255.255.255/"},
    {"http://[2001:DB8:0:0::1]:80/", "http://[2001:db8::1]/"},
    {"http://[0:0:0:0:0:0:0:1]", "http://[::1]/"},
    {"http://[::]", "http://[::]/"},
    {"http://[::ffff:10.0.0.1]:81/", "http://[::ffff:10.0.0.1]:81/"},
    {"http://[::FFFF:0a00:0001]", "http://[::ffff:10.0.0.1]/"},
    {"http://[64:ff9b::127.0.0.1]", "http://[64:ff9b::7f00:1]/"},
    /* dot segments */
    {"http://h/a/./b/../c", "http://h/a/c"},
    {"http://h/../../..", "http://h/"},
    {"http://h/..", "http://h/"},
    {"http://h/.", "http://h/"},
    {"http://h/a/..", "http://h/"},
    {"http://h/a/.", "http://h/a/"},
    {"http://h/a//../b", "http://h/a/b"},
    {"http://h//", "http://h//"},
    {"http://h//..//x", "http://h//x"},
    {"http://h/a/b/../../../../c", "http://h/c"},
    {"http://h/a/%2e%2E/b", "http://h/b"},
    {"http://h/a/.%2e/b", "http://h/b"},
    {"http://h/a/%2e/b", "http://h/a/b"},
    {"http://h/a/%252e%252e/b", "http://h/a/%252e%252e/b"},
    {"http://h/.../..a/b..", "http://h/.../..a/b.."},
    {"http://h/a;x/../b", "http://h/b"},
    {"http://h?a/../b", "http://h/?a/../b"},
    /* percent-encoding */
    {"http://h/%7euser/%2f%3a", "http://h/~user/%2F%3A"},
    {"http://h/%41%42%5a%61%30%2d%2E%5f", "http://h/ABZa0-._"},
    {"http://h/%00", "http://h/%00"},
    {"http://h/%25", "http://h/%25"},
    {"http://h/%2541", "http://h/%2541"},
    {"http://h/\xc3\xa4?\xc3\xa4", "http://h/%C3%A4?%C3%A4"},
    {"http://h/\"<>^`{|}[]", "http://h/%22%3C%3E%5E%60%7B%7C%7D%5B%5D"},
    {"http://h/!$&'()*+,;=:@", "http://h/!$&'()*+,;=:@"},
    {"http://h/?a=/?:@[x]", "http://h/?a=/?:@%5Bx%5D"},
    {"http://h/%ff", "http://h/%FF"},
    /* fragments */
    {"http://h/a#b?c", "http://h/a"},
    {"http://h#/../../x", "http://h/"},
    {"http://h#@evil.example/", "http://h/"},
    {"http://h/?a#b", "http://h/?a"},
    /* '@' and ':' behind the host are nothing special */
    {"http://h/@evil.example", "http://h/@evil.example"},
    {"http://h?@evil.example", "http://h/?@evil.example"},
    {"http://h/http://evil.example/", "http://h/http://evil.example/"},
    /* gemini has no path that it must have */
    {"gemini://Example.com:1965", "gemini://example.com"},
    {"gemini://example.com?q", "gemini://example.com?q"},
    {"gemini://example.com/../x", "gemini://example.com/x"},
    /* local schemes are taken as they are */
    {"LOG://?prefix=A b%41", "log://?prefix=A b%41"},
    {"null://", "null://"},
    {"Random://\xc3\xa4", "random://\xc3\xa4"},
    {"kv://a/../b#c", "kv://a/../b#c"},
    {"a+b-c.d://x\\y", "a+b-c.d://x\\y"},
};

TEST(normal_form)
{
    for (size_t i = 0; i < sizeof normal_forms / sizeof *normal_forms; i++) {
        CHECK_STR(normal(normal_forms[i].given), normal_forms[i].want);
        CHECK_STR(normal(normal_forms[i].want), normal_forms[i].want); /* and it stays that */
    }
}

/* What is refused, and a piece of the reason. */
static const struct row refused[] = {
    {"", "scheme"},
    {"example.com", "scheme"},
    {"//example.com/", "scheme"},
    {"/path", "scheme"},
    {"://x", "scheme"},
    {"1http://h", "scheme"},
    {"ht tp://h", "scheme"},
    {"http", "scheme"},
    {"http:", "scheme"},
    {"http:h", "scheme"},
    {"http:/h", "scheme"},
    {"http:\\\\h", "scheme"},
    {" http://h", "scheme"},
    {"\thttp://h", "scheme"},
    {"abcdefghijabcdefghijabcdefghijabc://x", "scheme"},
    /* no host */
    {"http://", "no host"},
    {"http:///", "no host"},
    {"http:///127.0.0.1", "no host"},
    {"http://:80", "no host"},
    {"http://?x", "no host"},
    {"http://#x", "no host"},
    {"http://.", "no host"},
    {"http://..", "between two dots"},
    {"http://a..b", "between two dots"},
    {"http://.a", "between two dots"},
    {"http://a..", "between two dots"},
    /* userinfo */
    {"http://user@h", "user and password"},
    {"http://user:pass@h", "user and password"},
    {"http://@h", "user and password"},
    {"http://h:80@127.0.0.1", "user and password"},
    {"http://a@b@c", "user and password"},
    {"http://127.0.0.1:80@h:81/", "user and password"},
    /* bytes */
    {"http://h\\@evil.example", "backslash"},
    {"http://h/a\\..\\b", "backslash"},
    {"http://h/?a\\b", "backslash"},
    {"http://h/#\\", "backslash"},
    {"http://h/a b", "space"},
    {"http://h /", "space"},
    {"http://h/a\r\nHost: evil", "control byte (0x0d)"},
    {"http://h/\n", "control byte (0x0a)"},
    {"http://h\t.example/", "control byte (0x09)"},
    {"http://h/\x7f", "control byte (0x7f)"},
    {"http://h/\x01", "control byte (0x01)"},
    {"log://a\nb", "control byte (0x0a)"},
    {"http://h/\xff", "not UTF-8"},
    {"http://h/\xc0\xaf", "not UTF-8"},
    {"http://h/\xed\xa0\x80", "not UTF-8"},
    {"log://\xff", "not UTF-8"},
    {"http://h/%", "two hex digits"},
    {"http://h/%4", "two hex digits"},
    {"http://h/%zz", "two hex digits"},
    {"http://h/%%41", "two hex digits"},
    {"http://h/?%u0041", "two hex digits"},
    /* hosts that aren't plain */
    {"http://%31%32%37.0.0.1", "'%' may not stand"},
    {"http://exa%6dple.com", "'%' may not stand"},
    {"http://h%00.example", "'%' may not stand"},
    {"http://h*", "'*' may not stand"},
    {"http://h,x", "',' may not stand"},
    {"http://h;x", "';' may not stand"},
    {"http://a]", "']' may not stand"},
    {"http://b\xc3\xbc"
     "cher.example",
     "xn--"},
    {"http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1", "xn--"}, /* full-width 127 */
    {"http://127\xe3\x80\x82"
     "0.0.1",
     "xn--"},                                                      /* ideographic full stop */
    {"http://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1", "xn--"}, /* 127 in circles */
    {"http://h\xc2\xad.example", "xn--"},                          /* soft hyphen */
    /* numbers */
    {"http://0", "the host is a number"},
    {"http://1", "the host is a number"},
    {"http://2130706433", "the host is a number"},
    {"http://4294967296", "the host is a number"},
    {"http://99999999999999999999", "the host is a number"},
    {"http://017700000001", "the host is a number"},
    {"http://0x7f000001", "the host is a number"},
    {"http://0X7F000001", "the host is a number"},
    {"http://0x", "the host is a number"},
    {"http://127.1", "the host is a number"},
    {"http://127.0.1", "the host is a number"},
    {"http://127.0.0.1.1", "the host is a number"},
    {"http://0177.0.0.1", "the host is a number"},
    {"http://0x7f.0.0.1", "the host is a number"},
    {"http://0x7f.1", "the host is a number"},
    {"http://127.0.0.0x1", "the host is a number"},
    {"http://127.0.0.01", "the host is a number"},
    {"http://127.000.000.001", "the host is a number"},
    {"http://00.0.0.0", "the host is a number"},
    {"http://256.0.0.1", "the host is a number"},
    {"http://1.2.3.256", "the host is a number"},
    {"http://1.2.3.1000", "the host is a number"},
    {"http://127.0.0.1.0x", "the host is a number"},
    {"http://a.0x7f", "the host is a number"},
    {"http://example.1", "the host is a number"},
    {"http://2130706433.", "the host is a number"},
    /* IPv6 */
    {"http://[", "']'"},
    {"http://[]", "IPv6"},
    {"http://[::1", "']'"},
    {"http://::1", "no host"},
    {"http://[::1]x", "nothing but a port"},
    {"http://[::1].example", "nothing but a port"},
    {"http://x[::1]", "may not stand"},
    {"http://[fe80::1%25eth0]", "IPv6"},
    {"http://[fe80::1%eth0]", "IPv6"},
    {"http://[127.0.0.1]", "IPv6"},
    {"http://[v1.x]", "IPv6"},
    {"http://[1::2::3]", "IPv6"},
    {"http://[12345::]", "IPv6"},
    {"http://[::ffff:127.0.0.01]", "IPv6"},
    {"http://[::1]@h", "user and password"},
    {"http://[example.com]", "IPv6"},
    /* ports */
    {"http://h:0", "the port"},
    {"http://h:00080", "the port"},
    {"http://h:080", "the port"},
    {"http://h:65536", "the port"},
    {"http://h:99999999", "the port"},
    {"http://h:-1", "the port"},
    {"http://h:+80", "the port"},
    {"http://h:80a", "the port"},
    {"http://h:80:80", "the port"},
    {"http://h:0x50", "the port"},
};

TEST(refusals)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        memset(&url, 0x55, sizeof url);
        CHECK_STR(normal(refused[i].given), "");
        if (!strstr(why.text, refused[i].want))
            CHECK_STR(why.text, refused[i].want);
        CHECK(url.size == 0x5555555555555555 && url.text[0] == 0x55); /* untouched */
    }
    CHECK(!parses(slice_make("http://h\0.example/", 18)) && strstr(why.text, "0x00"));
    CHECK(!parses(slice_make("http://h/a\0b", 12)) && !parses(slice_make("log://\0", 7)));
}

TEST(parts)
{
    CHECK(parses(SLICE("HTTPS://Example.com:8443/a%2fb?c=d#e")));
    CHECK(slice_eq(url.scheme, SLICE("https")) && slice_eq(url.host, SLICE("example.com")));
    CHECK(slice_eq(url.authority, SLICE("example.com:8443")) && url.port == 8443);
    CHECK(slice_eq(url.path, SLICE("/a%2Fb")) && slice_eq(url.query, SLICE("c=d")));
    CHECK(url.remote && !url.numeric && url.size == strlen(url.text));

    CHECK(parses(SLICE("http://[2001:DB8::1]/?")));
    CHECK(slice_eq(url.host, SLICE("2001:db8::1")) && url.numeric && url.port == 80);
    CHECK(slice_eq(url.authority, SLICE("[2001:db8::1]")) && url.query.p && url.query.n == 0);

    CHECK(parses(SLICE("gemini://192.0.2.1")) && url.port == 1965 && url.numeric);
    CHECK(url.path.n == 0 && !url.query.p);

    CHECK(parses(SLICE("log://?prefix=P")) && !url.remote && url.port == 0);
    CHECK(slice_eq(url.path, SLICE("?prefix=P")) && url.authority.n == 0 && url.host.n == 0);
}

TEST(lengths)
{
    static char text[URL_MOST + 64];
    memset(text, 'a', sizeof text);
    memcpy(text, "http://h/", 9);
    CHECK(parses(slice_make(text, URL_MOST)) && url.size == URL_MOST);
    CHECK(!parses(slice_make(text, URL_MOST + 1)) && strstr(why.text, "longer than 8192"));
    memset(text + 9, '"', URL_MOST - 9); /* three bytes each */
    CHECK(!parses(slice_make(text, URL_MOST)));
    CHECK(parses(slice_make(text, 2000)) && url.size == 9 + 3 * 1991);
    memcpy(text, "kv://", 5);
    CHECK(parses(slice_make(text, URL_MOST)) && !parses(slice_make(text, URL_MOST + 1)));

    memset(text, 'a', sizeof text);
    memcpy(text, "http://", 7);
    for (size_t i = 7 + 63; i < 400; i += 64)
        text[i] = '.';
    CHECK(parses(slice_make(text, 7 + 253)) && !parses(slice_make(text, 7 + 254)));
    text[7 + 63] = 'a';
    CHECK(!parses(slice_make(text, 7 + 64)) && parses(slice_make(text, 7 + 63)));
}

static const char *joined(const char *scheme, const char *authority, const char *target)
{
    why = (struct err){0};
    return url_join(slice_str(scheme), slice_str(authority), slice_str(target), &url, &why)
               ? ""
               : url.text;
}

TEST(join)
{
    CHECK_STR(joined("https", "Example.com:443", "/a/../b?c"), "https://example.com/b?c");
    CHECK_STR(joined("http", "[::1]:8080", "/"), "http://[::1]:8080/");
    CHECK_STR(joined("gemini", "h", "/%7e"), "gemini://h/~");
    CHECK_STR(joined("http", "h", "//evil.example/"), "http://h//evil.example/");
    CHECK_STR(joined("http", "h", "/@evil.example"), "http://h/@evil.example");
    static const struct row wrong[] = {
        {"h/x", "/"},     {"h?x", "/"},   {"h#x", "/"},          {"u@h", "/"},    {"", "/"},
        {"h:80:80", "/"}, {"h h", "/"},   {"h\r\nX", "/"},       {"0x7f.1", "/"}, {"h", ""},
        {"h", "*"},       {"h", "x"},     {"h", "http://evil/"}, {"h", "/a#b"},   {"h", "/a b"},
        {"h", "/\\x"},    {"h", "/a\nb"}, {"h", "?x"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_STR(joined("http", wrong[i].given, wrong[i].want), "");
    CHECK_STR(joined("log", "h", "/"), "");
    CHECK_STR(joined("http://evil/", "h", "/"), "");
}

/* The scheme, host and port survive whatever is put behind them. */
TEST(tails)
{
    static const char *const tails[] = {"",         "/",        "/..",    "?",         "#",
                                        "/@evil",   "?@evil",   "#@evil", "/:80",      "//evil",
                                        "/%2f..",   "/..%2f",   "/%5c",   "/%23@evil", "/%3f",
                                        "?://evil", "#://evil", "/a:b@c", "/[::1]",    "/.evil"};
    static const char *const heads[] = {"http://h", "http://h:80", "HTTP://H.", "http://h:"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        for (size_t k = 0; k < sizeof heads / sizeof *heads; k++) {
            char text[64];
            snprintf(text, sizeof text, "%s%s", heads[k], tails[i]);
            CHECK(parses(slice_str(text)));
            CHECK(slice_eq(url.host, SLICE("h")) && url.port == 80);
            CHECK(slice_eq(url.authority, SLICE("h")) && slice_eq(url.scheme, SLICE("http")));
        }
}

TEST(redact)
{
    char out[24];
    url_redact(SLICE("https://h/a?secret"), out, sizeof out);
    CHECK_STR(out, "https://h/a?\xe2\x80\xa6");
    url_redact(SLICE("https://h/a"), out, sizeof out);
    CHECK_STR(out, "https://h/a");
    url_redact(SLICE("https://h/abcdefghijklmnop"), out, sizeof out);
    CHECK_STR(out, "https://h/abcdefghij\xe2\x80\xa6");
    url_redact(SLICE("log://abcdefghijklmn\xc3\xa4op"), out, sizeof out);
    CHECK_STR(out, "log://abcdefghijklmn\xe2\x80\xa6");
}

TEST_MAIN(CASE(normal_form), CASE(refusals), CASE(parts), CASE(lengths), CASE(join), CASE(tails),
          CASE(redact))
