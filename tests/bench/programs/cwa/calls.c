/* Ten million calls of one host function; argument 1 says which: `empty` calls none, `time` time_now,
 * `random` random_i32, `write` and `read` resource_write and resource_read of 8 bytes on null://
 * and zero://. The last two may wait and need not. */
#include "cwa.h"

enum { CALLS = 10000000 };

static int is(const char *argument, const char *word)
{
    while (*argument && *argument == *word)
        argument++, word++;
    return *argument == *word;
}

ENTRY
{
    static char which[16], buf[8];
    startup_arg_at(1, which, sizeof which - 1);
    int null = resource_open("null://", 7), zero = resource_open("zero://", 7);
    if (is(which, "empty"))
        for (int i = 0; i < CALLS; i++)
            __asm__ volatile("");
    else if (is(which, "time"))
        for (int i = 0; i < CALLS; i++)
            time_now();
    else if (is(which, "random"))
        for (int i = 0; i < CALLS; i++)
            random_i32();
    else if (is(which, "write"))
        for (int i = 0; i < CALLS; i++)
            resource_write(null, buf, sizeof buf);
    else if (is(which, "read"))
        for (int i = 0; i < CALLS; i++)
            resource_read(zero, buf, sizeof buf);
    else
        return 2;
    return 0;
}
