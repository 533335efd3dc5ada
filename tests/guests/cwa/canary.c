/* Looks for what an earlier run left in memory, on the stack, in grown pages and in a global, then
 * leaves it there. Every answer must be `clean`. */
#include "cwa.h"

#define CANARY 0x5eedcafe

__asm__(".globaltype left, i32\n"
        ".globl left\n"
        "left:\n");

static unsigned global_get(void)
{
    unsigned value;
    __asm__ volatile("global.get left\n\tlocal.set %0" : "=r"(value));
    return value;
}

static void global_set(unsigned value)
{
    __asm__ volatile("local.get %0\n\tglobal.set left" : : "r"(value));
}

static volatile unsigned in_memory[1024];

static __attribute__((noinline)) int on_stack(void)
{
    volatile unsigned words[512];
    int found = 0;
    for (int i = 0; i < 512; i++)
        found += words[i] == CANARY;
    for (int i = 0; i < 512; i++)
        words[i] = CANARY;
    return found;
}

ENTRY
{
    int found = 0;
    for (int i = 0; i < 1024; i++) {
        found += in_memory[i] != 0;
        in_memory[i] = CANARY;
    }
    found += on_stack();
    unsigned long at = __builtin_wasm_memory_grow(0, 16);
    if (at != (unsigned long)-1) {
        volatile unsigned *page = (volatile unsigned *)(at * 65536);
        for (int i = 0; i < 16 * 65536 / 4; i += 16) {
            found += page[i] != 0;
            page[i] = CANARY;
        }
    }
    found += global_get() != 0;
    global_set(CANARY);
    put_text_head();
    put(found ? "FOUND\n" : "clean\n");
    return 0;
}
