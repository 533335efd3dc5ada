/* Clocks: microseconds, from the three clocks the program uses. */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}
/* Never goes back; for deadlines and wall times. */
static inline uint64_t clock_mono_us(void)
{
    return clock_us(CLOCK_MONOTONIC);
}
/* Since the Unix epoch, UTC; for records and headers. */
static inline uint64_t clock_real_us(void)
{
    return clock_us(CLOCK_REALTIME);
}
/* The monotonic clock in nanoseconds; costs 25 ns to read. */
static inline uint64_t clock_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
/* CPU time of this thread in nanoseconds; costs 0.2–0.6 µs to read. */
static inline uint64_t clock_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* RFC 3339 in UTC with milliseconds, "2026-11-22T12:00:00.000Z": 24 characters and a NUL. */
void clock_rfc3339(uint64_t real_us, char out[25]);
/* IMF-fixdate of RFC 9110 5.6.7, "Sun, 22 Nov 2026 12:00:00 GMT": 29 characters and a NUL. */
void clock_http_date(uint64_t real_us, char out[30]);
