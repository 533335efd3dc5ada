/* The CPU meter: splits a thread's CPU time among pieces of work, cheaply and without loss.
 *
 * The thread's CPU clock is a system call (0.3 to 1 µs), the monotonic clock is
 * not (25 ns). While nobody takes the core away they move alike. So a short
 * piece is measured by the monotonic clock; a long one, during which the core
 * may well have been away, by the CPU clock. What the short ones were charged
 * too much is known at each stop, from the CPU clock, and taken off later
 * pieces: the sum over all pieces is the CPU clock's, a single short piece is
 * off by METER_TRUST_NS at most. */
#pragma once

#include <stdint.h>

enum { METER_TRUST_NS = 50000 };

struct meter {
    uint64_t mono_ns; /* where the present piece began, on either clock */
    uint64_t cpu_ns;
    int64_t charged_ns; /* to short pieces since the CPU clock was last read */
    int64_t surplus_ns; /* charged in all beyond what the CPU clock says */
};

/* The first piece begins. What the thread did since the last stop is nobody's. */
void meter_start(struct meter *m);
/* Ends a piece, begins the next; returns the CPU time of the one that ended, in nanoseconds. */
uint64_t meter_piece(struct meter *m);
/* Begins the next piece; the one that ended is nobody's. */
void meter_skip(struct meter *m);
/* The CPU time of the piece so far, which goes on. */
uint64_t meter_so_far(const struct meter *m);
/* Nothing is measured until the next start. */
void meter_stop(struct meter *m);
