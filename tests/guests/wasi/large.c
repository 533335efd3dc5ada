/* As many bytes as the query says (1 MiB). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
    static char block[4096];
    const char *query = getenv("QUERY_STRING");
    long left = query && *query ? atol(query) : 1 << 20;
    memset(block, 'x', sizeof block);
    printf("Content-Type: text/plain\n\n");
    for (; left > 0; left -= (long)sizeof block)
        fwrite(block, 1, left < (long)sizeof block ? (size_t)left : sizeof block, stdout);
    return 0;
}
