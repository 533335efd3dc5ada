/* Sealed values: environments at rest, so that the database holds nothing in clear.
 *
 * XChaCha20-Poly1305 with a random nonce before the box; the id of what the
 * value belongs to is bound in as associated data, so that a value moved to
 * another row does not open. */
#pragma once

#include "base/buf.h"
#include "base/uuid.h"

enum { SEAL_KEY = 32, SEAL_EXTRA = 24 + 16 /* a sealed value is this much longer */ };

/* Appends the sealed value; false if the buffer is at its limit. */
bool seal(const uint8_t key[SEAL_KEY], struct uuid owner, struct slice plain,
          struct buf *out) MUST_CHECK;
/* Appends the plain value. ERR_INTERNAL if it does not open: another key, or damaged. */
enum err_code unseal(const uint8_t key[SEAL_KEY], struct uuid owner, struct slice sealed,
                     struct buf *out, struct err *e) MUST_CHECK;
