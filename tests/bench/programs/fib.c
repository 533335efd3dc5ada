/* Calls: Fibonacci numbers by the definition. */
#include <stdint.h>
#include <stdio.h>

static __attribute__((noinline)) uint32_t fib(uint32_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

int main(void)
{
    volatile uint32_t n = 42;
    printf("%u\n", (unsigned)fib(n));
    return 0;
}
