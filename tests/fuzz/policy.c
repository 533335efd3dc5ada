/* Policies and the URLs they decide about: the first line is a URL, the rest the policy.
 *
 * What is read can be written and is then the same policy; the shortcut by pairs of bytes never
 * changes what a regular expression alone would say; what is learned allows what it was learned
 * from. */
#include "fuzz.h"
#include "policy/rules.h"

static struct policy *parse(struct slice text, enum policy_form form)
{
    struct policy *p = NULL;
    return policy_parse(text, form, NULL, NULL, &p, NULL) ? NULL : p;
}

static void check_written(const struct policy *p)
{
    struct buf one, two, printed;
    buf_init(&one, POLICY_TEXT);
    buf_init(&two, POLICY_TEXT);
    buf_init(&printed, 2 * POLICY_TEXT);
    MUST(policy_write(p, &one) && policy_print(p, &printed));
    for (int k = 0; k < 2; k++) {
        struct policy *again = parse(buf_slice(k ? &printed : &one), POLICY_YAML);
        MUST(again);
        buf_clear(&two);
        MUST(policy_write(again, &two) && slice_eq(buf_slice(&one), buf_slice(&two)));
        MUST(policy_opens(p, again, NULL, NULL) == 0 && policy_ends(p) == policy_ends(again));
        policy_free(again);
    }
    buf_done(&one);
    buf_done(&two);
    buf_done(&printed);
}

static void check_rules(const struct policy *p, const struct rules *rules, const struct url *u)
{
    for (size_t i = 0; i < rules->n; i++) {
        struct question q = question_about(u);
        enum verdict_of_rule v = rule_match(p, &rules->at[i], &q);
        struct rule all = rules->at[i];
        all.pairs = (struct pairs){{0}};
        struct question again = question_about(u);
        enum verdict_of_rule plain = rule_match(p, &all, &again);
        MUST(v == plain || (v == RULE_NO && plain == RULE_TOO_HARD));
        /* A rule that covers another matches wherever that does. */
        for (size_t k = 0; k < rules->n && k < 8; k++) {
            struct question other = question_about(u);
            if (rule_covers(&rules->at[k], &rules->at[i]) && v == RULE_MATCHES)
                MUST(rule_match(p, &rules->at[k], &other) != RULE_NO);
        }
    }
}

static void check_learned(const struct policy *p, const struct url *u)
{
    struct policy *learned = NULL, *allowed = NULL;
    struct policy_decision d;
    struct slice url = url_slice(u);
    if (policy_learn(p, &url, 1, &learned, NULL) == ERR_OK) {
        policy_decide(learned, u, SLICE(""), &d);
        MUST(d.allowed);
    }
    if (!memchr(url.p, '*', url.n) && policy_allow(p, url, &allowed, NULL) == ERR_OK) {
        policy_decide(allowed, u, SLICE(""), &d);
        MUST(d.allowed);
    }
    policy_free(learned);
    policy_free(allowed);
}

FUZZ(bytes)
{
    static struct url u;
    struct slice text = bytes, line = slice_split(&text, '\n');
    bool is_url = url_parse(line, &u, NULL) == ERR_OK;
    for (int form = POLICY_YAML; form <= POLICY_OLIN && text.p; form++) {
        struct policy *p = parse(text, (enum policy_form)form);
        if (!p)
            continue;
        check_written(p);
        if (is_url) {
            struct policy_decision d;
            policy_decide(p, &u, SLICE("GET"), &d);
            MUST(memchr(d.why, '\0', sizeof d.why));
            check_rules(p, &p->allow, &u);
            check_rules(p, &p->disallow, &u);
            check_learned(p, &u);
        }
        policy_free(p);
    }
}
