/* Tokens: any text, and any claims under a good signature. */
#include "auth/token.h"
#include "fuzz.h"

#include <sodium.h>

enum { NOW = 1800000000 };

FUZZ(bytes)
{
    static struct token_keys keys;
    static char good[TOKEN_MOST];
    if (!good[0]) {
        static const uint8_t seed[TOKEN_SEED] = {7};
        token_keys_make(&keys, seed);
        struct token_claims c = {.scopes = SCOPE_READ, .issued = NOW - 1, .expires = NOW + 1};
        token_sign(&keys, &c, good);
        MUST(!token_verify(&keys, slice_str(good), NOW, &c, NULL));
    }
    struct token_claims claims;
    MUST(token_verify(&keys, bytes, NOW, &claims, NULL) || slice_eq(bytes, slice_str(good)));

    const int form = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
    char text[TOKEN_MOST], signature[88 + 1];
    uint8_t sealed[crypto_sign_BYTES];
    size_t head = strcspn(good, ".") + 1;
    if (head + sodium_base64_encoded_len(bytes.n, form) + sizeof signature + 1 > sizeof text)
        return;
    memcpy(text, good, head);
    sodium_bin2base64(text + head, sizeof text - head, (const uint8_t *)bytes.p, bytes.n, form);
    crypto_sign_detached(sealed, NULL, (const uint8_t *)text, strlen(text), keys.secret_key);
    sodium_bin2base64(signature, sizeof signature, sealed, sizeof sealed, form);
    strcat(strcat(text, "."), signature);
    if (!token_verify(&keys, slice_str(text), NOW, &claims, NULL))
        MUST(claims.issued <= NOW + 300 && claims.expires > NOW - 300);
}
