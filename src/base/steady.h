/* What time it is for deciding that something is too old to be kept.
 *
 * A wall clock that is set wrong must not delete a year of logs. This one follows the wall clock,
 * but when that leaps forward (by more than was measured by a clock that can't be set), it goes on
 * as if nothing had happened for a day: time enough for somebody to notice and set it right. When
 * the wall clock goes back, so does this one, and less is too old. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    STEADY_SLACK_MS = 600000,   /* a leap is more than this */
    STEADY_DOUBT_MS = 86400000, /* a leap forward is believed after this long */
    STEADY_TEXT = 128,
};

struct steady {
    uint64_t real_ms, boot_ms; /* when both clocks were last believed */
    uint64_t leapt_ms;         /* since when, by the boot clock, the wall clock is not; 0: it is */
};

/* `boot_ms` is CLOCK_BOOTTIME: counts through sleep, can't be set, begins anew with the machine. */
uint64_t steady_at(struct steady *s, uint64_t real_ms, uint64_t boot_ms);

/* The one of this process: now, in Unix milliseconds. */
uint64_t steady_ms(void);
/* Is the wall clock in doubt? */
bool steady_leapt(void);
/* For going on after a restart: writes where it is; takes such a text ("": there is none). */
void steady_save(char out[STEADY_TEXT]);
void steady_restore(const char *text);
