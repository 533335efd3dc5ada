/* URLs: one normal form, and what has none. */
#include "policy/url.h"
#include "test.h"

#include <stdlib.h>

static struct url url;

static const char *normal(const char *text)
{
    struct err e = {0};
    return url_parse(slice_str(text), &url, &e) ? "" : url.text;
}

TEST(normal_forms)
{
    static const char *const rows[][2] = {
        {"https://example.com", "https://example.com/"},
        {"HTTPS://EXAMPLE.com:443/", "https://example.com/"},
        {"https://example.com./a", "https://example.com/a"},
        {"https://example.com:/a", "https://example.com/a"},
        {"http://example.com:80?q", "http://example.com/?q"},
        {"http://example.com:8080/?", "http://example.com:8080/?"},
        {"http://h/a/./b/../c", "http://h/a/c"},
        {"http://h/../../..", "http://h/"},
        {"http://h/a/..", "http://h/"},
        {"http://h/a/.", "http://h/a/"},
        {"http://h/a//../b", "http://h/a/b"},
        {"http://h/a/%2e%2E/b", "http://h/b"},
        {"http://h/%7euser/%2f%3a", "http://h/~user/%2F%3A"},
        {"http://h/\xc3\xa4?\xc3\xa4", "http://h/%C3%A4?%C3%A4"},
        {"http://h/\"<>^`{|}[]", "http://h/%22%3C%3E%5E%60%7B%7C%7D%5B%5D"},
        {"http://h/a#b?c", "http://h/a"},
        {"http://h?a/../b", "http://h/?a/../b"},
        {"http://[2001:DB8:0:0::1]:80/", "http://[2001:db8::1]/"},
        {"http://[::ffff:10.0.0.1]:81/", "http://[::ffff:10.0.0.1]:81/"},
        {"http://192.0.2.1./", "http://192.0.2.1/"},
        {"gemini://Example.com:1965", "gemini://example.com"},
        {"gemini://example.com?q", "gemini://example.com?q"},
        {"LOG://?prefix=A b%41", "log://?prefix=A b%41"},
        {"null://", "null://"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_STR(normal(rows[i][0]), rows[i][1]);
}

TEST_MAIN(CASE(normal_forms))
