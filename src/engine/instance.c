#include "engine/private.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>

enum { PLACE_KEEPS = 1 << 20 /* bytes that a run may add to its memory before we tidy up */ };

/* Host calls */

static void find_memory(struct instance *i, wasmtime_caller_t *caller)
{
    struct engine_call *c = &i->call;
    wasmtime_context_t *context = wasmtime_caller_context(caller);
    if (!i->memory_known) { /* a start function calls before there is an instance */
        wasmtime_extern_t item;
        c->memory = NULL;
        c->memory_size = 0;
        if (!wasmtime_caller_export_get(caller, "memory", 6, &item) ||
            item.kind != WASMTIME_EXTERN_MEMORY)
            return;
        i->memory = item.of.memory;
        i->memory_known = true;
        c->memory = wasmtime_memory_data(context, &i->memory);
    }
    /* The pool reserves a memory's whole range, so its base never moves; its size may grow. */
    c->memory_size = wasmtime_memory_data_size(context, &i->memory);
}

/* The trap that unwinds a guest which a handler ended. */
static wasm_trap_t *end_by_host(struct instance *i)
{
    i->end.by_host = true;
    return wasmtime_trap_new_code(WASMTIME_TRAP_CODE_INTERRUPT);
}

/* The handler's verdict; one that ends the call is told. */
static enum engine_verdict traced(struct instance *i)
{
    if (!i->call_ns)
        i->call_ns = clock_mono_ns();
    enum engine_verdict verdict = i->binding->handler(&i->call);
    if (verdict == ENGINE_DONE || verdict == ENGINE_END) {
        i->trace(&i->call, i->binding->function, verdict == ENGINE_END,
                 clock_mono_ns() - i->call_ns);
        i->call_ns = 0;
    }
    return verdict;
}

wasm_trap_t *engine_call_direct(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                                size_t count)
{
    const struct binding *b = env;
    struct instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    (void)count;
    if (!i) /* shrink_place() of an image whose start function is imported */
        return wasmtime_trap_new_code(WASMTIME_TRAP_CODE_INTERRUPT);
    struct engine_call *c = &i->call;
    find_memory(i, caller);
    for (int k = 0; k < b->params; k++)
        c->arg[k] = (uint64_t)values[k].i64;
    for (unsigned narrow = b->narrow; narrow; narrow &= narrow - 1) {
        int k = __builtin_ctz(narrow);
        c->arg[k] = (uint32_t)c->arg[k];
    }
    c->alias = b->alias;
    c->result = 0;
    i->calls[b->function]++;
    i->binding = b;
    i->call_over = false;
    if ((i->trace ? traced(i) : b->handler(c)) == ENGINE_END)
        return end_by_host(i);
    i->call_over = true;
    if (b->has_result)
        values[0].i64 = (int64_t)(b->added ? 0 : c->result);
    return NULL;
}

/* One try of a call that may wait: true when it is over. */
static bool try_call(void *env)
{
    struct instance *i = env;
    const struct binding *b = i->binding;
    switch (i->trace ? traced(i) : b->handler(&i->call)) {
    case ENGINE_WAIT:
        i->suspended = true;
        return false;
    case ENGINE_YIELD:
        return false;
    case ENGINE_END:
        *i->call_trap = end_by_host(i);
        return true;
    case ENGINE_DONE:
        i->call_over = true;
        break;
    }
    if (b->wide)
        *i->call_result = (wasmtime_val_t){WASMTIME_I64, {.i64 = (int64_t)i->call.result}};
    else if (b->has_result)
        *i->call_result =
            (wasmtime_val_t){WASMTIME_I32, {.i32 = b->added ? 0 : (int32_t)i->call.result}};
    return true;
}

static bool over_at_once(void *env)
{
    (void)env;
    return true;
}

void engine_call_waits(void *env, wasmtime_caller_t *caller, const wasmtime_val_t *args,
                       size_t arg_count, wasmtime_val_t *results, size_t result_count,
                       wasm_trap_t **ret_trap, wasmtime_async_continuation_t *ret_continuation)
{
    const struct binding *b = env;
    struct instance *i = wasmtime_context_get_data(wasmtime_caller_context(caller));
    (void)result_count;
    if (!i) {
        *ret_trap = wasmtime_trap_new_code(WASMTIME_TRAP_CODE_INTERRUPT);
        *ret_continuation = (wasmtime_async_continuation_t){.callback = over_at_once};
        return;
    }
    struct engine_call *c = &i->call;
    find_memory(i, caller);
    for (size_t k = 0; k < arg_count; k++)
        c->arg[k] =
            args[k].kind == WASMTIME_I64 ? (uint64_t)args[k].of.i64 : (uint32_t)args[k].of.i32;
    c->alias = b->alias;
    c->result = c->progress[0] = c->progress[1] = 0;
    i->calls[b->function]++;
    i->binding = b;
    i->call_over = false;
    i->call_result = results;
    i->call_trap = ret_trap;
    /* The first try is the continuation's first poll, which follows at once. */
    *ret_continuation = (wasmtime_async_continuation_t){.callback = try_call, .env = i};
}

/* Life of a run */

struct instance *instance_new(void)
{
    return calloc(1, sizeof(struct instance));
}

void instance_free(struct instance *i)
{
    if (!i)
        return;
    instance_done(i);
    free(i);
}

/* The guest noticed that the epoch is older: on its stack, in the middle of its code. */
static wasmtime_error_t *on_tick(wasmtime_context_t *context, void *data, uint64_t *ret_delta,
                                 wasmtime_update_deadline_kind_t *ret_kind)
{
    struct instance *i = data;
    (void)context;
    i->over = i->is_over && i->is_over(i->call.owner);
    if (i->over)
        return wasmtime_error_new("the time is up"); /* unwinds it, and keeps its stack */
    *ret_delta = 1;
    *ret_kind = WASMTIME_UPDATE_DEADLINE_YIELD;
    return NULL;
}

void instance_begin(struct instance *i, struct image *image, const struct limits *limits,
                    uint64_t *calls, void *owner)
{
    i->image = image;
    i->limits = limits;
    i->calls = calls;
    i->call.owner = owner;
    i->call.memory = NULL;
    i->call.memory_size = 0;
    i->memory_known = false;
    i->end.reason = ERR_OK;
    i->end.by_host = false;
    i->end.status = 0;
    i->end.memory = 0;
    i->end.made_ns = 0;
    i->end.gas = 0;
    i->over = false;
    i->is_over = NULL;
    i->binding = NULL;
    i->trace = NULL;
    i->call_ns = 0;
    i->trap = NULL;
    i->error = NULL;
    i->store = wasmtime_store_new(image->engine->wasm, i, NULL);
    i->context = wasmtime_store_context(i->store);
    wasmtime_store_limiter(i->store, (int64_t)limits->v[LIMIT_MEMORY], -1, 1, -1, 1);
    wasmtime_store_epoch_deadline_callback(i->store, on_tick, i, NULL);
    wasmtime_context_set_epoch_deadline(i->context, 1);
    i->gas = 0;
    if (image->engine->kind == ENGINE_FUEL) {
        i->gas = limits->v[LIMIT_GAS] ? limits->v[LIMIT_GAS] : UINT64_MAX;
        wasmtime_error_t *error = wasmtime_context_set_fuel(i->context, i->gas);
        assert(!error);
    }
    i->starting = true;
    i->future = wasmtime_instance_pre_instantiate_async(image->pre, i->context, &i->wasm, &i->trap,
                                                        &i->error);
    i->state = INSTANCE_RUNNABLE;
    if (image->memory_minimum > limits->v[LIMIT_MEMORY])
        instance_cancel(i, ERR_MEMORY_LIMIT);
}

void instance_watch(struct instance *i, bool (*over)(void *owner))
{
    i->is_over = over;
}

void instance_trace(struct instance *i, engine_trace trace)
{
    i->trace = trace;
}

static void delete_future(struct instance *i)
{
    if (i->future)
        wasmtime_call_future_delete(i->future);
    i->future = NULL;
}

static void ended(struct instance *i)
{
    delete_future(i);
    if (i->memory_known)
        i->end.memory = wasmtime_memory_data_size(i->context, &i->memory);
    if (i->gas) {
        uint64_t left = 0;
        wasmtime_error_t *error = wasmtime_context_get_fuel(i->context, &left);
        assert(!error);
        i->end.gas = i->gas - left;
    }
    i->state = INSTANCE_ENDED;
}

/* What Wasmtime reported becomes a cause. */
static void judge(struct instance *i)
{
    wasmtime_trap_code_t code;
    if (i->trap) {
        bool known = wasmtime_trap_code(i->trap, &code);
        i->end.reason = known && code == WASMTIME_TRAP_CODE_STACK_OVERFLOW ? ERR_STACK_OVERFLOW
                        : known && code == WASMTIME_TRAP_CODE_OUT_OF_FUEL  ? ERR_GAS_LIMIT
                                                                           : ERR_TRAP;
    } else if (i->error) {
        /* Before there is an instance, only what it would need can be missing. */
        i->end.reason = i->over ? ERR_CPU_LIMIT : i->starting ? ERR_MEMORY : ERR_TRAP;
    }
    if (i->end.by_host)
        i->end.reason = ERR_OK;
}

/* The instance is made: finds what a run needs and starts its entry point. */
static void enter(struct instance *i)
{
    wasmtime_extern_t item;
    i->starting = false;
    i->end.made_ns = clock_mono_ns();
    if (!i->memory_known &&
        wasmtime_instance_export_get(i->context, &i->wasm, "memory", 6, &item) &&
        item.kind == WASMTIME_EXTERN_MEMORY) {
        i->memory = item.of.memory;
        i->memory_known = true;
        i->call.memory = wasmtime_memory_data(i->context, &i->memory);
    }
    /* image_open() saw the export. */
    wasmtime_instance_export_get(i->context, &i->wasm, i->image->entry, strlen(i->image->entry),
                                 &i->entry);
    i->future = wasmtime_func_call_async(i->context, &i->entry.of.func, NULL, 0, &i->result,
                                         i->image->entry_returns, &i->trap, &i->error);
}

enum instance_state instance_step(struct instance *i)
{
    if (i->state == INSTANCE_ENDED)
        return i->state;
    i->suspended = false;
    while (i->future && wasmtime_call_future_poll(i->future)) {
        delete_future(i);
        if (i->trap || i->error)
            judge(i);
        else if (i->starting) {
            enter(i);
            continue;
        } else if (i->image->entry_returns)
            i->end.status = i->result.of.i32;
        ended(i);
        return i->state;
    }
    return i->state = i->suspended ? INSTANCE_WAITING : INSTANCE_RUNNABLE;
}

void instance_cancel(struct instance *i, enum err_code reason)
{
    if (i->state != INSTANCE_RUNNABLE && i->state != INSTANCE_WAITING)
        return;
    delete_future(i); /* unwinds the guest's stack */
    i->end.reason = reason;
    i->end.by_host = false;
    ended(i);
}

const struct instance_end *instance_end(const struct instance *i)
{
    return &i->end;
}

/* A place that was given back keeps its memory accessible until the next run of the image, and so
 * uses up the process's limit of memory while it is empty: a few large runs would leave nothing for
 * others. Making the instance once more in that place (the pool gives an image the place it had
 * last) takes the memory down to its first size. No guest code runs: the epoch's deadline of a new
 * store is over, so a start function traps at its first instruction. */
static void shrink_place(struct image *image)
{
    wasmtime_store_t *store = wasmtime_store_new(image->engine->wasm, NULL, NULL);
    wasmtime_instance_t instance;
    wasm_trap_t *trap = NULL;
    wasmtime_error_t *error = NULL;
    wasmtime_call_future_t *future = wasmtime_instance_pre_instantiate_async(
        image->pre, wasmtime_store_context(store), &instance, &trap, &error);
    while (!wasmtime_call_future_poll(future))
        ;
    wasmtime_call_future_delete(future);
    if (trap)
        wasm_trap_delete(trap);
    if (error)
        wasmtime_error_delete(error);
    wasmtime_store_delete(store);
}

void instance_done(struct instance *i)
{
    if (i->state == INSTANCE_IDLE)
        return;
    delete_future(i);
    if (i->trap)
        wasm_trap_delete(i->trap);
    if (i->error)
        wasmtime_error_delete(i->error);
    wasmtime_store_delete(i->store);
    if (i->end.memory > i->image->memory_minimum + PLACE_KEEPS)
        shrink_place(i->image);
    i->trap = NULL;
    i->error = NULL;
    i->store = NULL;
    i->state = INSTANCE_IDLE;
}
