/* Logs what would colour the reader's terminal and ring its bell. */
#include "cwa.h"

ENTRY
{
    static const char text[] = "\x1b[31mred\x07 \xc3\xa4";
    log_write(6, text, sizeof text - 1);
    put_text_head();
    return 0;
}
