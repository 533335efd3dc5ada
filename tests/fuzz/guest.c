/* Host calls: the input is a guest's memory and a row of calls with their arguments.
 *
 * Its first part is calls of 1 + 9 × 4 bytes (a number of the table, arguments), as many as its
 * first byte says; the rest lies at the start of memory. Memory has exactly its size, so that the
 * sanitizers see a byte beyond it. */
#include "fuzz.h"

#include "guest/guest.h"
#include "guest/host.h"

enum { MEMORY = 8192, CALL = 1 + ENGINE_ARGS * 4, TRIES = 3 };

static size_t credit, arrived;

static size_t output(struct guest *g, const void *p, size_t n)
{
    static volatile char sink;
    (void)g;
    n = n < credit ? n : credit;
    for (size_t i = 0; i < n; i++)
        sink = ((const char *)p)[i];
    (void)sink;
    credit -= n;
    return n;
}

static bool output_ready(struct guest *g)
{
    (void)g;
    return credit > 0;
}

static size_t input_ready(struct guest *g, bool *ret_end)
{
    (void)g;
    *ret_end = arrived == 0 && credit % 2;
    return arrived;
}

static size_t input(struct guest *g, void *p, size_t n, bool *ret_end)
{
    size_t have = input_ready(g, ret_end);
    n = n < have ? n : have;
    memset(p, 'i', n);
    arrived -= n;
    return n;
}

static void log_entry(struct guest *g, enum guest_level level, enum guest_source source,
                      struct slice line)
{
    (void)g, (void)source;
    MUST(level == GUEST_ERROR || level == GUEST_WARNING || level == GUEST_INFO);
    MUST(line.n < 16640 && !memchr(line.p, '\n', line.n));
}

static void wake_at(struct guest *g, uint64_t mono_us)
{
    (void)g;
    MUST(mono_us);
}

FUZZ(bytes)
{
    static const struct guest_host host = {.output = output,
                                           .output_ready = output_ready,
                                           .input = input,
                                           .input_ready = input_ready,
                                           .log = log_entry,
                                           .wake_at = wake_at};
    static struct guest g;
    struct limits limits;
    if (!bytes.n)
        return;
    size_t calls = (uint8_t)bytes.p[0];
    bytes = slice_from(bytes, 1);
    if (calls > bytes.n / CALL)
        calls = bytes.n / CALL;
    struct slice rest = slice_from(bytes, calls * CALL);
    limits_init(&limits, false);
    limits.v[LIMIT_LOG_LINE] = 100;
    g.host = &host;
    g.limits = &limits;
    MUST(strings_read(slice_make("A\0b\0LONG\0value", 15), true, &g.meta));
    MUST(strings_read(slice_make("C\0", 3), true, &g.env));
    MUST(strings_read(slice_make("argv0\0one", 10), false, &g.args));
    uint8_t *memory = calloc(1, MEMORY);
    memcpy(memory, rest.p, rest.n < MEMORY ? rest.n : MEMORY);
    guest_begin(&g);
    credit = 5000;
    arrived = 3000;
    for (size_t i = 0; i < calls; i++) {
        const char *at = bytes.p + i * CALL;
        int id = (uint8_t)at[0] % HOST_COUNT;
        struct engine_call c = {.owner = &g, .memory = memory, .memory_size = MEMORY};
        for (int k = 0; k < ENGINE_ARGS; k++) {
            uint32_t v;
            memcpy(&v, at + 1 + k * 4, sizeof v);
            c.arg[k] = v % 3 ? v % (MEMORY + 9) : v; /* most of them mean something */
        }
        c.alias = (uint8_t)at[0] >= 128;
        enum engine_verdict v = ENGINE_YIELD;
        for (int k = 0; k < TRIES && (v == ENGINE_YIELD || v == ENGINE_WAIT); k++) {
            v = host_handlers[id](&c);
            MUST(v == ENGINE_DONE || v == ENGINE_END || host_functions[id].waits);
            credit += 7;
        }
        if (v == ENGINE_END)
            break;
    }
    guest_end(&g);
    MUST(g.log.lines <= limits.v[LIMIT_LOG_LINES] && g.log.bytes <= limits.v[LIMIT_LOG_BYTES]);
    free(memory);
}
