#include "auth/preview.h"

#include <sodium.h>

/* What is signed begins with these: nothing else that the keys sign does. */
static const char token_words[] = "wasmcloud preview link 1", cookie_words[] = "wasmcloud preview";

struct message {
    char words[32];
    struct uuid function, version;
    uint8_t until[8]; /* little endian */
};

static struct message message(const char *words, const struct preview_pass *p)
{
    struct message m = {.function = p->function, .version = p->version};
    memcpy(m.words, words, strlen(words));
    for (int i = 0; i < 8; i++)
        m.until[i] = (uint8_t)(p->until_s >> 8 * i);
    return m;
}

static uint64_t read_until(const uint8_t bytes[8])
{
    uint64_t n = 0;
    for (int i = 0; i < 8; i++)
        n |= (uint64_t)bytes[i] << 8 * i;
    return n;
}

/* base64url of exactly `n` bytes. */
static bool decode(struct slice text, uint8_t *out, size_t n)
{
    size_t got;
    return sodium_base642bin(out, n, text.p, text.n, NULL, &got, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
           got == n;
}

/* ---- links ---- */

struct token {
    struct uuid function, version;
    uint8_t until[8];
    uint8_t signature[crypto_sign_ed25519_BYTES];
};
_Static_assert(sodium_base64_ENCODED_LEN(sizeof(struct token),
                                         sodium_base64_VARIANT_URLSAFE_NO_PADDING) == PREVIEW_TOKEN,
               "the text of a token");

void preview_token(const struct token_keys *k, const struct preview_pass *p,
                   char out[PREVIEW_TOKEN])
{
    struct message m = message(token_words, p);
    struct token t = {.function = p->function, .version = p->version};
    memcpy(t.until, m.until, sizeof t.until);
    crypto_sign_ed25519_detached(t.signature, NULL, (const uint8_t *)&m, sizeof m, k->secret_key);
    sodium_bin2base64(out, PREVIEW_TOKEN, (const uint8_t *)&t, sizeof t,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

enum err_code preview_token_judge(const uint8_t public_key[32], struct slice text,
                                  struct uuid function, struct uuid version, uint64_t now_s,
                                  struct err *e)
{
    struct token t;
    if (!decode(text, (uint8_t *)&t, sizeof t))
        return err_set(e, ERR_UNAUTHORIZED, "this is no link of this server");
    struct message m = message(token_words, &(struct preview_pass){.function = t.function,
                                                                   .version = t.version,
                                                                   .until_s = read_until(t.until)});
    if (crypto_sign_ed25519_verify_detached(t.signature, (const uint8_t *)&m, sizeof m, public_key))
        return err_set(e, ERR_UNAUTHORIZED, "this is no link of this server");
    if (!uuid_eq(t.function, function) || !uuid_eq(t.version, version))
        return err_set(e, ERR_UNAUTHORIZED, "this link is to another version");
    if (read_until(t.until) <= now_s)
        return err_set(e, ERR_UNAUTHORIZED, "this link's time is over");
    return ERR_OK;
}

/* ---- cookies ---- */

struct cookie {
    uint8_t until[8];
    uint8_t mac[32];
};
_Static_assert(sodium_base64_ENCODED_LEN(sizeof(struct cookie),
                                         sodium_base64_VARIANT_URLSAFE_NO_PADDING) ==
                   PREVIEW_COOKIE,
               "the text of a cookie");

static struct cookie bake(const uint8_t key[PREVIEW_KEY], const struct preview_pass *p)
{
    struct message m = message(cookie_words, p);
    struct cookie c;
    memcpy(c.until, m.until, sizeof c.until);
    crypto_generichash(c.mac, sizeof c.mac, (const uint8_t *)&m, sizeof m, key, PREVIEW_KEY);
    return c;
}

void preview_cookie(const uint8_t key[PREVIEW_KEY], const struct preview_pass *p,
                    char out[PREVIEW_COOKIE])
{
    struct cookie c = bake(key, p);
    sodium_bin2base64(out, PREVIEW_COOKIE, (const uint8_t *)&c, sizeof c,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

bool preview_cookie_good(const uint8_t key[PREVIEW_KEY], struct slice text, struct uuid function,
                         struct uuid version, uint64_t now_s)
{
    struct cookie got;
    if (!decode(text, (uint8_t *)&got, sizeof got))
        return false;
    struct preview_pass p = {
        .function = function, .version = version, .until_s = read_until(got.until)};
    struct cookie good = bake(key, &p);
    return sodium_memcmp(good.mac, got.mac, sizeof good.mac) == 0 && p.until_s > now_s;
}
