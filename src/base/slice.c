#include "base/slice.h"

struct slice slice_split(struct slice *rest, char sep)
{
    const char *at = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct slice part = *rest;
    if (!at) {
        *rest = (struct slice){NULL, 0};
        return part;
    }
    part.n = (size_t)(at - rest->p);
    *rest = slice_from(*rest, part.n + 1);
    return part;
}

bool slice_u64(struct slice s, uint64_t *ret_value)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *ret_value = v;
    return true;
}

bool slice_copy(struct slice s, char *dst, size_t cap)
{
    if (s.n >= cap) {
        if (cap)
            dst[0] = '\0';
        return false;
    }
    if (s.n)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return true;
}
