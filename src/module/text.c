/* Modules in words: types, kinds and names as messages and listings show them. */
#include "module/module.h"

#include <stdio.h>

static const char *value_text(uint8_t t)
{
    switch (t) {
    case VALUE_I32:
        return "i32";
    case VALUE_I64:
        return "i64";
    case VALUE_F32:
        return "f32";
    case VALUE_F64:
        return "f64";
    case VALUE_V128:
        return "v128";
    case VALUE_FUNCREF:
        return "funcref";
    case VALUE_EXTERNREF:
        return "externref";
    default:
        return "?";
    }
}

/* Appends; `*at` never passes cap - 1. */
static void add(char *out, size_t cap, size_t *at, const char *text)
{
    int n = snprintf(out + *at, cap - *at, "%s", text);
    *at = (size_t)n < cap - *at ? *at + (size_t)n : cap - 1;
}

static void add_values(char *out, size_t cap, size_t *at, struct slice values)
{
    for (size_t i = 0; i < values.n; i++) {
        add(out, cap, at, i ? " " : "");
        add(out, cap, at, i == 20 ? "…" : value_text((uint8_t)values.p[i]));
        if (i == 20)
            return;
    }
}

void module_type_text(const struct module_type *t, char *out, size_t cap)
{
    size_t at = 0;
    add(out, cap, &at, "(");
    add_values(out, cap, &at, t->params);
    add(out, cap, &at, ") -> ");
    add(out, cap, &at, t->results.n == 1 ? "" : "(");
    add_values(out, cap, &at, t->results);
    add(out, cap, &at, t->results.n == 1 ? "" : ")");
}

const char *abi_text(uint32_t abi)
{
    static const char *const names[] = {"none",   "cwa",        "wasi",        "cwa+wasi",
                                        "dagger", "cwa+dagger", "wasi+dagger", "cwa+wasi+dagger"};
    return names[abi & (ABI_CWA | ABI_WASI | ABI_DAGGER)];
}

const char *extern_text(enum extern_kind kind)
{
    static const char *const names[] = {"function", "table", "memory", "global", "tag"};
    return names[kind];
}

struct quoted quote(struct slice name)
{
    struct quoted q;
    size_t n = name.n < 64 ? name.n : 64;
    bool text = utf8_valid(name); /* names of modules are; those of archives may be anything */
    while (n < name.n && n && ((unsigned char)name.p[n] & 0xc0) == 0x80)
        n--; /* not inside a character */
    for (size_t i = 0; i < n; i++) {
        unsigned char b = (unsigned char)name.p[i], before = i ? (unsigned char)name.p[i - 1] : 0;
        bool control = b < 0x20 || b == 0x7f || (b >= 0x80 && !text) ||
                       (before == 0xc2 && b < 0xa0); /* U+0080…9F */
        q.text[i] = control ? '?' : name.p[i];
        if (control && text && b >= 0x80)
            q.text[i - 1] = '?';
    }
    memcpy(q.text + n, n < name.n ? "…" : "", n < name.n ? sizeof "…" : 1);
    return q;
}
