#include "auth/seal.h"

#include <sodium.h>

enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };
_Static_assert(SEAL_EXTRA == NONCE + crypto_aead_xchacha20poly1305_ietf_ABYTES, "as in the header");

bool seal(const uint8_t key[SEAL_KEY], struct uuid owner, struct slice plain, struct buf *out)
{
    unsigned char *at = (unsigned char *)buf_reserve(out, plain.n + SEAL_EXTRA);
    if (!at)
        return false;
    random_bytes(at, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(at + NONCE, NULL, (const unsigned char *)plain.p,
                                               plain.n, owner.b, sizeof owner.b, NULL, at, key);
    buf_commit(out, plain.n + SEAL_EXTRA);
    return true;
}

enum err_code unseal(const uint8_t key[SEAL_KEY], struct uuid owner, struct slice sealed,
                     struct buf *out, struct err *e)
{
    if (sealed.n < SEAL_EXTRA)
        return err_set(e, ERR_INTERNAL, "a sealed value is too short");
    size_t n = sealed.n - SEAL_EXTRA;
    unsigned char *at = (unsigned char *)buf_reserve(out, n ? n : 1);
    if (!at)
        return err_set(e, ERR_MEMORY, "no memory for a sealed value");
    const unsigned char *p = (const unsigned char *)sealed.p;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(at, NULL, NULL, p + NONCE, sealed.n - NONCE,
                                                   owner.b, sizeof owner.b, p, key) != 0)
        return err_set(e, ERR_INTERNAL, "a sealed value does not open with this server's key");
    buf_commit(out, n);
    return ERR_OK;
}
