/* A line, a pause of `ms=N` (200), another line. `before=MS` sleeps before the head. */
#include "cwa.h"

ENTRY
{
    runtime_msleep(param("before", 0));
    put_text_head();
    put("one\n");
    runtime_msleep(param("ms", 200));
    put("two\n");
    return 0;
}
