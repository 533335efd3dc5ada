/* Execs, as their edge sees them: one process runs the guests of one project.
 *
 * Master hands out blank ones; BIND gives it its project, LOAD a version, and
 * from then on every run is a BEGIN. An exec that has served long or much, or
 * holds too much memory, takes no new runs and ends with its last; the next run
 * asks for another. When one dies, its runs fail with exec_died and nothing
 * else happens. What it says is checked: an exec that breaks the rules of
 * frames or credit is closed, which kills it.
 *
 * Slots are numbers that we give to versions, each with the secrets of one
 * moment. Above EDGE_EXEC_IMAGES the ones without runs that were unused the
 * longest are unloaded; one whose secrets were changed since as soon as it has
 * no runs. */
#include "roles/edge.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { STDERR_READ = 2048, LOG_SLACK = 64 };

/* It takes no more runs of its project. */
static void leave_project(struct edge_exec *x)
{
    struct edge_project *p = x->project;
    x->project = NULL;
    if (p && p->exec[x->kind] == x) {
        p->exec[x->kind] = NULL;
        edge_project_drop(p);
    }
}

static void free_slot(struct edge_slot *s)
{
    edge_route_unref(s->route);
    *s = (struct edge_slot){0};
}

/* For the metrics: control reads it where it reads the spool. */
static void count_execs(struct edge *e, int more)
{
    e->exec_count += (uint32_t)more;
    if (e->spool)
        spool_set_execs(e->spool, e->exec_count);
}

static void free_exec(struct edge_exec *x)
{
    struct edge *e = x->edge;
    int fd = x->standard_error.fd;
    for (int i = 0; i < EDGE_EXEC_SLOTS; i++)
        free_slot(&x->slots[i]);
    leave_project(x);
    list_remove(&x->node);
    count_execs(e, -1);
    loop_timer_stop(e->loop, &x->timer);
    channel_done(&x->channel);
    loop_io_del(e->loop, &x->standard_error);
    if (fd >= 0)
        close(fd);
    if (x->egress >= 0)
        close(x->egress);
    free(x);
}

/* Ends it and everything in it. */
static void die(struct edge_exec *x, const char *why)
{
    struct list runs;
    list_init(&runs);
    leave_project(x);
    /* Failing a run may start another of the project: that one asks for a new exec. */
    for (struct list *n; (n = list_pop(&x->runs));)
        list_push(&runs, n);
    for (struct list *n; (n = list_pop(&x->waiting));)
        list_push(&runs, n);
    for (struct list *n; (n = list_pop(&runs));) {
        struct edge_run *r = LIST_ITEM(n, struct edge_run, node);
        r->exec = NULL;
        edge_run_fail(r, x->bound ? ERR_EXEC_DIED : ERR_UNAVAILABLE, why);
    }
    free_exec(x);
}

void edge_exec_retire(struct edge_exec *x, const char *why)
{
    if (!x->project)
        return;
    log_line(LOG_DEBUG, "exec_retired", "exec=%u why=%s", x->number, why);
    leave_project(x);
    if (list_empty(&x->runs))
        free_exec(x);
}

static void on_idle(struct loop_timer *t)
{
    struct edge_exec *x = LIST_ITEM(t, struct edge_exec, timer);
    uint64_t now = loop_now(x->edge->loop);
    uint64_t idle = x->edge->options.limits.v[LIMIT_EXEC_IDLE];
    bool busy = !list_empty(&x->runs) || !list_empty(&x->waiting);
    if (!busy && now >= x->idle_us + idle)
        edge_exec_retire(x, "idle");
    else
        loop_timer_start(x->edge->loop, t, (busy ? now : x->idle_us) + idle, on_idle);
}

void edge_exec_rest(struct edge_exec *x)
{
    const uint64_t *limit = x->edge->options.limits.v;
    uint64_t now = loop_now(x->edge->loop);
    x->idle_us = now;
    if (!list_empty(&x->runs))
        return;
    if (!x->project)
        free_exec(x);
    else if (x->memory > limit[LIMIT_EXEC_MEMORY])
        edge_exec_retire(x, "memory");
}

struct edge_exec *edge_exec_want(struct edge_project *p, enum engine_kind kind)
{
    struct edge *e = p->edge;
    struct edge_exec *x = p->exec[kind];
    const uint64_t *limit = e->options.limits.v;
    uint64_t now = loop_now(e->loop);
    if (x && x->bound &&
        (now - x->born_us > limit[LIMIT_EXEC_AGE] || x->begun >= limit[LIMIT_EXEC_RUNS])) {
        edge_exec_retire(x, "age");
        x = NULL;
    }
    if (x)
        return x;
    x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->edge = e;
    x->project = p;
    x->project_id = p->id;
    x->kind = kind;
    x->egress = -1;
    x->cookie = ++e->exec_serial;
    x->standard_error.fd = -1;
    list_init(&x->waiting);
    list_init(&x->runs);
    list_init(&x->node);
    list_push(&e->execs, &x->node);
    count_execs(e, 1);
    p->exec[kind] = x;
    leash_send(&e->leash, LEASH_WANT_EXEC, kind, x->cookie, NULL, NULL, 0);
    return x;
}

/* Slots */

static void unload(struct edge_exec *x, struct edge_slot *s)
{
    channel_send(&x->channel, FRAME_UNLOAD, 0, (uint64_t)(s - x->slots), NULL, 0);
    edge_egress_unload(x, s);
    free_slot(s);
}

static void make_room(struct edge_exec *x)
{
    struct edge_slot *oldest = NULL;
    unsigned used = 0;
    for (int i = 0; i < EDGE_EXEC_SLOTS; i++) {
        struct edge_slot *s = &x->slots[i];
        if (!s->route)
            continue;
        used++;
        if (!s->running && (!oldest || s->used_us < oldest->used_us))
            oldest = s;
    }
    if (used >= EDGE_EXEC_IMAGES && oldest)
        unload(x, oldest);
}

static bool load(struct edge_exec *x, uint32_t slot, const struct edge_route *route,
                 const struct route_version *v)
{
    struct buf payload;
    struct version_load l = v->load;
    l.id = v->id;
    l.function = route->row.function;
    buf_init_private(&payload, FRAME_LOAD_MOST);
    bool ok = version_load_write(&l, &payload);
    if (ok)
        channel_send_pieces(&x->channel, FRAME_LOAD, slot, buf_slice(&payload));
    buf_done(&payload);
    return ok;
}

static struct uuid revision(const struct edge_slot *s)
{
    return s->version->load.revision;
}

/* The others of this version have old values: they end with their last run. */
static void outdate(struct edge_exec *x, uint32_t at)
{
    for (uint32_t i = 0; i < EDGE_EXEC_SLOTS; i++) {
        struct edge_slot *s = &x->slots[i];
        if (i == at || !s->route || !uuid_eq(s->id, x->slots[at].id))
            continue;
        s->outdated = true;
        edge_exec_slot_rest(x, i);
    }
}

void edge_exec_slot_rest(struct edge_exec *x, uint32_t slot)
{
    struct edge_slot *s = &x->slots[slot];
    if (s->route && s->outdated && !s->running)
        unload(x, s);
}

uint32_t edge_exec_slot(struct edge_exec *x, struct edge_route *route,
                        const struct route_version *v)
{
    uint32_t at;
    for (uint32_t i = 0; i < EDGE_EXEC_SLOTS; i++)
        if (x->slots[i].route && uuid_eq(x->slots[i].id, v->id) &&
            uuid_eq(revision(&x->slots[i]), v->load.revision))
            return i;
    make_room(x);
    for (at = 0; at < EDGE_EXEC_SLOTS && x->slots[at].route; at++)
        ;
    if (at == EDGE_EXEC_SLOTS || !load(x, at, route, v))
        return UINT32_MAX;
    route->refs++;
    x->slots[at] = (struct edge_slot){.id = v->id, .route = route, .version = v};
    edge_egress_load(x, &x->slots[at]);
    outdate(x, at);
    return at;
}

/* What it says */

static void on_load_failed(struct edge_exec *x, uint64_t slot, struct slice payload)
{
    uint16_t code;
    if (slot >= EDGE_EXEC_SLOTS || !x->slots[slot].route) {
        return; /* it crossed our UNLOAD */
    }
    memcpy(&code, payload.p, sizeof code);
    struct slice text = slice_from(payload, sizeof code);
    char version[UUID_TEXT + 1];
    uuid_text(x->slots[slot].id, version);
    log_line(LOG_WARNING, "load_failed", "version=%s error=\"%.*s\"", version, SLICE_ARG(text));

    struct list runs;
    list_init(&runs);
    LIST_EACH(n, &x->runs)
    {
        if (LIST_ITEM(n, struct edge_run, node)->slot == slot) {
            list_remove(n);
            list_push(&runs, n);
        }
    }
    bool sure = x->slots[slot].sure;
    unload(x, &x->slots[slot]);
    for (struct list *n; (n = list_pop(&runs));) {
        struct edge_run *r = LIST_ITEM(n, struct edge_run, node);
        r->exec = NULL; /* its END will come and find nobody */
        /* Not there, or damaged: control makes it again. */
        if ((code == ERR_NOT_FOUND || code == ERR_CONFLICT) && !sure && r->state == RUN_HEAD)
            edge_run_missing(r);
        else
            edge_run_fail(r, r->cause ? r->cause : ERR_UNAVAILABLE,
                          "the program could not be loaded");
    }
    edge_exec_rest(x);
}

static void on_frame(struct channel *c, const struct frame *f, struct slice payload)
{
    struct edge_exec *x = c->owner;
    if (f->type == FRAME_LOAD_FAILED) {
        on_load_failed(x, f->id, payload);
        return;
    }
    if (f->type == FRAME_STATUS) {
        memcpy(&x->memory, payload.p, sizeof x->memory);
        return;
    }
    if (f->type == FRAME_REACH) {
        edge_egress_reach(x);
        return;
    }
    struct edge_run *r = edge_run_find(x->edge, f->id);
    if (!r || r->exec != x) {
        /* Late words about a run that was given up are harmless; one that was never begun here
         * can't be named without guessing. */
        return;
    }
    x->slots[r->slot].sure = true;
    uint32_t n;
    struct ledger l;
    struct err e;
    switch (f->type) {
    case FRAME_OUTPUT:
        if (payload.n > r->out_credit) {
            die(x, "its process sent more than it was granted");
            return;
        }
        r->out_credit -= (uint32_t)payload.n;
        edge_run_output(r, payload);
        return;
    case FRAME_CREDIT:
        memcpy(&n, payload.p, sizeof n);
        if (n > FRAME_CREDIT_INITIAL - r->credit) {
            die(x, "its process granted more than it took");
            return;
        }
        edge_run_credit(r, n);
        return;
    case FRAME_LOG:
        if (++r->log_lines > r->version->load.limits.v[LIMIT_LOG_LINES] + LOG_SLACK) {
            die(x, "its process logged more than the limit");
            return;
        }
        if (FRAME_LOG_SOURCE((uint8_t)payload.p[0]) >= EDGE_LOG_PLATFORM) {
            die(x, "its process logged in another's name");
            return;
        }
        edge_receipt_log(r, FRAME_LOG_LEVEL((uint8_t)payload.p[0]),
                         FRAME_LOG_SOURCE((uint8_t)payload.p[0]), slice_from(payload, 1));
        return;
    case FRAME_CAPTURE:
        if (!edge_capture_take(r, f->flags, payload))
            die(x, "its process sent a capture that nobody asked for, or two at once");
        return;
    case FRAME_END:
        if (ledger_read(payload, &l, &e)) {
            die(x, e.text);
            return;
        }
        edge_run_ended(r, &l);
        return;
    default:
        die(x, "its process sent a frame that is not for an edge");
        return;
    }
}

static void on_closed(struct channel *c, const struct err *why)
{
    struct edge_exec *x = c->owner;
    if (x->project || !list_empty(&x->runs))
        log_line(LOG_WARNING, "exec_died", "exec=%u why=\"%s\"", x->number, why->text);
    die(x, "the process that ran the program died");
}

/* What it prints itself: our own log lines, or the last words of a crash. */
static void on_standard_error(struct loop_io *io, uint32_t events)
{
    struct edge_exec *x = LIST_ITEM(io, struct edge_exec, standard_error);
    char text[STDERR_READ];
    ssize_t n = read(io->fd, text, sizeof text);
    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        int fd = io->fd;
        loop_io_del(x->edge->loop, io);
        close(fd);
        return;
    }
    struct slice rest = slice_make(text, (size_t)n);
    while (rest.p && rest.n) {
        struct slice line = slice_split(&rest, '\n');
        if (line.n)
            log_line(LOG_WARNING, "exec_says", "exec=%u text=\"%.*s\"", x->number, SLICE_ARG(line));
    }
}

/* Master's answers */

static struct edge_exec *find_wish(struct edge *e, uint64_t cookie)
{
    LIST_EACH(n, &e->execs)
    {
        struct edge_exec *x = LIST_ITEM(n, struct edge_exec, node);
        if (x->cookie == cookie && !x->bound)
            return x;
    }
    return NULL;
}

void edge_exec_given(struct edge *e, uint64_t cookie, uint32_t number, const int *fds, int n)
{
    struct edge_exec *x = find_wish(e, cookie);
    struct err err;
    if (!x || n < 1) {
        for (int i = 0; i < n; i++)
            close(fds[i]);
        return;
    }
    x->number = number;
    x->bound = true;
    x->born_us = x->idle_us = loop_now(e->loop);
    uuid_text(uuid_new(), x->worker);
    x->channel = (struct channel){.on_frame = on_frame, .on_closed = on_closed, .owner = x};
    if (n > 1)
        x->egress = fds[1];
    if (n > 2 && loop_io_add(e->loop, &x->standard_error, fds[2], EPOLLIN, on_standard_error, &err))
        close(fds[2]);
    for (int i = 3; i < n; i++)
        close(fds[i]);
    if (channel_init(&x->channel, e->loop, fds[0], FRAME_BACK, &err)) {
        close(fds[0]);
        die(x, err.text);
        return;
    }
    loop_timer_start(e->loop, &x->timer, x->idle_us + e->options.limits.v[LIMIT_EXEC_IDLE],
                     on_idle);
    channel_send(&x->channel, FRAME_BIND, 0, 0, x->project->id.b, sizeof x->project->id.b);
    for (struct list *node; (node = list_pop(&x->waiting));) {
        struct edge_run *r = LIST_ITEM(node, struct edge_run, node);
        edge_run_start(r, x, buf_slice(&r->begin));
    }
}

void edge_exec_refused(struct edge *e, uint64_t cookie, const char *why)
{
    struct edge_exec *x = find_wish(e, cookie);
    log_line(LOG_WARNING, "no_exec", "why=\"%s\"", why);
    if (x)
        die(x, "no process could be started to run the program");
}

void edge_exec_ended(struct edge *e, uint32_t number, int status)
{
    LIST_EACH(n, &e->execs)
    {
        struct edge_exec *x = LIST_ITEM(n, struct edge_exec, node);
        if (x->bound && x->number == number) {
            /* What it said last may still be in the socket; its end is the channel's to see. */
            log_line(LOG_INFO, "exec_ended", "exec=%u status=%d", number, status);
            return;
        }
    }
}

void edge_execs_done(struct edge *e)
{
    while (!list_empty(&e->execs))
        die(LIST_ITEM(e->execs.next, struct edge_exec, node), "the edge ended");
}
