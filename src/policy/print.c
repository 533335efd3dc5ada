/* Writing policies: the canonical form for machines, YAML for people. */
#include "policy/rules.h"

#include "policy/escape.h"

#include <sodium.h>

/* ---- canonical ---- */

/* JSON (RFC 8259 7). Rules have no control bytes (policy_add). */
static bool add_string(struct buf *out, struct slice s)
{
    bool ok = buf_add(out, "\"", 1);
    for (size_t i = 0; i < s.n && ok; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            ok = buf_add(out, "\\", 1);
        ok = ok && buf_add(out, s.p + i, 1);
    }
    return ok && buf_add(out, "\"", 1);
}

/* ,"NAME": with the comma left out before the first. */
static bool add_name(struct buf *out, const char *name, bool *first)
{
    bool ok = buf_addf(out, "%s\"%s\":", *first ? "" : ",", name);
    *first = false;
    return ok;
}

static bool add_rules(struct buf *out, const char *name, const struct rules *rules, bool *first)
{
    if (rules->n == 0)
        return true;
    bool ok = add_name(out, name, first) && buf_add(out, "[", 1);
    for (size_t i = 0; i < rules->n && ok; i++) {
        const struct rule *r = &rules->at[i];
        ok = (i == 0 || buf_add(out, ",", 1)) && (!r->is_regex || buf_addf(out, "{\"regex\":")) &&
             add_string(out, r->text) && (!r->is_regex || buf_add(out, "}", 1));
    }
    return ok && buf_add(out, "]", 1);
}

bool policy_write(const struct policy *p, struct buf *out)
{
    bool first = true;
    if (!p)
        return true;
    if (!p->allow.n && !p->disallow.n && !p->method_count && !p->memory && !p->gas && !p->continues)
        return true; /* the empty policy */
    bool ok = buf_add(out, "{", 1) && add_rules(out, "allow", &p->allow, &first) &&
              add_rules(out, "disallow", &p->disallow, &first);
    if (ok && p->gas)
        ok = add_name(out, "gas", &first) && buf_addf(out, "%llu", (unsigned long long)p->gas);
    if (ok && p->memory)
        ok =
            add_name(out, "memory", &first) && buf_addf(out, "%llu", (unsigned long long)p->memory);
    if (ok && p->method_count) {
        ok = add_name(out, "methods", &first) && buf_add(out, "[", 1);
        for (size_t i = 0; i < p->method_count && ok; i++)
            ok = (i == 0 || buf_add(out, ",", 1)) && add_string(out, slice_str(p->methods[i]));
        ok = ok && buf_add(out, "]", 1);
    }
    if (ok && p->continues)
        ok = add_name(out, "on_violation", &first) && add_string(out, SLICE("error"));
    return ok && buf_add(out, "}", 1);
}

void policy_digest(const struct policy *p, uint8_t ret_digest[POLICY_DIGEST])
{
    struct buf text;
    buf_init(&text, POLICY_TEXT);
    memset(ret_digest, 0, POLICY_DIGEST);
    if (policy_write(p, &text))
        crypto_hash_sha256(ret_digest, (const unsigned char *)buf_slice(&text).p, buf_size(&text));
    buf_done(&text);
}

/* ---- for people ---- */

/* Plain where YAML takes it for text whatever stands around it, else in single quotes. */
static bool add_scalar(struct buf *out, struct slice s)
{
    bool plain = s.n && url_alpha(s.p[0]) && memchr(s.p, ':', s.n) && s.p[s.n - 1] != ':';
    for (size_t i = 0; i < s.n && plain; i++)
        plain = url_alpha(s.p[i]) || url_digit(s.p[i]) ||
                (s.p[i] && strchr(":/.-_~%?=&*@+$!;", s.p[i]));
    if (plain)
        return buf_add(out, s.p, s.n);
    bool ok = buf_add(out, "'", 1);
    for (size_t i = 0; i < s.n && ok; i++)
        ok = (s.p[i] != '\'' || buf_add(out, "'", 1)) && buf_add(out, s.p + i, 1);
    return ok && buf_add(out, "'", 1);
}

static bool print_rules(struct buf *out, const char *name, const struct rules *rules)
{
    bool ok = rules->n == 0 || buf_addf(out, "%s:\n", name);
    for (size_t i = 0; i < rules->n && ok; i++)
        ok = buf_addf(out, "  - %s", rules->at[i].is_regex ? "regex: " : "") &&
             add_scalar(out, rules->at[i].text) && buf_add(out, "\n", 1);
    return ok;
}

bool policy_print(const struct policy *p, struct buf *out)
{
    if (!p)
        return true;
    bool ok = print_rules(out, "allow", &p->allow) && print_rules(out, "disallow", &p->disallow);
    for (size_t i = 0; i < p->method_count && ok; i++)
        ok = buf_addf(out, "%s%s%s", i ? ", " : "methods: [", p->methods[i],
                      i + 1 == p->method_count ? "]\n" : "");
    if (ok && p->memory) {
        bool mib = p->memory % (1 << 20) == 0, kib = p->memory % 1024 == 0;
        ok = buf_addf(out, "memory: %llu%s\n",
                      (unsigned long long)(mib   ? p->memory >> 20
                                           : kib ? p->memory >> 10
                                                 : p->memory),
                      mib   ? "MiB"
                      : kib ? "KiB"
                            : "");
    }
    if (ok && p->gas)
        ok = buf_addf(out, "gas: %llu\n", (unsigned long long)p->gas);
    if (ok && p->continues)
        ok = buf_addf(out, "on_violation: error\n");
    return ok;
}
