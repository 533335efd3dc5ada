#include "guest/transfer.h"

/* Bytes one try moves before others get a turn: host calls are not preempted. */
enum { TURN_MOST = 4 * RESOURCE_MOST };

enum engine_verdict transfer_write(struct guest *g, struct descriptor *d, const void *p, uint64_t n,
                                   uint64_t *progress, int64_t *ret_count)
{
    uint64_t begun = *progress;
    g->waits = 0;
    do {
        int32_t took = resource_write(g, d, (const char *)p + *progress, n - *progress);
        if (resource_verdict(took) != ENGINE_DONE)
            return resource_verdict(took);
        if (took < 0) {
            *ret_count = *progress ? (int64_t)*progress : took;
            return ENGINE_DONE;
        }
        *progress += (uint64_t)took;
        if (*progress == n) {
            *ret_count = (int64_t)n;
            return ENGINE_DONE;
        }
    } while (*progress - begun < TURN_MOST);
    return ENGINE_YIELD;
}

enum engine_verdict transfer_read(struct guest *g, struct descriptor *d, void *p, uint64_t n,
                                  int64_t *ret_count)
{
    g->waits = 0;
    int32_t got = resource_read(g, d, p, n);
    *ret_count = got;
    return resource_verdict(got);
}
