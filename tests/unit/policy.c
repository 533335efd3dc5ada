/* Policies: reading, deciding, writing, comparing. */
#include "policy/policy.h"
#include "test.h"

#include <stdlib.h>

static struct policy *parse(const char *text, enum policy_form form)
{
    struct policy *p = NULL;
    struct err e = {0};
    if (policy_parse(slice_str(text), form, NULL, NULL, &p, &e))
        fprintf(stderr, "%s\n", e.text);
    return p;
}

/* "+" and the reason if it is allowed, "-" and the reason if not. */
static const char *decide(const struct policy *p, const char *text, const char *method)
{
    static char out[POLICY_WHY + 2];
    struct url url;
    struct policy_decision d;
    if (url_parse(slice_str(text), &url, NULL))
        return "no URL";
    policy_decide(p, &url, slice_str(method), &d);
    snprintf(out, sizeof out, "%c%s", d.allowed ? '+' : '-', d.why);
    return out;
}

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
    CHECK(p && policy_ends(p));
    CHECK_STR(decide(p, "https://api.example.com/a?b", ""), "+allow https://api.example.com/**");
    CHECK_STR(decide(p, "https://API.example.com:443/admin/x", ""),
              "-disallow https://api.example.com/admin/**");
    CHECK_STR(decide(p, "https://x.example.org/v1/x", "GET"),
              "+allow regex ^https://([a-z0-9-]+\\.)?example\\.org/v1/");
    CHECK_STR(decide(p, "https://x.example.org/v1/x", "PUT"), "-methods: GET, POST");
    CHECK_STR(decide(p, "https://x.example.org/v2/x", "PUT"), "-no rule allows it");
    CHECK_STR(decide(p, "log://", ""), "+needs no rule");
    struct buf b;
    buf_init(&b, POLICY_TEXT);
    CHECK(policy_write(p, &b) && buf_add(&b, "", 1));
    CHECK_STR(buf_data(&b), "{\"allow\":[\"https://api.example.com/**\",{\"regex\":\"^https://"
                            "([a-z0-9-]+\\\\.)?example\\\\.org/v1/\"}],\"disallow\":[\"https://"
                            "api.example.com/admin/**\"],\"methods\":[\"GET\",\"POST\"]}");
    struct policy *again = parse(buf_data(&b), POLICY_YAML);
    uint8_t one[POLICY_DIGEST], two[POLICY_DIGEST];
    policy_digest(p, one);
    policy_digest(again, two);
    CHECK(memcmp(one, two, sizeof one) == 0);
    buf_done(&b);
    policy_free(p);
    policy_free(again);
}

TEST(olin)
{
    struct policy *p = parse("## a comment\n"
                             "allow (\n  ^https://tulpa.dev\n  ^random://$\n)\n"
                             "allow ^gemini://a.example/\n"
                             "disallow (\n  ^https://tulpa.dev/admin.*$ ## not these\n  .*\n)\n"
                             "ram-page-limit 128\ngas-limit 1048576",
                             POLICY_OLIN);
    CHECK(p && policy_memory(p) == 8 << 20 && policy_gas(p) == 1048576);
    CHECK_STR(decide(p, "https://tulpa.dev/x", ""), "+allow regex ^https://tulpa.dev");
    CHECK_STR(decide(p, "https://tulpa.dev/admin", ""),
              "-disallow regex ^https://tulpa.dev/admin.*$");
    CHECK_STR(decide(p, "gemini://a.example/", ""), "+allow regex ^gemini://a.example/");
    CHECK_STR(decide(p, "https://example.com/", ""), "-no rule allows it");
    policy_free(p);
}

TEST_MAIN(CASE(the_example), CASE(olin))
