#include "loop/loop.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { LOOP_BATCH = 256 };

struct loop {
    int epoll;
    bool stopped;
    uint64_t now_us;
    struct list tasks;
    struct loop_timer **heap; /* heap[1] is the earliest; at_us of a child is never smaller */
    size_t timers, heap_cap;
    struct epoll_event events[LOOP_BATCH];
    int fetched, at; /* events of this turn, and the one being delivered */
};

struct loop *loop_new(struct err *e)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l) {
        err_set(e, ERR_MEMORY, "no memory for an event loop");
        return NULL;
    }
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) {
        err_errno(e, "epoll_create1");
        free(l);
        return NULL;
    }
    list_init(&l->tasks);
    l->now_us = clock_mono_us();
    return l;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    close(l->epoll);
    free(l->heap);
    free(l);
}

void loop_stop(struct loop *l)
{
    l->stopped = true;
}

uint64_t loop_now(const struct loop *l)
{
    return l->now_us;
}

enum err_code loop_io_add(struct loop *l, struct loop_io *io, int fd, uint32_t events,
                          void (*on_event)(struct loop_io *, uint32_t), struct err *e)
{
    struct epoll_event ev = {.events = events, .data.ptr = io};
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        return err_errno(e, "epoll_ctl");
    io->fd = fd;
    io->events = events;
    io->on_event = on_event;
    return ERR_OK;
}

void loop_io_mod(struct loop *l, struct loop_io *io, uint32_t events)
{
    if (io->events == events || io->fd < 0)
        return;
    struct epoll_event ev = {.events = events, .data.ptr = io};
    int rc = epoll_ctl(l->epoll, EPOLL_CTL_MOD, io->fd, &ev);
    assert(rc == 0);
    (void)rc;
    io->events = events;
}

void loop_io_del(struct loop *l, struct loop_io *io)
{
    if (io->fd < 0)
        return;
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, io->fd, NULL);
    io->fd = -1;
    io->events = 0;
    for (int i = l->at + 1; i < l->fetched; i++)
        if (l->events[i].data.ptr == io)
            l->events[i].data.ptr = NULL;
}

/* Timers: a binary heap with back pointers, so stopping one is O(log n). */

static void place(struct loop *l, struct loop_timer *t, size_t slot)
{
    l->heap[slot] = t;
    t->slot = slot;
}

static void sift_up(struct loop *l, struct loop_timer *t, size_t slot)
{
    for (; slot > 1 && l->heap[slot / 2]->at_us > t->at_us; slot /= 2)
        place(l, l->heap[slot / 2], slot);
    place(l, t, slot);
}

static void sift_down(struct loop *l, struct loop_timer *t, size_t slot)
{
    for (size_t child; (child = slot * 2) <= l->timers; slot = child) {
        if (child < l->timers && l->heap[child + 1]->at_us < l->heap[child]->at_us)
            child++;
        if (l->heap[child]->at_us >= t->at_us)
            break;
        place(l, l->heap[child], slot);
    }
    place(l, t, slot);
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
    if (!t->slot)
        return;
    size_t slot = t->slot;
    struct loop_timer *last = l->heap[l->timers--];
    t->slot = 0;
    t->at_us = 0;
    if (last == t)
        return;
    if (slot > 1 && l->heap[slot / 2]->at_us > last->at_us)
        sift_up(l, last, slot);
    else
        sift_down(l, last, slot);
}

void loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t at_us,
                      void (*on_timeout)(struct loop_timer *))
{
    t->on_timeout = on_timeout;
    if (t->slot) {
        bool later = at_us >= t->at_us;
        t->at_us = at_us;
        if (later)
            sift_down(l, t, t->slot);
        else
            sift_up(l, t, t->slot);
        return;
    }
    if (l->timers + 2 > l->heap_cap) {
        size_t cap = l->heap_cap ? l->heap_cap * 2 : 64;
        struct loop_timer **heap = realloc(l->heap, cap * sizeof *heap);
        if (!heap)
            abort();
        l->heap = heap;
        l->heap_cap = cap;
    }
    t->at_us = at_us;
    sift_up(l, t, ++l->timers);
}

void loop_task_add(struct loop *l, struct loop_task *t)
{
    if (list_empty(&t->node))
        list_push(&l->tasks, &t->node);
}

static int wait_ms(struct loop *l, uint64_t timeout_us)
{
    if (!list_empty(&l->tasks))
        return 0;
    if (l->timers) {
        uint64_t at = l->heap[1]->at_us, now = clock_mono_us();
        uint64_t left = at > now ? at - now : 0;
        if (left < timeout_us)
            timeout_us = left;
    }
    if (timeout_us > 3600u * 1000000u)
        return timeout_us == UINT64_MAX ? -1 : 3600 * 1000;
    return (int)((timeout_us + 999) / 1000);
}

void loop_turn(struct loop *l, uint64_t timeout_us)
{
    int n = epoll_wait(l->epoll, l->events, LOOP_BATCH, wait_ms(l, timeout_us));
    l->now_us = clock_mono_us();
    l->fetched = n > 0 ? n : 0;
    for (l->at = 0; l->at < l->fetched; l->at++) {
        struct loop_io *io = l->events[l->at].data.ptr;
        if (io)
            io->on_event(io, l->events[l->at].events);
    }
    l->fetched = l->at = 0;

    while (l->timers && l->heap[1]->at_us <= l->now_us) {
        struct loop_timer *t = l->heap[1];
        loop_timer_stop(l, t);
        t->on_timeout(t);
    }

    /* Only the tasks that asked before now: one that asks again waits for the next turn. */
    struct list now;
    list_init(&now);
    while (!list_empty(&l->tasks))
        list_push(&now, list_pop(&l->tasks));
    for (struct list *n_; (n_ = list_pop(&now));) {
        struct loop_task *t = LIST_ITEM(n_, struct loop_task, node);
        t->on_turn_end(t);
    }
}

void loop_run(struct loop *l)
{
    l->stopped = false;
    while (!l->stopped)
        loop_turn(l, UINT64_MAX);
}
