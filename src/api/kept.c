#include "api/kept.h"

#include <stdlib.h>

struct kept {
    struct list node;
    const struct api_route *route;
    struct uuid project;
    size_t query_n, n;
    char bytes[]; /* the query, then the answer */
};

static void drop(struct api *api, struct kept *k)
{
    api->kept_bytes -= k->query_n + k->n;
    api->kept_count--;
    list_remove(&k->node);
    free(k);
}

/* What was made before the last change is of no use any more. */
static void forget_old(struct api *api)
{
    uint64_t now = store_changes(api->store);
    if (api->kept_changes != now)
        kept_done(api);
    api->kept_changes = now;
}

static struct kept *find(const struct api_request *r)
{
    LIST_EACH(n, &r->api->kept)
    {
        struct kept *k = LIST_ITEM(n, struct kept, node);
        if (k->route == r->route && uuid_eq(k->project, r->project.id) &&
            slice_eq(slice_make(k->bytes, k->query_n), r->query))
            return k;
    }
    return NULL;
}

bool kept_answer(struct api_request *r)
{
    forget_old(r->api);
    struct kept *k = find(r);
    if (!k)
        return false;
    list_remove(&k->node);
    list_push(r->api->kept.next, &k->node); /* before the first */
    api_answer_text(r, 200, slice_make(k->bytes + k->query_n, k->n));
    return true;
}

static void keep(struct api_request *r, struct slice text)
{
    struct api *api = r->api;
    size_t n = r->query.n + text.n;
    struct kept *k = n <= KEPT_MOST ? malloc(sizeof *k + n) : NULL;
    forget_old(api);
    if (!k)
        return;
    *k = (struct kept){
        .route = r->route, .project = r->project.id, .query_n = r->query.n, .n = text.n};
    if (r->query.n)
        memcpy(k->bytes, r->query.p, r->query.n);
    memcpy(k->bytes + r->query.n, text.p, text.n);
    list_init(&k->node);
    list_push(api->kept.next, &k->node);
    api->kept_bytes += n;
    api->kept_count++;
    while (api->kept_bytes > KEPT_BYTES || api->kept_count > KEPT_ANSWERS)
        drop(api, LIST_ITEM(api->kept.prev, struct kept, node));
}

void kept_new(struct api_request *r, struct slice json)
{
    keep(r, json);
    api_answer_text(r, 200, json);
}

void kept_done(struct api *api)
{
    while (!list_empty(&api->kept))
        drop(api, LIST_ITEM(api->kept.next, struct kept, node));
}
