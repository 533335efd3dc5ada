/* The smallest answer: what benchmarks ask for. */
#include "cwa.h"

ENTRY
{
    static const char answer[] = "Status: 200 OK\nContent-Type: text/plain\n\nhello world\n";
    resource_write(io_get_stdout(), answer, sizeof answer - 1);
    return 0;
}
