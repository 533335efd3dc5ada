/* Uses exactly what the query says: `calls=N` calls of time_now, `read=N` bytes of the body at most,
 * `out=N` bytes of output in writes of `at-once=N`, `log=N` lines, `opens=N` URLs,
 * `refused=N` opens of one that no policy allows, `pages=N` more pages of memory, and `status=N` at
 * the end. */
#include "cwa.h"

ENTRY
{
    static char buf[65536];
    int calls = param("calls", 0), most = param("read", 0), out = param("out", 0);
    int at_once = param("at-once", sizeof buf), lines = param("log", 0), opens = param("opens", 0);
    int refused = param("refused", 0), pages = param("pages", 0), status = param("status", 0);
    for (int i = 0; i < calls; i++)
        time_now();
    while (most > 0) {
        int n = resource_read(io_get_stdin(), buf, most < (int)sizeof buf ? most : (int)sizeof buf);
        if (n <= 0)
            break;
        most -= n;
    }
    for (int i = 0; i < opens; i++)
        resource_close(resource_open("null://", 7));
    for (int i = 0; i < refused; i++)
        resource_open("https://example.com/forbidden?by=all", 36);
    for (int i = 0; i < lines; i++)
        log_write(6, "a line", 6);
    if (pages)
        __builtin_wasm_memory_grow(0, (unsigned long)pages);
    put_text_head();
    for (int i = 0; i < (int)sizeof buf; i++)
        buf[i] = (char)('a' + i % 26);
    while (out > 0) {
        int n = out < at_once ? out : at_once;
        put_bytes(buf, n);
        out -= n;
    }
    return status;
}
