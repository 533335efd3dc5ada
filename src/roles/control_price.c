/* Prices: what a version costs, measured where it will run.
 *
 * When a version's check is a safe request that is quickly answered, it is run
 * some more times, in turns with the version that is live, and the medians are
 * compared: what else the machine does then meets both alike. These runs are
 * silent: nobody asked for them, so they are not counted, logged or kept. Less
 * than half of the runs may fail. Other checks have run once, and their price is
 * of that run. */
#include "roles/control.h"

#include "api/guest.h"

#include <stdlib.h>

enum {
    QUICK_US = 50000, /* a check that took longer is not repeated */
    ONE_US = 1000000, /* for one run */
    ALL_US = 1000000, /* for all: after that no further one is begun */
};

bool control_price_repeatable(struct slice method, const struct ledger *l)
{
    return (slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD"))) &&
           l->head.wall_us <= QUICK_US && l->head.opens == 0;
}

struct price control_price_of(const struct ledger *l)
{
    return (struct price){.runs = 1,
                          .cpu_us = l->head.cpu_us,
                          .memory_peak = l->head.memory_peak,
                          .calls = l->head.calls};
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t median(const struct price *samples, unsigned n, size_t member)
{
    uint64_t all[PRICE_RUNS];
    for (unsigned i = 0; i < n; i++)
        memcpy(&all[i], (const char *)&samples[i] + member, sizeof all[i]);
    qsort(all, n, sizeof *all, by_size);
    return all[n / 2];
}

static void finish(struct pricing *p)
{
    for (int v = 0; v < 2; v++) {
        unsigned n = p->n[v];
        if (!p->prices[v] || n * 2 <= p->at / 2)
            continue;
        *p->prices[v] = (struct price){
            .runs = n,
            .cpu_us = median(p->samples[v], n, offsetof(struct price, cpu_us)),
            .memory_peak = median(p->samples[v], n, offsetof(struct price, memory_peak)),
            .calls = median(p->samples[v], n, offsetof(struct price, calls))};
    }
    p->on_done(p);
}

static void next(struct pricing *p);

static void on_run(struct injection *i, struct uuid run)
{
    (void)i, (void)run;
}

static void on_output(struct injection *i, struct slice bytes)
{
    control_inject_credit(i, (uint32_t)bytes.n);
}

static void on_credit(struct injection *i, uint32_t n)
{
    (void)i, (void)n; /* there is no body */
}

static void on_deadline(struct loop_timer *t)
{
    struct pricing *p = LIST_ITEM(t, struct pricing, deadline);
    control_inject_cancel(&p->injection, ERR_CANCELLED);
}

static void on_end(struct injection *i, const struct ledger *l, const struct err *lost)
{
    struct pricing *p = LIST_ITEM(i, struct pricing, injection);
    struct control *c = p->control;
    unsigned v = p->at % 2;
    loop_timer_stop(c->loop, &p->deadline);
    if (!lost && l->head.reason == ERR_OK)
        p->samples[v][p->n[v]++] = control_price_of(l);
    p->at++;
    next(p);
}

/* The next run: of the one version, then of the other. */
static void next(struct pricing *p)
{
    struct control *c = p->control;
    struct buf vars;
    struct err e;
    if (p->at % 2 && uuid_is_zero(p->versions[1]))
        p->at++;
    if (p->at >= 2 * PRICE_RUNS || (p->at % 2 == 0 && loop_now(c->loop) >= p->until_us)) {
        finish(p);
        return;
    }
    buf_init(&vars, GUEST_VARS);
    p->injection = (struct injection){.on_run = on_run,
                                      .on_output = on_output,
                                      .on_credit = on_credit,
                                      .on_end = on_end,
                                      .silent = true};
    list_init(&p->injection.node);
    enum err_code rc = ERR_MEMORY;
    if (guest_vars(&c->api, p->name, p->method, p->target, SLICE(""), UINT64_MAX, &vars))
        rc = control_inject(&c->api, &p->injection, p->versions[p->at % 2], buf_slice(&vars), false,
                            &e);
    buf_done(&vars);
    if (rc)
        finish(p);
    else
        loop_timer_start(c->loop, &p->deadline, loop_now(c->loop) + ONE_US, on_deadline);
}

void control_price(struct control *c, struct pricing *p)
{
    p->control = c;
    p->at = p->n[0] = p->n[1] = 0;
    p->until_us = loop_now(c->loop) + ALL_US;
    next(p);
}
