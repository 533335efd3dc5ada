/* Instances: one run of an image, on its own stack, in memory nobody used before it.
 *
 * An instance is stepped by its owner's loop until it ends. A step returns
 * when the guest ended, waits for something, or used up its slice of CPU (the
 * tick). There is no other thread and no callback but the host functions. */
#pragma once

#include "engine/image.h"

struct instance;

enum instance_state {
    INSTANCE_IDLE,     /* before begin, after done */
    INSTANCE_RUNNABLE, /* not begun yet, or preempted: step it */
    INSTANCE_WAITING,  /* a host call waits: step it when what it waits for may have come */
    INSTANCE_ENDED,    /* instance_end() says how */
};

struct instance_end {
    enum err_code reason; /* ERR_OK: it returned, or a handler ended it; else the cause */
    bool by_host;         /* a handler answered ENGINE_END: its owner knows why */
    int32_t status;       /* what the entry point returned; 0 if it returns nothing */
    uint64_t memory;      /* bytes of linear memory: it never shrinks, so this is the peak */
    uint64_t made_ns;     /* monotonic time at which the instance was there; 0: it never was */
    uint64_t gas;         /* executed instructions; 0 unless the engine counts them */
};

/* An instance is used for one run after another. NULL: no memory. */
struct instance *instance_new(void);
void instance_free(struct instance *i);

/* Prepares a run; nothing of the guest runs yet. `owner` is handed to host functions, `calls` are
 * HOST_COUNT counters of them; both must outlive the run. The image must stay open. */
void instance_begin(struct instance *i, struct image *image, const struct limits *limits,
                    uint64_t *calls, void *owner);
/* After instance_begin(): this run's host calls are told to `trace`. */
void instance_trace(struct instance *i, engine_trace trace);
/* After instance_begin(): asked at each tick while the guest computes. True ends it for
 * ERR_CPU_LIMIT, where it is, so that its stack can be shown; otherwise it is preempted. */
void instance_watch(struct instance *i, bool (*over)(void *owner));
/* Lets it run until it ends, waits, or was preempted; returns the new state. */
enum instance_state instance_step(struct instance *i);
/* Ends it wherever it is, for this reason. Nothing if it ended before. */
void instance_cancel(struct instance *i, enum err_code reason);
/* How it ended; valid until instance_done(). */
const struct instance_end *instance_end(const struct instance *i);
/* Writes for the guest's author, one line each: why it ended (`why`, or if that is empty what
 * Wasmtime says), its own stack with the innermost function first, its last host call, and what to
 * do about it (`advice`, or what is known of its trap). NUL-terminated, at most `size` bytes, what
 * does not fit is left out. After an end that was none of its own choice, before instance_done();
 * slow. */
void instance_explain(const struct instance *i, struct slice why, struct slice advice, char *text,
                      size_t size);
/* Gives its place back. */
void instance_done(struct instance *i);
