#include "api/once.h"

#include "auth/seal.h"
#include "base/log.h"
#include "base/steady.h"

#include <sodium.h>
#include <stdlib.h>

enum {
    KEY_MOST = 128,
    KEPT_MS = 24 * 3600 * 1000,
    BODY_MOST = 1 << 20 /* an answer with a whole policy and environment has half of it */
};

struct once {
    struct list node; /* api->onces, while it runs */
    struct uuid user;
    char key[KEY_MOST + 1];
    crypto_hash_sha256_state hash; /* of the request as far as it came */
    uint8_t request[DIGEST_BYTES]; /* …when it is whole */
    bool whole;

    bool known; /* the rest is of the kept answer */
    uint8_t kept_request[DIGEST_BYTES];
    int status;
    char *head;
    struct buf body; /* sealed */
};

uint64_t once_kept_since(void)
{
    return steady_ms() - KEPT_MS;
}

bool once_takes(const struct api_route *route)
{
    return (strcmp(route->method, "POST") == 0 || strcmp(route->method, "PUT") == 0) &&
           !route->streams;
}

/* ---- the request ---- */

static void add_part(struct once *o, struct slice part)
{
    crypto_hash_sha256_update(&o->hash, (const unsigned char *)part.p, part.n);
    crypto_hash_sha256_update(&o->hash, (const unsigned char *)"", 1);
}

void once_body(struct api_request *r, struct slice bytes)
{
    if (r->once)
        crypto_hash_sha256_update(&r->once->hash, (const unsigned char *)bytes.p, bytes.n);
}

static void finish_hash(struct once *o)
{
    if (!o->whole)
        crypto_hash_sha256_final(&o->hash, o->request);
    o->whole = true;
}

/* What the sealed body is bound to: it opens in the row of its user, key and request only. */
static struct uuid owner_of(const struct once *o)
{
    crypto_hash_sha256_state hash;
    uint8_t digest[DIGEST_BYTES];
    struct uuid owner;
    crypto_hash_sha256_init(&hash);
    crypto_hash_sha256_update(&hash, o->user.b, sizeof o->user.b);
    crypto_hash_sha256_update(&hash, o->request, sizeof o->request);
    crypto_hash_sha256_update(&hash, (const unsigned char *)o->key, strlen(o->key));
    crypto_hash_sha256_final(&hash, digest);
    memcpy(owner.b, digest, sizeof owner.b);
    return owner;
}

/* ---- what is known ---- */

static enum err_code read_kept(void *arg, const struct store_once *kept, struct err *e)
{
    struct once *o = arg;
    memcpy(o->kept_request, kept->request, sizeof o->kept_request);
    o->status = (int)kept->status;
    o->head = strndup(kept->head.p, kept->head.n);
    o->known = true;
    return o->head && buf_add(&o->body, kept->body.p, kept->body.n)
               ? ERR_OK
               : err_set(e, ERR_MEMORY, "no memory for a kept answer");
}

static bool runs_already(const struct api *api, const struct once *o)
{
    LIST_EACH(n, &api->onces)
    {
        const struct once *other = LIST_ITEM(n, struct once, node);
        if (uuid_eq(other->user, o->user) && strcmp(other->key, o->key) == 0)
            return true;
    }
    return false;
}

/* A new key: is there room for its answer? */
static enum err_code judge_room(struct api_request *r, struct err *e)
{
    uint64_t have, most = r->api->options->limits.v[LIMIT_ONCE];
    enum err_code rc = store_once_count(r->api->store, r->user.id, &have, e);
    if (rc == ERR_OK && most && have >= most)
        rc = err_set(e, ERR_RATE,
                     "the answers to %llu requests with an Idempotency-Key are kept for a day: "
                     "send this one without a key",
                     (unsigned long long)have);
    return rc;
}

static bool good_key(struct slice key)
{
    bool good = key.n >= 1 && key.n <= KEY_MOST;
    for (size_t i = 0; good && i < key.n; i++)
        good = key.p[i] > ' ' && key.p[i] < 0x7f;
    return good;
}

bool once_begin(struct api_request *r)
{
    struct slice key = api_var(r, "HTTP_IDEMPOTENCY_KEY");
    struct err e;
    if (key.p && r->route->takes == TAKES_ANY) { /* it would run twice */
        api_refuse(r, ERR_BAD_REQUEST,
                   "what a function answers is not kept, so an Idempotency-Key does nothing here: "
                   "send it without");
        return false;
    }
    if (!key.p || !once_takes(r->route))
        return true;
    if (!good_key(key)) {
        api_refuse(r, ERR_BAD_REQUEST, "an Idempotency-Key has 1 to %d visible characters",
                   KEY_MOST);
        return false;
    }
    struct once *o = calloc(1, sizeof *o);
    if (!o) {
        api_refuse(r, ERR_MEMORY, "no memory for an Idempotency-Key");
        return false;
    }
    o->user = r->user.id;
    slice_copy(key, o->key, sizeof o->key);
    buf_init(&o->body, BODY_MOST + SEAL_EXTRA);
    list_init(&o->node);
    crypto_hash_sha256_init(&o->hash);
    /* The body may be a secret, which could be guessed from a bare hash of it. */
    add_part(o, slice_make(r->api->secrets, sizeof r->api->secrets));
    add_part(o, r->method);
    add_part(o, r->path);
    add_part(o, r->query);
    add_part(o, api_var(r, "HTTP_IF_MATCH"));
    /* What the answer tells, a token that was made for one, is for whoever may do as much. */
    add_part(o, slice_make(&r->token.scopes, sizeof r->token.scopes));
    add_part(o, slice_make(r->token.project.b, sizeof r->token.project.b));
    r->once = o;
    enum err_code rc =
        runs_already(r->api, o)
            ? err_set(&e, ERR_CONFLICT, "a request with this Idempotency-Key is still running")
            : store_once(r->api->store, o->user, key, once_kept_since(), read_kept, o, &e);
    if (rc == ERR_NOT_FOUND)
        rc = judge_room(r, &e);
    if (rc) {
        once_end(r);
        api_fail(r, &e);
        return false;
    }
    if (!o->known)
        list_push(&r->api->onces, &o->node);
    return true;
}

bool once_waits(const struct api_request *r)
{
    return r->once && r->once->known;
}

bool once_answered(struct api_request *r)
{
    struct once *o = r->once;
    struct buf body;
    struct err e;
    if (!o)
        return false;
    finish_hash(o);
    if (!o->known)
        return false;
    if (memcmp(o->request, o->kept_request, sizeof o->request) != 0) {
        api_refuse_field(r, "Idempotency-Key",
                         "this Idempotency-Key was sent with another request: choose a new one");
        return true;
    }
    buf_init(&body, BODY_MOST);
    if (unseal(r->api->secrets, owner_of(o), buf_slice(&o->body), &body, &e)) {
        api_fail(r, &e);
    } else {
        api_header(r, "%sIdempotency-Replayed: true\n", o->head);
        int status = o->status;
        json_t *answer =
            buf_size(&body) ? json_loadb(buf_data(&body), buf_size(&body), 0, NULL) : NULL;
        if (answer)
            api_answer(r, status, answer);
        else
            api_answer_empty(r, status);
    }
    buf_done(&body);
    return true;
}

/* ---- the answer ---- */

void once_keep(struct api_request *r, int status, struct slice body)
{
    struct once *o = r->once;
    struct store *st = r->api->store;
    struct buf sealed;
    struct err e;
    if (!o || o->known || !o->whole || status < 200 || status > 299)
        return;
    buf_init(&sealed, BODY_MOST + SEAL_EXTRA);
    enum err_code rc = seal(r->api->secrets, owner_of(o), body, &sealed)
                           ? store_begin(st, &e)
                           : err_set(&e, ERR_MEMORY, "an answer is too large to be kept");
    if (rc == ERR_OK) {
        struct store_once row = {.user = o->user,
                                 .key = slice_str(o->key),
                                 .status = (uint64_t)status,
                                 .head = slice_str(r->extra),
                                 .body = buf_slice(&sealed)};
        memcpy(row.request, o->request, sizeof row.request);
        rc = store_end(st, store_once_put(st, &row, &e), &e);
    }
    if (rc)
        log_line(LOG_WARNING, "once_keep", "error=\"%s\"", e.text);
    buf_done(&sealed);
}

void once_end(struct api_request *r)
{
    struct once *o = r->once;
    if (!o)
        return;
    list_remove(&o->node);
    buf_done(&o->body);
    free(o->head);
    free(o);
    r->once = NULL;
}
