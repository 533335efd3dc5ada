/* Takes memory until there is no more, touches each page, and tells how many it got.
 * `pages=N` asks for N at a time (16); `trap=1` traps at the end, `hold=MS` sleeps there. */
#include "cwa.h"

ENTRY
{
    int step = param("pages", 16), first = (int)__builtin_wasm_memory_size(0);
    for (;;) {
        unsigned long at = __builtin_wasm_memory_grow(0, (unsigned long)step);
        if (at == (unsigned long)-1)
            break;
        for (int i = 0; i < step; i++)
            *(volatile char *)((at + (unsigned long)i) * 65536) = 1;
    }
    runtime_msleep(param("hold", 0));
    if (param("trap", 0))
        __builtin_trap();
    put_text_head();
    put_number((int)__builtin_wasm_memory_size(0) - first);
    put(" pages\n");
    return 0;
}
