/* Random numbers by every road. */
#include "cwa.h"

ENTRY
{
    unsigned char bytes[8];
    put_text_head();
    put_number(random_i32());
    put("\n");
    put_number(random_i64());
    put("\n");
    int fd = resource_open("random://", 9);
    int n = resource_read(fd, bytes, sizeof bytes);
    for (int i = 0; i < n; i++) {
        put_number(bytes[i]);
        put(" ");
    }
    put("\n");
    resource_close(fd);
    return 0;
}
