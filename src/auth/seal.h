/* Sealed values: environments, secrets and captures at rest, so that the database holds nothing in
 * clear.
 *
 * XChaCha20-Poly1305 with a random nonce before the box; the id of what the
 * value belongs to, and its name if it has one, are bound in as associated data,
 * so that a value moved to another row does not open. */
#pragma once

#include "base/buf.h"
#include "base/uuid.h"

enum {
    SEAL_KEY = 32,
    SEAL_EXTRA = 24 + 16, /* a sealed value is this much longer */
    SEAL_NAME = 128       /* longest name */
};

/* Appends the sealed value; false if the buffer is at its limit or the name is too long. */
bool seal_named(const uint8_t key[SEAL_KEY], struct uuid owner, struct slice name,
                struct slice plain, struct buf *out) MUST_CHECK;
/* Appends the plain value. ERR_INTERNAL if it does not open: another key, owner or name, or
 * damaged. */
enum err_code unseal_named(const uint8_t key[SEAL_KEY], struct uuid owner, struct slice name,
                           struct slice sealed, struct buf *out, struct err *e) MUST_CHECK;

/* The same of what has no name. */
static inline MUST_CHECK bool seal(const uint8_t key[SEAL_KEY], struct uuid owner,
                                   struct slice plain, struct buf *out)
{
    return seal_named(key, owner, SLICE(""), plain, out);
}
static inline MUST_CHECK enum err_code unseal(const uint8_t key[SEAL_KEY], struct uuid owner,
                                              struct slice sealed, struct buf *out, struct err *e)
{
    return unseal_named(key, owner, SLICE(""), sealed, out, e);
}
