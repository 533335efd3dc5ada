/* Policies as objects: made rule by rule by the parsers, then never changed. */
#include "policy/rules.h"

#include "policy/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct policy *policy_new(void)
{
    struct policy *p = calloc(1, sizeof *p);
    if (p)
        atomic_flag_clear(&p->matching_taken);
    return p;
}

static void rules_done(struct rules *rules)
{
    for (size_t i = 0; i < rules->n; i++) {
        free((char *)rules->at[i].text.p);
        glob_done(&rules->at[i].glob);
        pcre2_code_free(rules->at[i].regex);
    }
    free(rules->at);
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    rules_done(&p->allow);
    rules_done(&p->disallow);
    for (size_t i = 0; i < p->method_count; i++)
        free(p->methods[i]);
    pcre2_match_data_free(p->matching);
    pcre2_match_context_free(p->limits);
    free(p);
}

/* ---- adding ---- */

/* What YAML would fold, drop or refuse when the canonical form is read back. */
static bool prints(struct slice s)
{
    static const struct slice never[] = {{"\xe2\x80\xa8", 3},
                                         {"\xe2\x80\xa9", 3},
                                         {"\xef\xbb\xbf", 3},
                                         {"\xef\xbf\xbe", 3},
                                         {"\xef\xbf\xbf", 3}};
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] < 0x80)
            continue;
        if ((unsigned char)s.p[i] == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)
            return false; /* U+0080 to U+009F */
        for (size_t k = 0; k < sizeof never / sizeof *never; k++)
            if (slice_starts(slice_from(s, i), never[k]))
                return false;
    }
    return true;
}

static enum err_code check_text(struct slice text, struct err *e)
{
    if (text.n == 0)
        return err_set(e, ERR_INVALID, "a rule can't be empty; everything is \"**\"");
    if (text.n > POLICY_RULE)
        return err_set(e, ERR_INVALID, "a rule has at most %d bytes, this one %zu", POLICY_RULE,
                       text.n);
    enum err_code rc = url_plain(text, false, e);
    if (!rc && !prints(text))
        rc = err_set(e, ERR_INVALID, "it has a character that can't be seen");
    return rc;
}

/* How many bytes the rule has in the canonical form, with what stands around it. */
static size_t written_bytes(struct slice text)
{
    size_t n = text.n + sizeof "{\"regex\":\"\"},";
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == '"' || text.p[i] == '\\';
    return n;
}

static enum err_code count_regex(struct policy *p, const pcre2_code *code, struct err *e)
{
    p->code_bytes += regex_code_bytes(code);
    if (++p->regexes > POLICY_REGEXES)
        return err_set(e, ERR_INVALID,
                       "a policy has at most %d regular expressions: write globs where they do",
                       POLICY_REGEXES);
    if (p->code_bytes > POLICY_REGEX_CODE)
        return err_set(e, ERR_INVALID,
                       "compiled, the regular expressions are larger than %d KiB: repeat less",
                       POLICY_REGEX_CODE >> 10);
    uint32_t share = REGEX_STEPS_ALL / (uint32_t)p->regexes;
    if (!p->limits)
        p->limits = pcre2_match_context_create(NULL);
    if (!p->matching)
        p->matching = pcre2_match_data_create(1, NULL);
    if (!p->limits || !p->matching)
        return err_set(e, ERR_MEMORY, "no memory for a policy");
    pcre2_set_match_limit(p->limits, share < REGEX_STEPS ? share : REGEX_STEPS);
    pcre2_set_depth_limit(p->limits, REGEX_DEPTH);
    pcre2_set_heap_limit(p->limits, REGEX_HEAP);
    return ERR_OK;
}

enum err_code policy_add(struct policy *p, struct rules *rules, struct slice text, bool is_regex,
                         struct err *e)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rules->at[i].is_regex == is_regex && slice_eq(rules->at[i].text, text))
            return ERR_OK;
    enum err_code rc = check_text(text, e);
    if (rc)
        return rc;
    if (p->allow.n + p->disallow.n == POLICY_RULES)
        return err_set(e, ERR_INVALID, "a policy has at most %d rules", POLICY_RULES);
    p->text_bytes += written_bytes(text);
    if (p->text_bytes > POLICY_TEXT - POLICY_FRAME)
        return err_set(e, ERR_INVALID, "a policy has at most %d KiB of rules", POLICY_TEXT >> 10);
    if (rules->n == rules->cap) {
        size_t cap = rules->cap ? 2 * rules->cap : 8;
        struct rule *at = realloc(rules->at, cap * sizeof *at);
        if (!at)
            return err_set(e, ERR_MEMORY, "no memory for a policy");
        rules->at = at;
        rules->cap = cap;
    }
    char *copy = strndup(text.p, text.n);
    struct rule r = {.text = {copy, text.n}, .is_regex = is_regex};
    if (!copy)
        return err_set(e, ERR_MEMORY, "no memory for a policy");
    rc = is_regex ? regex_parse(text, &r.regex, e) : glob_parse(text, &r.glob, e);
    if (!rc && is_regex)
        rc = count_regex(p, r.regex, e);
    if (rc) {
        pcre2_code_free(r.regex);
        free(copy);
        return rc;
    }
    if (is_regex)
        regex_pairs(text, &r.pairs);
    else
        glob_pairs(&r.glob, &r.pairs);
    rules->at[rules->n++] = r;
    return ERR_OK;
}

enum err_code policy_add_method(struct policy *p, struct slice method, struct err *e)
{
    bool lower = false, token = method.n > 0 && method.n <= POLICY_METHOD;
    for (size_t i = 0; i < method.n && token; i++) {
        lower = lower || (url_alpha(method.p[i]) && (method.p[i] & 0x20));
        token = url_alpha(method.p[i]) || (i && (method.p[i] == '-' || method.p[i] == '_'));
    }
    if (!token || lower)
        return err_set(e, ERR_INVALID,
                       "methods are words in capital letters, such as GET and POST");
    for (size_t i = 0; i < p->method_count; i++)
        if (slice_eq(slice_str(p->methods[i]), method))
            return ERR_OK;
    if (p->method_count == POLICY_METHODS)
        return err_set(e, ERR_INVALID, "a policy names at most %d methods", POLICY_METHODS);
    char *copy = strndup(method.p, method.n);
    if (!copy)
        return err_set(e, ERR_MEMORY, "no memory for a policy");
    p->methods[p->method_count++] = copy;
    return ERR_OK;
}

static enum err_code copy_rules(struct policy *to, struct rules *rules, const struct rules *from,
                                struct err *e)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < from->n && !rc; i++)
        rc = policy_add(to, rules, from->at[i].text, from->at[i].is_regex, e);
    return rc;
}

enum err_code policy_copy(const struct policy *p, struct policy **ret_policy, struct err *e)
{
    struct policy *copy = policy_new();
    if (!copy)
        return err_set(e, ERR_MEMORY, "no memory for a policy");
    enum err_code rc = ERR_OK;
    if (p) {
        rc = copy_rules(copy, &copy->allow, &p->allow, e);
        if (!rc)
            rc = copy_rules(copy, &copy->disallow, &p->disallow, e);
        for (size_t i = 0; i < p->method_count && !rc; i++)
            rc = policy_add_method(copy, slice_str(p->methods[i]), e);
        copy->memory = p->memory;
        copy->gas = p->gas;
        copy->continues = p->continues;
    }
    if (rc)
        policy_free(copy);
    else
        *ret_policy = copy;
    return rc;
}

/* ---- reading ---- */

enum err_code policy_error_at(struct err *e, size_t line, size_t column, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, ERR_INVALID, "line %zu, column %zu: %s", line, column, text);
}

enum err_code policy_parse(struct slice text, enum policy_form form, policy_note note, void *arg,
                           struct policy **ret_policy, struct err *e)
{
    if (text.n > POLICY_TEXT)
        return err_set(e, ERR_INVALID, "a policy has at most %d KiB of text", POLICY_TEXT >> 10);
    struct policy *p = policy_new();
    if (!p)
        return err_set(e, ERR_MEMORY, "no memory for a policy");
    enum err_code rc = form == POLICY_OLIN ? policy_parse_olin(text, p, note, arg, e)
                                           : policy_parse_yaml(text, p, e);
    if (!rc && note)
        policy_review(p, note, arg);
    if (rc)
        policy_free(p);
    else
        *ret_policy = p;
    return rc;
}

/* ---- asking ---- */

uint64_t policy_memory(const struct policy *p)
{
    return p ? p->memory : 0;
}

uint64_t policy_gas(const struct policy *p)
{
    return p ? p->gas : 0;
}

bool policy_ends(const struct policy *p)
{
    return !p || !p->continues;
}
