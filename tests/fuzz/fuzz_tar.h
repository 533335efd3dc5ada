/* Archives whose sums fit: hardly an input would get past them by itself. */
#pragma once

#include "base/buf.h"
#include "module/tar.h"

/* Makes the sum of each block right that looks like a header. */
static inline void fuzz_sums(uint8_t *p, size_t n)
{
    for (; n >= TAR_BLOCK; p += TAR_BLOCK, n -= TAR_BLOCK) {
        unsigned sum = 0;
        if (memcmp(p + 257, "ustar", 5))
            continue;
        memset(p + 148, ' ', 8);
        for (int i = 0; i < TAR_BLOCK; i++)
            sum += p[i];
        for (int i = 5; i >= 0; i--, sum /= 8)
            p[148 + i] = (uint8_t)('0' + sum % 8);
    }
}

static inline void fuzz_entry(struct buf *out, const char *name, struct slice content)
{
    static const char zeros[TAR_BLOCK];
    char head[TAR_BLOCK];
    tar_head(head, '0', 0600, slice_str(name), content.n);
    MUST(buf_add(out, head, sizeof head) && buf_add(out, content.p, content.n) &&
         buf_add(out, zeros, tar_fill(content.n)));
}

static inline void fuzz_end(struct buf *out)
{
    static const char end[2 * TAR_BLOCK];
    MUST(buf_add(out, end, sizeof end));
}
