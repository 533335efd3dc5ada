#include "egress/private.h"

#include <stdlib.h>

enum {
    SWEEP_US = 10000000,
    IDLE_US = 30000000,     /* a project's connections are kept for this long without a request */
    UNJOINED_US = 30000000, /* POLICY came, JOIN didn't: its exec ended in between */
};

static void project_free(struct project *p)
{
    multi_close(p);
    loop_task_cancel(&p->admit);
    map_remove(&p->egress->projects, slice_make(&p->id, sizeof p->id));
    free(p);
}

struct project *project_get(struct egress *g, struct uuid id)
{
    struct project *p = map_get(&g->projects, slice_make(&id, sizeof id));
    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->id = id;
    p->egress = g;
    p->idle_us = loop_now(g->loop);
    list_init(&p->resting);
    transfer_init(p);
    if (!map_put(&g->projects, slice_make(&p->id, sizeof p->id), p)) {
        free(p);
        return NULL;
    }
    egress_sweep_later(g);
    return p;
}

/* Members whose exec never came, handles of projects that do nothing, projects without members. */
static void on_sweep(struct loop_timer *t)
{
    struct egress *g = LIST_ITEM(t, struct egress, sweep);
    uint64_t now = loop_now(g->loop);
    bool again = false;
    LIST_EACH(at, &g->members)
    {
        struct member *m = LIST_ITEM(at, struct member, node);
        if (m->project)
            continue;
        if (now - m->since_us >= UNJOINED_US)
            member_free(m);
        else
            again = true;
    }
    struct project *p;
    for (size_t at = 0; (p = map_next(&g->projects, &at));) {
        bool idle = p->idle_us && now - p->idle_us >= IDLE_US && !p->lookups;
        if (idle && !p->members)
            project_free(p);
        else if (idle)
            multi_close(p);
        else
            again = true;
    }
    if (again)
        egress_sweep_later(g);
}

void egress_sweep_later(struct egress *g)
{
    if (!g->sweep.slot)
        loop_timer_start(g->loop, &g->sweep, loop_now(g->loop) + SWEEP_US, on_sweep);
}

enum err_code egress_new(const struct egress_config *config, struct egress **ret_egress,
                         struct err *e)
{
    struct egress *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(e, ERR_MEMORY, "no memory for egress");
    g->config = *config;
    g->loop = config->loop;
    g->curl = config->curl;
    list_init(&g->edges);
    list_init(&g->members);
    pins_init(&g->pins);
    enum err_code rc = trust_new(g->curl, config->ca, &g->trust, e);
    if (rc) {
        free(g);
        return rc;
    }
    rc = resolver_new(g->loop, config->servers, &g->resolver, e);
    if (rc) {
        trust_free(g->trust);
        free(g);
        return rc;
    }
    *ret_egress = g;
    return ERR_OK;
}

void egress_free(struct egress *g)
{
    if (!g)
        return;
    while (!list_empty(&g->edges))
        edge_free(LIST_ITEM(g->edges.next, struct edge, node));
    while (!list_empty(&g->members))
        member_free(LIST_ITEM(g->members.next, struct member, node));
    resolver_free(g->resolver);
    struct project *p;
    for (size_t at = 0; (p = map_next(&g->projects, &at));)
        project_free(p);
    loop_timer_stop(g->loop, &g->sweep);
    map_done(&g->projects);
    cidr_done(&g->config.allowed);
    pins_done(&g->pins);
    trust_free(g->trust);
    free(g);
}

bool egress_alone(const struct egress *g)
{
    return g->joined == 0;
}
