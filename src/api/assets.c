/* Uploading assets: a tar archive comes in, a bundle of read-only files is stored.
 *
 * The archive is hostile bytes: a compile job judges it and makes the bundle
 * (module/bundle.h), whose digest is what a version names. The same folder gives
 * the same digest, whatever the times and owners in its archive. */
#include "api/request.h"

#include "base/log.h"

#include <stdlib.h>

struct upload {
    struct assets_want want; /* its archive gets the bytes as they arrive */
    struct api *api;
    struct api_request *request; /* NULL: the client has gone */
    struct store_actor who;
};

static void upload_free(struct upload *u)
{
    blob_abort(u->want.archive);
    free(u);
}

static void receiving_gone(struct api_request *r)
{
    upload_free(r->state);
    r->state = NULL;
    r->on_gone = NULL;
    r->on_body = NULL;
}

static void making_gone(struct api_request *r)
{
    struct upload *u = r->state;
    u->request = NULL; /* the job goes on to its end all the same */
}

static enum err_code keep(struct api_request *r, struct upload *u, struct err *e)
{
    struct store *st = u->api->store;
    struct store_assets a = {
        .project = r->project.id, .size = u->want.size, .files = u->want.files};
    struct store_assets old;
    char text[DIGEST_TEXT + 1];
    memcpy(a.digest, u->want.digest, sizeof a.digest);
    digest_text(a.digest, text);
    enum err_code rc = store_assets(st, a.project, a.digest, &old, e);
    if (rc == ERR_NOT_FOUND)
        rc = modules_quota(r, a.size, e);
    if (rc == ERR_OK)
        rc = store_begin(st, e);
    if (rc)
        return rc;
    rc = store_assets_put(st, &a, e);
    if (rc == ERR_OK)
        rc = store_audit(st, &u->who, a.project, "assets.create", slice_str(text), SLICE(""), e);
    return store_end(st, rc, e);
}

/* The bytes stay only where somebody has them. */
static void discard(struct upload *u)
{
    bool known = true;
    struct err e;
    enum err_code rc = store_blob_known(u->api->store, u->want.digest, &known, &e);
    if (rc == ERR_OK && !known)
        rc = blob_delete(u->api->blobs, u->want.digest, &e);
    if (rc)
        log_line(LOG_WARNING, "assets_discard", "error=\"%s\"", e.text);
}

static void on_made(struct assets_want *w, const struct err *failure)
{
    struct upload *u = LIST_ITEM(w, struct upload, want);
    struct api_request *r = u->request;
    struct err e;
    bool kept = !failure && r && keep(r, u, &e) == ERR_OK;
    if (!failure && !kept)
        discard(u);
    if (r) {
        r->state = NULL;
        r->on_gone = NULL;
        if (kept)
            api_answer(r, 201,
                       json_pack("{s:o, s:I, s:I}", "digest", shape_digest(w->digest), "size",
                                 (json_int_t)w->size, "files", (json_int_t)w->files));
        else
            api_fail(r, failure ? failure : &e);
    }
    upload_free(u);
}

static void on_body(struct api_request *r, struct slice bytes, bool last)
{
    struct upload *u = r->state;
    struct err e;
    if (blob_write(u->want.archive, bytes, &e)) {
        receiving_gone(r);
        api_fail(r, &e);
        return;
    }
    if (!last) {
        api_took(r, bytes.n);
        return;
    }
    r->on_body = NULL;
    r->on_gone = making_gone;
    r->api->backend->assets_want(r->api, &u->want);
}

void assets_create(struct api_request *r)
{
    struct err e;
    struct upload *u = calloc(1, sizeof *u);
    if (!u) {
        api_refuse(r, ERR_MEMORY, "no memory for the upload");
        return;
    }
    if (blob_begin(r->api->blobs, &u->want.archive, &e)) {
        free(u);
        api_fail(r, &e);
        return;
    }
    u->want.project = r->project.id;
    u->want.on_done = on_made;
    u->api = r->api;
    u->request = r;
    u->who = api_actor(r);
    r->state = u;
    r->on_gone = receiving_gone;
    r->on_body = on_body;
}
