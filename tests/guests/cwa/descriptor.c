/* Uses descriptors that aren't open: writing is an error, closing ends the guest. */
#include "cwa.h"

ENTRY
{
    put_text_head();
    put_number(resource_write(77, "x", 1));
    put("\n");
    put_number(resource_read(-5, (void *)1024, 1));
    put("\n");
    if (param("close", 1))
        resource_close(77);
    return 0;
}
