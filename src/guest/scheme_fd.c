/* fd://0, fd://1 and fd://2: the standard streams, for programs that only know URLs. */
#include "guest/resource.h"
#include "guest/tape.h"

static int32_t fd_open(struct guest *g, struct descriptor *d, const struct url *url)
{
    uint64_t n;
    if (!slice_u64(url->path, &n) || n > 2) {
        resource_say(g, "resource_open: %s: only 0, 1 and 2 are standard streams", url->text);
        return RESOURCE_INVALID;
    }
    d->scheme = tape_stdio(g, (unsigned)n);
    return 0;
}

const struct scheme scheme_fd = {.name = "fd", .open = fd_open};
