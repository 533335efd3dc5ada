#include "engine/private.h"

#include <stdio.h>
#include <stdlib.h>

#if defined __x86_64__
#include <cpuid.h>
#else
#include <sys/auxv.h>
#endif

/* What an instance's place keeps resident when it is given back, so that the next run of the same
 * image needs no system call; the sum over all places is what an idle exec may hold. */
enum {
    KEEP_MEMORY = 256 << 10,
    KEEP_STACK = 16 << 10,
    KEEP_TABLE = 8 << 10,
    HOST_STACK = 256 << 10,   /* of a guest's stack, for host functions */
    INSTANCE_BYTES = 8 << 20, /* a Go program's instance has 57,000 data segments */
    TABLE_ELEMENTS = 100000,
    TABLES = 4,
};

/* Grows whenever a setting below changes what compiled code, or an image's file, looks like. */
#define SETTINGS                                                                                   \
    "3: sealed, epochs, fuel in images of its kind, no unwind info, no threads, one memory, 32 bits"

enum err_code engine_error(struct err *e, enum err_code code, const char *what,
                           wasmtime_error_t *error)
{
    wasm_name_t text;
    wasmtime_error_message(error, &text);
    err_set(e, code, "%s: %.*s", what, (int)text.size, text.data);
    wasm_byte_vec_delete(&text);
    wasmtime_error_delete(error);
    return code;
}

static uint32_t hash(uint32_t h, const void *p, size_t n)
{
    for (const unsigned char *c = p; n--; c++)
        h = (h ^ *c) * 16777619u; /* FNV-1a: a name, no secret */
    return h;
}

/* The feature bits that decide which instructions the compiler uses. */
static uint32_t hash_cpu(uint32_t h)
{
#if defined __x86_64__
    static const unsigned leaves[] = {1, 7, 0x80000001};
    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        unsigned a = 0, b = 0, c = 0, d = 0;
        __get_cpuid_count(leaves[i], 0, &a, &b, &c, &d);
        unsigned bits[3] = {leaves[i] == 7 ? b : 0 /* leaf 1: the core's number */, c, d};
        h = hash(h, bits, sizeof bits);
    }
    return h;
#else
    unsigned long bits[2] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    return hash(h, bits, sizeof bits);
#endif
}

const char *engine_name(void)
{
    static char name[64];
    if (!name[0])
        snprintf(name, sizeof name, "wasmtime-%s-%08x", WASMTIME_VERSION,
                 hash_cpu(hash(2166136261u, SETTINGS, sizeof SETTINGS)));
    return name;
}

static void set_pool(wasm_config_t *config, const struct limits *node, enum engine_use use)
{
    uint32_t places =
        use == ENGINE_TO_RUN ? (uint32_t)limit_rows[LIMIT_PROJECT_CONCURRENCY].maximum : 1;
    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, places);
    wasmtime_pooling_allocation_config_total_memories_set(pool, places);
    wasmtime_pooling_allocation_config_total_tables_set(pool, places * TABLES);
    wasmtime_pooling_allocation_config_total_stacks_set(pool, places);
    wasmtime_pooling_allocation_config_max_core_instance_size_set(pool, INSTANCE_BYTES);
    wasmtime_pooling_allocation_config_max_memories_per_module_set(pool, 1);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, TABLES);
    wasmtime_pooling_allocation_config_table_elements_set(pool, TABLE_ELEMENTS);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, limit_rows[LIMIT_MEMORY].maximum);
    if (use == ENGINE_TO_RUN) { /* wiping what is kept touches each page of it */
        wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, KEEP_MEMORY);
        wasmtime_pooling_allocation_config_async_stack_keep_resident_set(pool, KEEP_STACK);
        wasmtime_pooling_allocation_config_table_keep_resident_set(pool, KEEP_TABLE);
    }
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
}

enum err_code engine_new(enum engine_kind kind, enum engine_use use, const struct limits *node,
                         struct engine **ret_engine, struct err *e)
{
    struct engine *engine = calloc(1, sizeof *engine);
    wasm_config_t *config = wasm_config_new();
    if (!engine || !config) {
        free(engine);
        return err_set(e, ERR_MEMORY, "no memory for an engine");
    }
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_consume_fuel_set(config, kind == ENGINE_FUEL);
    wasmtime_config_native_unwind_info_set(config, false);
    wasmtime_config_memory_init_cow_set(config, true);
    wasmtime_config_parallel_compilation_set(config, use == ENGINE_TO_COMPILE);
    /* No guest language needs these yet, and each is code that a guest could attack. */
    wasmtime_config_shared_memory_set(config, false);
    wasmtime_config_wasm_memory64_set(config, false);
    wasmtime_config_wasm_multi_memory_set(config, false);
    wasmtime_config_wasm_stack_switching_set(config, false);
    wasmtime_config_wasm_custom_page_sizes_set(config, false);
    wasmtime_config_gc_support_set(config, false);

    size_t stack = node->v[LIMIT_STACK];
    wasmtime_config_max_wasm_stack_set(config, stack);
    wasmtime_config_async_stack_size_set(config, stack + HOST_STACK);
    set_pool(config, node, use);
    engine->wasm = wasm_engine_new_with_config(config);
    if (!engine->wasm) {
        free(engine);
        return err_set(e, ERR_INTERNAL, "the WebAssembly engine refuses its settings");
    }
    engine->kind = kind;
    *ret_engine = engine;
    return ERR_OK;
}

void engine_free(struct engine *engine)
{
    if (!engine)
        return;
    wasm_engine_delete(engine->wasm);
    free(engine);
}
