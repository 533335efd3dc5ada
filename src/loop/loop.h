/* The event loop: epoll, timers, and work at the end of a turn.
 *
 * One loop a process, one thread. A turn is: wait for descriptors or the next
 * timer, run their callbacks, then run what asked to run at the turn's end
 * (flushing output, so that everything of one turn leaves in one system call;
 * freeing objects that still had events). Nothing here is locked. */
#pragma once

#include "base/err.h"
#include "base/list.h"

#include <sys/epoll.h>

struct loop;

/* One watched descriptor; embed it. The loop doesn't own the descriptor. */
struct loop_io {
    void (*on_event)(struct loop_io *io, uint32_t events); /* EPOLLIN | EPOLLOUT | … */
    int fd;          /* -1 when not added */
    uint32_t events; /* what it is registered for */
};

/* One timer; embed it. Zeroed or after loop_timer_stop() it is idle. */
struct loop_timer {
    void (*on_timeout)(struct loop_timer *t);
    uint64_t at_us;  /* CLOCK_MONOTONIC; 0: idle */
    size_t slot;     /* private: place in the heap, from 1 */
};

/* One piece of work for the end of this turn; embed it, list_init(&node) through loop_task_init. */
struct loop_task {
    void (*on_turn_end)(struct loop_task *t);
    struct list node;
};

struct loop *loop_new(struct err *e); /* NULL on failure */
void loop_free(struct loop *l);

/* Runs turns until loop_stop(). */
void loop_run(struct loop *l);
/* One turn; waits at most `timeout_us` (UINT64_MAX: until something happens). For callers that
 * interleave other work, as exec does with runnable guests. */
void loop_turn(struct loop *l, uint64_t timeout_us);
void loop_stop(struct loop *l);

/* CLOCK_MONOTONIC in microseconds, read once a turn (after the wait). */
uint64_t loop_now(const struct loop *l);

enum err_code loop_io_add(struct loop *l, struct loop_io *io, int fd, uint32_t events,
                          void (*on_event)(struct loop_io *, uint32_t), struct err *e) MUST_CHECK;
/* Changes what it waits for; no system call when nothing changes. */
void loop_io_mod(struct loop *l, struct loop_io *io, uint32_t events);
/* Forgets it; call before closing the descriptor. Safe inside any callback: events of this turn
 * that were already fetched for it are not delivered. */
void loop_io_del(struct loop *l, struct loop_io *io);

/* (Re)starts the timer at an absolute monotonic time. Aborts only if memory is exhausted. */
void loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t at_us,
                      void (*on_timeout)(struct loop_timer *));
void loop_timer_stop(struct loop *l, struct loop_timer *t);

static inline void loop_task_init(struct loop_task *t, void (*on_turn_end)(struct loop_task *))
{
    t->on_turn_end = on_turn_end;
    list_init(&t->node);
}
/* Runs once at the end of this turn, in the order of asking; asking again before then does
 * nothing. A task may ask again from its callback: then it runs at the end of the next turn,
 * which does not wait. */
void loop_task_add(struct loop *l, struct loop_task *t);
static inline void loop_task_cancel(struct loop_task *t)
{
    list_remove(&t->node);
}
