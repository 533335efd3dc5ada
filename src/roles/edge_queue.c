/* Queues: who may run now.
 *
 * A run holds a place of its function and of its project from when it may start
 * until its END. Without a free one it waits in its function's queue, in order,
 * for a bounded time; queues are bounded too. When more than half of the places
 * are taken, a request whose body is still arriving waits outside until the
 * body is complete or 64 KiB of it are here: slow uploads hold no place. When a
 * project's places were the narrow ones, its functions take turns. */
#include "roles/edge.h"

static uint32_t function_most(const struct edge_run *r)
{
    return (uint32_t)r->version->load.limits.v[LIMIT_CONCURRENCY];
}

static bool has_place(const struct edge_run *r)
{
    return r->function->active < function_most(r) &&
           r->function->project->active < r->route->row.concurrency;
}

static bool places_are_scarce(const struct edge_run *r)
{
    return r->function->active * 2 >= function_most(r) ||
           r->function->project->active * 2 >= r->route->row.concurrency;
}

static void take_place(struct edge_run *r, struct slice begin)
{
    r->function->active++;
    r->function->project->active++;
    edge_run_place(r, begin);
}

static void enqueue(struct edge_run *r)
{
    struct edge_function *f = r->function;
    const struct limits *l = &r->version->load.limits;
    if (f->queued >= l->v[LIMIT_QUEUE]) {
        edge_run_fail(r, ERR_BUSY, "the queue of this function is full");
        return;
    }
    edge_run_state(r, RUN_QUEUED);
    edge_run_deadline(r, loop_now(r->edge->loop) + l->v[LIMIT_QUEUE_WAIT]);
    list_push(&f->queue, &r->node);
    f->queued++;
    if (list_empty(&f->waiting))
        list_push(&f->project->waiting, &f->waiting);
}

void edge_queue_admit(struct edge_run *r, struct slice begin)
{
    bool complete = r->body_last || buf_size(&r->body) >= EDGE_BODY_EARLY;
    if (!complete && places_are_scarce(r)) {
        if (r->state != RUN_GATHER && edge_run_keep(r, begin)) {
            edge_run_state(r, RUN_GATHER);
            edge_run_deadline(r, UINT64_MAX); /* the connection's deadlines hold */
        }
        return;
    }
    if (list_empty(&r->function->queue) && has_place(r))
        take_place(r, begin);
    else if (edge_run_keep(r, begin))
        enqueue(r);
}

/* Starts what may start now in this project: a function's first request, then the next function's,
 * until a whole round finds no place. */
static void serve(struct edge_project *p)
{
    size_t refused = 0, functions = 0;
    LIST_EACH(n, &p->waiting)
        functions++;
    for (struct list *n; refused < functions && (n = list_pop(&p->waiting));) {
        struct edge_function *f = LIST_ITEM(n, struct edge_function, waiting);
        if (!list_empty(&f->queue)) {
            struct edge_run *r = LIST_ITEM(f->queue.next, struct edge_run, node);
            if (has_place(r)) {
                list_remove(&r->node);
                f->queued--;
                refused = 0;
                take_place(r, buf_slice(&r->begin));
            } else {
                refused++;
            }
        }
        if (!list_empty(&f->queue) && list_empty(&f->waiting))
            list_push(&p->waiting, &f->waiting);
    }
}

void edge_queue_release(struct edge_run *r)
{
    struct edge_project *p = r->function->project;
    switch (r->state) {
    case RUN_QUEUED:
        list_remove(&r->node);
        r->function->queued--;
        return;
    case RUN_EXEC:
    case RUN_IMAGE:
    case RUN_HEAD:
    case RUN_BODY:
    case RUN_CANCEL:
        r->function->active--;
        p->active--;
        if (!list_empty(&p->waiting))
            serve(p);
        return;
    case RUN_FREE:
    case RUN_NEW:
    case RUN_GATHER:
    case RUN_STATES:
        return;
    }
}
