/* Traps, before its head or, with `after=1`, after it and a line. */
#include "cwa.h"

ENTRY
{
    if (param("after", 0)) {
        put_text_head();
        put("before the end\n");
    }
    __builtin_trap();
}
