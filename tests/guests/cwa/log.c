/* Log lines: `lines=N` of them (`length=L` bytes each), or one of each level and standard error. */
#include "cwa.h"

ENTRY
{
    static char text[65536];
    int lines = param("lines", 0), len = param("length", 10);
    if (len > (int)sizeof text)
        len = sizeof text;
    for (int i = 0; i < len; i++)
        text[i] = (char)('a' + i % 26);
    for (int i = 0; i < lines; i++)
        log_write(6, text, len);
    if (!lines) {
        log_write(1, "an error", 8);
        log_write(3, "a warning", 9);
        log_write(6, "an information", 14);
        log_write(9, "of another level", 16);
        resource_write(io_get_stderr(), "from stderr\nand its second line\nunfinished", 42);
    }
    put_text_head();
    put("logged\n");
    return 0;
}
