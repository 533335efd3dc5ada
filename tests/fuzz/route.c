/* Rows of the route table and payloads of INJECT. */
#include "fuzz.h"
#include "route/route.h"

FUZZ(bytes)
{
    struct route_row row = {0};
    if (route_row_read(bytes, NULL, &row, NULL) == ERR_OK) {
        MUST(row.version_count <= ROUTE_VERSIONS);
        MUST(memchr(row.name, 0, sizeof row.name));
    }
    route_row_done(&row);
    static const uint8_t key[ROUTE_KEY_BYTES] = {1};
    row = (struct route_row){0};
    (void)!route_row_read(bytes, key, &row, NULL);
    route_row_done(&row);
}
