/* Ends with `status=N` (3), before its head or, with `after=1`, after it and a line. */
#include "cwa.h"

ENTRY
{
    if (param("after", 0)) {
        put_text_head();
        put("before the end\n");
    }
    runtime_exit(param("status", 3));
    put("never seen\n");
    return 0;
}
