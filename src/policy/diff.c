/* The difference of two policies, seen from the side that matters: what opens.
 *
 * A rule counts as old only if it is plain to see that an old one covers it; in doubt it is shown.
 */
#include "policy/rules.h"

#include <stdarg.h>
#include <stdio.h>

struct diff {
    void (*each)(void *arg, const char *rule);
    void *arg;
    unsigned n;
};

__attribute__((format(printf, 2, 3))) static void opens(struct diff *d, const char *fmt, ...)
{
    char text[POLICY_RULE + 64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    d->n++;
    if (d->each)
        d->each(d->arg, text);
}

static const char *kind(const struct rule *r)
{
    return r->is_regex ? "regex " : "";
}

static bool covered(const struct rules *rules, const struct rule *r)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rule_covers(&rules->at[i], r))
            return true;
    return false;
}

/* null, zero, random, log and fd were open before, unless a rule disallowed them. */
static bool was_free(const struct policy *before, const struct rule *r)
{
    return !r->is_regex && r->glob.local && scheme_is_free(r->glob.scheme) && !before->disallow.n;
}

static void diff_methods(struct diff *d, const struct policy *before, const struct policy *after)
{
    if (!before->allow.n || !before->method_count)
        return; /* it allowed nothing, or every method */
    if (!after->method_count) {
        opens(d, "methods: any");
        return;
    }
    for (size_t i = 0; i < after->method_count; i++) {
        size_t k = 0;
        while (k < before->method_count && strcmp(before->methods[k], after->methods[i]) != 0)
            k++;
        if (k == before->method_count)
            opens(d, "methods: %s", after->methods[i]);
    }
}

unsigned policy_opens(const struct policy *before, const struct policy *after,
                      void (*each)(void *arg, const char *rule), void *arg)
{
    static const struct policy empty;
    struct diff d = {.each = each, .arg = arg};
    before = before ? before : &empty;
    after = after ? after : &empty;
    for (size_t i = 0; i < after->allow.n; i++) {
        const struct rule *r = &after->allow.at[i];
        if (!covered(&before->allow, r) && !was_free(before, r))
            opens(&d, "allow %s%.*s", kind(r), SLICE_ARG(r->text));
    }
    for (size_t i = 0; i < before->disallow.n; i++) {
        const struct rule *r = &before->disallow.at[i];
        if (!covered(&after->disallow, r))
            opens(&d, "no longer disallows %s%.*s", kind(r), SLICE_ARG(r->text));
    }
    diff_methods(&d, before, after);
    return d.n;
}
