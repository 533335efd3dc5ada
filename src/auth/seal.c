#include "auth/seal.h"

#include <sodium.h>

enum { NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES };
_Static_assert(SEAL_EXTRA == NONCE + crypto_aead_xchacha20poly1305_ietf_ABYTES, "as in the header");

/* What a value is bound to: the owner's id is of one length, so no name makes it another's. */
struct binding {
    uint8_t bytes[sizeof(struct uuid) + SEAL_NAME];
    size_t n;
};

static bool bind_to(struct uuid owner, struct slice name, struct binding *ret_binding)
{
    if (name.n > SEAL_NAME)
        return false;
    memcpy(ret_binding->bytes, owner.b, sizeof owner.b);
    if (name.n)
        memcpy(ret_binding->bytes + sizeof owner.b, name.p, name.n);
    ret_binding->n = sizeof owner.b + name.n;
    return true;
}

bool seal_named(const uint8_t key[SEAL_KEY], struct uuid owner, struct slice name,
                struct slice plain, struct buf *out)
{
    struct binding b;
    unsigned char *at = NULL;
    if (bind_to(owner, name, &b))
        at = (unsigned char *)buf_reserve(out, plain.n + SEAL_EXTRA);
    if (!at)
        return false;
    random_bytes(at, NONCE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(at + NONCE, NULL, (const unsigned char *)plain.p,
                                               plain.n, b.bytes, b.n, NULL, at, key);
    buf_commit(out, plain.n + SEAL_EXTRA);
    return true;
}

enum err_code unseal_named(const uint8_t key[SEAL_KEY], struct uuid owner, struct slice name,
                           struct slice sealed, struct buf *out, struct err *e)
{
    struct binding b;
    if (sealed.n < SEAL_EXTRA || !bind_to(owner, name, &b))
        return err_set(e, ERR_INTERNAL, "a sealed value is too short, or its name is too long");
    size_t n = sealed.n - SEAL_EXTRA;
    unsigned char *at = (unsigned char *)buf_reserve(out, n ? n : 1);
    if (!at)
        return err_set(e, ERR_MEMORY, "no memory for a sealed value");
    const unsigned char *p = (const unsigned char *)sealed.p;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(at, NULL, NULL, p + NONCE, sealed.n - NONCE,
                                                   b.bytes, b.n, p, key) != 0)
        return err_set(e, ERR_INTERNAL, "a sealed value does not open with this server's key");
    buf_commit(out, n);
    return ERR_OK;
}
