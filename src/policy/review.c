/* Reviewing: what a policy says that its author hardly means. */
#include "policy/rules.h"

#include "policy/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct review {
    const struct policy *policy;
    policy_note note;
    void *arg;
};

__attribute__((format(printf, 2, 3))) static void tell(const struct review *r, const char *fmt, ...)
{
    char text[2 * POLICY_WHY];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->note(r->arg, text);
}

/* A rule's text, shortened for a line. */
static int shown(const struct rule *r)
{
    return r->text.n < 100 ? (int)r->text.n : 100;
}

bool rule_covers(const struct rule *wide, const struct rule *narrow)
{
    if (wide->is_regex == narrow->is_regex && slice_eq(wide->text, narrow->text))
        return true;
    if (wide->is_regex)
        return regex_catches_all(wide->text);
    return narrow->is_regex ? wide->glob.everything : glob_covers(&wide->glob, &narrow->glob);
}

/* Does the regular expression match this glob with its stars filled in, twice differently? */
static bool matches_samples(const struct policy *p, const struct rule *regex, struct slice glob)
{
    static const char *const fill[] = {"x", "7q-z"};
    struct url *u = malloc(sizeof *u);
    bool all = u != NULL;
    for (int k = 0; k < 2 && all; k++) {
        char text[4 * POLICY_RULE + 1];
        struct url_out out = {.p = text, .cap = sizeof text};
        for (size_t i = 0; i < glob.n; i++)
            if (glob.p[i] != '*')
                url_put(&out, slice_make(glob.p + i, 1));
            else if (i == 0 || glob.p[i - 1] != '*')
                url_put(&out, slice_str(fill[k]));
        all = !url_parse(slice_make(text, out.n), u, NULL);
        struct question q = question_about(u);
        all = all && rule_match(p, regex, &q) == RULE_MATCHES;
    }
    free(u);
    return all;
}

static bool hides(const struct policy *p, const struct rule *disallow, const struct rule *allow)
{
    return rule_covers(disallow, allow) ||
           (disallow->is_regex && !allow->is_regex && matches_samples(p, disallow, allow->text));
}

static void review_disallow(const struct review *r)
{
    const struct policy *p = r->policy;
    for (size_t i = 0; i < p->disallow.n; i++) {
        const struct rule *d = &p->disallow.at[i];
        size_t hidden = 0;
        while (hidden < p->allow.n && hides(p, d, &p->allow.at[hidden]))
            hidden++;
        if (p->allow.n && hidden == p->allow.n)
            tell(r, "\"disallow %.*s\" hides every allow rule: disallow always wins", shown(d),
                 d->text.p);
    }
}

/* "https://example.com" as a regular expression also begins "https://example.com.evil.example/". */
static bool host_is_open(const struct rule *rule)
{
    struct slice s = rule->text;
    const char *host = memmem(s.p, s.n, "://", 3);
    if (!host || host + 3 == s.p + s.n)
        return false;
    struct slice rest = slice_from(s, (size_t)(host + 3 - s.p));
    return !memchr(rest.p, '/', rest.n) && !memchr(rest.p, '$', rest.n);
}

static void review_allow(const struct review *r)
{
    for (size_t i = 0; i < r->policy->allow.n; i++) {
        const struct rule *a = &r->policy->allow.at[i];
        const struct glob *g = &a->glob;
        if (a->is_regex && host_is_open(a))
            tell(r,
                 "\"allow %.*s\" also allows hosts that only begin like this: end the host with "
                 "\"/\"",
                 shown(a), a->text.p);
        if (!a->is_regex && !g->everything && !g->any_host && !g->local &&
            slice_eq(g->path, SLICE("/")) &&
            !slice_starts(slice_from(a->text, a->text.n - 1), SLICE("/")) && !g->has_query)
            tell(r, "\"allow %.*s\" allows only the page \"/\": for all of the host write %.*s/**",
                 shown(a), a->text.p, shown(a), a->text.p);
    }
}

void policy_review(const struct policy *p, policy_note note, void *arg)
{
    const struct review r = {.policy = p, .note = note, .arg = arg};
    review_disallow(&r);
    review_allow(&r);
}
