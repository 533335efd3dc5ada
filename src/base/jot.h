/* JSON written down as it comes: text in a buffer, without a tree.
 *
 * For the hot paths, where lists of hundreds of objects are answered and thousands of receipts a
 * second are kept; a tree of values costs ten times the text. The writer puts the commas; keys are
 * the caller's own words and are not escaped. What doesn't fit marks the whole as lost, which is
 * asked once, at the end. */
#pragma once

#include "base/buf.h"

struct jot {
    struct buf text;
    bool comma; /* before the next value */
    bool lost;  /* over the limit, or no memory */
};

/* At most `limit` bytes, where each byte of a text may count as six until it is written. */
void jot_init(struct jot *j, size_t limit);
void jot_done(struct jot *j);
/* Starts anew, in the same memory. */
void jot_clear(struct jot *j);
/* What was written; false: it is not whole. Valid until the next call. */
bool jot_slice(const struct jot *j, struct slice *ret_text) MUST_CHECK;

/* Values. `key` is the member's name, of at least one byte; NULL in an array or at the top. */
void jot_open_named(struct jot *j, struct slice key, char bracket);
void jot_u64_named(struct jot *j, struct slice key, uint64_t v);
void jot_i64_named(struct jot *j, struct slice key, int64_t v);
void jot_text_named(struct jot *j, struct slice key, struct slice s);
void jot_null_named(struct jot *j, struct slice key);

/* Most keys are literals: here their length is known when this is compiled. */
static inline void jot_open(struct jot *j, const char *key, char bracket) /* '{' or '[' */
{
    jot_open_named(j, slice_str(key), bracket);
}
void jot_close(struct jot *j, char bracket); /* '}' or ']' */
static inline void jot_u64(struct jot *j, const char *key, uint64_t v)
{
    jot_u64_named(j, slice_str(key), v);
}
static inline void jot_i64(struct jot *j, const char *key, int64_t v)
{
    jot_i64_named(j, slice_str(key), v);
}
/* Each byte that is not UTF-8 becomes U+FFFD. */
static inline void jot_text(struct jot *j, const char *key, struct slice s)
{
    jot_text_named(j, slice_str(key), s);
}
static inline void jot_null(struct jot *j, const char *key)
{
    jot_null_named(j, slice_str(key));
}
