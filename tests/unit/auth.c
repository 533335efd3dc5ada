/* Tokens and sealed values: what is accepted, and everything that must not be. */
#include "auth/preview.h"
#include "auth/seal.h"
#include "auth/token.h"
#include "auth/verified.h"
#include "test.h"

#include <sodium.h>
#include <stdlib.h>

enum { NOW = 1800000000 };

static struct token_keys keys, others;
static struct token_claims claims;
static char good[TOKEN_MOST];

static void make(void)
{
    uint8_t seed[TOKEN_SEED] = {1}, other[TOKEN_SEED] = {2};
    if (sodium_init() < 0)
        abort();
    token_keys_make(&keys, seed);
    token_keys_make(&others, other);
    claims = (struct token_claims){.id = uuid_new(),
                                   .user = uuid_new(),
                                   .scopes = SCOPE_READ | SCOPE_LOGS,
                                   .issued = NOW - 10,
                                   .expires = NOW + 3600};
    token_sign(&keys, &claims, good);
}

static enum err_code verify(const char *text)
{
    struct token_claims c;
    struct err e;
    return token_verify(&keys, slice_str(text), NOW, &c, &e);
}

static void base64(char *out, size_t cap, const void *p, size_t n)
{
    sodium_bin2base64(out, cap, p, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* A token of any header and claims, rightly signed by `k`. */
static const char *forge(const struct token_keys *k, const char *header, const char *payload)
{
    static char text[4096];
    uint8_t signature[64];
    base64(text, sizeof text, header, strlen(header));
    strcat(text, ".");
    base64(text + strlen(text), sizeof text - strlen(text), payload, strlen(payload));
    crypto_sign_ed25519_detached(signature, NULL, (unsigned char *)text, strlen(text),
                                 k->secret_key);
    strcat(text, ".");
    base64(text + strlen(text), sizeof text - strlen(text), signature, sizeof signature);
    return text;
}

#define HEADER "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"
#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define CLAIMS(iss, jti, sub, scopes, iat, exp)                                                    \
    "{\"iss\":" iss ",\"jti\":" jti ",\"sub\":" sub ",\"scopes\":" scopes ",\"iat\":" iat          \
    ",\"exp\":" exp "}"
#define FINE                                                                                       \
    CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"read\"]", "1799999000", "1800003600")

TEST(round_trip)
{
    struct token_claims c;
    struct err e;
    make();
    CHECK(token_verify(&keys, slice_str(good), NOW, &c, &e) == ERR_OK);
    CHECK(uuid_eq(c.id, claims.id) && uuid_eq(c.user, claims.user));
    CHECK(c.scopes == claims.scopes && c.issued == claims.issued && c.expires == claims.expires);
    CHECK(verify(forge(&keys, HEADER, FINE)) == ERR_OK);
}

TEST(other_key)
{
    char text[TOKEN_MOST];
    make();
    token_sign(&others, &claims, text);
    CHECK(verify(text) == ERR_UNAUTHORIZED);
    CHECK(verify(forge(&others, HEADER, FINE)) == ERR_UNAUTHORIZED);
}

TEST(times)
{
    struct token_claims c;
    struct err e;
    make();
    CHECK(token_verify(&keys, slice_str(good), NOW + 3599, &c, &e) == ERR_OK);
    CHECK(token_verify(&keys, slice_str(good), NOW + 3600, &c, &e) == ERR_UNAUTHORIZED);
    /* a clock that was set back locks nobody out */
    CHECK(token_verify(&keys, slice_str(good), NOW - 1000000, &c, &e) == ERR_OK);
}

/* What is remembered never makes a token good that isn't, or isn't any more. */
TEST(remembered)
{
    static struct verified v;
    struct token_claims c;
    struct err e;
    make();
    verified_init(&v);
    for (int i = 0; i < 3; i++) {
        c = (struct token_claims){0};
        CHECK(verified_token(&v, &keys, slice_str(good), NOW, &c, &e) == ERR_OK);
        CHECK(uuid_eq(c.id, claims.id) && c.scopes == claims.scopes && c.expires == claims.expires);
    }
    CHECK(verified_token(&v, &keys, slice_str(good), NOW + 3600, &c, &e) == ERR_UNAUTHORIZED);
    CHECK(verified_token(&v, &keys, slice_str(good), NOW, &c, &e) == ERR_OK);
    for (size_t i = 0; i < strlen(good); i++) { /* any other text */
        good[i] ^= 1;
        CHECK(verified_token(&v, &keys, slice_str(good), NOW, &c, &e) == ERR_UNAUTHORIZED);
        CHECK(verified_token(&v, &keys, slice_str(good), NOW, &c, &e) == ERR_UNAUTHORIZED);
        good[i] ^= 1;
    }
    CHECK(verified_token(&v, &keys, slice_make(good, strlen(good) - 1), NOW, &c, &e));
    CHECK(verified_token(&v, &keys, SLICE(""), NOW, &c, &e) == ERR_UNAUTHORIZED);
    /* more tokens than places */
    for (int i = 0; i < 2 * VERIFIED_PLACES; i++) {
        claims.id = uuid_new();
        token_sign(&keys, &claims, good);
        CHECK(verified_token(&v, &keys, slice_str(good), NOW, &c, &e) == ERR_OK);
        CHECK(uuid_eq(c.id, claims.id));
    }
}

TEST(headers)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\",\"typ\":\"JWT\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"Ed25519\",\"typ\":\"JWT\"}",
        "{\"alg\":\"EdDSA\"}",
        "{\"typ\":\"JWT\",\"alg\":\"EdDSA\"}",
        "{\"alg\":\"EdDSA\", \"typ\":\"JWT\"}",
        "{\"alg\":\"EdDSA\",\"alg\":\"none\",\"typ\":\"JWT\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"../../dev/null\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"jwk\":{}}",
        "",
        "{}",
        "null",
    };
    make();
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        CHECK(verify(forge(&keys, headers[i], FINE)) == ERR_UNAUTHORIZED);
}

TEST(payloads)
{
    static const char *const payloads[] = {
        "",
        "null",
        "[]",
        "{}",
        FINE " ,",
        FINE FINE,
        CLAIMS("\"other\"", "\"" ID "\"", "\"" ID "\"", "[\"read\"]", "1799999000", "1800003600"),
        CLAIMS("\"wasmcloud\"", "\"x\"", "\"" ID "\"", "[\"read\"]", "1799999000", "1800003600"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "1", "[\"read\"]", "1799999000", "1800003600"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"root\"]", "1799999000",
               "1800003600"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"read\",\"read\"]", "1799999000",
               "1800003600"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "\"read\"", "1799999000", "1800003600"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"read\"]", "1799999000", "1e12"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"read\"]", "1799999000",
               "\"1800003600\""),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"read\"]", "1799999000", "-1"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"read\"]", "1799999000",
               "1800003600,\"exp\":1900000000"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"read\"]", "1799999000",
               "1800003600,\"admin\":true"),
        CLAIMS("\"wasmcloud\"", "\"" ID "\"", "\"" ID "\"", "[\"read\"]", "1799999000",
               "99999999999999999999"),
    };
    make();
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++)
        CHECK(verify(forge(&keys, HEADER, payloads[i])) == ERR_UNAUTHORIZED);
}

TEST(texts)
{
    char text[TOKEN_MOST * 2];
    make();
    size_t n = strlen(good);

    /* each byte changed, each cut, and bytes after the end */
    for (size_t i = 0; i < n; i++) {
        strcpy(text, good);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        CHECK(verify(text) == ERR_UNAUTHORIZED);
        text[i] = '\0';
        CHECK(verify(text) == ERR_UNAUTHORIZED);
    }
    static const char *const tails[] = {"=", "==", "A", ".", ".x", " ", "\n", "%00"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(text, sizeof text, "%s%s", good, tails[i]);
        CHECK(verify(text) == ERR_UNAUTHORIZED);
        snprintf(text, sizeof text, "%s%s", tails[i], good);
        CHECK(verify(text) == ERR_UNAUTHORIZED);
    }
    /* no signature, and only dots */
    strcpy(text, good);
    strrchr(text, '.')[1] = '\0';
    CHECK(verify(text) == ERR_UNAUTHORIZED);
    CHECK(verify("") == ERR_UNAUTHORIZED);
    CHECK(verify("..") == ERR_UNAUTHORIZED);
    CHECK(verify("...") == ERR_UNAUTHORIZED);

    /* the alphabet of plain base64, and stray bits in the last letter: 64 bytes need 4 of its 6 */
    strcpy(text, good);
    for (const char *p = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"; *p;
         p++)
        if (*p != good[n - 1]) {
            text[n - 1] = *p;
            CHECK(verify(text) == ERR_UNAUTHORIZED);
        }
    memset(text, 'A', sizeof text);
    text[sizeof text - 1] = '\0';
    CHECK(verify(text) == ERR_UNAUTHORIZED);
}

TEST(scopes)
{
    CHECK(scope_find(SLICE("admin")) == SCOPE_ADMIN);
    CHECK(scope_find(SLICE("Admin")) == 0 && scope_find(SLICE("")) == 0);
    uint32_t all = 0;
    for (const struct scope_name *s = scope_names; s->name; s++)
        all |= s->scope;
    CHECK(all == SCOPE_ALL);
}

TEST(sealing)
{
    const uint8_t key[SEAL_KEY] = {1}, wrong[SEAL_KEY] = {2};
    struct uuid owner = uuid_new(), thief = uuid_new();
    struct buf sealed, plain;
    struct err e;
    buf_init(&sealed, 1024);
    buf_init(&plain, 1024);
    make();
    CHECK(seal(key, owner, SLICE("SECRET\0x"), &sealed));
    CHECK(buf_size(&sealed) == 8 + SEAL_EXTRA);
    CHECK(!memmem(buf_data(&sealed), buf_size(&sealed), "SECRET", 6));
    CHECK(unseal(key, owner, buf_slice(&sealed), &plain, &e) == ERR_OK);
    CHECK(slice_eq(buf_slice(&plain), SLICE("SECRET\0x")));
    CHECK(unseal(wrong, owner, buf_slice(&sealed), &plain, &e) == ERR_INTERNAL);
    CHECK(unseal(key, thief, buf_slice(&sealed), &plain, &e) == ERR_INTERNAL);
    CHECK(unseal(key, owner, slice_make(buf_data(&sealed), SEAL_EXTRA - 1), &plain, &e) ==
          ERR_INTERNAL);
    buf_data(&sealed)[SEAL_EXTRA] ^= 1;
    CHECK(unseal(key, owner, buf_slice(&sealed), &plain, &e) == ERR_INTERNAL);

    /* A name is bound in, too: nothing opens under another, or under none. */
    char longest[SEAL_NAME + 1];
    memset(longest, 'X', sizeof longest);
    buf_clear(&sealed);
    buf_clear(&plain);
    CHECK(seal_named(key, owner, SLICE("NAME"), SLICE("value"), &sealed));
    CHECK(unseal_named(key, owner, SLICE("NAME"), buf_slice(&sealed), &plain, &e) == ERR_OK);
    CHECK(slice_eq(buf_slice(&plain), SLICE("value")));
    CHECK(unseal_named(key, owner, SLICE("NAM"), buf_slice(&sealed), &plain, &e) == ERR_INTERNAL);
    CHECK(unseal_named(key, thief, SLICE("NAME"), buf_slice(&sealed), &plain, &e) == ERR_INTERNAL);
    CHECK(unseal(key, owner, buf_slice(&sealed), &plain, &e) == ERR_INTERNAL);
    CHECK(seal_named(key, owner, slice_make(longest, SEAL_NAME), SLICE("v"), &sealed));
    CHECK(!seal_named(key, owner, slice_make(longest, SEAL_NAME + 1), SLICE("v"), &sealed));
    buf_done(&sealed);
    buf_done(&plain);
}

TEST(previews)
{
    struct preview_pass pass = {
        .function = uuid_new(), .version = uuid_new(), .until_s = NOW + 600};
    struct uuid f = pass.function, v = pass.version, other = uuid_new();
    char token[PREVIEW_TOKEN], cookie[PREVIEW_COOKIE];
    const uint8_t *public = keys.public_key;
    struct err e;
    make();
    preview_token(&keys, &pass, token);
    struct slice text = slice_str(token);
    CHECK(text.n == PREVIEW_TOKEN - 1);
    CHECK(preview_token_judge(public, text, f, v, NOW, &e) == ERR_OK);
    CHECK(preview_token_judge(public, text, f, v, NOW + 600, &e) == ERR_UNAUTHORIZED);
    CHECK(preview_token_judge(public, text, f, other, NOW, &e) == ERR_UNAUTHORIZED);
    CHECK(preview_token_judge(public, text, other, v, NOW, &e) == ERR_UNAUTHORIZED);
    CHECK(preview_token_judge(others.public_key, text, f, v, NOW, &e) == ERR_UNAUTHORIZED);
    for (size_t i = 0; i < text.n; i++) {
        token[i] ^= 1; /* another letter of the alphabet, or none of it */
        CHECK(preview_token_judge(public, text, f, v, NOW, &e) == ERR_UNAUTHORIZED);
        token[i] ^= 1;
        CHECK(preview_token_judge(public, slice_make(token, i), f, v, NOW, &e) == ERR_UNAUTHORIZED);
    }
    CHECK(preview_token_judge(public, slice_str(good), f, v, NOW, &e) == ERR_UNAUTHORIZED);

    const uint8_t key[PREVIEW_KEY] = {3}, other_key[PREVIEW_KEY] = {4};
    preview_cookie(key, &pass, cookie);
    text = slice_str(cookie);
    CHECK(preview_cookie_good(key, text, f, v, NOW));
    CHECK(!preview_cookie_good(key, text, f, v, NOW + 600));
    CHECK(!preview_cookie_good(key, text, f, other, NOW));
    CHECK(!preview_cookie_good(key, text, other, v, NOW));
    CHECK(!preview_cookie_good(other_key, text, f, v, NOW));
    for (size_t i = 0; i < text.n; i++) {
        cookie[i] ^= 1;
        CHECK(!preview_cookie_good(key, text, f, v, NOW));
        cookie[i] ^= 1;
        CHECK(!preview_cookie_good(key, slice_make(cookie, i), f, v, NOW));
    }
}

TEST_MAIN(CASE(previews), CASE(round_trip), CASE(other_key), CASE(times), CASE(remembered),
          CASE(headers), CASE(payloads), CASE(texts), CASE(scopes), CASE(sealing))
