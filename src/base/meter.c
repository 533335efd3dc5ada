#include "base/meter.h"

#include "base/clock.h"

/* Reads the CPU clock: what short pieces were charged is compared with it. Returns the time that
 * no piece was charged. */
static int64_t settle(struct meter *m)
{
    uint64_t cpu = clock_cpu_ns();
    int64_t left = (int64_t)(cpu - m->cpu_ns) - m->charged_ns;
    m->cpu_ns = cpu;
    m->charged_ns = 0;
    return left;
}

void meter_start(struct meter *m)
{
    m->cpu_ns = clock_cpu_ns();
    m->mono_ns = clock_mono_ns();
    m->charged_ns = 0;
}

/* The piece that ends now. */
static int64_t end_piece(struct meter *m)
{
    uint64_t now = clock_mono_ns();
    int64_t piece = (int64_t)(now - m->mono_ns);
    m->mono_ns = now;
    if (piece >= METER_TRUST_NS)
        return settle(m);
    m->charged_ns += piece;
    return piece;
}

uint64_t meter_piece(struct meter *m)
{
    int64_t piece = end_piece(m);
    /* pays back what earlier pieces were charged too much */
    piece -= m->surplus_ns;
    m->surplus_ns = piece < 0 ? -piece : 0;
    return piece < 0 ? 0 : (uint64_t)piece;
}

void meter_skip(struct meter *m)
{
    (void)end_piece(m);
}

uint64_t meter_so_far(const struct meter *m)
{
    int64_t piece = (int64_t)(clock_mono_ns() - m->mono_ns);
    if (piece >= METER_TRUST_NS)
        piece = (int64_t)(clock_cpu_ns() - m->cpu_ns) - m->charged_ns;
    piece -= m->surplus_ns;
    return piece < 0 ? 0 : (uint64_t)piece;
}

void meter_stop(struct meter *m)
{
    int64_t left = settle(m);
    if (left < 0) /* above zero: after the last piece, nobody's */
        m->surplus_ns -= left;
}
