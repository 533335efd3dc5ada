/* The request body, as it arrives. */
#include "cwa.h"

ENTRY
{
    static char buf[65536];
    put("Content-Type: application/octet-stream\n\n");
    for (;;) {
        int n = resource_read(io_get_stdin(), buf, sizeof buf);
        if (n <= 0)
            return 0;
        put_bytes(buf, n);
    }
}
