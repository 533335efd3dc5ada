/* Three server-sent events, 100 ms apart. */
#include <stdio.h>
#include <time.h>

int main(void)
{
    const struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
    printf("Content-Type: text/event-stream\nCache-Control: no-store\n\n");
    fflush(stdout);
    for (int i = 1; i <= 3; i++) {
        printf("id: %d\ndata: event %d\n\n", i, i);
        fflush(stdout);
        if (i < 3)
            nanosleep(&pause, NULL);
    }
    return 0;
}
