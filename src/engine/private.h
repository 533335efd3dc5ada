/* What the files of engine/ share: Wasmtime's types, the engine, images, errors. */
#pragma once

#include "base/host.h"
#include "engine/instance.h"

#include <wasmtime.h>
#include <wasmtime/async.h>

struct engine {
    wasm_engine_t *wasm;
    enum engine_kind kind;
};

/* One import of an image: which host function it is and how this image imports it. */
struct binding {
    engine_handler handler;
    uint16_t function; /* enum host_id */
    uint8_t params;
    uint16_t narrow; /* bits of parameters that may be i64 and are i32 here */
    bool has_result; /* the import has one */
    bool wide;       /* the result is an i64 */
    bool added;      /* the table has none: the import gets 0 */
    bool alias;
};

struct image {
    struct engine *engine;
    unsigned refs;
    wasmtime_module_t *module;
    wasmtime_instance_pre_t *pre;
    struct binding *bindings;
    uint64_t memory_minimum; /* bytes */
    const char *entry;       /* name of the entry point */
    bool entry_returns;      /* an i32: the exit status */
};

struct instance {
    enum instance_state state;
    bool starting;  /* the instance itself is being made */
    bool over;      /* its time is up: the tick ended it */
    bool suspended; /* since the last step a host call answered ENGINE_WAIT */
    bool memory_known;
    uint64_t gas; /* given at the start; 0: the engine doesn't count it */
    struct image *image;
    const struct limits *limits;
    uint64_t *calls;
    struct instance_end end;

    wasmtime_store_t *store;
    wasmtime_context_t *context;
    wasmtime_call_future_t *future; /* at most one; what it points into must stay put */
    wasmtime_instance_t wasm;
    wasmtime_extern_t entry;
    wasmtime_memory_t memory;
    wasmtime_val_t result;
    wasm_trap_t *trap;
    wasmtime_error_t *error;

    /* The host call in progress, or the last one: of a row that WAITS it outlives its callback. */
    struct engine_call call;
    const struct binding *binding; /* NULL: none yet */
    bool call_over;                /* it returned to the guest */
    bool (*is_over)(void *owner);  /* NULL: it is only ever preempted */
    engine_trace trace;            /* NULL: nobody listens */
    uint64_t call_ns;              /* when it began, if somebody does */
    wasmtime_val_t *call_result;
    wasm_trap_t **call_trap;
};

/* The two callbacks that an image's imports are linked to (engine/instance.c); `env` is the
 * import's struct binding. */
wasm_trap_t *engine_call_direct(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                                size_t count);
void engine_call_waits(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args,
                       size_t arg_count, wasmtime_val_t *results, size_t result_count,
                       wasm_trap_t **ret_trap, wasmtime_async_continuation_t *ret_continuation);

/* Deletes `error` and puts its message behind `what`. */
enum err_code engine_error(struct err *e, enum err_code code, const char *what,
                           wasmtime_error_t *error);
