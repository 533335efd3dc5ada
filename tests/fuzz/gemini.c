/* The header line of a gemini server, however it is cut: the verdict must not depend on the pieces;
 * and the certificate whose key is pinned. */
#include "fuzz.h"

#include "egress/head.h"
#include "egress/pins.h"

static enum err_code whole(struct slice bytes, size_t *ret_size)
{
    struct err e;
    *ret_size = 0;
    return head_gemini(bytes, ret_size, &e);
}

FUZZ(input)
{
    struct slice bytes = slice_make(input.p, input.n < 1100 ? input.n : 1100);
    size_t size, part = 0;
    enum err_code rc = whole(bytes, &size), last = ERR_OK;
    for (size_t n = 0; n <= bytes.n && last == ERR_OK && !part; n++)
        last = whole(slice_make(bytes.p, n), &part);
    MUST(last == rc && part == size);
    if (size) {
        MUST(size <= bytes.n && size >= 5 && size <= 3 + 1024 + 2);
        MUST(bytes.p[0] >= '1' && bytes.p[0] <= '6' && bytes.p[2] == ' ');
        MUST(memcmp(bytes.p + size - 2, "\r\n", 2) == 0);
    } else if (rc == ERR_OK) {
        MUST(bytes.n < 3 + 1024 + 2);
    }
    char pem[8192];
    uint8_t hash[PIN_KEY];
    if (slice_copy(input, pem, sizeof pem))
        (void)pins_key(pem, hash);
}
