/* The IANA special-purpose address registries (RFC 6890 and what was added to them since) and the
 * addresses at which clouds hand out credentials, one row a block.
 *
 * Of IPv6 only 2000::/3 has been given out as global unicast (RFC 4291 2.4, IANA's registry), so
 * everything outside it is refused without a row; the rows below ::/0 are for the reason given.
 * Blocks that carry an IPv4 address are judged by that. */
#include "egress/address.h"

#include <stdio.h>

static const struct block {
    uint8_t base[16];
    uint8_t bits; /* of 128 */
    const char *what;
} blocks[] = {
#define V4(a, b, c, d, n, what)                                                                    \
    {                                                                                              \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, 96 + (n), what                     \
    }
    /* Metadata services first: they lie inside other blocks, and this says more. */
    V4(169, 254, 169, 254, 32, "a cloud's metadata service (AWS, Azure, Google and others)"),
    V4(169, 254, 170, 2, 32, "a cloud's metadata service (AWS containers)"),
    V4(100, 100, 100, 200, 32, "a cloud's metadata service (Alibaba)"),
    V4(192, 0, 0, 192, 32, "a cloud's metadata service (Oracle)"),
    V4(168, 63, 129, 16, 32, "a cloud's metadata service (Azure)"),
    {{0xfd, 0, 0x0e, 0xc2, [15] = 0}, 32, "a cloud's metadata service (AWS, fd00:ec2::/32)"},
    {{0xfd, 0x20, 0, 0xce, [15] = 0}, 32, "a cloud's metadata service (Google, fd20:ce::/32)"},
    {{0xfd, 0, 0, 0x42, [15] = 0}, 32, "a cloud's metadata service (Scaleway, fd00:42::/32)"},

    V4(0, 0, 0, 0, 32, "the unspecified address (RFC 1122 3.2.1.3)"),
    V4(0, 0, 0, 0, 8, "this network (RFC 791 3.2)"),
    V4(10, 0, 0, 0, 8, "private use (RFC 1918)"),
    V4(100, 64, 0, 0, 10, "shared by carriers (RFC 6598)"),
    V4(127, 0, 0, 0, 8, "loopback (RFC 1122 3.2.1.3)"),
    V4(169, 254, 0, 0, 16, "link-local (RFC 3927)"),
    V4(172, 16, 0, 0, 12, "private use (RFC 1918)"),
    V4(192, 0, 0, 0, 24, "IETF protocol assignments (RFC 6890)"),
    V4(192, 0, 2, 0, 24, "documentation (RFC 5737)"),
    V4(192, 88, 99, 0, 24, "6to4 relays (RFC 7526)"),
    V4(192, 168, 0, 0, 16, "private use (RFC 1918)"),
    V4(198, 18, 0, 0, 15, "benchmarking (RFC 2544)"),
    V4(198, 51, 100, 0, 24, "documentation (RFC 5737)"),
    V4(203, 0, 113, 0, 24, "documentation (RFC 5737)"),
    V4(224, 0, 0, 0, 4, "multicast (RFC 5771)"),
    V4(255, 255, 255, 255, 32, "limited broadcast (RFC 919)"),
    V4(240, 0, 0, 0, 4, "reserved (RFC 1112)"),
#undef V4

    {{[15] = 0}, 128, "the unspecified address (RFC 4291)"},
    {{[15] = 1}, 128, "loopback (RFC 4291)"},
    {{[15] = 0}, 96, "IPv4-compatible (RFC 4291 2.5.5.1)"},
    {{[8] = 0xff, [9] = 0xff}, 96, "IPv4-translated (RFC 2765)"},
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, "local NAT64 (RFC 8215)"},
    {{1, 0}, 64, "discard only (RFC 6666)"},
    {{1, 0, 0, 0, 0, 0, 0, 1}, 64, "the dummy prefix (RFC 9780)"},
    {{0x20, 1, 0, 2}, 48, "benchmarking (RFC 5180)"},
    {{0x20, 1, 0, 0x10}, 28, "ORCHID (RFC 4843)"},
    {{0x20, 1, 0, 0x20}, 28, "ORCHIDv2 (RFC 7343)"},
    {{0x20, 1, 0, 0x30}, 28, "drone identifiers (RFC 9374)"},
    {{0x20, 1, 0x0d, 0xb8}, 32, "documentation (RFC 3849)"},
    {{0x3f, 0xff}, 20, "documentation (RFC 9637)"},
    {{0x5f, 0}, 16, "segment routing (RFC 9602)"},
    {{0xfc}, 7, "unique local (RFC 4193)"},
    {{0xfe, 0x80}, 10, "link-local (RFC 4291)"},
    {{0xfe, 0xc0}, 10, "site-local (RFC 3879)"},
    {{0xff}, 8, "multicast (RFC 4291)"},
};

/* Blocks whose addresses hold an IPv4 address, and where. */
static const struct carrier {
    uint8_t base[16];
    uint8_t bits;
    uint8_t at, twist; /* the four bytes from `at`, each XOR `twist` */
} carriers[] = {
    {{0x20, 2}, 16, 2, 0},              /* 6to4 (RFC 3056): its router */
    {{0x20, 1}, 32, 4, 0},              /* Teredo (RFC 4380 4): its server */
    {{0x20, 1}, 32, 12, 0xff},          /* … and its client, inverted */
    {{0, 0x64, 0xff, 0x9b}, 96, 12, 0}, /* NAT64 (RFC 6052) */
};

static bool inside(const struct http_address *a, const uint8_t base[16], unsigned bits)
{
    size_t whole = bits / 8;
    uint8_t mask = (uint8_t)(0xff00u >> bits % 8);
    return memcmp(base, a->b, whole) == 0 && (!mask || ((base[whole] ^ a->b[whole]) & mask) == 0);
}

static struct http_address embedded(const struct http_address *a, unsigned at, uint8_t twist)
{
    struct http_address v4 = {{[10] = 0xff, [11] = 0xff}};
    for (unsigned i = 0; i < 4; i++)
        v4.b[12 + i] = a->b[at + i] ^ twist;
    return v4;
}

const char *address_refused(const struct http_address *a, const struct cidr_list *allowed)
{
    static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff}, global[16] = {0x20};
    static const uint8_t isatap[4] = {0, 0, 0x5e, 0xfe};
    if (cidr_match(allowed, a))
        return NULL;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (inside(a, blocks[i].base, blocks[i].bits))
            return blocks[i].what;
    if (inside(a, v4, 96))
        return NULL;
    bool carries = false;
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++) {
        const struct carrier *c = &carriers[i];
        if (!inside(a, c->base, c->bits))
            continue;
        struct http_address inner = embedded(a, c->at, c->twist);
        const char *what = address_refused(&inner, allowed);
        if (what)
            return what;
        carries = true;
    }
    if (carries)
        return NULL;
    if (!inside(a, global, 3))
        return "not global unicast (RFC 4291 2.4)";
    if (inside(a, (const uint8_t[16]){0x20, 1}, 23))
        return "IETF protocol assignments (RFC 2928)";
    /* ISATAP (RFC 5214 6.1) under any prefix: the universal bit may be set */
    if ((a->b[8] & ~2) == isatap[0] && memcmp(a->b + 9, isatap + 1, 3) == 0) {
        struct http_address inner = embedded(a, 12, 0);
        return address_refused(&inner, allowed);
    }
    return NULL;
}

enum err_code port_set_parse(struct slice text, struct port_set *ret_set, struct err *e)
{
    struct port_set set = {{0}};
    while (text.p && text.n) {
        struct slice word = slice_trim(slice_split(&text, ','));
        uint64_t port;
        if (!slice_u64(word, &port) || port > 65535)
            return err_set(e, ERR_USAGE, "\"%.*s\" is not a port", SLICE_ARG(word));
        set.bits[port / 8] |= (uint8_t)(1u << port % 8);
    }
    *ret_set = set;
    return ERR_OK;
}
