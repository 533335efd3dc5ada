/* Never ends, before its head or, with `after=1`, after it and a line. */
#include "cwa.h"

ENTRY
{
    if (param("after", 0)) {
        put_text_head();
        put("before the end\n");
    }
    for (volatile unsigned n = 0;; n++)
        ;
}
