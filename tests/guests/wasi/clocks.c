/* Clocks advance over a sleep of 50 ms, by at least that and in order. */
#include <stdio.h>
#include <time.h>

static long long now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000ll + t.tv_nsec / 1000;
}

int main(void)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    long long wall = now_us(CLOCK_REALTIME), mono = now_us(CLOCK_MONOTONIC);
    int failed = clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    printf("Content-Type: text/plain\n\nslept %d\nmonotonic %lld\nreal %lld\nunix %lld\n", failed,
           now_us(CLOCK_MONOTONIC) - mono, now_us(CLOCK_REALTIME) - wall, wall / 1000000);
    return 0;
}
