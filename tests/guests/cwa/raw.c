/* Prints what the client says, byte for byte: the percent-decoded query, then the body. Whatever a
 * hostile program could print can be asked for. */
#include "cwa.h"

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

ENTRY
{
    static char buf[65536];
    char *to = query();
    int len = 0;
    for (const char *at = to; *at; at++) {
        if (*at == '%' && hex(at[1]) >= 0 && hex(at[2]) >= 0) {
            to[len++] = (char)(hex(at[1]) * 16 + hex(at[2]));
            at += 2;
        } else {
            to[len++] = *at;
        }
    }
    put_bytes(to, len);
    while ((len = resource_read(io_get_stdin(), buf, sizeof buf)) > 0)
        put_bytes(buf, len);
    return 0;
}
