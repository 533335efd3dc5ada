/* Learning: from URLs that were opened to the least policy that allows them.
 *
 * URLs of one host whose paths begin with the same two segments and have the same length belong
 * together: where they differ in one segment, that becomes `*`; where they differ in more,
 * everything from the first difference on becomes `**`. A lone URL stays as it is, without its
 * query, since a rule without '?' allows any. */
#include "policy/rules.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FIXED_SEGMENTS = 2,
    URLS_MOST = 20000, /* to learn from at once; each takes a kilobyte */
    TEXT = POLICY_RULE + 1,
};

/* What was opened: the URL as far as a rule has it; later the pattern for it and its kin. */
struct seen {
    char text[TEXT];   /* NUL-terminated; has no query */
    size_t root;       /* where the path begins: the text before is scheme and host */
    size_t fixed;      /* where what may become a star begins */
    unsigned segments; /* of the path: the number of its '/' */
    enum { ALONE, PATTERN, INSIDE } is; /* INSIDE: another's pattern stands for it */
};

/* The text behind the `k`-th '/' of the path (from 1), up to the next. */
static struct slice segment(const struct seen *s, unsigned k)
{
    struct slice rest = slice_str(s->text + s->root), part = rest;
    for (unsigned i = 0; i <= k && rest.p; i++)
        part = slice_split(&rest, '/');
    return part;
}

/* Scheme, host and the fixed segments are equal. Sorted, such URLs stand together. */
static bool same_beginning(const struct seen *a, const struct seen *b)
{
    return a->root == b->root && a->fixed == b->fixed && memcmp(a->text, b->text, a->fixed) == 0;
}

static bool akin(const struct seen *a, const struct seen *b)
{
    return a->segments == b->segments && b->is == ALONE && same_beginning(a, b);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct seen *)a)->text, ((const struct seen *)b)->text);
}

/* A '*' of the URL itself is one in the pattern too; two would be "the rest". */
static bool put_literal(struct seen *s, const char *p, size_t n)
{
    size_t out = strlen(s->text);
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '*' && out && s->text[out - 1] == '*')
            continue;
        if (out + 3 >= sizeof s->text)
            return false;
        s->text[out++] = p[i];
        s->text[out] = '\0';
    }
    return true;
}

/* A URL that ledgers cut ends in "…", behind '?' or anywhere: then the rest is unknown. */
static bool remember(struct slice text, struct seen *ret_seen, struct url *u, struct err *e)
{
    static const struct slice more = {"\xe2\x80\xa6", 3};
    bool cut = text.n > more.n && !memchr(text.p, '?', text.n) &&
               slice_eq(slice_from(text, text.n - more.n), more);
    if (cut)
        text.n -= more.n;
    if (url_parse(text, u, e))
        return false;
    *ret_seen = (struct seen){.root = (size_t)(u->path.p - u->text)};
    struct slice path = u->path;
    if (!u->remote)
        path = slice_split(&path, '?');
    bool fits =
        put_literal(ret_seen, u->text, ret_seen->root) && put_literal(ret_seen, path.p, path.n);
    if (!fits || cut) { /* up to the last '/', and the rest */
        char *slash = strrchr(ret_seen->text + ret_seen->root, '/');
        size_t keep = slash ? (size_t)(slash + 1 - ret_seen->text) : ret_seen->root;
        if (keep == 0 || keep + 3 > sizeof ret_seen->text) {
            err_set(e, ERR_INVALID, "the URL is too long for a rule");
            return false;
        }
        memcpy(ret_seen->text + keep, "**", 3);
    }
    const char *at = ret_seen->text + ret_seen->root;
    for (; *at; at++) {
        ret_seen->segments += *at == '/';
        if (ret_seen->segments <= FIXED_SEGMENTS)
            ret_seen->fixed = (size_t)(at + 1 - ret_seen->text);
    }
    return true;
}

/* Turns the first of `n` sorted URLs into the pattern for it and its kin behind it. */
static void generalise(struct seen *at, size_t n)
{
    unsigned first = 0, differ = 0;
    while (n && !same_beginning(at, &at[n - 1]))
        n--;
    for (unsigned k = FIXED_SEGMENTS + 1; k <= at->segments; k++) {
        bool same = true;
        for (size_t i = 1; i < n && same; i++)
            same = !akin(at, &at[i]) || slice_eq(segment(at, k), segment(&at[i], k));
        if (!same && !differ++)
            first = k;
    }
    for (size_t i = 1; i < n; i++)
        if (akin(at, &at[i]))
            at[i].is = INSIDE;
    at->is = PATTERN;
    if (differ == 0)
        return;
    struct slice part = segment(at, first);
    char *star = at->text + (part.p - at->text);
    /* The segment may be empty: "**" needs a byte more than there is, and a rule has room for it.
     */
    size_t rest = strlen(star + part.n);
    if (differ == 1 && (size_t)(star - at->text) + 1 + rest < TEXT) {
        memmove(star + 1, star + part.n, rest + 1);
        star[0] = '*';
    } else {
        memcpy(star, "**", 3);
    }
}

static enum err_code refused(const struct policy *base, const struct url *u, struct err *e)
{
    struct policy_decision d;
    policy_decide(base, u, SLICE(""), &d);
    return err_set(e, ERR_CONFLICT, "%s refuses %s whatever is allowed: take that rule away first",
                   d.why, u->text);
}

static bool disallowed(const struct policy *p, const struct url *u)
{
    struct question q = question_about(u);
    for (size_t i = 0; p && i < p->disallow.n; i++)
        if (rule_match(p, &p->disallow.at[i], &q) != RULE_NO)
            return true;
    return false;
}

/* A pattern that a `disallow` rule covers would change nothing. */
static enum err_code check_hidden(const struct policy *p, const struct rule *allow, struct err *e)
{
    for (size_t i = 0; i < p->disallow.n; i++)
        if (rule_covers(&p->disallow.at[i], allow))
            return err_set(e, ERR_CONFLICT,
                           "disallow %.*s refuses all of it: take that rule away first",
                           (int)(p->disallow.at[i].text.n < 200 ? p->disallow.at[i].text.n : 200),
                           p->disallow.at[i].text.p);
    return ERR_OK;
}

/* Fills `seen` with those of the URLs that `base` doesn't allow. */
static enum err_code collect(const struct policy *base, const struct slice *urls, size_t n,
                             struct seen *seen, size_t *ret_n, struct err *e)
{
    enum err_code rc = ERR_OK;
    size_t kept = 0;
    struct url *u = malloc(sizeof *u);
    if (!u)
        return err_set(e, ERR_MEMORY, "no memory for learning a policy");
    for (size_t i = 0; i < n && !rc; i++) {
        struct policy_decision d;
        struct err why = {0};
        if (!remember(urls[i], &seen[kept], u, &why)) {
            rc = err_set(e, ERR_INVALID, "\"%.*s\": %s", (int)(urls[i].n < 100 ? urls[i].n : 100),
                         urls[i].p, why.text);
            break;
        }
        policy_decide(base, u, SLICE(""), &d);
        if (d.allowed)
            continue;
        if (disallowed(base, u))
            rc = refused(base, u, e);
        kept++;
    }
    free(u);
    *ret_n = kept;
    return rc;
}

/* Adds the pattern unless a rule allows all of it already. */
static enum err_code add_pattern(struct policy *p, const char *text, struct err *e)
{
    struct policy *one = policy_new();
    if (!one)
        return err_set(e, ERR_MEMORY, "no memory for learning a policy");
    enum err_code rc = policy_add(one, &one->allow, slice_str(text), false, e);
    bool covered = false;
    for (size_t i = 0; i < p->allow.n && !rc && !covered; i++)
        covered = rule_covers(&p->allow.at[i], one->allow.at);
    if (!rc && !covered)
        rc = policy_add(p, &p->allow, slice_str(text), false, e);
    policy_free(one);
    return rc;
}

/* Those that reach furthest first: they may cover what comes after. */
static enum err_code add_patterns(struct policy *p, const struct seen *seen, size_t n,
                                  struct err *e)
{
    enum err_code rc = ERR_OK;
    for (int stars = 2; stars >= 0; stars--)
        for (size_t i = 0; i < n && !rc; i++) {
            int has = strstr(seen[i].text, "**") ? 2 : strchr(seen[i].text, '*') ? 1 : 0;
            if (seen[i].is == PATTERN && has == stars)
                rc = add_pattern(p, seen[i].text, e);
        }
    return rc;
}

enum err_code policy_learn(const struct policy *base, const struct slice *urls, size_t n,
                           struct policy **ret_policy, struct err *e)
{
    if (n > URLS_MOST)
        return err_set(e, ERR_INVALID, "a policy is learned from %d URLs at most", URLS_MOST);
    struct policy *p = NULL;
    struct seen *seen = calloc(n ? n : 1, sizeof *seen);
    size_t kept = 0, unique = 0;
    if (!seen)
        return err_set(e, ERR_MEMORY, "no memory for learning a policy");
    enum err_code rc = policy_copy(base, &p, e);
    if (!rc)
        rc = collect(base, urls, n, seen, &kept, e);
    if (rc)
        goto out;
    qsort(seen, kept, sizeof *seen, by_text);
    for (size_t i = 0; i < kept; i++)
        if (i == 0 || strcmp(seen[i].text, seen[unique - 1].text) != 0)
            seen[unique++] = seen[i];
    for (size_t i = 0; i < unique; i++)
        if (seen[i].is == ALONE)
            generalise(&seen[i], unique - i);
    rc = add_patterns(p, seen, unique, e);
    if (!rc) {
        *ret_policy = p;
        p = NULL;
    }
out:
    policy_free(p);
    free(seen);
    return rc;
}

enum err_code policy_allow(const struct policy *base, struct slice url, struct policy **ret_policy,
                           struct err *e)
{
    struct policy *p = NULL;
    struct seen *seen = calloc(1, sizeof *seen);
    struct url *u = malloc(sizeof *u);
    enum err_code rc = seen && u ? ERR_OK : err_set(e, ERR_MEMORY, "no memory for a policy");
    bool pattern = url.n && memchr(url.p, '*', url.n);
    if (!rc)
        rc = policy_copy(base, &p, e);
    if (!rc && !pattern && !remember(url, seen, u, e))
        rc = ERR_INVALID;
    if (!rc && !pattern && disallowed(p, u))
        rc = refused(p, u, e);
    size_t before = p ? p->allow.n : 0;
    if (!rc)
        rc = policy_add(p, &p->allow, pattern ? url : slice_str(seen->text), false, e);
    if (!rc && pattern && p->allow.n > before)
        rc = check_hidden(p, &p->allow.at[p->allow.n - 1], e);
    if (rc)
        policy_free(p);
    else
        *ret_policy = p;
    free(u);
    free(seen);
    return rc;
}
