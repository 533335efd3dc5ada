/* Uploading modules: raw bytes, stored by digest as they arrive.
 *
 * POST …/modules stores and compiles one; PUT …/functions/F/module goes on to
 * deploy it. Both check the project's quota before the blob gets its name. */
#include "api/request.h"
#include "api/versions.h"

#include <stdlib.h>

/* What an upload is while its bytes arrive, and while its image is made. */
struct upload {
    struct blob_writer *writer;
    struct image_want want;
    struct api *api;
    struct api_request *request; /* NULL: the client has gone */
    struct store_actor who;
    uint8_t digest[DIGEST_BYTES];
    uint64_t size;
};

static void upload_free(struct upload *u)
{
    if (u)
        blob_abort(u->writer);
    free(u);
}

static void receiving_gone(struct api_request *r)
{
    upload_free(r->state);
    r->state = NULL;
    r->on_gone = NULL;
    r->on_body = NULL;
}

/* Refuses and forgets the upload. */
static void receiving_failed(struct api_request *r, const struct err *e)
{
    receiving_gone(r);
    api_fail(r, e);
}

enum err_code modules_quota(struct api_request *r, uint64_t more, struct err *e)
{
    uint64_t have, most = r->api->options->limits.v[LIMIT_STORED];
    enum err_code rc = store_stored(r->api->store, r->project.id, &have, e);
    if (rc == ERR_OK && most && have + more > most) {
        char text[32];
        limit_format(LIMIT_STORED, most, text);
        rc = err_set(e, ERR_QUOTA, "the project may store %s of modules, images and assets", text);
    }
    return rc;
}

/* Takes a piece of the body; true when the blob is whole and in u->digest. */
static bool receive(struct api_request *r, struct slice bytes, bool last)
{
    struct upload *u = r->state;
    struct err e;
    if (blob_write(u->writer, bytes, &e) || (last && modules_quota(r, r->body_bytes, &e))) {
        receiving_failed(r, &e);
        return false;
    }
    if (!last) {
        api_took(r, bytes.n);
        return false;
    }
    struct blob_writer *w = u->writer;
    u->writer = NULL;
    if (blob_finish(w, u->digest, &u->size, &e)) {
        receiving_failed(r, &e);
        return false;
    }
    return true;
}

static bool receive_begin(struct api_request *r,
                          void (*on_body)(struct api_request *, struct slice, bool))
{
    struct err e;
    struct upload *u = calloc(1, sizeof *u);
    if (!u) {
        api_refuse(r, ERR_MEMORY, "no memory for the upload");
        return false;
    }
    if (blob_begin(r->api->blobs, &u->writer, &e)) {
        free(u);
        api_fail(r, &e);
        return false;
    }
    u->api = r->api;
    u->request = r;
    u->who = api_actor(r);
    r->state = u;
    r->on_body = on_body;
    r->on_gone = receiving_gone;
    return true;
}

/* ---- POST …/modules ---- */

static void compiling_gone(struct api_request *r)
{
    struct upload *u = r->state;
    u->request = NULL;
}

static enum err_code keep_module(struct api_request *r, struct upload *u, struct err *e)
{
    struct store *st = u->api->store;
    char text[DIGEST_TEXT + 1];
    digest_text(u->digest, text);
    enum err_code rc = blob_check(u->api->blobs, u->digest, e);
    if (rc == ERR_OK)
        rc = store_begin(st, e);
    if (rc)
        return rc;
    rc = store_module_put(st, r->project.id, u->digest, u->size, e);
    if (rc == ERR_OK && u->want.interface.n)
        rc = store_interface_put(st, r->project.id, u->digest, u->want.interface, e);
    if (rc == ERR_OK)
        rc =
            store_audit(st, &u->who, r->project.id, "module.create", slice_str(text), SLICE(""), e);
    return store_end(st, rc, e);
}

static void on_image(struct image_want *w, const struct err *failure)
{
    struct upload *u = LIST_ITEM(w, struct upload, want);
    struct api_request *r = u->request;
    struct err e;
    bool kept = !failure && r && keep_module(r, u, &e) == ERR_OK;
    if (!kept)
        u->api->backend->discard(u->api, u->want.project, u->digest);
    if (r) {
        r->state = NULL;
        r->on_gone = NULL;
        if (!kept)
            api_fail(r, failure ? failure : &e);
        else
            api_answer(r, 201,
                       json_pack("{s:o, s:I}", "digest", shape_digest(u->digest), "size",
                                 (json_int_t)u->size));
    }
    upload_free(u);
}

static void create_body(struct api_request *r, struct slice bytes, bool last)
{
    if (!receive(r, bytes, last))
        return;
    struct upload *u = r->state;
    r->on_gone = compiling_gone;
    u->want.project = r->project.id;
    memcpy(u->want.digest, u->digest, sizeof u->digest);
    u->want.on_done = on_image;
    list_init(&u->want.node);
    r->api->backend->image_want(r->api, &u->want);
}

void modules_create(struct api_request *r)
{
    receive_begin(r, create_body);
}

/* ---- PUT …/functions/F/module ---- */

/* A version with these bytes; false: answered, and they are of no use. */
static bool put_module(struct api_request *r, const uint8_t digest[DIGEST_BYTES], uint64_t size)
{
    struct version_settings s;
    struct err e;
    char text[STORE_CHECK + 1];
    enum err_code rc = versions_base(r, &s, NULL, NULL, &e);
    if (rc == ERR_OK && api_query(r, "response", text, sizeof text)) {
        slice_copy(SLICE("response"), r->field, sizeof r->field);
        rc = settings_response(&s, slice_str(text), &e);
    }
    if (rc == ERR_OK && api_query(r, "check", text, sizeof text)) {
        slice_copy(SLICE("check"), r->field, sizeof r->field);
        rc = settings_check(&s, slice_str(text), &e);
    }
    if (rc == ERR_OK)
        return versions_make(r, digest, size, &s);
    settings_done(&s);
    api_fail(r, &e);
    return false;
}

static void put_body(struct api_request *r, struct slice bytes, bool last)
{
    if (!receive(r, bytes, last))
        return;
    struct upload *u = r->state;
    uint8_t digest[DIGEST_BYTES];
    uint64_t size = u->size;
    memcpy(digest, u->digest, sizeof digest);
    receiving_gone(r);
    if (request_again(r) && !put_module(r, digest, size))
        r->api->backend->discard(r->api, r->project.id, digest); /* the bytes are on disk */
}

void modules_put(struct api_request *r)
{
    /* Refusals that need no bytes come before them. */
    if (versions_may(r))
        receive_begin(r, put_body);
}
