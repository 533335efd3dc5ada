/* The variable that the query names; 404 when there is none. */
#include "cwa.h"

ENTRY
{
    static char value[65536];
    const char *name = query();
    int n = env_get(name, length(name), value, sizeof value);
    if (n < 0)
        put("Status: 404 Not Found\n");
    put_text_head();
    put_bytes(value, n < 0 ? 0 : n);
    return 0;
}
