/* How execs reach egress.
 *
 * Every exec was born with a socket whose other end lies here. When its guests
 * open something remote for the first time it says REACH, and that end goes on
 * to egress: with the project, which egress so learns from us and not from the
 * exec, and after the policies of all versions that the exec has loaded. From
 * then on each LOAD is preceded by its POLICY.
 *
 * An exec that was joined to an egress which is gone has a dead socket: it
 * takes no new runs and ends with its last. One that was not needs no other. */
#include "roles/edge.h"

#include "base/log.h"
#include "ipc/exchange.h"

#include <unistd.h>

void edge_egress_load(struct edge_exec *x, const struct edge_slot *s)
{
    struct edge *e = x->edge;
    if (!x->joined)
        return;
    const struct version_load *load = &s->version->load;
    struct exchange_policy p = {
        .version = s->id, .function = s->route->row.function, .limits = load->limits};
    struct buf payload;
    buf_init(&payload, FRAME_LOAD_MOST);
    if (!buf_add(&payload, &p, sizeof p) || !buf_add(&payload, load->policy.p, load->policy.n))
        log_line(LOG_ERROR, "policy_too_large", "exec=%u bytes=%zu", x->number, load->policy.n);
    else
        channel_send_pieces(&e->egress, FRAME_POLICY, x->number, buf_slice(&payload));
    buf_done(&payload);
}

void edge_egress_unload(struct edge_exec *x, const struct edge_slot *s)
{
    /* Policies are of versions: another slot may still run it, with other secrets. */
    for (int i = 0; i < EDGE_EXEC_SLOTS; i++)
        if (&x->slots[i] != s && x->slots[i].route && uuid_eq(x->slots[i].id, s->id))
            return;
    if (x->joined)
        channel_send(&x->edge->egress, FRAME_FORGET, 0, x->number, s->id.b, sizeof s->id.b);
}

static void join(struct edge_exec *x)
{
    struct edge *e = x->edge;
    if (!e->has_egress || x->egress < 0)
        return;
    x->joined = true;
    for (int i = 0; i < EDGE_EXEC_SLOTS; i++)
        if (x->slots[i].route)
            edge_egress_load(x, &x->slots[i]);
    channel_send_fd(&e->egress, FRAME_JOIN, x->number, x->project_id.b, sizeof x->project_id.b,
                    x->egress);
    x->egress = -1;
}

void edge_egress_reach(struct edge_exec *x)
{
    x->reaches = true;
    join(x);
}

static void lost(struct edge *e)
{
    e->has_egress = false;
    channel_done(&e->egress);
    LIST_EACH(n, &e->execs)
    {
        struct edge_exec *x = LIST_ITEM(n, struct edge_exec, node);
        if (x->joined) {
            x->joined = false;
            edge_exec_retire(x, "egress");
        }
    }
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    (void)c, (void)payload;
    log_line(LOG_ERROR, "egress_frame", "type=%s", frame_name(f->type));
}

static void on_closed(struct channel *c, const struct err *why)
{
    log_line(LOG_WARNING, "egress_gone", "why=\"%s\"", why->text);
    lost(c->owner);
}

enum err_code edge_egress_set(struct edge *e, int fd, struct err *err)
{
    if (e->has_egress)
        lost(e);
    e->egress = (struct channel){.on_frame = on_frame, .on_closed = on_closed, .owner = e};
    enum err_code rc = channel_init(&e->egress, e->loop, fd, FRAME_BACK, err);
    if (rc) {
        close(fd);
        return rc;
    }
    e->has_egress = true;
    LIST_EACH(n, &e->execs)
    {
        struct edge_exec *x = LIST_ITEM(n, struct edge_exec, node);
        if (x->reaches)
            join(x);
    }
    return ERR_OK;
}

void edge_egress_done(struct edge *e)
{
    if (e->has_egress)
        channel_done(&e->egress);
    e->has_egress = false;
}
