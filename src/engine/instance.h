/* Instances: one run of an image, on its own stack, in memory nobody used before it.
 *
 * An instance is stepped by its owner's loop until it ends. A step returns
 * when the guest ended, waits for something, or used up its slice of CPU (the
 * tick). There is no other thread and no callback. */
#pragma once

#include "engine/image.h"

struct wasmtime_store;
struct wasmtime_context;
struct wasmtime_call_future;

enum instance_state {
    INSTANCE_IDLE,     /* before begin, after done */
    INSTANCE_RUNNABLE, /* was preempted: step it again */
    INSTANCE_WAITING,  /* a host call waits: step it when what it waits for may have come */
    INSTANCE_ENDED,    /* reason, status and text say how */
};

struct instance {
    enum instance_state state;
    enum err_code reason;     /* ERR_OK: returned or ended by a host call; else the cause */
    int32_t status;           /* what the entry point returned; 0 if it returns nothing */
    bool by_host;             /* a handler answered ENGINE_END */
    uint64_t memory_size;     /* bytes of linear memory; final once ended: it never shrinks */
    uint64_t *calls;          /* the owner's counters, HOST_COUNT of them */
    char text[1000];          /* why it failed, with the guest's own backtrace; NUL-terminated */

    /* Private */
    struct image *image;
    struct engine_call call;  /* the host call in progress */
    struct wasmtime_store *store;
    struct wasmtime_context *context;
    struct wasmtime_call_future *future;
    enum { INSTANCE_STARTING, INSTANCE_MAIN } phase;
    uint64_t limit_memory;
    uint64_t handles[8];      /* of Wasmtime: instance, memory, function, result */
    void *trap, *error;
    const void *waiting_for;  /* the binding of the call that waits */
    void **trap_ret;
    uint8_t *memory;
    bool memory_known, suspended, yielded;
};

/* Prepares a run; nothing of the guest runs yet. `calls` (HOST_COUNT counters) and `owner` must
 * outlive the instance. Borrows a reference of the image for the run. */
void instance_begin(struct instance *i, struct image *image, const struct limits *limits,
                    uint64_t *calls, void *owner);
/* Lets it run. Returns its new state. */
enum instance_state instance_step(struct instance *i);
/* Ends it wherever it is, with this reason; then INSTANCE_ENDED. Nothing if it ended before. */
void instance_cancel(struct instance *i, enum err_code reason);
/* Gives its place back. After this the struct may be used again. */
void instance_done(struct instance *i);
