#include "egress/pins.h"

#include <sodium.h>
#include <stdlib.h>

enum {
    CERTIFICATE_MOST = 16 << 10,
    PINS_MOST = 16384, /* then the oldest are forgotten */
};

_Static_assert((int)PIN_KEY == (int)crypto_hash_sha256_BYTES, "a key is kept as its hash");

struct pin {
    struct list node;
    uint8_t key[PIN_KEY];
    size_t n;
    char where[]; /* host:port */
};

/* One DER element (X.690 8.1) at the start of *rest, header and all; false if it is malformed. */
static bool element(struct slice *rest, uint8_t tag, struct slice *ret_whole,
                    struct slice *ret_inside)
{
    const uint8_t *p = (const uint8_t *)rest->p;
    if (rest->n < 2 || p[0] != tag)
        return false;
    size_t head = 2, n = p[1];
    if (n & 0x80) {
        size_t bytes = n & 0x7f;
        if (bytes == 0 || bytes > 3 || rest->n < 2 + bytes)
            return false;
        for (n = 0; head < 2 + bytes; head++)
            n = n << 8 | p[head];
    }
    if (n > rest->n - head)
        return false;
    *ret_whole = slice_make(p, head + n);
    *ret_inside = slice_make(p + head, n);
    *rest = slice_from(*rest, head + n);
    return true;
}

/* The subjectPublicKeyInfo of a certificate (RFC 5280 4.1). */
static bool public_key(struct slice der, struct slice *ret_key)
{
    enum { SEQUENCE = 0x30, INTEGER = 2, VERSION = 0xa0 };
    struct slice whole, inside, tbs;
    if (!element(&der, SEQUENCE, &whole, &inside) || !element(&inside, SEQUENCE, &whole, &tbs))
        return false;
    (void)element(&tbs, VERSION, &whole, &inside); /* absent in version 1 */
    static const uint8_t before[] = {INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE};
    for (size_t i = 0; i < sizeof before; i++) /* serial, signature, issuer, validity, subject */
        if (!element(&tbs, before[i], &whole, &inside))
            return false;
    return element(&tbs, SEQUENCE, ret_key, &inside);
}

bool pins_key(const char *pem, uint8_t ret_hash[PIN_KEY])
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    unsigned char der[CERTIFICATE_MOST];
    size_t n;
    struct slice key;
    const char *from = strstr(pem, begin), *to = from ? strstr(from, "-----END") : NULL;
    if (!to)
        return false;
    from += sizeof begin - 1;
    if (sodium_base642bin(der, sizeof der, from, (size_t)(to - from), "\r\n ", &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) ||
        !public_key(slice_make(der, n), &key))
        return false;
    crypto_hash_sha256(ret_hash, (const unsigned char *)key.p, key.n);
    return true;
}

void pins_init(struct pins *p)
{
    *p = (struct pins){0};
    list_init(&p->by_age);
}

void pins_done(struct pins *p)
{
    for (struct list *at; (at = list_pop(&p->by_age));)
        free(LIST_ITEM(at, struct pin, node));
    map_done(&p->by_place);
}

static enum err_code remember(struct pins *p, struct slice where, const uint8_t key[PIN_KEY],
                              struct err *e)
{
    struct pin *pin = malloc(sizeof *pin + where.n);
    if (!pin)
        return err_set(e, ERR_MEMORY, "no memory for a key");
    memcpy(pin->key, key, sizeof pin->key);
    memcpy(pin->where, where.p, pin->n = where.n);
    if (!map_put(&p->by_place, slice_make(pin->where, pin->n), pin)) {
        free(pin);
        return err_set(e, ERR_MEMORY, "no memory for a key");
    }
    list_push(&p->by_age, &pin->node);
    if (++p->count > PINS_MOST) {
        struct pin *old = LIST_ITEM(list_pop(&p->by_age), struct pin, node);
        map_remove(&p->by_place, slice_make(old->where, old->n));
        free(old);
        p->count--;
    }
    return ERR_OK;
}

enum err_code pins_check(struct pins *p, struct slice where, const char *pem, struct err *e)
{
    uint8_t key[PIN_KEY];
    if (!pem || !pins_key(pem, key))
        return err_set(e, ERR_UNREACHABLE, "the server's certificate can't be read");
    const struct pin *pin = map_get(&p->by_place, where);
    if (!pin)
        return remember(p, where, key, e);
    if (memcmp(pin->key, key, sizeof key) == 0)
        return ERR_OK;
    return err_set(
        e, ERR_UNREACHABLE,
        "%.*s shows another key than it did first; if its owner changed it, it is trusted "
        "anew when the server is restarted",
        SLICE_ARG(where));
}
