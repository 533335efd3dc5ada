/* A CGI program in plain C, as it would run under any web server. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    const char *query = getenv("QUERY_STRING");
    const char *address = getenv("REMOTE_ADDR");

    printf("Content-Type: text/plain\n\n");
    printf("Hello %s from C\n", query && *query ? query : "world");
    printf("You are %s\n", address ? address : "nobody");
    return 0;
}
