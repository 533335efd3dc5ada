/* null://, zero:// and random://: what /dev has of these names. */
#include "guest/resource.h"
#include "guest/tape.h"

static int32_t null_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    (void)g, (void)d, (void)p, (void)n;
    return RESOURCE_END;
}

static int32_t swallow(struct guest *g, struct descriptor *d, const void *p, uint32_t n)
{
    (void)g, (void)d, (void)p;
    return (int32_t)n;
}

static int32_t zero_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    (void)g, (void)d;
    memset(p, 0, n);
    return (int32_t)n;
}

static int32_t random_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    (void)d;
    return guest_random(g, p, n) ? (int32_t)n : RESOURCE_FATAL;
}

static int32_t random_write(struct guest *g, struct descriptor *d, const void *p, uint32_t n)
{
    (void)g, (void)d, (void)p, (void)n;
    return RESOURCE_UNKNOWN;
}

const struct scheme scheme_null = {.name = "null", .read = null_read, .write = swallow};
const struct scheme scheme_zero = {.name = "zero", .read = zero_read, .write = swallow};
const struct scheme scheme_random = {.name = "random", .read = random_read, .write = random_write};
