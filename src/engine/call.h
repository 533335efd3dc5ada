/* A host call as the engine hands it to a handler: the guest's memory, its arguments, a result.
 *
 * Handlers never see the engine's own types. A handler of a row that WAITS may answer
 * ENGINE_WAIT: the guest is suspended, and the same handler is called again with the same struct
 * whenever its owner says that it may go on (instance_step), until it answers otherwise. Memory
 * neither moves nor grows meanwhile. */
#pragma once

#include "base/slice.h"

enum engine_verdict {
    ENGINE_DONE,  /* `result` is the function's result */
    ENGINE_WAIT,  /* try again when something happened; rows that WAIT only */
    ENGINE_YIELD, /* try again soon, others first; rows that WAIT only */
    ENGINE_END,   /* the guest ends here; the owner knows why */
};

enum { ENGINE_ARGS = 9 /* parameters of a host function, at most */ };

struct engine_call {
    void *owner;               /* as given to instance_begin() */
    uint8_t *memory;           /* NULL when the guest has none */
    uint64_t memory_size;      /* bytes */
    uint64_t arg[ENGINE_ARGS]; /* the upper half of an i32 holds anything: use engine_u32(); of a
                                  parameter that may be an i64 too it is 0 */
    uint64_t result;
    uint64_t progress[2]; /* the handler's own between tries; 0 at the first */
    bool alias;           /* imported under the module's second name */
};

typedef enum engine_verdict (*engine_handler)(struct engine_call *call);

/* Hears of a host call that is over: which (enum host_id), whether it ended the guest, and how long
 * it took, waiting included. */
typedef void (*engine_trace)(const struct engine_call *call, unsigned function, bool ended,
                             uint64_t ns);

static inline uint32_t engine_u32(const struct engine_call *c, int i)
{
    return (uint32_t)c->arg[i];
}

/* `size` bytes of guest memory at `at`; NULL if they are not all inside. */
static inline void *engine_span(const struct engine_call *c, uint64_t at, uint64_t size)
{
    return at <= c->memory_size && size <= c->memory_size - at ? c->memory + at : NULL;
}
