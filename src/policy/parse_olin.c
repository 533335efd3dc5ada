/* Policies as Olin's .policy files have them.
 *
 *   ## a comment
 *   allow (
 *     ^https://example\.com/
 *   )
 *   disallow ^https://example\.com/admin
 *   ram-page-limit 128
 *   gas-limit 1048576
 *
 * Words end at white space or a line's end; a word in "" or `` may have spaces. Olin found a
 * regular expression anywhere in the URL and we only at its start: an `allow` so means less than it
 * did, and a `disallow` that isn't a URL's beginning gets ".*" before it so that it means no less.
 */
#include "base/limits.h"
#include "policy/rules.h"

#include "policy/escape.h"

#include <stdarg.h>
#include <stdio.h>

enum { WASM_PAGE = 64 << 10 };

struct reader {
    const char *p, *end, *line_start;
    size_t line, column; /* of the latest word */
    struct slice word;
    struct policy *policy;
    policy_note note; /* may be NULL */
    void *arg;
    struct err *err;
};

#define AT(r, ...) policy_error_at((r)->err, (r)->line, (r)->column, __VA_ARGS__)

__attribute__((format(printf, 2, 3))) static void tell(const struct reader *r, const char *fmt, ...)
{
    char text[POLICY_WHY];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (r->note)
        r->note(r->arg, text);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of this line; an empty one (word.p == NULL) at its end. */
static enum err_code next_word(struct reader *r)
{
    while (r->p < r->end && blank(*r->p))
        r->p++;
    r->column = (size_t)(r->p - r->line_start) + 1;
    r->word = slice_make(NULL, 0);
    if (r->end - r->p >= 2 && r->p[0] == '#' && r->p[1] == '#')
        while (r->p < r->end && *r->p != '\n')
            r->p++;
    if (r->p == r->end || *r->p == '\n')
        return ERR_OK;
    const char *start = r->p;
    if (*start == '"' || *start == '`') {
        for (r->p++; r->p < r->end && *r->p != '\n' && *r->p != *start;)
            r->p++;
        if (r->p == r->end || *r->p != *start)
            return AT(r, "the closing %c is missing on this line", *start);
        r->word = slice_make(start + 1, (size_t)(r->p++ - start) - 1);
        return ERR_OK;
    }
    while (r->p < r->end && *r->p != '\n' && !blank(*r->p))
        r->p++;
    r->word = slice_make(start, (size_t)(r->p - start));
    return ERR_OK;
}

/* Goes to the next line; false at the end of the text. */
static bool next_line(struct reader *r)
{
    if (r->p == r->end)
        return false;
    r->p++; /* '\n' */
    r->line++;
    r->line_start = r->p;
    return true;
}

static enum err_code line_ends(struct reader *r)
{
    enum err_code rc = next_word(r);
    if (!rc && r->word.p)
        rc = AT(r, "only one value stands here; comments begin with ##");
    return rc;
}

/* ---- rules ---- */

static enum err_code add_rule(struct reader *r, bool allow)
{
    struct slice text = r->word;
    char anywhere[POLICY_RULE + 8];
    struct rules *rules = allow ? &r->policy->allow : &r->policy->disallow;
    if (!allow && regex_catches_all(text)) {
        tell(r, "line %zu: \"disallow %.*s\" is left out: what no rule allows is refused anyway",
             r->line, (int)(text.n < 32 ? text.n : 32), text.p);
        return ERR_OK;
    }
    bool from_start = text.n && text.p[0] == '^';
    if (!from_start && !memmem(text.p, text.n, "://", 3)) {
        if (allow) {
            tell(r, "line %zu: \"allow %.*s\" is now compared with the start of a URL", r->line,
                 (int)(text.n < 64 ? text.n : 64), text.p);
        } else if (text.n <= POLICY_RULE - 6) {
            int n = snprintf(anywhere, sizeof anywhere, ".*(?:%.*s)", SLICE_ARG(text));
            text = slice_make(anywhere, (size_t)n);
        }
    }
    struct err why = {0};
    enum err_code rc = policy_add(r->policy, rules, text, true, &why);
    return rc == ERR_INVALID ? AT(r, "%s", why.text) : rc ? err_set(r->err, rc, "%s", why.text) : 0;
}

/* The words up to ")", over as many lines as it takes. */
static enum err_code read_block(struct reader *r, bool allow)
{
    size_t line = r->line, column = r->column;
    for (;;) {
        enum err_code rc = next_word(r);
        if (!rc && !r->word.p && !next_line(r))
            rc = policy_error_at(r->err, line, column, "the \")\" that ends this list is missing");
        if (!rc && slice_eq(r->word, SLICE(")")))
            return line_ends(r);
        if (!rc && r->word.p)
            rc = add_rule(r, allow);
        if (rc)
            return rc;
    }
}

static enum err_code read_rules(struct reader *r, bool allow)
{
    enum err_code rc = next_word(r);
    if (rc)
        return rc;
    if (!r->word.p)
        return AT(r, "a regular expression or \"(\" is expected here");
    if (slice_eq(r->word, SLICE("(")))
        return read_block(r, allow);
    rc = add_rule(r, allow);
    return rc ? rc : line_ends(r);
}

/* ---- limits ---- */

static enum err_code read_number(struct reader *r, uint64_t *ret_value)
{
    enum err_code rc = next_word(r);
    if (rc)
        return rc;
    if (*ret_value)
        return AT(r, "this limit is set already above");
    if (!slice_u64(r->word, ret_value) || *ret_value == 0 || *ret_value > INT64_MAX)
        return AT(r, "a whole number of at least 1 is expected here");
    return line_ends(r);
}

static enum err_code read_memory(struct reader *r)
{
    const uint64_t most = limit_rows[LIMIT_MEMORY].maximum;
    uint64_t pages = r->policy->memory;
    enum err_code rc = read_number(r, &pages);
    if (rc)
        return rc;
    r->policy->memory = pages > most / WASM_PAGE ? most : pages * WASM_PAGE;
    if (pages > most / WASM_PAGE)
        tell(r, "line %zu: %llu pages are more than a function may have: %llu MiB are taken",
             r->line, (unsigned long long)pages, (unsigned long long)(most >> 20));
    return ERR_OK;
}

static enum err_code read_statement(struct reader *r)
{
    static const char *const names[] = {"allow", "disallow", "ram-page-limit", "gas-limit"};
    /* "allow(" is taken too. */
    if (r->word.n > 1 && r->word.p[r->word.n - 1] == '(')
        r->word.n--, r->p--;
    if (slice_eq(r->word, slice_str(names[0])))
        return read_rules(r, true);
    if (slice_eq(r->word, slice_str(names[1])))
        return read_rules(r, false);
    if (slice_eq(r->word, slice_str(names[2])))
        return read_memory(r);
    if (slice_eq(r->word, slice_str(names[3])))
        return read_number(r, &r->policy->gas);
    const char *near = nearest_word(r->word, names, 4);
    return AT(r, "\"%.*s\" is not known here%s%s%s", (int)(r->word.n < 64 ? r->word.n : 64),
              r->word.p,
              near ? ", did you mean \"" : "; it is allow, disallow, ram-page-limit or gas-limit",
              near ? near : "", near ? "\"?" : "");
}

enum err_code policy_parse_olin(struct slice text, struct policy *p, policy_note note, void *arg,
                                struct err *e)
{
    struct reader r = {.p = text.p,
                       .end = text.p + text.n,
                       .line_start = text.p,
                       .line = 1,
                       .policy = p,
                       .note = note,
                       .arg = arg,
                       .err = e};
    do {
        enum err_code rc = next_word(&r);
        if (!rc && r.word.p)
            rc = read_statement(&r);
        if (rc)
            return rc;
    } while (next_line(&r));
    return ERR_OK;
}
