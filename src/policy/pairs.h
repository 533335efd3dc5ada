/* Pairs: a quick no.
 *
 * Which pairs of neighbouring bytes a text has, in 256 bits. What a rule surely needs is gathered
 * when it is read, what a URL has once a decision: if a pair is missing, the rule can't match and
 * neither glob nor regular expression is tried. */
#pragma once

#include "base/slice.h"

struct pairs {
    uint64_t bits[4];
};

static inline void pairs_add(struct pairs *p, char a, char b)
{
    unsigned h = (unsigned char)a * 5u + (unsigned char)b * 37u;
    p->bits[h >> 6 & 3] |= (uint64_t)1 << (h & 63);
}

/* All of `s`, but none with a '*' when that is a pattern's star. */
static inline void pairs_of(struct pairs *p, struct slice s, bool pattern)
{
    for (size_t i = 1; i < s.n; i++)
        if (!pattern || (s.p[i - 1] != '*' && s.p[i] != '*'))
            pairs_add(p, s.p[i - 1], s.p[i]);
}

static inline bool pairs_within(const struct pairs *part, const struct pairs *whole)
{
    return ((part->bits[0] & ~whole->bits[0]) | (part->bits[1] & ~whole->bits[1]) |
            (part->bits[2] & ~whole->bits[2]) | (part->bits[3] & ~whole->bits[3])) == 0;
}
