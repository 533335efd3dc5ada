/* Regular expressions: PCRE2 without its compiler to machine code, so that it works where nothing
 * may be made executable, and with little to do.
 *
 * Most URLs are decided without the matcher: from the pattern's text we read what every match must
 * begin with and the longest text it must contain. The reader knows plain groups, classes and
 * escapes; at anything else (options, verbs, lookarounds, \Q) it claims nothing, which only costs
 * time. A top-level '|' makes it claim nothing too. */
#include "policy/rules.h"

#include "policy/escape.h"

#include <stdlib.h>

enum { GROUPS_NESTED = 50 };

/* ---- literals ---- */

struct scan {
    const char *p, *end;
    char *run; /* the literal text being collected */
    size_t n;
    size_t start; /* where in `run` what is collected now begins */
    size_t prefix, best, best_bytes;
    bool first; /* nothing but literal text so far */
};

/* The text collected so far ends here. */
static void cut(struct scan *s)
{
    size_t length = s->n - s->start;
    if (s->first)
        s->prefix = length;
    else if (length > s->best_bytes)
        s->best = s->start, s->best_bytes = length;
    s->first = false;
    s->start = s->n;
}

/* Skips a class; p is behind its '['. False: not understood. */
static bool skip_class(struct scan *s)
{
    s->p += s->p < s->end && *s->p == '^';
    s->p += s->p < s->end && *s->p == ']';
    while (s->p < s->end && *s->p != ']') {
        if (*s->p == '[')
            return false; /* a POSIX class, or a bracket of itself */
        if (*s->p == '\\' && (++s->p == s->end || strchr("QEc", *s->p)))
            return false;
        s->p++;
    }
    return s->p++ < s->end;
}

/* Skips a group and all in it; p is behind its '('. */
static bool skip_group(struct scan *s)
{
    for (unsigned depth = 1; depth;) {
        if (s->p == s->end)
            return false;
        char c = *s->p++;
        if (c == '(') {
            depth++;
            if (s->p < s->end && *s->p == '*')
                return false;
            if (s->p < s->end && *s->p == '?' && (s->end - s->p < 2 || s->p[1] != ':'))
                return false;
        } else if (c == ')') {
            depth--;
        } else if (c == '[') {
            if (!skip_class(s))
                return false;
        } else if (c == '\\') {
            if (s->p == s->end || strchr("QEc", *s->p))
                return false;
            s->p++;
        }
    }
    return true;
}

/* Skips "2}", "2,}" or "2,5}"; any other '{' would be literal: not understood. */
static bool skip_count(struct scan *s)
{
    const char *from = s->p;
    while (s->p < s->end && (url_digit(*s->p) || *s->p == ','))
        s->p++;
    return s->p > from && url_digit(*from) && s->p < s->end && *s->p++ == '}';
}

/* A literal byte, or false: *s->p begins something else. */
static bool literal(struct scan *s, char *ret_c)
{
    char c = *s->p;
    if (c == '\\') {
        if (s->end - s->p < 2 || url_alpha(s->p[1]) || url_digit(s->p[1]) ||
            (unsigned char)s->p[1] >= 0x80)
            return false;
        *ret_c = s->p[1];
        s->p += 2;
        return true;
    }
    if (strchr("^$.[]()|?*+{}", c) || (unsigned char)c < 0x20)
        return false;
    *ret_c = c;
    s->p++;
    return true;
}

static bool scan_pattern(struct scan *s)
{
    s->p += s->p < s->end && *s->p == '^';
    while (s->p < s->end) {
        char c;
        if (literal(s, &c)) {
            bool counted = s->p < s->end && strchr("?*+{", *s->p);
            if (counted)
                cut(s); /* it may be there any number of times */
            else
                s->run[s->n++] = c;
            continue;
        }
        cut(s);
        c = *s->p++;
        if (c == '|')
            return false;
        if (c == '\\') {
            if (s->p == s->end || !strchr("dDwWsSbB", *s->p))
                return false; /* hex, octal, properties, back references, \Q */
            s->p++;
        } else if (c == '[') {
            if (!skip_class(s))
                return false;
        } else if (c == '(') {
            if (s->p < s->end && *s->p == '*')
                return false;
            if (s->p < s->end && *s->p == '?' && (s->end - s->p < 2 || s->p[1] != ':'))
                return false;
            if (!skip_group(s))
                return false;
        } else if (c == '{' && !skip_count(s)) {
            return false;
        }
    }
    cut(s);
    return true;
}

static bool find_literals(struct slice text, struct regex *r)
{
    r->literal = malloc(text.n + 1);
    if (!r->literal)
        return false;
    struct scan s = {.p = text.p, .end = text.p + text.n, .run = r->literal, .first = true};
    if (!scan_pattern(&s))
        return true;
    memmove(r->literal + s.prefix, r->literal + s.best, s.best_bytes);
    r->prefix_bytes = s.prefix;
    r->needle_bytes = s.best_bytes;
    return true;
}

bool regex_may_match(const struct regex *r, struct slice text)
{
    if (!slice_starts(text, slice_make(r->literal, r->prefix_bytes)))
        return false;
    return r->needle_bytes == 0 || memmem(text.p + r->prefix_bytes, text.n - r->prefix_bytes,
                                          r->literal + r->prefix_bytes, r->needle_bytes);
}

/* ---- compiling ---- */

enum err_code regex_parse(struct slice text, struct regex *ret_regex, struct err *e)
{
    int error;
    size_t at;
    struct regex r = {.code = NULL};
    enum err_code rc = ERR_OK;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context || !find_literals(text, &r)) {
        rc = err_set(e, ERR_MEMORY, "no memory for a regular expression");
        goto out;
    }
    pcre2_set_parens_nest_limit(context, GROUPS_NESTED);
    r.code = pcre2_compile((PCRE2_SPTR)text.p, text.n,
                           PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
                               PCRE2_NEVER_UTF | PCRE2_NEVER_UCP,
                           &error, &at, context);
    if (!r.code) {
        char why[128] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
        rc = err_set(e, ERR_INVALID, "the regular expression is wrong at its byte %zu: %s", at + 1,
                     why);
        goto out;
    }
    *ret_regex = r;
    r = (struct regex){.code = NULL};
out:
    regex_done(&r);
    pcre2_compile_context_free(context);
    return rc;
}

void regex_done(struct regex *r)
{
    pcre2_code_free(r->code);
    free(r->literal);
    *r = (struct regex){.code = NULL};
}

size_t regex_code_bytes(const struct regex *r)
{
    size_t n = 0;
    pcre2_pattern_info(r->code, PCRE2_INFO_SIZE, &n);
    return n;
}

bool regex_catches_all(struct slice text)
{
    static const char *const all[] = {"", ".", ".*", ".+", ".*$", ".+$"};
    if (text.n && text.p[0] == '^')
        text = slice_from(text, 1);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (slice_eq(text, slice_str(all[i])))
            return true;
    return false;
}
