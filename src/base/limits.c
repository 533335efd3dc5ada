#include "base/limits.h"

#include "base/brand.h"

#include <stdio.h>

const struct limit_row limit_rows[LIMIT_COUNT] = {
#define LIMIT(id, name_, unit_, normal_, maximum_, who_, cause_, effect_)                          \
    [LIMIT_##id] = {.name = name_,                                                                 \
                    .unit = LIMIT_UNIT_##unit_,                                                    \
                    .normal = normal_,                                                             \
                    .maximum = maximum_,                                                           \
                    .who = LIMIT_WHO_##who_,                                                       \
                    .cause = ERR_##cause_,                                                         \
                    .effect = effect_},
#include "tables/limits.def"
#undef LIMIT
};

/* Rows where 0 means "no limit": the plan `unlimited` sets them to it. */
static bool zero_is_off(enum limit_id id)
{
    return id == LIMIT_RESPONSE_BODY || id == LIMIT_DEPLOYS || id == LIMIT_API_RATE ||
           id == LIMIT_KEEP_REQUESTS || id == LIMIT_ADDRESS_CONNECTIONS ||
           id == LIMIT_EGRESS_OPEN || id == LIMIT_EGRESS_RUN || id == LIMIT_EGRESS_RATE;
}

void limits_init(struct limits *l, bool unlimited)
{
    for (int i = 0; i < LIMIT_COUNT; i++) {
        const struct limit_row *row = &limit_rows[i];
        l->v[i] = row->normal;
        if (unlimited && zero_is_off((enum limit_id)i))
            l->v[i] = 0;
        else if (unlimited && row->maximum)
            l->v[i] = row->maximum;
    }
}

bool limit_find(struct slice name, enum limit_id *ret_id)
{
    for (int i = 0; i < LIMIT_COUNT; i++)
        if (slice_eq(name, slice_str(limit_rows[i].name))) {
            *ret_id = (enum limit_id)i;
            return true;
        }
    return false;
}

static const struct unit {
    const char *suffix;
    enum limit_unit unit;
    uint64_t factor;
} units[] = {
    /* the first of a unit that divides a value prints it */
    {"GiB", LIMIT_UNIT_BYTES, 1ull << 30}, {"MiB", LIMIT_UNIT_BYTES, 1ull << 20},
    {"KiB", LIMIT_UNIT_BYTES, 1ull << 10}, {"GB", LIMIT_UNIT_BYTES, 1000000000ull},
    {"MB", LIMIT_UNIT_BYTES, 1000000ull},  {"kB", LIMIT_UNIT_BYTES, 1000ull},
    {"min", LIMIT_UNIT_TIME, 60000000ull}, {"ms", LIMIT_UNIT_TIME, 1000ull},
    {"us", LIMIT_UNIT_TIME, 1ull},         {"s", LIMIT_UNIT_TIME, 1000000ull},
    {"B", LIMIT_UNIT_BYTES, 1ull},
};

static bool parse_value(enum limit_unit unit, struct slice text, uint64_t *ret_value)
{
    uint64_t factor = 1;
    text = slice_trim(text);
    if (unit == LIMIT_UNIT_TIME)
        factor = 1000000; /* a bare number is seconds */
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct slice suffix = slice_str(units[i].suffix);
        if (units[i].unit == unit && text.n > suffix.n &&
            slice_eq(slice_from(text, text.n - suffix.n), suffix)) {
            text.n -= suffix.n;
            factor = units[i].factor;
            break;
        }
    }
    uint64_t n;
    return slice_u64(slice_trim(text), &n) && !__builtin_mul_overflow(n, factor, ret_value);
}

enum err_code limits_set(struct limits *l, struct slice name, struct slice value,
                         enum limit_who highest, struct err *e)
{
    enum limit_id id;
    if (!limit_find(name, &id)) {
        const char *names[LIMIT_COUNT];
        for (int i = 0; i < LIMIT_COUNT; i++)
            names[i] = limit_rows[i].name;
        const char *near = nearest_word(name, names, LIMIT_COUNT);
        return err_set(e, ERR_INVALID,
                       "there is no limit \"%.*s\"%s%s%s `" BRAND_COMMAND " limits` lists them",
                       SLICE_ARG(name), near ? ", did you mean \"" : ";", near ? near : "",
                       near ? "\"?" : "");
    }
    const struct limit_row *row = &limit_rows[id];
    if (row->who < highest)
        return err_set(e, ERR_INVALID, "the limit \"%s\" is the %s's to set", row->name,
                       row->who == LIMIT_WHO_OPERATOR ? "operator" : "project");
    uint64_t v;
    if (!parse_value(row->unit, value, &v))
        return err_set(e, ERR_INVALID, "\"%.*s\" is not a value for the limit \"%s\": write %s",
                       SLICE_ARG(value), row->name,
                       row->unit == LIMIT_UNIT_BYTES  ? "bytes like 64MiB"
                       : row->unit == LIMIT_UNIT_TIME ? "a time like 500ms or 2s"
                                                      : "a whole number");
    if (row->maximum && (v > row->maximum || (v == 0 && !zero_is_off(id)))) {
        char most[32];
        limit_format(id, row->maximum, most);
        return err_set(e, ERR_INVALID, "the limit \"%s\" must be from 1 to %s", row->name, most);
    }
    l->v[id] = v;
    return ERR_OK;
}

void limit_format(enum limit_id id, uint64_t value, char out[32])
{
    enum limit_unit unit = limit_rows[id].unit;
    if (unit == LIMIT_UNIT_TIME && value % 1000000 == 0) {
        snprintf(out, 32, "%llu s", (unsigned long long)(value / 1000000));
        return;
    }
    for (size_t i = 0; unit != LIMIT_UNIT_COUNT && i < sizeof units / sizeof *units; i++)
        if (units[i].unit == unit && value && value % units[i].factor == 0) {
            snprintf(out, 32, "%llu %s", (unsigned long long)(value / units[i].factor),
                     units[i].suffix);
            return;
        }
    snprintf(out, 32, "%llu", (unsigned long long)value);
}

const char *nearest_word(struct slice word, const char *const *words, size_t n)
{
    enum { MOST = 40 };
    const char *best = NULL;
    size_t best_distance = word.n < 4 ? 2 : 3; /* farther is no suggestion */
    if (word.n > MOST)
        return NULL;
    for (size_t w = 0; w < n; w++) {
        /* Levenshtein distance, one row at a time */
        size_t m = strlen(words[w]), row[MOST + 1];
        if (m > MOST)
            continue;
        for (size_t j = 0; j <= m; j++)
            row[j] = j;
        for (size_t i = 1; i <= word.n; i++) {
            size_t diagonal = row[0];
            row[0] = i;
            for (size_t j = 1; j <= m; j++) {
                size_t cost = diagonal + (word.p[i - 1] != words[w][j - 1]);
                diagonal = row[j];
                size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
                row[j] = cost < least ? cost : least;
            }
        }
        if (row[m] < best_distance) {
            best_distance = row[m];
            best = words[w];
        }
    }
    return best;
}
