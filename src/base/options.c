#include "base/options.h"

#include "base/brand.h"
#include "base/log.h"
#include "base/prices.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

const struct option_row option_rows[OPTION_COUNT] = {
#define START false
#define LIVE true
#define OPTION(id, name_, kind_, normal_, live_, help_)                                            \
    [OPTION_##id] = {.name = name_,                                                                \
                     .kind = OPTION_KIND_##kind_,                                                  \
                     .normal = normal_,                                                            \
                     .live = live_,                                                                \
                     .help = help_},
#include "tables/options.def"
#undef OPTION
#undef START
#undef LIVE
};

/* The default of a CHOICE is its first word; its words follow. */
static struct slice normal_value(const struct option_row *row)
{
    struct slice s = slice_str(row->normal);
    return row->kind == OPTION_KIND_CHOICE ? slice_split(&s, '|') : s;
}

struct slice option_normal(enum option_id id)
{
    return normal_value(&option_rows[id]);
}

static char *copy(struct slice s)
{
    char *p = malloc(s.n + 1);
    if (!p)
        abort();
    slice_copy(s, p, s.n + 1);
    return p;
}

void options_init(struct options *o)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        o->v[i] = copy(normal_value(&option_rows[i]));
    limits_init(&o->limits, false);
}

void options_done(struct options *o)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        free(o->v[i]);
        o->v[i] = NULL;
    }
}

static enum err_code judge(const struct option_row *row, struct slice v, struct err *e)
{
    uint64_t n;
    struct limits scratch;
    struct prices prices;
    switch (row->kind) {
    case OPTION_KIND_TEXT:
    case OPTION_KIND_CIDRS: /* judged where addresses are understood (http/) */
        return ERR_OK;
    case OPTION_KIND_NUMBER:
        if (slice_u64(v, &n) || slice_eq(v, SLICE("-1")))
            return ERR_OK;
        return err_set(e, ERR_USAGE, "%s: \"%.*s\" is not a whole number", row->name, SLICE_ARG(v));
    case OPTION_KIND_BOOL:
        if (slice_eq(v, SLICE("true")) || slice_eq(v, SLICE("false")))
            return ERR_OK;
        return err_set(e, ERR_USAGE, "%s: \"%.*s\" is neither true nor false", row->name,
                       SLICE_ARG(v));
    case OPTION_KIND_ADDRESS: {
        const char *colon = v.n ? memrchr(v.p, ':', v.n) : NULL;
        if (colon && slice_u64(slice_from(v, (size_t)(colon - v.p) + 1), &n) && n <= 65535)
            return ERR_OK;
        return err_set(e, ERR_USAGE, "%s: \"%.*s\" is not an address like 127.0.0.1:8080",
                       row->name, SLICE_ARG(v));
    }
    case OPTION_KIND_CHOICE: {
        struct slice words = slice_str(row->normal);
        slice_split(&words, '|');
        struct slice all = words;
        while (words.p)
            if (slice_eq(slice_split(&words, '|'), v))
                return ERR_OK;
        return err_set(e, ERR_USAGE, "%s: \"%.*s\" is not one of %.*s", row->name, SLICE_ARG(v),
                       SLICE_ARG(all));
    }
    case OPTION_KIND_LIMITS:
        limits_init(&scratch, false);
        while (v.p && v.n) {
            struct slice part = slice_split(&v, ',');
            struct slice name = slice_split(&part, '=');
            if (!part.p)
                return err_set(e, ERR_USAGE, "%s: \"%.*s\" is not NAME=VALUE", row->name,
                               SLICE_ARG(name));
            enum err_code rc = limits_set(&scratch, name, part, LIMIT_WHO_OPERATOR, e);
            if (rc)
                return rc;
        }
        return ERR_OK;
    case OPTION_KIND_PRICES:
        return prices_parse(&prices, v, e);
    }
    return ERR_OK;
}

enum err_code options_put(struct options *o, enum option_id id, struct slice value, struct err *e)
{
    enum err_code rc = judge(&option_rows[id], value, e);
    if (rc)
        return rc;
    free(o->v[id]);
    o->v[id] = copy(value);
    return ERR_OK;
}

enum err_code options_set(struct options *o, struct slice name, struct slice value, struct err *e)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if (slice_eq(name, slice_str(option_rows[i].name)))
            return options_put(o, (enum option_id)i, value, e);
    const char *names[OPTION_COUNT];
    for (int i = 0; i < OPTION_COUNT; i++)
        names[i] = option_rows[i].name;
    const char *near = nearest_word(name, names, OPTION_COUNT);
    return err_set(e, ERR_USAGE, "there is no option \"%.*s\"%s%s%s", SLICE_ARG(name),
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

enum err_code options_env(struct options *o, char *const *environ_, struct err *e)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        char var[64] = BRAND_ENV;
        size_t n = strlen(var);
        for (const char *p = option_rows[i].name; *p && n < sizeof var - 2; p++)
            var[n++] = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
        var[n++] = '=';
        var[n] = '\0';
        for (char *const *env = environ_; *env; env++)
            if (strncmp(*env, var, n) == 0) {
                enum err_code rc =
                    options_set(o, slice_str(option_rows[i].name), slice_str(*env + n), e);
                if (rc)
                    return rc;
            }
    }
    return ERR_OK;
}

static bool is_bool(struct slice name)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if (slice_eq(name, slice_str(option_rows[i].name)))
            return option_rows[i].kind == OPTION_KIND_BOOL;
    return false;
}

enum err_code options_flags(struct options *o, int argc, char **argv, int *at, struct err *e)
{
    while (*at < argc && strncmp(argv[*at], "--", 2) == 0) {
        struct slice value = slice_str(argv[*at] + 2);
        struct slice name = slice_split(&value, '=');
        if (name.n == 0)
            return ERR_OK;
        if (!value.p && is_bool(name)) {
            value = SLICE("true");
        } else if (!value.p) {
            if (*at + 1 >= argc) {
                struct err unknown;
                /* a misspelt flag is the likelier mistake */
                enum err_code rc = options_set(o, name, SLICE(""), &unknown);
                if (rc && strncmp(unknown.text, "there is no", 11) == 0)
                    return err_set(e, rc, "%s", unknown.text);
                return err_set(e, ERR_USAGE, "--%.*s needs a value", SLICE_ARG(name));
            }
            value = slice_str(argv[++*at]);
        }
        enum err_code rc = options_set(o, name, value, e);
        if (rc)
            return rc;
        ++*at;
    }
    return ERR_OK;
}

enum err_code options_finish(struct options *o, struct err *e)
{
    limits_init(&o->limits, option_is(o, OPTION_PLAN, "unlimited"));
    struct slice rest = slice_str(option_text(o, OPTION_LIMITS));
    while (rest.p && rest.n) {
        struct slice value = slice_split(&rest, ',');
        struct slice name = slice_split(&value, '=');
        enum err_code rc = limits_set(&o->limits, name, value, LIMIT_WHO_OPERATOR, e);
        if (rc)
            return rc;
    }
    return ERR_OK;
}

void options_log(const struct options *o, const char *role)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    enum log_level level = LOG_ERROR;
    while (level < LOG_DEBUG && !option_is(o, OPTION_LOG_LEVEL, names[level]))
        level++;
    log_init(role, level);
    log_as_json(option_is(o, OPTION_LOG_FORMAT, "json"));
}

const char *option_text(const struct options *o, enum option_id id)
{
    return o->v[id];
}

int64_t option_number(const struct options *o, enum option_id id)
{
    return strtoll(o->v[id], NULL, 10);
}

bool option_is(const struct options *o, enum option_id id, const char *word)
{
    return strcmp(o->v[id], word) == 0;
}

char **options_as_flags(const struct options *o)
{
    size_t bytes = (OPTION_COUNT + 1) * sizeof(char *);
    for (int i = 0; i < OPTION_COUNT; i++)
        bytes += strlen(option_rows[i].name) + strlen(o->v[i]) + 4;
    char **flags = malloc(bytes);
    if (!flags)
        abort();
    char *text = (char *)(flags + OPTION_COUNT + 1), *end = (char *)flags + bytes;
    int n = 0;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (slice_eq(slice_str(o->v[i]), normal_value(&option_rows[i])))
            continue;
        flags[n++] = text;
        text += snprintf(text, (size_t)(end - text), "--%s=%s", option_rows[i].name, o->v[i]) + 1;
    }
    flags[n] = NULL;
    return flags;
}
