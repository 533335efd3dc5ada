/* Deciding: `disallow` first, then `allow` in order; the first rule that matches is the reason.
 *
 * How long it takes is bounded whatever rules and URL are: globs share a number of steps, each
 * regular expression has its own. Who uses them up is refused, and told so. */
#include "policy/rules.h"

#include <stdio.h>

static const char free_schemes[][8] = {"null", "zero", "random", "log", "fd"};

bool scheme_is_free(struct slice scheme)
{
    for (size_t i = 0; i < sizeof free_schemes / sizeof *free_schemes; i++)
        if (slice_eq(scheme, slice_str(free_schemes[i])))
            return true;
    return false;
}

/* Asks PCRE2, with the policy's working memory or, if another thread is using that, its own. */
static int match_regex(const struct policy *p, const pcre2_code *code, struct slice text)
{
    struct policy *kept = (struct policy *)p; /* only the working memory changes */
    bool ours = !atomic_flag_test_and_set_explicit(&kept->matching_taken, memory_order_acquire);
    pcre2_match_data *data = ours ? kept->matching : pcre2_match_data_create(1, NULL);
    int rc = data ? pcre2_match(code, (PCRE2_SPTR)text.p, text.n, 0, 0, data, p->limits)
                  : PCRE2_ERROR_NOMEMORY;
    if (ours)
        atomic_flag_clear_explicit(&kept->matching_taken, memory_order_release);
    else
        pcre2_match_data_free(data);
    return rc;
}

struct question question_about(const struct url *url)
{
    struct question q = {.url = url, .steps = GLOB_STEPS};
    pairs_of(&q.pairs, url_slice(url), false);
    return q;
}

enum verdict_of_rule rule_match(const struct policy *p, const struct rule *r, struct question *q)
{
    if (!pairs_within(&r->pairs, &q->pairs))
        return RULE_NO;
    if (!r->is_regex) {
        bool yes = glob_match(&r->glob, q->url, &q->steps);
        return q->steps == 0 ? RULE_TOO_HARD : yes ? RULE_MATCHES : RULE_NO;
    }
    int rc = match_regex(p, r->regex, url_slice(q->url));
    return rc >= 0 ? RULE_MATCHES : rc == PCRE2_ERROR_NOMATCH ? RULE_NO : RULE_TOO_HARD;
}

/* Text that may be too long, with "…" at its end then. */
static void say(char out[POLICY_WHY], const char *what, const struct rule *r, const char *after)
{
    static const char more[] = "\xe2\x80\xa6";
    size_t room = POLICY_WHY - strlen(what) - strlen(after) - sizeof more - 8;
    size_t n = r->text.n;
    if (n > room) {
        n = room;
        while (n && ((unsigned char)r->text.p[n] & 0xc0) == 0x80)
            n--; /* not within a character */
    }
    snprintf(out, POLICY_WHY, "%s%s%.*s%s%s", what, r->is_regex ? "regex " : "", (int)n, r->text.p,
             n < r->text.n ? more : "", after);
}

/* Looks for the first rule that matches or can't be judged; NULL if there is none. */
static const struct rule *find(const struct policy *p, const struct rules *rules,
                               struct question *q, enum verdict_of_rule *ret_verdict)
{
    for (size_t i = 0; i < rules->n; i++) {
        *ret_verdict = rule_match(p, &rules->at[i], q);
        if (*ret_verdict != RULE_NO)
            return &rules->at[i];
    }
    return NULL;
}

static bool method_allowed(const struct policy *p, struct slice method, char why[POLICY_WHY])
{
    for (size_t i = 0; i < p->method_count; i++)
        if (slice_eq(slice_str(p->methods[i]), method))
            return true;
    int n = snprintf(why, POLICY_WHY, "methods: ");
    for (size_t i = 0; i < p->method_count && n < POLICY_WHY; i++)
        n += snprintf(why + n, POLICY_WHY - (size_t)n, "%s%s", i ? ", " : "", p->methods[i]);
    return false;
}

void policy_decide(const struct policy *p, const struct url *url, struct slice method,
                   struct policy_decision *ret_decision)
{
    struct policy_decision *d = ret_decision;
    const struct rule *r = NULL;
    enum verdict_of_rule verdict = RULE_NO;
    d->allowed = false;
    if (p && (p->allow.n || p->disallow.n)) {
        struct question q = question_about(url);
        r = find(p, &p->disallow, &q, &verdict);
        bool disallowed = r != NULL;
        if (!r)
            r = find(p, &p->allow, &q, &verdict);
        if (verdict == RULE_TOO_HARD) {
            say(d->why, "", r, r->is_regex ? ": backtracks too far" : ": too much to compare");
            return;
        }
        if (disallowed) {
            say(d->why, "disallow ", r, "");
            return;
        }
    }
    if (!r && !scheme_is_free(url->scheme)) {
        snprintf(d->why, sizeof d->why, "no rule allows it");
        return;
    }
    if (r && url->remote && method.n && p->method_count && !method_allowed(p, method, d->why))
        return;
    d->allowed = true;
    if (r)
        say(d->why, "allow ", r, "");
    else
        snprintf(d->why, sizeof d->why, "needs no rule");
}
