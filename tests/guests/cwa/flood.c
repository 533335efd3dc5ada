/* `bytes=N` of output, or no end of it. */
#include "cwa.h"

ENTRY
{
    static char block[65536];
    for (int i = 0; i < (int)sizeof block; i++)
        block[i] = i % 64 == 63 ? '\n' : (char)('a' + i % 26);
    int bytes = param("bytes", -1);
    put_text_head();
    while (bytes) {
        int len = bytes > 0 && bytes < (int)sizeof block ? bytes : (int)sizeof block;
        if (resource_write(io_get_stdout(), block, len) < 0)
            return 1;
        if (bytes > 0)
            bytes -= len;
    }
    return 0;
}
