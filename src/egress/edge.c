/* Edges: they say who an exec is, which project it runs and what its versions may do.
 *
 * An edge is one of ours but reads the world, so its frames are checked as everybody's: one that
 * breaks the rules loses its channel. The execs that it joined stay until their sockets close. */
#include "egress/private.h"

#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

void version_unref(struct version *v)
{
    if (!v || --v->refs)
        return;
    policy_free(v->policy);
    free(v);
}

static struct slice number_key(const uint64_t *number)
{
    return slice_make(number, sizeof *number);
}

/* The exec with this number, made if it is new. */
static struct member *member_get(struct edge *edge, uint64_t number, struct err *e)
{
    struct member *m = map_get(&edge->members, number_key(&number));
    if (m)
        return m;
    if (edge->member_count == MEMBERS_MOST) {
        err_set(e, ERR_PROTOCOL, "more than %d execs", MEMBERS_MOST);
        return NULL;
    }
    m = calloc(1, sizeof *m);
    if (m)
        m->number = number;
    if (!m || !map_put(&edge->members, number_key(&m->number), m)) {
        free(m);
        err_set(e, ERR_MEMORY, "no memory for an exec");
        return NULL;
    }
    m->edge = edge;
    m->egress = edge->egress;
    m->since_us = loop_now(m->egress->loop);
    buf_init(&m->pieces, sizeof(struct exchange_policy) + POLICY_TEXT);
    list_init(&m->runs_by_age);
    list_init(&m->waiting);
    list_push(&m->egress->members, &m->node);
    edge->member_count++;
    egress_sweep_later(m->egress);
    return m;
}

void edge_forget_member(struct edge *edge, struct member *m)
{
    map_remove(&edge->members, number_key(&m->number));
    edge->member_count--;
}

static enum err_code add_version(struct member *m, struct slice payload, struct err *e)
{
    struct exchange_policy head;
    struct slice text;
    enum err_code rc = exchange_policy_read(payload, &head, &text, e);
    if (rc)
        return rc;
    struct version *old = map_get(&m->versions, slice_make(&head.version, sizeof head.version));
    if (!old && m->version_count == VERSIONS_MOST)
        return err_set(e, ERR_PROTOCOL, "more than %d versions of an exec", VERSIONS_MOST);
    struct version *v = calloc(1, sizeof *v);
    if (!v)
        return err_set(e, ERR_MEMORY, "no memory for a version");
    *v = (struct version){
        .id = head.version, .function = head.function, .limits = head.limits, .refs = 1};
    struct err why;
    if (text.n && policy_parse(text, POLICY_YAML, NULL, NULL, &v->policy, &why)) {
        /* Control judged it when it was deployed; without it, nothing is allowed. */
        char id[UUID_TEXT + 1];
        uuid_text(v->id, id);
        log_line(LOG_ERROR, "version_policy", "version=%s error=\"%s\"", id, why.text);
    }
    if (old) {
        map_remove(&m->versions, slice_make(&old->id, sizeof old->id));
        m->version_count--;
        version_unref(old); /* what it opened keeps it */
    }
    if (!map_put(&m->versions, slice_make(&v->id, sizeof v->id), v)) {
        version_unref(v);
        return err_set(e, ERR_MEMORY, "no memory for a version");
    }
    m->version_count++;
    member_version(m, v);
    return ERR_OK;
}

static enum err_code on_policy(struct edge *edge, const struct frame *f, struct slice payload,
                               struct err *e)
{
    struct member *m = member_get(edge, f->id, e);
    if (!m)
        return e->code;
    bool more = f->flags & FRAME_MORE;
    if (!more && !buf_size(&m->pieces))
        return add_version(m, payload, e);
    if (!buf_add(&m->pieces, payload.p, payload.n))
        return err_set(e, ERR_PROTOCOL, "a POLICY of more than %d bytes", POLICY_TEXT);
    if (more)
        return ERR_OK;
    enum err_code rc = add_version(m, buf_slice(&m->pieces), e);
    buf_done(&m->pieces);
    return rc;
}

static enum err_code on_forget(struct edge *edge, const struct frame *f, struct slice payload)
{
    struct member *m = map_get(&edge->members, number_key(&f->id));
    struct version *v = m ? map_remove(&m->versions, payload) : NULL;
    if (v) {
        m->version_count--;
        version_unref(v);
    }
    return ERR_OK; /* its exec may just have ended */
}

static enum err_code on_join(struct edge *edge, const struct frame *f, struct slice payload,
                             struct err *e)
{
    struct uuid id;
    memcpy(&id, payload.p, sizeof id);
    if (edge->fd < 0)
        return err_set(e, ERR_PROTOCOL, "a JOIN without a socket");
    struct member *m = member_get(edge, f->id, e);
    if (!m)
        return e->code;
    if (m->project)
        return err_set(e, ERR_PROTOCOL, "a second JOIN of one exec");
    struct project *p = project_get(edge->egress, id);
    if (!p)
        return err_set(e, ERR_MEMORY, "no memory for a project");
    int fd = edge->fd;
    edge->fd = -1;
    return member_join(m, p, fd, e);
}

static enum err_code dispatch(struct edge *edge, const struct frame *f, struct slice payload,
                              struct err *e)
{
    if (edge->fd >= 0 && f->type != FRAME_JOIN)
        return err_set(e, ERR_PROTOCOL, "a descriptor with a frame that has none");
    if (f->type == FRAME_POLICY)
        return on_policy(edge, f, payload, e);
    if (f->type == FRAME_JOIN)
        return on_join(edge, f, payload, e);
    if (f->type == FRAME_FORGET)
        return on_forget(edge, f, payload);
    return err_set(e, ERR_PROTOCOL, "a frame %s from an edge", frame_name(f->type));
}

static void on_closed(struct channel *c, const struct err *why)
{
    struct edge *edge = c->owner;
    log_line(LOG_INFO, "edge_gone", "reason=\"%s\"", why->text);
    edge_free(edge);
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct edge *edge = c->owner;
    struct err e;
    if (dispatch(edge, f, payload, &e) == ERR_OK)
        return;
    log_line(LOG_ERROR, "edge_frame", "error=\"%s\"", e.text);
    edge_free(edge);
}

static void on_fd(struct channel *c, const struct frame *f, int fd)
{
    struct edge *edge = c->owner;
    (void)f;
    if (edge->fd >= 0)
        close(edge->fd);
    edge->fd = fd;
}

enum err_code egress_edge(struct egress *g, int fd, struct err *e)
{
    struct edge *edge = g->edge_count < EDGES_MOST ? calloc(1, sizeof *edge) : NULL;
    if (!edge) {
        close(fd);
        return err_set(e, ERR_MEMORY, "no room for an edge");
    }
    edge->egress = g;
    edge->fd = -1;
    enum err_code rc = channel_init(&edge->channel, g->loop, fd, FRAME_FRONT, e);
    if (rc) {
        close(fd);
        free(edge);
        return rc;
    }
    edge->channel.owner = edge;
    edge->channel.on_frame = on_frame;
    edge->channel.on_closed = on_closed;
    edge->channel.on_fd = on_fd;
    list_push(&g->edges, &edge->node);
    g->edge_count++;
    return ERR_OK;
}

void edge_free(struct edge *edge)
{
    struct member *m;
    for (size_t at = 0; (m = map_next(&edge->members, &at));) {
        m->edge = NULL;
        if (!m->project)
            member_free(m);
    }
    map_done(&edge->members);
    channel_done(&edge->channel);
    if (edge->fd >= 0)
        close(edge->fd);
    list_remove(&edge->node);
    edge->egress->edge_count--;
    free(edge);
}
