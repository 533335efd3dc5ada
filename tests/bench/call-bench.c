/* What one host call costs: `call-bench`.
 *
 * Guests that do nothing but call, in an exec as a server's. The time of a loop that calls nothing
 * is taken off; the best of ROUNDS counts. */
#include "../unit/assemble.h"
#include "../unit/exec_driver.h"

enum { CALLS = 2000000, ROUNDS = 5 };

/* CPU time of one run, in microseconds. */
static uint64_t run(struct driver *d, uint32_t slot)
{
    static uint64_t id = 1;
    struct frame f;
    struct slice payload;
    struct ledger l;
    struct err e;
    driver_begin(d, id++, slot, SLICE(""), false);
    driver_flush(d);
    while (driver_next(d, &f, &payload)) {
        if (f.type != FRAME_END)
            continue;
        if (ledger_read(payload, &l, &e) || l.head.reason)
            driver_die(err_slug((enum err_code)l.head.reason), NULL);
        return l.head.cpu_us;
    }
    driver_die("exec ended", NULL);
    return 0;
}

static double best(struct driver *d, uint32_t slot)
{
    uint64_t least = UINT64_MAX;
    for (int k = 0; k < ROUNDS; k++) {
        uint64_t us = run(d, slot);
        least = us < least ? us : least;
    }
    return (double)least * 1000 / CALLS;
}

int main(void)
{
    static const struct {
        const char *name, *code;
    } calls[] = {
        {"nothing", ""},
        {"unchecked, no memory (runtime_spec_major)", "cwa.runtime_spec_major drop"},
        {"unchecked, memory (runtime_name)", "64 4 cwa.runtime_name drop"},
        {"may wait, need not (resource_write to null://)", "get 1 8 7 cwa.resource_write drop"},
    };
    struct driver d;
    double loop = 0;
    driver_init(&d, true);
    for (uint8_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char code[256];
        struct assemble a = {.data = SLICE("null://")};
        snprintf(
            code, sizeof code,
            "8 7 cwa.resource_open set 1 %d set 0 loop %s get 0 -1 add set 0 get 0 br_if 0 end",
            CALLS, calls[i].code);
        driver_compile(&d, i + 1, assemble(&a, "_start", "", code));
    }
    driver_start(&d, false);
    driver_bind(&d);
    for (uint8_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        driver_load(&d, i + 1u, i + 1, &d.limits, SLICE(""), SLICE("bench\0"));
        double ns = best(&d, i + 1u);
        loop = i ? loop : ns;
        printf("%-50s %7.1f ns\n", calls[i].name, i ? ns - loop : ns);
    }
    driver_stop(&d);
    driver_done(&d);
    return 0;
}
