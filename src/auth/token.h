/* Tokens: JWTs signed with Ed25519 (RFC 7519, RFC 8037), one algorithm, chosen by us.
 *
 * A token is `header.claims.signature`. The header is one constant: it is
 * compared, never parsed, so there is no algorithm to confuse. The claims name a
 * row of the database and repeat what it says; the row decides. This file knows
 * neither the database nor HTTP. */
#pragma once

#include "base/err.h"
#include "base/uuid.h"

enum scope {
    SCOPE_READ = 1,
    SCOPE_DEPLOY = 2,
    SCOPE_INVOKE = 4,
    SCOPE_LOGS = 8,
    SCOPE_SECRETS = 16,
    SCOPE_ADMIN = 32,
    SCOPE_ALL = 63
};

extern const struct scope_name {
    const char *name;
    uint32_t scope;
} scope_names[]; /* ends with name == NULL */
/* The bit of a name; 0 if there is none. */
uint32_t scope_find(struct slice name);

enum { TOKEN_SEED = 32, TOKEN_MOST = 1024 /* longest token text with its NUL */ };

struct token_keys {
    uint8_t public_key[32], secret_key[64];
};
/* From the 32-byte seed. Wipe with sodium_memzero when done. */
void token_keys_make(struct token_keys *k, const uint8_t seed[TOKEN_SEED]);

struct token_claims {
    struct uuid id, user;     /* jti, sub */
    uint32_t scopes;          /* bits of enum scope */
    uint64_t issued, expires; /* iat, exp: Unix seconds */
};

/* Writes the NUL-terminated text. */
void token_sign(const struct token_keys *k, const struct token_claims *c, char out[TOKEN_MOST]);

/* Checks form, signature and claims strictly: base64url without padding or stray bits, JSON
 * without duplicate or unknown claims, not expired at `now` (Unix seconds). When it was issued is
 * not judged: a clock that was set back must lock nobody out. Anything wrong is ERR_UNAUTHORIZED,
 * with a text that helps an honest client. */
enum err_code token_verify(const struct token_keys *k, struct slice text, uint64_t now,
                           struct token_claims *ret_claims, struct err *e) MUST_CHECK;
/* Of claims whose token was good: not expired yet? */
enum err_code token_current(const struct token_claims *c, uint64_t now, struct err *e) MUST_CHECK;
