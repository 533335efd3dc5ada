/* Waits for two files at once, those of its query (`/net/http/… /net/http/…`, a + between): says
 * which can be read, at the first answer and after another 200 ms. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    char *first = getenv("QUERY_STRING"), *second = strchr(first, '+');
    *second++ = '\0';
    struct pollfd both[] = {{.fd = open(first, O_RDONLY), .events = POLLIN},
                            {.fd = open(second, O_RDONLY), .events = POLLIN}};
    int n = poll(both, 2, -1);
    printf("%d: %d %d\n", n, both[0].revents, both[1].revents);
    both[1].fd = both[0].fd;
    n = poll(both, 1, 200);
    printf("%d: %d\n", n, both[0].revents);
    return 0;
}
