/* Channels to the edges: the platform's brings API requests, those of functions take injected
 * runs and tell of missing images and spooled receipts. */
#include "roles/control.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct edge {
    struct control *control;
    struct list node;
    uint32_t number;
    struct channel channel;
    struct list injections;
    unsigned count;
    struct loop_task free_task;
};

/* ---- injected runs ---- */

static void end_injection(struct injection *i, const struct ledger *l, const struct err *lost)
{
    struct edge *e = i->edge;
    list_remove(&i->node);
    e->count--;
    i->on_end(i, l, lost);
}

static struct injection *find(struct edge *e, uint64_t id)
{
    LIST_EACH(n, &e->injections)
    {
        struct injection *i = LIST_ITEM(n, struct injection, node);
        if (i->id == id)
            return i;
    }
    return NULL;
}

static void lose_all(struct edge *e, const struct err *why)
{
    static const struct ledger none;
    while (!list_empty(&e->injections))
        end_injection(LIST_ITEM(e->injections.next, struct injection, node), &none, why);
}

enum err_code control_inject(struct api *api, struct injection *i, struct uuid version,
                             struct slice vars, bool has_body, struct err *e)
{
    struct control *c = control_of(api);
    struct edge *least = NULL;
    LIST_EACH(n, &c->edges)
    {
        struct edge *edge = LIST_ITEM(n, struct edge, node);
        if (edge->number != LEASH_PLATFORM_EDGE && (!least || edge->count < least->count))
            least = edge;
    }
    if (!least)
        return err_set(e, ERR_UNAVAILABLE, "no functions edge is there to run it; try again");
    struct buf row;
    buf_init_private(&row, FRAME_LOAD_MOST);
    enum err_code rc = control_routes_version(c, version, i->silent, &row, e);
    if (rc)
        goto out;
    i->edge = least;
    i->id = ++c->injections;
    list_push(&least->injections, &i->node);
    least->count++;

    channel_send_pieces(&least->channel, FRAME_INJECT, i->id, buf_slice(&row));
    uint32_t slot = 0;
    char *at = channel_place(&least->channel, FRAME_BEGIN, has_body ? 0 : FRAME_LAST, i->id,
                             sizeof slot + vars.n);
    if (at) {
        memcpy(at, &slot, sizeof slot);
        memcpy(at + sizeof slot, vars.p, vars.n);
    }
out:
    buf_done(&row);
    return rc;
}

void control_inject_body(struct injection *i, struct slice bytes, bool last)
{
    struct edge *e = i->edge;
    channel_send(&e->channel, FRAME_BODY, last ? FRAME_LAST : 0, i->id, bytes.p, bytes.n);
}

void control_inject_credit(struct injection *i, uint32_t n)
{
    struct edge *e = i->edge;
    channel_send(&e->channel, FRAME_CREDIT, 0, i->id, &n, sizeof n);
}

void control_inject_cancel(struct injection *i, enum err_code reason)
{
    struct edge *e = i->edge;
    uint16_t code = (uint16_t)reason;
    channel_send(&e->channel, FRAME_CANCEL, 0, i->id, &code, sizeof code);
}

/* ---- frames ---- */

static void on_edge_frame(struct channel *ch, const struct frame *f, struct slice payload)
{
    struct edge *e = ch->owner;
    struct control *c = e->control;
    struct injection *i = find(e, f->id);
    struct ledger ledger;
    struct uuid id;
    struct err err;
    uint32_t credit;
    switch (f->type) {
    case FRAME_RUN:
        memcpy(id.b, payload.p, sizeof id.b);
        if (i)
            i->on_run(i, id);
        return;
    case FRAME_OUTPUT:
        if (i)
            i->on_output(i, payload);
        return;
    case FRAME_CREDIT:
        memcpy(&credit, payload.p, sizeof credit);
        if (i)
            i->on_credit(i, credit);
        return;
    case FRAME_END:
        if (!i)
            return;
        if (ledger_read(payload, &ledger, &err))
            end_injection(i, &(struct ledger){0}, &err);
        else
            end_injection(i, &ledger, NULL);
        return;
    case FRAME_MISSING:
        memcpy(id.b, payload.p, sizeof id.b);
        control_image_missing(c, id);
        return;
    case FRAME_DAMAGED:
        control_routes_check(c);
        return;
    case FRAME_SPOOLED:
        control_drain_soon(c);
        return;
    default: /* LOG comes through the spool as well */
        return;
    }
}

static void on_platform_frame(struct channel *ch, const struct frame *f, struct slice payload)
{
    struct edge *e = ch->owner;
    api_on_frame(&e->control->api, ch, f, payload);
}

static void edge_free(struct loop_task *t)
{
    free(LIST_ITEM(t, struct edge, free_task));
}

/* Its requests and runs end; the memory goes when nobody up the stack uses it any more. */
static void edge_drop(struct edge *e, const struct err *why)
{
    list_remove(&e->node);
    channel_done(&e->channel);
    api_on_closed(&e->control->api, &e->channel);
    lose_all(e, why);
    loop_task_add(e->control->loop, &e->free_task);
}

static void on_closed(struct channel *ch, const struct err *why)
{
    struct edge *e = ch->owner;
    struct err lost = {.code = ERR_UNAVAILABLE};
    log_line(LOG_INFO, "edge_gone", "edge=%u why=\"%s\"", e->number, why->text);
    snprintf(lost.text, sizeof lost.text, "the edge that ran it went away");
    bool platform = e->number == LEASH_PLATFORM_EDGE;
    struct control *c = e->control;
    edge_drop(e, &lost);
    if (!platform) /* the route table may be what it died of */
        control_routes_check(c);
}

void control_edge_add(struct control *c, uint32_t number, int fd)
{
    bool platform = number == LEASH_PLATFORM_EDGE;
    struct err err;
    LIST_EACH(n, &c->edges)
    {
        struct edge *old = LIST_ITEM(n, struct edge, node);
        struct err again = {.code = ERR_UNAVAILABLE, .text = "the edge that ran it went away"};
        if (old->number == number)
            edge_drop(old, &again);
    }
    struct edge *e = calloc(1, sizeof *e);
    if (!e) {
        close(fd);
        return;
    }
    e->control = c;
    e->number = number;
    list_init(&e->injections);
    loop_task_init(&e->free_task, edge_free);
    e->channel.on_frame = platform ? on_platform_frame : on_edge_frame;
    e->channel.on_closed = on_closed;
    e->channel.owner = e;
    if (channel_init(&e->channel, c->loop, fd, platform ? FRAME_FRONT : FRAME_BACK, &err)) {
        log_line(LOG_ERROR, "edge_add", "edge=%u error=%s", number, err.text);
        close(fd);
        free(e);
        return;
    }
    list_push(&c->edges, &e->node);
    if (!platform) {
        control_spool_edge(c, number);
        channel_send(&e->channel, FRAME_ROUTES, 0, 0, &c->published, sizeof c->published);
    }
}

static void tell(struct loop_task *t)
{
    struct control *c = LIST_ITEM(t, struct control, tell);
    LIST_EACH(n, &c->edges)
    {
        struct edge *e = LIST_ITEM(n, struct edge, node);
        if (e->number == LEASH_PLATFORM_EDGE)
            continue;
        channel_send(&e->channel, FRAME_ROUTES, 0, 0, &c->published, sizeof c->published);
        channel_flush(&e->channel);
    }
}

/* In a turn of its own: the answers of this one leave first. */
void control_edges_tell(struct control *c)
{
    loop_task_add(c->loop, &c->tell);
}

unsigned control_edges_count(struct control *c)
{
    unsigned count = 0;
    LIST_EACH(n, &c->edges)
    count += LIST_ITEM(n, struct edge, node)->number != LEASH_PLATFORM_EDGE;
    return count;
}

void control_edges_init(struct control *c)
{
    list_init(&c->edges);
    loop_task_init(&c->tell, tell);
}

void control_edges_done(struct control *c)
{
    struct err end = {.code = ERR_UNAVAILABLE, .text = "the server is stopping"};
    LIST_EACH(n, &c->edges)
    {
        struct edge *e = LIST_ITEM(n, struct edge, node);
        list_remove(&e->node);
        channel_flush(&e->channel);
        channel_done(&e->channel);
        lose_all(e, &end);
        free(e);
    }
}
