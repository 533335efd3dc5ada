#include "auth/token.h"

#include "base/brand.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

/* base64url of {"alg":"EdDSA","typ":"JWT"} */
static const struct slice header = SLICE("eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9");

enum { SIGNATURE_TEXT = 86, CLAIMS_MOST = 512 };

const struct scope_name scope_names[] = {
    {"read", SCOPE_READ},
    {"deploy", SCOPE_DEPLOY},
    {"invoke", SCOPE_INVOKE},
    {"logs", SCOPE_LOGS},
    {"secrets", SCOPE_SECRETS},
    {"admin", SCOPE_ADMIN},
    {NULL, 0},
};

uint32_t scope_find(struct slice name)
{
    for (const struct scope_name *s = scope_names; s->name; s++)
        if (slice_eq(name, slice_str(s->name)))
            return s->scope;
    return 0;
}

void token_keys_make(struct token_keys *k, const uint8_t seed[TOKEN_SEED])
{
    crypto_sign_ed25519_seed_keypair(k->public_key, k->secret_key, seed);
}

static char *encode(char *out, size_t cap, const void *bytes, size_t n)
{
    sodium_bin2base64(out, cap, bytes, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return out + strlen(out);
}

/* Strict: the whole text, no padding, no line breaks, unused bits zero (encoded again it must be
 * the same text; libsodium checks them too). */
static bool decode(struct slice text, void *out, size_t cap, size_t *ret_n)
{
    const char *end;
    char again[CLAIMS_MOST * 2];
    if (sodium_base642bin(out, cap, text.p, text.n, NULL, ret_n, &end,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        end != text.p + text.n)
        return false;
    encode(again, sizeof again, out, *ret_n);
    return slice_eq(slice_str(again), text);
}

void token_sign(const struct token_keys *k, const struct token_claims *c, char out[TOKEN_MOST])
{
    char claims[CLAIMS_MOST], id[UUID_TEXT + 1], user[UUID_TEXT + 1];
    uuid_text(c->id, id);
    uuid_text(c->user, user);
    int n = snprintf(claims, sizeof claims,
                     "{\"iss\":\"%s\",\"jti\":\"%s\",\"sub\":\"%s\",\"scopes\":[", BRAND_COMMAND,
                     id, user);
    const char *comma = "";
    for (const struct scope_name *s = scope_names; s->name; s++)
        if (c->scopes & s->scope) {
            n += snprintf(claims + n, sizeof claims - (size_t)n, "%s\"%s\"", comma, s->name);
            comma = ",";
        }
    n += snprintf(claims + n, sizeof claims - (size_t)n, "],\"iat\":%llu,\"exp\":%llu}",
                  (unsigned long long)c->issued, (unsigned long long)c->expires);

    char *end = out + TOKEN_MOST, *at = out;
    memcpy(at, header.p, header.n);
    at += header.n;
    *at++ = '.';
    at = encode(at, (size_t)(end - at), claims, (size_t)n);
    uint8_t signature[crypto_sign_ed25519_BYTES];
    crypto_sign_ed25519_detached(signature, NULL, (unsigned char *)out,
                                 (unsigned long long)(at - out), k->secret_key);
    *at++ = '.';
    encode(at, (size_t)(end - at), signature, sizeof signature);
}

static bool read_uuid(json_t *o, const char *name, struct uuid *ret_id)
{
    json_t *v = json_object_get(o, name);
    return json_is_string(v) &&
           uuid_parse(slice_make(json_string_value(v), json_string_length(v)), ret_id);
}

static bool read_time(json_t *o, const char *name, uint64_t *ret_seconds)
{
    json_t *v = json_object_get(o, name);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret_seconds = (uint64_t)json_integer_value(v);
    return true;
}

static bool read_scopes(json_t *o, uint32_t *ret_scopes)
{
    json_t *list = json_object_get(o, "scopes"), *v;
    size_t i;
    uint32_t scopes = 0;
    if (!json_is_array(list))
        return false;
    json_array_foreach(list, i, v)
    {
        uint32_t scope = json_is_string(v)
                             ? scope_find(slice_make(json_string_value(v), json_string_length(v)))
                             : 0;
        if (!scope || (scopes & scope))
            return false;
        scopes |= scope;
    }
    *ret_scopes = scopes;
    return true;
}

static bool read_claims(struct slice text, struct token_claims *ret_claims)
{
    char bytes[CLAIMS_MOST];
    size_t n;
    if (text.n >
            sodium_base64_encoded_len(sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING) ||
        !decode(text, bytes, sizeof bytes, &n))
        return false;
    json_t *o = json_loadb(bytes, n, JSON_REJECT_DUPLICATES, NULL);
    json_t *issuer = json_object_get(o, "iss");
    struct token_claims c;
    bool ok = json_is_object(o) && json_object_size(o) == 6 && json_is_string(issuer) &&
              strcmp(json_string_value(issuer), BRAND_COMMAND) == 0 && read_uuid(o, "jti", &c.id) &&
              read_uuid(o, "sub", &c.user) && read_scopes(o, &c.scopes) &&
              read_time(o, "iat", &c.issued) && read_time(o, "exp", &c.expires);
    json_decref(o);
    if (ok)
        *ret_claims = c;
    return ok;
}

enum err_code token_current(const struct token_claims *c, uint64_t now, struct err *e)
{
    return c->expires > now ? ERR_OK : err_set(e, ERR_UNAUTHORIZED, "the token has expired");
}

enum err_code token_verify(const struct token_keys *k, struct slice text, uint64_t now,
                           struct token_claims *ret_claims, struct err *e)
{
    static const char *const malformed = "this is not a token of this server";
    struct slice rest = text;
    struct slice head = slice_split(&rest, '.'), claims = slice_split(&rest, '.');
    uint8_t signature[crypto_sign_ed25519_BYTES];
    size_t n;
    if (text.n >= TOKEN_MOST || !slice_eq(head, header) || !rest.p || rest.n != SIGNATURE_TEXT ||
        !decode(rest, signature, sizeof signature, &n) || n != sizeof signature)
        return err_set(e, ERR_UNAUTHORIZED, "%s", malformed);
    if (crypto_sign_ed25519_verify_detached(signature, (const unsigned char *)text.p,
                                            head.n + 1 + claims.n, k->public_key) != 0)
        return err_set(e, ERR_UNAUTHORIZED, "%s", malformed);
    struct token_claims c;
    if (!read_claims(claims, &c))
        return err_set(e, ERR_UNAUTHORIZED, "%s", malformed);
    *ret_claims = c;
    return token_current(&c, now, e);
}
