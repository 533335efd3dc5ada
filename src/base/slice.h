/* Slices: text and bytes as a pointer and a length, never owned.
 *
 * Text travels as `struct slice` and is NUL-terminated only at a foreign API.
 * A slice borrows; whoever made it says until when it is valid. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct slice {
    const char *p;
    size_t n;
};

/* A name and its value: a header field, a variable. */
struct field {
    struct slice name, value;
};

/* A slice of a string literal or array, without its NUL. */
#define SLICE(lit) ((struct slice){(lit), sizeof(lit) - 1})
/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s) (int)(s).n, (s).p

static inline struct slice slice_make(const void *p, size_t n)
{
    return (struct slice){p, n};
}

/* NULL gives the empty slice. */
static inline struct slice slice_str(const char *s)
{
    return (struct slice){s ? s : "", s ? strlen(s) : 0};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case-insensitive, as HTTP field names and hosts compare. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline struct slice slice_from(struct slice s, size_t skip)
{
    return skip >= s.n ? (struct slice){s.p + s.n, 0} : (struct slice){s.p + skip, s.n - skip};
}

/* Without spaces and tabs at both ends (HTTP's OWS). */
static inline struct slice slice_trim(struct slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.n--;
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Splits *rest at the first `sep`: returns what is before it and leaves what is
 * after it; without a `sep` returns everything and leaves the empty slice with
 * p == NULL, so `while (rest.p)` visits every part, empty ones too. */
struct slice slice_split(struct slice *rest, char sep);

/* Parses all of `s` as a decimal number without sign; false if it is empty,
 * has another character or does not fit. */
bool slice_u64(struct slice s, uint64_t *ret_value);

/* Copies into `dst` of `cap` bytes with a NUL; false (and "" in dst) if it does not fit. */
bool slice_copy(struct slice s, char *dst, size_t cap);

/* Is this valid UTF-8 (RFC 3629: no surrogates, no overlong forms)? */
bool utf8_valid(struct slice s);
