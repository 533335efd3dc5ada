/* Policies: reading, deciding, writing, comparing, learning. */
#include "base/clock.h"
#include "policy/policy.h"
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

static struct err why;

/* ---- helpers ---- */

static uint64_t clock_cpu_us(void)
{
    return clock_us(CLOCK_THREAD_CPUTIME_ID);
}

/* The text of a buffer, NUL-terminated. */
static const char *text_of(struct buf *b)
{
    char *end = buf_reserve(b, 1);
    if (end)
        *end = '\0';
    return end ? buf_data(b) : "no memory";
}

static void join_note(void *arg, const char *text)
{
    struct buf *b = arg;
    CHECK(buf_addf(b, "%s\n", text));
}

/* NULL and the reason in `why`. Notes go to `notes`, which may be NULL. */
static struct policy *try_parse(const char *text, enum policy_form form, struct buf *notes)
{
    struct policy *p = NULL;
    why = (struct err){0};
    return policy_parse(slice_str(text), form, notes ? join_note : NULL, notes, &p, &why) ? NULL
                                                                                          : p;
}

static struct policy *parse(const char *text, enum policy_form form)
{
    struct policy *p = try_parse(text, form, NULL);
    if (!p)
        fprintf(stderr, "%s\n", why.text);
    CHECK(p != NULL);
    return p;
}

/* "+" and the reason if it is allowed, "-" and the reason if not. */
static const char *decide(const struct policy *p, const char *text, const char *method)
{
    static char out[POLICY_WHY + 2];
    static struct url url;
    struct policy_decision d;
    if (url_parse(slice_str(text), &url, NULL))
        return "no URL";
    policy_decide(p, &url, slice_str(method), &d);
    snprintf(out, sizeof out, "%c%s", d.allowed ? '+' : '-', d.why);
    return out;
}

static void print_into(const struct policy *p, struct buf *b)
{
    buf_init(b, 2 * POLICY_TEXT);
    CHECK(policy_print(p, b));
}

/* ---- reading and writing ---- */

TEST(the_example)
{
    struct policy *p = parse("allow:\n"
                             "  - https://api.example.com/**\n"
                             "  - regex: '^https://([a-z0-9-]+\\.)?example\\.org/v1/'\n"
                             "disallow:\n"
                             "  - https://api.example.com/admin/**\n"
                             "methods: [GET, POST]\n"
                             "on_violation: end            # or error\n",
                             POLICY_YAML);
    CHECK(policy_ends(p));
    CHECK_STR(decide(p, "https://api.example.com/a?b", ""), "+allow https://api.example.com/**");
    CHECK_STR(decide(p, "https://API.example.com:443/admin/x", ""),
              "-disallow https://api.example.com/admin/**");
    CHECK_STR(decide(p, "https://api.example.com/x/../admin/x", "GET"),
              "-disallow https://api.example.com/admin/**");
    CHECK_STR(decide(p, "https://x.example.org/v1/x", "GET"),
              "+allow regex ^https://([a-z0-9-]+\\.)?example\\.org/v1/");
    CHECK_STR(decide(p, "https://x.example.org/v1/x", "PUT"), "-methods: GET, POST");
    CHECK_STR(decide(p, "https://x.example.org/v1/x", "get"), "-methods: GET, POST");
    CHECK_STR(decide(p, "https://x.example.org/v2/x", "PUT"), "-no rule allows it");
    CHECK_STR(decide(p, "log://", ""), "+needs no rule");
    CHECK_STR(decide(p, "log://", "PUT"), "+needs no rule");

    struct buf b;
    buf_init(&b, POLICY_TEXT);
    CHECK(policy_write(p, &b));
    CHECK_STR(text_of(&b), "{\"allow\":[\"https://api.example.com/**\",{\"regex\":\"^https://"
                           "([a-z0-9-]+\\\\.)?example\\\\.org/v1/\"}],\"disallow\":[\"https://"
                           "api.example.com/admin/**\"],\"methods\":[\"GET\",\"POST\"]}");
    struct policy *again = parse(text_of(&b), POLICY_YAML);
    uint8_t one[POLICY_DIGEST], two[POLICY_DIGEST];
    policy_digest(p, one);
    policy_digest(again, two);
    CHECK(memcmp(one, two, sizeof one) == 0);
    buf_done(&b);
    policy_free(p);
    policy_free(again);
}

/* Whatever is read can be written, and both forms of it are read as the same. */
TEST(round_trips)
{
    static const char *const texts[] = {
        "",
        "# nothing\n",
        "{}",
        "---\n...\n",
        "allow:\n",
        "allow: []\ndisallow: []\n",
        "on_violation: error",
        "on_violation: end",
        "memory: 16MiB\ngas: 1000",
        "memory: 12345",
        "methods: [GET]",
        "allow: ['**']",
        "allow: ['*://*.example.com:*/**', \"kv://h/\\\"q\\\\uote\\\"\"]",
        "allow:\n- {regex: 'it''s \"\\\\\" [^ ] # : {}'}\n- log://?prefix=\xc3\xa4 b\n",
        "allow:\n- https://h/?a=*&b=**\n- https://h/a:b\n- gemini://h\n- 'kv://- x'\n",
        "{\"allow\":[\"https://\\u0068/\\/\"],\"disallow\":[{\"regex\":\"^x\\u00e4\"}]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct policy *p = parse(texts[i], POLICY_YAML);
        struct buf written, printed, again;
        buf_init(&written, POLICY_TEXT);
        CHECK(policy_write(p, &written));
        print_into(p, &printed);
        for (int k = 0; k < 2; k++) {
            struct policy *q = parse(text_of(k ? &printed : &written), POLICY_YAML);
            buf_init(&again, POLICY_TEXT);
            CHECK(policy_write(q, &again));
            CHECK_STR(text_of(&again), text_of(&written));
            CHECK(policy_ends(q) == policy_ends(p) && policy_memory(q) == policy_memory(p) &&
                  policy_gas(q) == policy_gas(p));
            CHECK(policy_opens(p, q, NULL, NULL) == 0 && policy_opens(q, p, NULL, NULL) == 0);
            buf_done(&again);
            policy_free(q);
        }
        buf_done(&written);
        buf_done(&printed);
        policy_free(p);
    }
}

struct mistake {
    const char *text, *want;
};

static void check_mistakes(const struct mistake *rows, size_t n, enum policy_form form)
{
    for (size_t i = 0; i < n; i++) {
        struct policy *p = try_parse(rows[i].text, form, NULL);
        CHECK(p == NULL);
        if (!strstr(why.text, rows[i].want))
            CHECK_STR(why.text, rows[i].want);
        policy_free(p);
    }
}

TEST(yaml_mistakes)
{
    static const struct mistake rows[] = {
        {"alow:\n- https://h/\n",
         "line 1, column 1: there is no \"alow\" in a policy, did you mean "
         "\"allow\"?"},
        {"allow: []\nzzz: 1",
         "line 2, column 1: there is no such member in a policy: it has allow"},
        {"allow: []\ndisallow: []\nallow: []", "line 3, column 1: \"allow\" is here already"},
        {"{\"allow\":[],\"allow\":[]}", "line 1, column 13: \"allow\" is here already"},
        {"allow: https://h/", "line 1, column 8: a list of rules is expected"},
        {"allow:\n  x: y", "line 2, column 3: a list of rules is expected"},
        {"allow:\n  - - a", "line 2, column 5: a rule is a URL pattern"},
        {"allow:\n  - example.com", "line 2, column 5: a rule begins with a scheme"},
        {"allow:\n  - ''", "line 2, column 5: a rule can't be empty"},
        {"allow:\n  -\n", "a rule can't be empty"},
        {"allow:\n  - **", "line 2, column 5: a rule that begins with * needs quotes: '**'"},
        {"allow:\n  - *x", "line 2, column 5: a rule that begins with * needs quotes"},
        {"allow:\n  - *://h/", "line 2, column 5: a rule that begins with * needs quotes"},
        {"allow:\n  - &a https://h/", "line 2, column 5: anchors"},
        {"allow: &a []", "line 1, column 8: anchors"},
        {"&a {}", "line 1, column 1: anchors"},
        {"allow:\n  - !!str https://h/", "line 2, column 5: anchors"},
        {"allow:\n  - {glob: x}", "line 2, column 6: a rule is a URL pattern, or \"regex:\""},
        {"allow:\n  - regex: [x]", "line 2, column 12: a regular expression is expected"},
        {"allow:\n  - regex: a\n    regex: b", "line 3, column 5: a rule has only one \"regex:\""},
        {"allow:\n  - regex: ''", "line 2, column 12: a rule can't be empty"},
        {"allow:\n  - regex: '^('",
         "line 2, column 12: the regular expression is wrong at its byte"},
        {"allow:\n  - regex: 'a{2,1}'", "numbers out of order"},
        {"allow:\n  - regex: '(*UTF)x'", "line 2, column 12: the regular expression is wrong"},
        {"allow:\n  - regex: '\\C'", "the regular expression is wrong"},
        {"methods: GET", "line 1, column 10: a list of methods"},
        {"methods: []", "line 1, column 11: name at least one method"},
        {"methods: [get]", "line 1, column 11: methods are words in capital letters"},
        {"methods: ['G T']", "methods are words"},
        {"methods: [[]]", "a method is expected here"},
        {"on_violation: warn", "line 1, column 15: on_violation is \"end\" or \"error\""},
        {"gas: lots", "line 1, column 6: gas is a number"},
        {"gas: 0", "gas is a number"},
        {"gas: 9223372036854775808", "gas is a number"},
        {"memory: much", "line 1, column 9: \"much\" is not a value for the limit \"memory\""},
        {"memory: 1TiB", "line 1, column 9:"},
        {"memory: []", "memory is a size"},
        {"- https://h/", "line 1, column 1: a policy begins with \"allow:\""},
        {"https://h/", "line 1, column 1: a policy begins with \"allow:\""},
        {"{}\n---\n{}", "line 2, column 1: a second document begins here"},
        {"allow: [", "this is not YAML"},
        {"allow: []]", "this is not YAML"},
        {"a\tb: [\n\t- x", "line "},
        {"allow:\n- https://h/\n - b", "line "},
        {"? [a]\n: b", "line 1, column 3: a name is expected here"},
        {"%YAML 9.9\n---\n{}", "line "},
        {"allow: ['https://h/\xff']", "it is not UTF-8"},
        {"\xff\xfe{\0}", "it is not UTF-8"},
        {"allow: [\"https://h/\\0\"]", "line 1, column 9: it has a control byte"},
        {"allow: [\"log://\\u2028\"]", "line 1, column 9: it has a character that can't be seen"},
        {"allow: [\"log://\\u0085\"]", "it has a character that can't be seen"},
        /* what can't be a pattern of a URL */
        {"allow: ['https://user@h/']", "user and password"},
        {"allow: ['https://h/#x']", "no fragment"},
        {"allow: ['https://h/a/../b']", "\".\" and \"..\" never stand"},
        {"allow: ['https://h/%2e%2e/b']", "\".\" and \"..\" never stand"},
        {"allow: ['https://h/a b']", "it has a space"},
        {"allow: ['https://h/a\\b']", "it has a backslash"},
        {"allow: ['https://h**']", "\"**\" would reach beyond the host"},
        {"allow: ['https://**.example.com/']", "\"**\" would reach beyond the host"},
        {"allow: ['https://**/x']", "\"**\" would reach beyond the host"},
        {"allow: ['https:///x']", "no host"},
        {"allow: ['https://h:x/']", "the port"},
        {"allow: ['https://*:80x/']", "the port"},
        {"allow: ['https://h:8*/']", "the port"},
        {"allow: ['https://2130706433/']", "the host is a number"},
        {"allow: ['https://h/%4']", "two hex digits"},
        {"allow: ['https://b\xc3\xbc"
         "cher.example/']",
         "xn--"},
        {"allow: ['*']", "a rule begins with a scheme"},
        {"allow: ['***']", "a rule begins with a scheme"},
        {"allow: ['ht!tp://x']", "a rule begins with a scheme"},
    };
    check_mistakes(rows, sizeof rows / sizeof *rows, POLICY_YAML);
}

TEST(olin)
{
    struct buf notes;
    buf_init(&notes, 4096);
    struct policy *p = try_parse("## a comment\n"
                                 "allow (\n  ^https://tulpa.dev/\n  ^random://$\n)\n"
                                 "allow ^gemini://a.example/\r\n"
                                 "disallow (\n  ^https://tulpa.dev/admin.*$ ## not these\n  .*\n"
                                 "  secret )\n"
                                 "ram-page-limit 128\ngas-limit 1048576",
                                 POLICY_OLIN, &notes);
    CHECK(p && policy_memory(p) == 8 << 20 && policy_gas(p) == 1048576 && policy_ends(p));
    CHECK_STR(text_of(&notes),
              "line 9: \"disallow .*\" is left out: what no rule allows is refused anyway\n");
    CHECK_STR(decide(p, "https://tulpa.dev/x", ""), "+allow regex ^https://tulpa.dev/");
    CHECK_STR(decide(p, "https://tulpa.dev/x/secret", ""), "-disallow regex .*(?:secret)");
    CHECK_STR(decide(p, "https://tulpa.dev/admin", ""),
              "-disallow regex ^https://tulpa.dev/admin.*$");
    CHECK_STR(decide(p, "gemini://a.example/", ""), "+allow regex ^gemini://a.example/");
    CHECK_STR(decide(p, "https://example.com/", ""), "-no rule allows it");
    CHECK_STR(decide(p, "random://", ""), "+allow regex ^random://$");

    struct buf b;
    print_into(p, &b);
    CHECK_STR(text_of(&b), "allow:\n"
                           "  - regex: '^https://tulpa.dev/'\n"
                           "  - regex: '^random://$'\n"
                           "  - regex: '^gemini://a.example/'\n"
                           "disallow:\n"
                           "  - regex: '^https://tulpa.dev/admin.*$'\n"
                           "  - regex: '.*(?:secret)'\n"
                           "memory: 8MiB\n"
                           "gas: 1048576\n");
    buf_done(&b);
    buf_done(&notes);
    policy_free(p);

    p = parse("allow(\n`^kv://a b`\n)\nallow \"^fd://\"\nram-page-limit 70000\n", POLICY_OLIN);
    CHECK_STR(decide(p, "kv://a b", ""), "+allow regex ^kv://a b");
    CHECK(policy_memory(p) == 1 << 30);
    policy_free(p);
    p = parse("\n\n## nothing\n", POLICY_OLIN);
    CHECK_STR(decide(p, "null://", ""), "+needs no rule");
    policy_free(p);
}

TEST(olin_mistakes)
{
    static const struct mistake rows[] = {
        {"alow x://", "line 1, column 1: \"alow\" is not known here, did you mean \"allow\"?"},
        {"\n  memory 3", "line 2, column 3: \"memory\" is not known here; it is allow"},
        {"allow", "line 1, column 6: a regular expression or \"(\" is expected"},
        {"allow ## x", "a regular expression or \"(\" is expected"},
        {"allow (\n x://\n", "line 1, column 7: the \")\" that ends this list is missing"},
        {"allow x:// y://", "line 1, column 12: only one value stands here"},
        {"allow ( x:// ) y", "line 1, column 16: only one value stands here"},
        {"allow (\n  ^a(\n)", "line 2, column 3: the regular expression is wrong at its byte"},
        {"allow \"x", "line 1, column 7: the closing \" is missing"},
        {"gas-limit x", "line 1, column 11: a whole number"},
        {"gas-limit", "line 1, column 10: a whole number"},
        {"gas-limit 0", "a whole number"},
        {"gas-limit -1", "a whole number"},
        {"gas-limit 1\ngas-limit 2", "line 2, column 11: this limit is set already"},
        {"ram-page-limit 1\nram-page-limit 1", "this limit is set already"},
        {"ram-page-limit 1 2", "line 1, column 18: only one value"},
        {")", "is not known here"},
        {"# one hash", "is not known here"},
        {"allow \xff://", "it is not UTF-8"},
    };
    check_mistakes(rows, sizeof rows / sizeof *rows, POLICY_OLIN);
}

TEST(notes)
{
    static const struct mistake rows[] = {
        {"allow: [https://a/**, https://b/x]\ndisallow: ['**']",
         "\"disallow **\" hides every allow"},
        {"allow: [https://a/x]\ndisallow: [https://a/**]", "hides every allow"},
        {"allow: [https://a/x]\ndisallow: ['https://*/**']", "hides every allow"},
        {"allow: [https://a/x]\ndisallow: [{regex: '^https://a'}]", "hides every allow"},
        {"allow: [{regex: '^https://a/'}]\ndisallow: [{regex: '.*'}]", "hides every allow"},
        {"allow: [https://a]",
         "allows only the page \"/\": for all of the host write https://a/**"},
        {"allow: [{regex: '^https://a\\.example'}]", "also allows hosts that only begin like this"},
        {"allow: [https://a/**, https://b/x]\ndisallow: [https://a/**]", NULL},
        {"disallow: ['**']", NULL},
        {"allow: [https://a/, 'https://a?x', 'https://**', '**', 'kv://x']", NULL},
        {"allow: [{regex: '^https://a/'}, {regex: '^https://a$'}]", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b;
        buf_init(&b, 4096);
        policy_free(try_parse(rows[i].text, POLICY_YAML, &b));
        if (!rows[i].want)
            CHECK_STR(text_of(&b), "");
        else if (!strstr(text_of(&b), rows[i].want))
            CHECK_STR(text_of(&b), rows[i].want);
        buf_done(&b);
    }
}

/* ---- deciding ---- */

static struct policy *one_rule(const char *rule, bool regex, bool allow)
{
    char text[2 * POLICY_RULE];
    snprintf(text, sizeof text, "%s: [%s'%s'%s]", allow ? "allow" : "disallow",
             regex ? "{regex: " : "", rule, regex ? "}" : "");
    return parse(text, POLICY_YAML);
}

struct match {
    const char *rule, *url;
    bool yes;
};

static void check_matches(const struct match *rows, size_t n, bool regex)
{
    for (size_t i = 0; i < n; i++) {
        struct policy *p = one_rule(rows[i].rule, regex, true);
        bool yes = decide(p, rows[i].url, "")[0] == '+';
        if (yes != rows[i].yes)
            fprintf(stderr, "%s and %s: %d\n", rows[i].rule, rows[i].url, yes);
        CHECK(yes == rows[i].yes);
        policy_free(p);
    }
}

TEST(globs)
{
    static const struct match rows[] = {
        /* hosts */
        {"https://a.example/**", "https://a.example", true},
        {"https://a.example/**", "https://a.example/", true},
        {"https://a.example/**", "https://a.example/b/c/", true},
        {"https://a.example/**", "http://a.example/", false},
        {"https://a.example/**", "https://a.example:8443/", false},
        {"https://a.example/**", "https://xa.example/", false},
        {"https://a.example/**", "https://a.example.evil/", false},
        {"https://a.example:8443/**", "https://a.example:8443/", true},
        {"https://a.example:8443/**", "https://a.example/", false},
        {"https://a.example:443/**", "https://a.example/", true},
        {"https://a.example:*/**", "https://a.example/", true},
        {"https://a.example:*/**", "https://a.example:1/", true},
        {"HTTPS://A.Example./**", "https://a.example/", true},
        {"https://*.example/**", "https://a.example/", true},
        {"https://*.example/**", "https://a.b.example/", true},
        {"https://*.example/**", "https://example/", false},
        {"https://*.example/**", "https://evil/.example/", false},
        {"https://*.example/**", "https://evil/?.example/", false},
        {"https://*.example/**", "https://a.example:8443/", false},
        {"https://*.example:8443/**", "https://a.example:8443/", true},
        {"https://*.example:*/**", "https://a.example:8443/", true},
        {"https://a*b.example/", "https://ab.example/", true},
        {"https://a*b.example/", "https://a-x-b.example/", true},
        {"https://*/**", "https://anything:443/x", true},
        {"https://*/**", "https://anything:444/x", false},
        {"https://**", "https://anything:444/x?y", true},
        {"https://**", "http://anything/", false},
        {"http*://h/**", "https://h/", true},
        {"http*://h/**", "http://h/", true},
        {"http*://h/**", "https://h:80/", false},
        {"*://h/**", "gemini://h", true},
        {"*://h/**", "kv://h/x", false},
        {"https://192.0.2.*/**", "https://192.0.2.77/", true},
        {"https://[2001:DB8::1]/**", "https://[2001:db8:0::1]/", true},
        {"https://[2001:db8::1]:8443/**", "https://[2001:db8::1]:8443/", true},
        {"https://[2001:db8::1]:*/**", "https://[2001:db8::1]:8443/", true},
        {"**", "https://anything:444/x", true},
        {"**", "kv://x", true},
        /* paths */
        {"https://h", "https://h/", true},
        {"https://h", "https://h/x", false},
        {"https://h/a", "https://h/a", true},
        {"https://h/a", "https://h/a/", false},
        {"https://h/a", "https://h/ab", false},
        {"https://h/a/*", "https://h/a/b", true},
        {"https://h/a/*", "https://h/a/", true},
        {"https://h/a/*", "https://h/a", false},
        {"https://h/a/*", "https://h/a/b/", false},
        {"https://h/a/*", "https://h/a/b/c", false},
        {"https://h/a/*", "https://h/a/b%2Fc", true},
        {"https://h/a/**", "https://h/a/b/c", true},
        {"https://h/a/**", "https://h/a/../b", false},
        {"https://h/a**", "https://h/ab/c", true},
        {"https://h/*/c", "https://h/b/c", true},
        {"https://h/*/c", "https://h/b/b/c", false},
        {"https://h/**/c", "https://h/b/b/c", true},
        {"https://h/**/c", "https://h/c", false},
        {"https://h/**c", "https://h/c", true},
        {"https://h/v*/u*/x", "https://h/v1/users/x", true},
        {"https://h/v*/u*/x", "https://h/v1/1/users/x", false},
        {"https://h/**/b*d/**", "https://h/a/bcd/e", true},
        {"https://h/**/b*d/**", "https://h/b/d/bd", false},
        {"https://h/**a*b", "https://h/a/xab/aab", true},
        {"https://h/**a*b", "https://h/a/b", false},
        {"https://h/%7eu/%2f", "https://h/~u/%2F", true},
        {"https://h/\xc3\xa4", "https://h/%c3%a4", true},
        {"https://h/\"", "https://h/%22", true},
        /* queries */
        {"https://h/a", "https://h/a?b", true},
        {"https://h/a", "https://h/a?", true},
        {"https://h/**/secret", "https://h/a?/secret", false},
        {"https://h/a?b=*", "https://h/a?b=1", true},
        {"https://h/a?b=*", "https://h/a?b=1&c=2", false},
        {"https://h/a?b=**", "https://h/a?b=1&c=2", true},
        {"https://h/a?b=*", "https://h/a", false},
        {"https://h/a?**", "https://h/a?", true},
        {"https://h?a", "https://h/?a", true},
        /* others */
        {"gemini://h/**", "gemini://h", true},
        {"gemini://h", "gemini://h/", true},
        {"gemini://h/*", "gemini://h/a?q", true},
        {"kv://a/*", "kv://a/b", true},
        {"kv://a/*", "kv://a/b/c", false},
        {"KV://a/**", "kv://a/b/c?d", true},
        {"kv://a", "kv://A", false},
        {"kv://a", "kv://a?x", true},
    };
    check_matches(rows, sizeof rows / sizeof *rows, false);
}

/* ---- random globs against the plainest matcher there is ---- */

static unsigned dice(unsigned n)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

static bool plainly(const char *pattern, const char *text)
{
    if (!*pattern)
        return !*text;
    if (pattern[0] == '*' && pattern[1] == '*')
        return plainly(pattern + 2, text) || (*text && plainly(pattern, text + 1));
    if (*pattern == '*')
        return plainly(pattern + 1, text) || (*text && *text != '/' && plainly(pattern, text + 1));
    return *pattern == *text && plainly(pattern + 1, text + 1);
}

/* "/" and up to 7 more letters of `alphabet` behind "kv://". */
static void random_text(char out[16], const char *alphabet)
{
    size_t n = 5, most = 5 + dice(8);
    memcpy(out, "kv://", 5);
    while (n < most)
        out[n++] = alphabet[dice((unsigned)strlen(alphabet))];
    out[n] = '\0';
}

TEST(random_globs)
{
    static struct url url;
    for (int i = 0; i < 3000; i++) {
        char wide[16], narrow[16], text[16];
        random_text(wide, "ab/***");
        random_text(narrow, "ab/***");
        struct policy *p = one_rule(wide, false, true), *q = one_rule(narrow, false, true);
        bool covers = policy_opens(p, q, NULL, NULL) == 0;
        for (int k = 0; k < 30; k++) {
            struct policy_decision by_wide, by_narrow;
            random_text(text, "ab/");
            CHECK(url_parse(slice_str(text), &url, NULL) == ERR_OK);
            policy_decide(p, &url, SLICE(""), &by_wide);
            policy_decide(q, &url, SLICE(""), &by_narrow);
            CHECK(by_wide.allowed == plainly(wide + 5, text + 5));
            CHECK(by_narrow.allowed == plainly(narrow + 5, text + 5));
            CHECK(!covers || by_wide.allowed || !by_narrow.allowed);
        }
        policy_free(p);
        policy_free(q);
    }
}

TEST(regexes)
{
    static const struct match rows[] = {
        {"^https://h/", "https://h/x", true},
        {"https://h/", "https://h/x", true},
        {"h/", "https://h/x", false}, /* only from the start */
        {".*h/", "https://h/x", true},
        {"^https://h/$", "https://h/x", false},
        {"^https?://h/", "http://h/", true},
        {"^https?://h/", "https://h/", true},
        {"^http(s)?://h/", "https://h/", true},
        {"^https://a/|https://b/", "https://b/", true},
        {"^https://(a|b)/", "https://b/", true},
        {"^https://(?:a|b)/x", "https://b/x", true},
        {"^https://(?:a|b)/x", "https://b/y", false},
        {"^https://(?i:A)/x", "https://a/x", true},
        {"(?i)^HTTPS://A/", "https://a/", true},
        {"^https://a/(?#|)x", "https://a/x", true},
        {"^https://[a|b]/x", "https://b/x", true},
        {"^https://[]a]/x", "https://a/x", true},
        {"^https://[[:alpha:]|]/x", "https://a/x", true},
        {"^https://a/\\Q|x\\E?", "https://a/%7Cx", false},
        {"^https://a/x{0}y", "https://a/y", true},
        {"^https://a/x{2,3}y", "https://a/xxy", true},
        {"^https://a/x{,|https://b/", "https://b/", true},
        {"^https://a/xyz*", "https://a/xy", true},
        {"^https://a/(xyz)*", "https://a/", true},
        {"^https://a/(x(y|z)){0,2}w", "https://a/w", true},
        {"^https://a/\\d+/e", "https://a/12/e", true},
        {"^https://a/\\x78", "https://a/x", true},
        {"^https://a/(?=x)", "https://a/x", true},
        {"^https://a/(?!x)", "https://a/x", false},
        {"^https://a/(*ACCEPT)x", "https://a/", true},
        {"^https://a/(.)\\1", "https://a/xx", true},
        {"^(https)://a/", "https://a/", true},
        {"^https://a/.*b.*c", "https://a/xbxc", true},
        {"^https://a/.*b.*c", "https://a/xcxb", false},
        {"^https://a/\\?q", "https://a/?q", true},
        {"^log://\xc3\xa4?$", "log://\xc3\xa4", true},
    };
    check_matches(rows, sizeof rows / sizeof *rows, true);
}

TEST(precedence)
{
    struct policy *p =
        parse("allow: ['**']\n"
              "disallow: [https://h/x/**, {regex: '^https://h/.*\\.zip$'}, 'log://**',"
              " 'zero://']\n"
              "methods: [GET]\non_violation: error\n",
              POLICY_YAML);
    CHECK(!policy_ends(p));
    CHECK_STR(decide(p, "https://h/x/y", "GET"), "-disallow https://h/x/**");
    CHECK_STR(decide(p, "https://h/x", "GET"), "+allow **");
    CHECK_STR(decide(p, "https://h/a.zip", ""), "-disallow regex ^https://h/.*\\.zip$");
    CHECK_STR(decide(p, "https://h/x/y", "POST"), "-disallow https://h/x/**");
    CHECK_STR(decide(p, "https://h/y", "POST"), "-methods: GET");
    CHECK_STR(decide(p, "https://h/y", ""), "+allow **");
    CHECK_STR(decide(p, "log://?prefix=a", ""), "-disallow log://**");
    CHECK_STR(decide(p, "zero://", ""), "-disallow zero://");
    CHECK_STR(decide(p, "null://", ""), "+allow **");
    policy_free(p);

    p = parse("methods: [GET]", POLICY_YAML);
    CHECK_STR(decide(p, "https://h/", "GET"), "-no rule allows it");
    CHECK_STR(decide(p, "random://", "POST"), "+needs no rule");
    policy_free(p);
    CHECK_STR(decide(NULL, "https://h/", ""), "-no rule allows it");
    CHECK_STR(decide(NULL, "kv://a", ""), "-no rule allows it");
    CHECK_STR(decide(NULL, "FD://1", ""), "+needs no rule");
    CHECK(policy_ends(NULL) && policy_gas(NULL) == 0 && policy_memory(NULL) == 0);
}

/* A reason that is too long is cut between characters. */
TEST(long_reasons)
{
    char rule[600] = "kv://";
    for (size_t n = 5; n + 2 < sizeof rule; n += 2)
        memcpy(rule + n, "\xc3\xa4", 3);
    struct policy *p = one_rule(rule, false, true);
    const char *said = decide(p, rule, "");
    size_t n = strlen(said);
    CHECK(said[0] == '+' && n < POLICY_WHY && utf8_valid(slice_make(said + 1, n - 1)));
    CHECK_STR(said + n - 3, "\xe2\x80\xa6");
    policy_free(p);
}

/* What would take for ever is refused, whichever way the rule points. */
TEST(bombs)
{
    static const char *const bombs[] = {"^https://h/(a+)+$", "^https://h/(a|a)*b",
                                        "^https://h/(.*)*(.*)*x$", "^https://h/(a*)*\\?",
                                        "^(h|.*)*(?:ttps://h/a*)+!"};
    char url[4096] = "https://h/";
    memset(url + 10, 'a', sizeof url - 12);
    url[sizeof url - 2] = '!' + 1; /* '"' becomes %22 */
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++)
        for (int allow = 0; allow < 2; allow++) {
            struct policy *p = one_rule(bombs[i], true, allow);
            const char *said = decide(p, url, "");
            CHECK(said[0] == '-' &&
                  (strstr(said, "backtracks too far") || strstr(said, "no rule allows")));
            policy_free(p);
        }

    /* Globs can't explode, but many hard ones add up. */
    struct buf b;
    buf_init(&b, POLICY_TEXT);
    CHECK(buf_addf(&b, "allow:\n"));
    for (int i = 0; i < 900; i++)
        CHECK(buf_addf(&b, "- https://h/**a*%d\n", i));
    struct policy *p = parse(text_of(&b), POLICY_YAML);
    uint64_t start = clock_cpu_us();
    const char *said = decide(p, url, "");
    CHECK(said[0] == '-' && strstr(said, "too much to compare"));
    CHECK(clock_cpu_us() - start < 1000000);
    policy_free(p);
    buf_done(&b);

    /* The worst that the limits let through. */
    buf_init(&b, POLICY_TEXT);
    CHECK(buf_addf(&b, "allow:\n"));
    for (int i = 0; i < 200; i++)
        CHECK(buf_addf(&b, "- regex: '^https://h/(?:a*)*%d'\n", i));
    p = parse(text_of(&b), POLICY_YAML);
    start = clock_cpu_us();
    CHECK(decide(p, url, "")[0] == '-');
    CHECK(clock_cpu_us() - start < 1000000);
    policy_free(p);
    buf_done(&b);
}

TEST(limits)
{
    struct buf b;
    static const struct {
        int rules;
        const char *form, *want;
    } rows[] = {
        {1001, "- https://h/%d\n", "line 1002, column 3: a policy has at most 1000 rules"},
        {1000, "- https://h/%d\n", NULL},
        {201, "- regex: '^https://h/%d'\n", "at most 200 regular expressions"},
        {200, "- regex: '^https://h/%d'\n", NULL},
        {100, "- regex: '^((ab){50}){90}%d'\n", "larger than 1024 KiB"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_init(&b, POLICY_TEXT);
        CHECK(buf_addf(&b, "allow:\n"));
        for (int k = 0; k < rows[i].rules; k++) {
            char line[64];
            int n = snprintf(line, sizeof line, rows[i].form, k);
            CHECK(buf_add(&b, line, (size_t)n));
        }
        struct policy *p = try_parse(text_of(&b), POLICY_YAML, NULL);
        CHECK((p == NULL) == (rows[i].want != NULL));
        if (rows[i].want && !strstr(why.text, rows[i].want))
            CHECK_STR(why.text, rows[i].want);
        policy_free(p);
        buf_done(&b);
    }
    /* Bytes of a rule and of all. */
    static char big[POLICY_TEXT + 2];
    memset(big, 'a', sizeof big - 1);
    memcpy(big, "allow: ['kv://", 14);
    memcpy(big + 1040, "']", 3);
    CHECK(!try_parse(big, POLICY_YAML, NULL) && strstr(why.text, "a rule has at most 1024 bytes"));
    memset(big, ' ', sizeof big - 1);
    CHECK(!try_parse(big, POLICY_YAML, NULL) && strstr(why.text, "at most 256 KiB"));
    buf_init(&b, 2 * POLICY_TEXT);
    CHECK(buf_addf(&b, "allow:\n"));
    for (int i = 0; i < 250; i++)
        CHECK(buf_addf(&b, "- 'kv://%0*d'\n", 1000, i));
    struct policy *p = parse(text_of(&b), POLICY_YAML);
    policy_free(p);
    for (int i = 0; i < 12; i++)
        CHECK(buf_addf(&b, "- 'kv://%0*d'\n", 1000, 1000 + i));
    CHECK(!try_parse(text_of(&b), POLICY_YAML, NULL));
    buf_done(&b);
    /* Deep and wide nonsense ends early. */
    memset(big, '[', sizeof big - 2);
    CHECK(!try_parse(big, POLICY_YAML, NULL));
    memset(big, '{', sizeof big - 2);
    CHECK(!try_parse(big, POLICY_YAML, NULL));
    memset(big, '-', sizeof big - 2);
    CHECK(!try_parse(big, POLICY_YAML, NULL));
}

/* ---- several threads ---- */

static void *decide_often(void *arg)
{
    const struct policy *p = arg;
    struct url *url = malloc(sizeof *url);
    size_t wrong = !url || url_parse(SLICE("https://a.example.org/v1/users/77"), url, NULL);
    for (int i = 0; i < 5000 && !wrong; i++) {
        struct policy_decision d;
        policy_decide(p, url, SLICE("GET"), &d);
        wrong += !d.allowed || !strstr(d.why, "users");
    }
    free(url);
    return (void *)wrong;
}

TEST(threads)
{
    struct policy *p = parse("allow: [{regex: '^https://([a-z]+\\.)*x/'}, {regex: "
                             "'^https://([a-z]+\\.)*org/v1/users/\\d+$'}]",
                             POLICY_YAML);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, decide_often, p) == 0);
    for (int i = 0; i < 4; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        CHECK(wrong == NULL);
    }
    policy_free(p);
}

/* ---- comparing ---- */

static void check_opens(const char *before, const char *after, const char *want)
{
    struct policy *a = before ? parse(before, POLICY_YAML) : NULL;
    struct policy *b = after ? parse(after, POLICY_YAML) : NULL;
    struct buf got;
    buf_init(&got, 4096);
    unsigned n = policy_opens(a, b, join_note, &got), lines = 0;
    CHECK_STR(text_of(&got), want);
    for (const char *p = want; *p; p++)
        lines += *p == '\n';
    CHECK(n == lines);
    buf_done(&got);
    policy_free(a);
    policy_free(b);
}

TEST(opens)
{
    check_opens(NULL, NULL, "");
    check_opens(NULL, "allow: [https://a/x, {regex: ^b}]", "allow https://a/x\nallow regex ^b\n");
    check_opens("allow: [https://a/x]", NULL, "");
    check_opens("allow: [https://a/**]", "allow: [https://a/x, 'https://a/*/y', https://a:443/**]",
                "");
    check_opens("allow: ['https://*.a/**']", "allow: [https://b.a/**, https://b.c.a/x, https://a/]",
                "allow https://a/\n");
    check_opens("allow: ['https://a/*']", "allow: ['https://a/**', 'https://a/*/b', https://a/b]",
                "allow https://a/**\nallow https://a/*/b\n");
    check_opens("allow: ['https://a/x']",
                "allow: ['https://a/x?y', 'https://a:8443/x', 'http://a/x']",
                "allow https://a:8443/x\nallow http://a/x\n");
    check_opens("allow: ['https://a/x?y']", "allow: ['https://a/x']", "allow https://a/x\n");
    check_opens("allow: ['https://a:*/**']", "allow: ['https://a:8443/x', 'https://a/x']", "");
    check_opens("allow: ['https://**']", "allow: ['https://a:*/x', 'http://a/', '**']",
                "allow http://a/\nallow **\n");
    check_opens("allow: ['**']", "allow: ['https://a:*/x', 'http://a/', '**', {regex: x}]", "");
    check_opens("allow: ['*://h/**']", "allow: ['https://h/x', 'gemini://h/', 'kv://h/']",
                "allow kv://h/\n");
    check_opens("disallow: [https://a/x, https://a/y]", "disallow: [https://a/x]",
                "no longer disallows https://a/y\n");
    check_opens("disallow: [https://a/x]", "disallow: ['https://a/**']", "");
    check_opens(NULL, "allow: ['log://**', 'kv://x']", "allow kv://x\n");
    check_opens("disallow: ['log://**']", "allow: ['log://**']",
                "allow log://**\nno longer disallows log://**\n");
    check_opens("allow: [https://a/]\nmethods: [GET]", "allow: [https://a/]", "methods: any\n");
    check_opens("allow: [https://a/]\nmethods: [GET]", "allow: [https://a/]\nmethods: [PUT, GET]",
                "methods: PUT\n");
    check_opens("allow: [https://a/]", "allow: [https://a/]\nmethods: [PUT]", "");
}

/* ---- learning ---- */

static void check_learn(const char *base, const char *urls, const char *want)
{
    struct policy *from = base ? parse(base, POLICY_YAML) : NULL, *p = NULL;
    struct slice list[64];
    size_t n = 0;
    for (struct slice rest = slice_str(urls); rest.p && n < 64;) {
        list[n] = slice_split(&rest, ' ');
        n += list[n].n > 0;
    }
    why = (struct err){0};
    enum err_code rc = policy_learn(from, list, n, &p, &why);
    struct buf b;
    print_into(p, &b);
    CHECK_STR(rc ? why.text : text_of(&b), want);
    for (size_t i = 0; i < n && !rc; i++) {
        char text[256];
        CHECK(slice_copy(list[i], text, sizeof text) && decide(p, text, "")[0] == '+');
    }
    buf_done(&b);
    policy_free(from);
    policy_free(p);
}

TEST(learn)
{
    check_learn(NULL, "", "");
    check_learn(NULL, "https://A/x?y=1 https://a:443/x?y=2", "allow:\n  - https://a/x\n");
    check_learn(NULL, "https://a https://b:8443/", "allow:\n  - https://a/\n  - https://b:8443/\n");
    check_learn(NULL, "https://a/v1/users/1 https://a/v1/users/2",
                "allow:\n  - https://a/v1/users/*\n");
    check_learn(NULL, "https://a/v1/users/1/posts https://a/v1/users/2/posts",
                "allow:\n  - https://a/v1/users/*/posts\n");
    check_learn(NULL, "https://a/v1/users/1/posts https://a/v1/users/2/likes",
                "allow:\n  - https://a/v1/users/**\n");
    check_learn(NULL, "https://a/v1/u/1/p https://a/v1/u/2/q https://a/v1/u/3 https://a/v1/u",
                "allow:\n  - https://a/v1/u/**\n  - https://a/v1/u\n");
    check_learn(NULL, "https://a/1 https://a/2 https://a/1/1 https://a/1/2",
                "allow:\n  - https://a/1\n  - https://a/1/1\n  - https://a/1/2\n  - https://a/2\n");
    check_learn(NULL, "https://a/b/c/ https://a/b/c/d", "allow:\n  - https://a/b/c/*\n");
    check_learn(NULL, "https://a/b/c/x https://a/b/c-d/x",
                "allow:\n  - https://a/b/c-d/x\n  - https://a/b/c/x\n");
    check_learn(NULL, "log:// random:// null:// kv://s/a gemini://h gemini://h/",
                "allow:\n  - gemini://h\n  - kv://s/a\n");
    check_learn(NULL, "https://h/a**b/*", "allow:\n  - https://h/a*b/*\n");
    check_learn(NULL, "https://h/a/b/\xe2\x80\xa6 https://h/x?\xe2\x80\xa6",
                "allow:\n  - https://h/a/b/**\n  - https://h/x\n");
    check_learn("allow: [https://a/**]\nmethods: [GET]\non_violation: error",
                "https://a/x https://b/x",
                "allow:\n  - https://a/**\n  - https://b/x\nmethods: [GET]\non_violation: error\n");
    check_learn(
        "disallow: [https://a/x]", "https://a/x?y",
        "disallow https://a/x refuses https://a/x?y whatever is allowed: take that rule away "
        "first");
    check_learn(NULL, "https://0x7f.1/",
                "\"https://0x7f.1/\": the host is a number: an address is written as four decimal "
                "numbers (192.0.2.1) or as [IPv6]");
}

/* Many URLs, long ones, and every policy learned allows what it was learned from. */
TEST(learn_many)
{
    enum { MANY = 3000 };
    struct slice *list = calloc(MANY, sizeof *list);
    static char texts[MANY][1400];
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(texts[i], sizeof texts[i], "https://h%d.example/v%d/users/%d/%0*d", i % 7,
                         i % 3, i % 50, i % 5 ? 1 : 1300, i);
        list[i] = slice_make(texts[i], (size_t)n);
    }
    struct policy *p = NULL;
    CHECK(policy_learn(NULL, list, MANY, &p, &why) == ERR_OK);
    for (int i = 0; i < MANY; i++)
        CHECK(decide(p, texts[i], "")[0] == '+');
    struct buf b;
    print_into(p, &b);
    CHECK(buf_size(&b) < 4096);
    buf_done(&b);
    policy_free(p);
    free(list);
}

static void check_allow(const char *base, const char *url, const char *want)
{
    struct policy *from = base ? parse(base, POLICY_YAML) : NULL, *p = NULL;
    why = (struct err){0};
    enum err_code rc = policy_allow(from, slice_str(url), &p, &why);
    struct buf b;
    print_into(p, &b);
    CHECK_STR(rc ? why.text : text_of(&b), want);
    buf_done(&b);
    policy_free(from);
    policy_free(p);
}

TEST(allow)
{
    check_allow(NULL, "https://A:443/x?secret#f", "allow:\n  - https://a/x\n");
    check_allow(NULL, "https://a/*/x?y", "allow:\n  - https://a/*/x?y\n");
    check_allow("allow: [https://a/x]", "https://a/x", "allow:\n  - https://a/x\n");
    check_allow("allow: [https://a/*]", "https://a/*", "allow:\n  - https://a/*\n");
    check_allow(
        "disallow: [https://a/**]", "https://a/x",
        "disallow https://a/** refuses https://a/x whatever is allowed: take that rule away "
        "first");
    check_allow("disallow: [https://a/**]", "https://a/b/*",
                "disallow https://a/** refuses all of it: take that rule away first");
    check_allow(NULL, "nonsense", "a URL begins with its scheme, such as \"https://\"");
}

/* ---- speed ---- */

/* 50 rules, every second a regular expression, as a busy function might have them; the last one
 * decides. Compared with what the machine needs to compare the same bytes without thinking. */
TEST(speed)
{
    enum { ROUNDS = 20000 };
    struct buf b;
    buf_init(&b, POLICY_TEXT);
    CHECK(buf_addf(&b, "disallow:\n"));
    for (int i = 0; i < 5; i++)
        CHECK(buf_addf(&b,
                       "- https://api.example.com/admin%d/**\n"
                       "- regex: '^https://[a-z]+\\.example\\.com/private%d/'\n",
                       i, i));
    CHECK(buf_addf(&b, "allow:\n"));
    for (int i = 0; i < 20; i++)
        CHECK(buf_addf(&b,
                       "- https://*.service%d.example.com/v1/**\n"
                       "- regex: '^https://([a-z0-9-]+\\.)?example\\.com/v%d/users/[0-9]+$'\n",
                       i, i));
    struct policy *p = parse(text_of(&b), POLICY_YAML);
    buf_done(&b);
    static struct url url;
    struct policy_decision d;
    CHECK(!url_parse(SLICE("https://api.example.com/v19/users/1234567"), &url, NULL));
    policy_decide(p, &url, SLICE("GET"), &d);
    CHECK(d.allowed && strstr(d.why, "/v19/"));

    uint64_t best = UINT64_MAX, plain = UINT64_MAX;
    unsigned differ = 0;
    for (int k = 0; k < 5; k++) {
        uint64_t start = clock_cpu_us();
        for (int i = 0; i < ROUNDS; i++)
            policy_decide(p, &url, SLICE("GET"), &d);
        uint64_t us = clock_cpu_us() - start;
        best = us < best ? us : best;
        char copy[128] = "";
        slice_copy(url_slice(&url), copy, sizeof copy);
        start = clock_cpu_us();
        for (int i = 0; i < ROUNDS; i++)
            for (int rule = 0; rule < 50; rule++) {
                copy[40] = (char)rule;
                differ += memcmp(copy, url.text, url.size) != 0;
            }
        us = clock_cpu_us() - start;
        plain = us < plain ? us : plain;
    }
    printf("a decision of 50 rules: %ju ns; 50 times memcmp: %ju ns\n",
           (uintmax_t)best * 1000 / ROUNDS, (uintmax_t)plain * 1000 / ROUNDS);
    CHECK(differ == 5 * ROUNDS * 50 && best < 40 * (plain + ROUNDS / 1000));

    buf_init(&b, POLICY_TEXT);
    CHECK(policy_write(p, &b));
    uint64_t start = clock_cpu_us();
    for (int i = 0; i < 100; i++)
        policy_free(parse(text_of(&b), POLICY_YAML));
    printf("reading its %zu bytes: %ju us\n", buf_size(&b),
           (uintmax_t)(clock_cpu_us() - start) / 100);
    buf_done(&b);
    policy_free(p);
}

TEST_MAIN(CASE(the_example), CASE(round_trips), CASE(yaml_mistakes), CASE(olin),
          CASE(olin_mistakes), CASE(notes), CASE(globs), CASE(random_globs), CASE(regexes),
          CASE(precedence), CASE(long_reasons), CASE(bombs), CASE(limits), CASE(threads),
          CASE(opens), CASE(learn), CASE(learn_many), CASE(allow), CASE(speed))
