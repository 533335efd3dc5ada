/* Requests of the world: from a host to a function, and what it answers.
 *
 * Rows of the route table are copied out once and kept until the table's
 * generation changes, which is looked at once a turn. Functions and projects
 * that were asked for are remembered with their places, queue and counters; of
 * functions without requests the longest unused are forgotten. */
#include "roles/edge.h"

#include "base/brand.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* Routes */

void edge_route_unref(struct edge_route *r)
{
    if (r && --r->refs == 0) {
        route_row_done(&r->row);
        free(r);
    }
}

void edge_project_drop(struct edge_project *p)
{
    for (int kind = 0; kind < ENGINE_KINDS; kind++)
        if (p->exec[kind])
            return;
    if (p->functions)
        return;
    map_remove(&p->edge->projects, slice_make(p->id.b, sizeof p->id.b));
    free(p);
}

static void unref_project(struct edge_project *p)
{
    p->functions--;
    edge_project_drop(p);
}

static void forget(struct edge *e, struct edge_function *f)
{
    map_remove(&e->functions, slice_str(f->name));
    list_remove(&f->node);
    list_remove(&f->waiting);
    edge_route_unref(f->route);
    if (f->project)
        unref_project(f->project);
    free(f);
    e->function_count--;
}

static void forget_oldest(struct edge *e)
{
    LIST_EACH(n, &e->functions_used)
    {
        struct edge_function *f = LIST_ITEM(n, struct edge_function, node);
        if (!f->runs) {
            forget(e, f);
            return;
        }
    }
}

struct edge_function *edge_function_get(struct edge *e, struct slice name)
{
    struct edge_function *f = map_get(&e->functions, name);
    if (f) {
        if (e->functions_used.prev != &f->node) {
            list_remove(&f->node);
            list_push(&e->functions_used, &f->node);
        }
        return f;
    }
    if (e->function_count >= EDGE_FUNCTIONS)
        forget_oldest(e);
    f = calloc(1, sizeof *f);
    if (!f || !slice_copy(name, f->name, sizeof f->name) ||
        !map_put(&e->functions, slice_str(f->name), f)) {
        free(f);
        return NULL;
    }
    list_init(&f->queue);
    list_init(&f->waiting);
    list_push(&e->functions_used, &f->node);
    e->function_count++;
    return f;
}

static struct edge_project *project_get(struct edge *e, struct uuid id)
{
    struct edge_project *p = map_get(&e->projects, slice_make(id.b, sizeof id.b));
    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->id = id;
    p->edge = e;
    list_init(&p->waiting);
    if (!map_put(&e->projects, slice_make(p->id.b, sizeof p->id.b), p)) {
        free(p);
        return NULL;
    }
    return p;
}

bool edge_function_bind(struct edge_function *f, struct edge *e, struct uuid project,
                        struct uuid id)
{
    bool same = f->project && uuid_eq(f->project->id, project);
    if (same && f->sums && uuid_eq(f->sums->function, id))
        return true;
    if (!same) {
        /* A name that moved to another project keeps the old one until its runs are gone. */
        if (f->project && f->runs)
            return false;
        struct edge_project *p = project_get(e, project);
        if (!p)
            return false;
        p->functions++;
        if (f->project)
            unref_project(f->project);
        f->project = p;
    }
    f->sums = e->spool ? spool_sums(e->spool, id, project) : NULL;
    return true;
}

/* The current row of a function; NULL with the cause if there is none. */
static struct edge_route *current_route(struct edge *e, struct edge_function *f,
                                        enum err_code *ret_cause)
{
    if (f->route && f->generation == e->generation)
        return f->route;
    struct err err;
    struct edge_route *r = calloc(1, sizeof *r);
    enum err_code rc = r ? edge_routes_get(e, f->name, &r->row, &err) : ERR_MEMORY;
    if (rc && rc != ERR_NOT_FOUND && f->route) {
        free(r);
        return f->route; /* as it was when the table could be read */
    }
    if (rc) {
        free(r);
        *ret_cause = rc == ERR_NOT_FOUND ? ERR_NO_FUNCTION : ERR_UNAVAILABLE;
        return NULL;
    }
    r->refs = 1;
    if (!edge_function_bind(f, e, r->row.project, r->row.function)) {
        edge_route_unref(r);
        *ret_cause = ERR_UNAVAILABLE;
        return NULL;
    }
    edge_route_unref(f->route);
    f->route = r;
    f->generation = e->generation;
    return r;
}

static enum err_code state_cause(const struct route_row *row)
{
    switch ((enum route_state)row->state) {
    case ROUTE_LIVE:
        return row->version_count ? ERR_OK : ERR_NO_VERSION;
    case ROUTE_NO_VERSION:
        return ERR_NO_VERSION;
    case ROUTE_SUSPENDED:
        return ERR_SUSPENDED;
    case ROUTE_CAPPED:
        return ERR_CAP_REACHED;
    }
    return ERR_UNAVAILABLE;
}

static const struct route_version *pick_version(const struct route_row *row)
{
    uint64_t sum = 0, at;
    if (row->version_count == 1)
        return &row->versions[0];
    for (uint32_t i = 0; i < row->version_count; i++)
        sum += row->versions[i].weight;
    random_bytes(&at, sizeof at);
    at = sum ? at % sum : 0;
    for (uint32_t i = 0; i < row->version_count; i++) {
        if (at < row->versions[i].weight)
            return &row->versions[i];
        at -= row->versions[i].weight;
    }
    return &row->versions[0];
}

/* Requests */

static struct edge *edge_of(struct http_conn *c)
{
    return c->server->owner;
}

void edge_refuse(struct http_conn *c, enum err_code cause, const char *detail)
{
    char run[UUID_TEXT + 1];
    uuid_text(uuid_new(), run);
    http_problem(c, &(struct problem){.code = cause,
                                      .detail = detail,
                                      .run = run,
                                      .cause = true,
                                      .retry_s = err_http(cause) == 503 ? 1 : 0});
}

/* Cookies ignore ports: what the platform's host name is, a function must not answer under. */
static void to_localhost(struct http_conn *c, const struct http_request *r)
{
    struct buf url;
    buf_init(&url, 16 << 10);
    if (buf_addf(&url, "%s://localhost:%u%.*s%s%.*s", c->https ? "https" : "http", c->server->port,
                 SLICE_ARG(r->path), r->query.p ? "?" : "", SLICE_ARG(r->query)))
        http_redirect(c, buf_slice(&url));
    else
        edge_refuse(c, ERR_URI_TOO_LONG, NULL);
    buf_done(&url);
}

static void cut_copy(struct slice s, char *dst, size_t cap)
{
    slice_copy(slice_make(s.p, s.n < cap ? s.n : cap - 1), dst, cap);
}

static struct edge_run *begin_run(struct http_conn *c, const struct http_request *q,
                                  struct edge_function *f, struct edge_route *route,
                                  struct slice script)
{
    struct edge *e = edge_of(c);
    const struct route_version *v = pick_version(&route->row);
    uint64_t most = v->load.limits.v[LIMIT_REQUEST_BODY];
    if (q->length > 0 && (uint64_t)q->length > most) {
        edge_refuse(c, ERR_TOO_LARGE, EDGE_BODY_OVER);
        return NULL;
    }
    struct edge_run *r = edge_run_new(e, f, route, v);
    if (!r) {
        edge_refuse(c, ERR_UNAVAILABLE, "there are too many requests");
        return NULL;
    }
    struct http_address network = address_network(&c->client);
    slice_copy(script, r->script, sizeof r->script);
    cut_copy(q->method, r->receipt.method, sizeof r->receipt.method);
    cut_copy(q->path, r->receipt.path, sizeof r->receipt.path);
    address_text(&network, r->receipt.client);
    r->body_last = q->length == 0;
    edge_answer_begin(&r->answer, c, &e->options.limits, slice_str(r->script), r->text,
                      v->response == RESPONSE_TEXT, false);
    r->answer.members = route->row.preview && !route->row.open;
    c->owner = r;
    return r;
}

/* The row that a name (and the number of a preview) leads to; NULL: answered. */
static struct edge_route *find_route(struct edge *e, struct http_conn *c, struct slice name,
                                     uint32_t preview, struct edge_function **ret_function)
{
    char lower[ROUTE_NAME + 1], key[ROUTE_KEY_NAME + 1];
    for (size_t i = 0; i < name.n; i++)
        lower[i] = name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] | 32) : name.p[i];
    lower[name.n] = '\0';
    name.p = lower;
    if (preview) {
        route_key_name(lower, preview, key);
        name = slice_str(key);
    }

    edge_routes_check(e);
    struct edge_function *f = edge_function_get(e, name);
    enum err_code cause = f ? ERR_OK : ERR_MEMORY;
    struct edge_route *route = f ? current_route(e, f, &cause) : NULL;
    if (f && !route && !f->runs)
        forget(e, f); /* names that don't exist are not remembered */
    if (route)
        cause = state_cause(&route->row);
    if (cause) {
        edge_refuse(c, cause,
                    cause == ERR_NO_FUNCTION && preview
                        ? "this preview is not open: `" BRAND_COMMAND
                          " preview NAME NUMBER` opens it"
                        : NULL);
        return NULL;
    }
    *ret_function = f;
    return route;
}

/* Starts the run of a request that was admitted. */
static void start_run(struct http_conn *c, const struct http_request *q, struct edge_function *f,
                      struct edge_route *route, struct slice script, struct slice path)
{
    struct edge *e = edge_of(c);
    struct edge_run *r = begin_run(c, q, f, route, script);
    if (!r)
        return;

    struct slice begin;
    struct err why;
    enum err_code rc = edge_begin(e, c, q, script, path, slice_str(r->text),
                                  /* overwritten with its exec's */
                                  SLICE("00000000-0000-0000-0000-000000000000"), &begin, &why);
    if (rc) {
        edge_run_fail(r, rc, why.text);
        return;
    }
    edge_queue_admit(r, begin);
    /* The run may have ended already. */
    if (c->owner == r && !r->body_last)
        http_window(c, FRAME_CREDIT_INITIAL);
}

static void on_request(struct http_conn *c, const struct http_request *q)
{
    struct edge *e = edge_of(c);
    struct edge_function *f;
    struct slice name, script, path;
    uint32_t preview;
    switch (site_find(q->host, q->path,
                      slice_str(option_text(&e->options, OPTION_FUNCTIONS_DOMAIN)), &name, &preview,
                      &script, &path)) {
    case SITE_FUNCTION:
        break;
    case SITE_LOCALHOST:
        to_localhost(c, q);
        return;
    case SITE_NONE:
        edge_refuse(c, ERR_NO_FUNCTION, "no function answers under this name");
        return;
    }
    if (edge_wellknown(c, path))
        return;
    struct edge_route *route = find_route(e, c, name, preview, &f);
    if (route && preview) {
        struct buf cookies;
        buf_init(&cookies, 64 << 10);
        if (edge_preview_admit(e, c, &c->server->request, route, script, &cookies))
            start_run(c, q, f, route, script, path);
        buf_done(&cookies);
    } else if (route) {
        start_run(c, q, f, route, script, path);
    }
}

static void on_body(struct http_conn *c, struct slice bytes)
{
    if (c->owner)
        edge_run_body(c->owner, bytes);
}

static void on_body_end(struct http_conn *c)
{
    if (c->owner)
        edge_run_body_end(c->owner);
}

static void on_drained(struct http_conn *c)
{
    edge_run_drained(c->owner);
}

static void on_gone(struct http_conn *c)
{
    struct edge_run *r = c->owner;
    r->answer.conn = NULL;
    edge_run_cancel(r, ERR_CANCELLED, "the client went away");
}

const struct http_ops edge_functions_ops = {
    .on_request = on_request,
    .on_body = on_body,
    .on_body_end = on_body_end,
    .on_drained = on_drained,
    .on_gone = on_gone,
};

void edge_functions_done(struct edge *e)
{
    while (!list_empty(&e->functions_used))
        forget(e, LIST_ITEM(e->functions_used.next, struct edge_function, node));
    size_t at = 0;
    for (struct edge_project *p; (p = map_next(&e->projects, &at));)
        free(p);
    map_done(&e->functions);
    map_done(&e->projects);
}
