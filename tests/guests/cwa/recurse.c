/* Calls itself until its stack is used up. */
#include "cwa.h"

static volatile int one = 1;

static __attribute__((noinline)) int down(int n)
{
    return one ? down(n + one) + one : n;
}

ENTRY
{
    put_number(down(0));
    return 0;
}
