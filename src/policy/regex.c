/* Regular expressions: PCRE2 without its compiler to machine code, so that it works where nothing
 * may be made executable, and with little to do.
 *
 * Most URLs are decided without the matcher: from the pattern's text we read which pairs of bytes
 * every match must have. The reader knows plain groups, classes and escapes; at anything else
 * (options, verbs, lookarounds, \Q) it claims nothing, which only costs time. A top-level '|'
 * makes it claim nothing too. */
#include "policy/rules.h"

#include "policy/escape.h"

enum { GROUPS_NESTED = 50 };

/* ---- literals ---- */

struct scan {
    const char *p, *end;
    struct pairs pairs;
    int before; /* the literal byte just read; -1: something else */
};

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

/* Skips a group and all in it; p is at its '('. */
static bool skip_group(struct scan *s)
{
    unsigned depth = 0;
    do {
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
    } while (depth);
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

/* False: not understood, or alternatives. */
static bool scan_pattern(struct scan *s)
{
    s->p += s->p < s->end && *s->p == '^';
    while (s->p < s->end) {
        char c;
        if (literal(s, &c)) {
            bool counted = s->p < s->end && strchr("?*+{", *s->p);
            if (!counted && s->before >= 0)
                pairs_add(&s->pairs, (char)s->before, c);
            s->before = counted ? -1 : (unsigned char)c; /* it may be there any number of times */
            continue;
        }
        s->before = -1;
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
            s->p--;
            if (!skip_group(s))
                return false;
        } else if (c == '{' && !skip_count(s)) {
            return false;
        }
    }
    return true;
}

void regex_pairs(struct slice text, struct pairs *ret_pairs)
{
    struct scan s = {.p = text.p, .end = text.p + text.n, .before = -1};
    bool known = scan_pattern(&s);
    *ret_pairs = known ? s.pairs : (struct pairs){{0}};
}

/* ---- compiling ---- */

enum err_code regex_parse(struct slice text, pcre2_code **ret_code, struct err *e)
{
    int error;
    size_t at;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return err_set(e, ERR_MEMORY, "no memory for a regular expression");
    pcre2_set_parens_nest_limit(context, GROUPS_NESTED);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)text.p, text.n,
                      PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
                          PCRE2_NEVER_UTF | PCRE2_NEVER_UCP,
                      &error, &at, context);
    pcre2_compile_context_free(context);
    if (!code) {
        char why[128] = "";
        pcre2_get_error_message(error, (PCRE2_UCHAR *)why, sizeof why);
        return err_set(e, ERR_INVALID, "the regular expression is wrong at its byte %zu: %s",
                       at + 1, why);
    }
    *ret_code = code;
    return ERR_OK;
}

size_t regex_code_bytes(const pcre2_code *code)
{
    size_t n = 0;
    pcre2_pattern_info(code, PCRE2_INFO_SIZE, &n);
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
