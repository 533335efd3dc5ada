/* Crashes as C programs do, by argument or query: `far` writes far outside its memory, `divide` by
 * zero, `null` calls through a null pointer, `abort` gives up, `deep` recurses without an end. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __attribute__((noinline)) void write_far(void)
{
    volatile char *at = (char *)(uintptr_t)0xfffffff0u;
    *at = 1;
}

static __attribute__((noinline)) int divide(volatile int n, volatile int by)
{
    return n / by;
}

static __attribute__((noinline)) void call_null(void)
{
    void (*volatile function)(void) = NULL;
    function();
}

static __attribute__((noinline)) int recurse(volatile int depth)
{
    volatile char room[1024] = {0};
    return depth < 0 ? 0 : recurse(depth + 1) + room[depth % 1024];
}

int main(int argc, char **argv)
{
    const char *query = getenv("QUERY_STRING");
    const char *how = argc > 1 ? argv[1] : query ? query : "";
    fprintf(stderr, "about to %s\n", how);
    if (strcmp(how, "far") == 0)
        write_far();
    else if (strcmp(how, "divide") == 0)
        return divide(7, 0);
    else if (strcmp(how, "null") == 0)
        call_null();
    else if (strcmp(how, "abort") == 0)
        abort();
    else if (strcmp(how, "deep") == 0)
        return recurse(0);
    return 0;
}
