/* The route table as an edge holds it.
 *
 * It can be damaged or replaced while requests come. Whatever an edge can't read
 * it tells control, which looks through the table and makes it anew as another
 * file; the ROUTES that follows lets the edge open that one. Until then functions
 * that were asked for before go on with the row they had. */
#include "roles/edge.h"
#include "roles/roles.h"

#include "base/log.h"

enum { DAMAGED_US = 500000 /* between two words about it */ };

void edge_routes_damaged(struct edge *e, const char *why)
{
    uint64_t now = loop_now(e->loop);
    if (e->damaged_us && now < e->damaged_us + DAMAGED_US)
        return;
    e->damaged_us = now;
    log_line(LOG_WARNING, "route_table", "error=\"%s\"", why);
    edge_control_damaged(e);
}

void edge_routes_look(struct edge *e)
{
    struct route_table *table;
    struct err err;
    if (e->routes && !route_table_replaced(e->routes, EDGE_ROUTES))
        return;
    if (route_table_open(EDGE_ROUTES, false, e->node_key, &table, &err)) {
        edge_routes_damaged(e, err.text);
        return;
    }
    if (e->routes)
        log_line(LOG_INFO, "route_table", "text=\"opened again\"");
    route_table_close(e->routes);
    e->routes = table;
    e->generation = 0; /* nothing that was read before is current */
    e->generation_us = 0;
}

void edge_routes_check(struct edge *e)
{
    uint64_t now = loop_now(e->loop);
    if (now == e->generation_us)
        return;
    e->generation_us = now;
    uint64_t generation = e->routes ? route_generation(e->routes) : UINT64_MAX;
    if (generation != UINT64_MAX)
        e->generation = generation;
    else
        edge_routes_damaged(e, "it can't be read");
}

enum err_code edge_routes_get(struct edge *e, const char *name, struct route_row *ret_row,
                              struct err *err)
{
    enum err_code rc = e->routes ? route_get(e->routes, slice_str(name), ret_row, err)
                                 : err_set(err, ERR_CONFLICT, "there is no route table");
    if (rc && rc != ERR_NOT_FOUND)
        edge_routes_damaged(e, err->text);
    return rc;
}
