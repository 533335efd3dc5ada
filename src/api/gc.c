/* POST /v1/gc: an operator wants the room back now that housekeeping would make later. */
#include "api/request.h"

#include <stdlib.h>

enum { OLDER_S = 600 /* an upload may be about to get its version */ };

struct collecting {
    struct gc_want want;
    struct api_request *request; /* NULL: the client has gone */
};

static json_t *amount(uint64_t count, uint64_t bytes)
{
    return json_pack("{s:I, s:I}", "count", (json_int_t)count, "bytes", (json_int_t)bytes);
}

static void on_done(struct gc_want *w, const struct err *failure)
{
    struct collecting *c = LIST_ITEM(w, struct collecting, want);
    struct api_request *r = c->request;
    const struct gc_counts *n = &w->removed;
    if (r) {
        r->state = NULL;
        r->on_gone = NULL;
    }
    if (r && failure)
        api_fail(r, failure);
    else if (r)
        api_answer(r, 200,
                   json_pack("{s:b, s:o, s:o, s:o, s:I}", "dry_run", w->dry, "modules",
                             amount(n->unused.modules, n->unused.module_bytes), "assets",
                             amount(n->unused.assets, n->unused.asset_bytes), "blobs",
                             amount(n->blobs, n->blob_bytes), "functions",
                             (json_int_t)n->unused.functions));
    free(c);
}

static void gone(struct api_request *r)
{
    struct collecting *c = r->state;
    c->request = NULL; /* it goes on to its end all the same */
}

static enum err_code note(struct api_request *r, struct err *e)
{
    struct store_actor who = api_actor(r);
    enum err_code rc = store_begin(r->api->store, e);
    return rc ? rc
              : store_end(r->api->store,
                          store_audit(r->api->store, &who, (struct uuid){{0}}, "server.gc",
                                      SLICE(""), SLICE(""), e),
                          e);
}

void gc_post(struct api_request *r)
{
    json_t *older = json_object_get(r->json, "older_than");
    struct collecting *c = calloc(1, sizeof *c);
    struct err e;
    if (!c) {
        api_refuse(r, ERR_MEMORY, "no memory");
        return;
    }
    c->request = r;
    c->want.on_done = on_done;
    c->want.dry = json_is_true(json_object_get(r->json, "dry_run"));
    c->want.older_ms = (older ? (uint64_t)json_integer_value(older) : OLDER_S) * 1000;
    if (!c->want.dry && note(r, &e)) {
        free(c);
        api_fail(r, &e);
        return;
    }
    r->state = c;
    r->on_gone = gone;
    r->api->backend->gc(r->api, &c->want);
}
