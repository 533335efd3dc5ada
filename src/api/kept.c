#include "api/kept.h"

#include <stdlib.h>

struct kept {
    struct list node;
    const struct api_route *route;
    struct uuid project;
    uint64_t changes;
    size_t query_n, n;
    char bytes[]; /* the query, then the answer */
};

static void drop(struct api *api, struct kept *k)
{
    api->kept_bytes -= k->query_n + k->n;
    list_remove(&k->node);
    free(k);
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
    struct kept *k = find(r);
    if (!k)
        return false;
    if (k->changes != store_changes(r->api->store)) {
        drop(r->api, k);
        return false;
    }
    list_remove(&k->node);
    list_push(r->api->kept.next, &k->node); /* before the first */
    api_answer_text(r, 200, slice_make(k->bytes + k->query_n, k->n));
    return true;
}

static void keep(struct api_request *r, struct slice text)
{
    struct api *api = r->api;
    struct kept *k = find(r);
    size_t n = r->query.n + text.n;
    unsigned count = 0;
    if (k)
        drop(api, k);
    if (n > KEPT_MOST || !(k = malloc(sizeof *k + n)))
        return;
    *k = (struct kept){.route = r->route,
                       .project = r->project.id,
                       .changes = store_changes(api->store),
                       .query_n = r->query.n,
                       .n = text.n};
    if (r->query.n)
        memcpy(k->bytes, r->query.p, r->query.n);
    memcpy(k->bytes + r->query.n, text.p, text.n);
    list_init(&k->node);
    list_push(api->kept.next, &k->node);
    api->kept_bytes += n;
    LIST_EACH(node, &api->kept) count++;
    while (api->kept_bytes > KEPT_BYTES || count-- > KEPT_ANSWERS)
        drop(api, LIST_ITEM(api->kept.prev, struct kept, node));
}

void kept_new(struct api_request *r, struct slice json)
{
    keep(r, json);
    api_answer_text(r, 200, json);
}

void kept_done(struct api *api)
{
    for (struct list *n; (n = list_pop(&api->kept));)
        free(LIST_ITEM(n, struct kept, node));
    api->kept_bytes = 0;
}
