/* Passes memory that it doesn't have: outside, or with an end beyond 4 GiB (`wrap=1`). */
#include "cwa.h"

ENTRY
{
    if (param("wrap", 0))
        resource_write(io_get_stdout(), (void *)0xffffff00, 0x200);
    else
        resource_write(io_get_stdout(), (void *)0x7ffffff0, 16);
    return 0;
}
