/* Limits: a full set of values for the rows of tables/limits.def.
 *
 * Every place that enforces something takes it from a `struct limits`: the
 * server's own set (the defaults changed by its configuration and plan) or the
 * set of a version (what its function asked for, never above the maximum). */
#pragma once

#include "base/err.h"

enum limit_id {
#define LIMIT(id, ...) LIMIT_##id,
#include "tables/limits.def"
#undef LIMIT
    LIMIT_COUNT
};

enum limit_unit { LIMIT_UNIT_BYTES, LIMIT_UNIT_COUNT, LIMIT_UNIT_TIME };
enum limit_who { LIMIT_WHO_OPERATOR, LIMIT_WHO_PROJECT, LIMIT_WHO_FUNCTION };

struct limit_row {
    const char *name;
    enum limit_unit unit;
    uint64_t normal, maximum; /* maximum 0: none */
    enum limit_who who;
    enum err_code cause;
    const char *effect;
};
extern const struct limit_row limit_rows[LIMIT_COUNT];

struct limits {
    uint64_t v[LIMIT_COUNT];
};

/* The defaults; with `unlimited`, the built-in plan of tests and benchmarks: every limit at its
 * hard maximum, rates and quotas off. */
void limits_init(struct limits *l, bool unlimited);

/* Sets one by name from text: "64MiB", "1s", "250ms", "32". `highest` is the kind of person who
 * asks: a function may set FUNCTION rows only, a plan PROJECT rows too, the operator all. Above
 * the maximum: ERR_INVALID naming it. Unknown name: ERR_INVALID with a suggestion. */
enum err_code limits_set(struct limits *l, struct slice name, struct slice value,
                         enum limit_who highest, struct err *e) MUST_CHECK;

/* "134217728" of memory as "128 MiB", of time as "1 s"; NUL-terminated. */
void limit_format(enum limit_id id, uint64_t value, char out[32]);

/* false if there is no row of this name. */
bool limit_find(struct slice name, enum limit_id *ret_id);

/* The known word nearest to `word` by edit distance, for "did you mean …?"; NULL if none is near.
 * `words` is an array of `n` strings. */
const char *nearest_word(struct slice word, const char *const *words, size_t n);
