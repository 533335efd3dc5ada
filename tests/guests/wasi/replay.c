/* As cwa/replay.c, with nothing but the C library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    static char body[65536], path[512];
    unsigned char random[16];
    size_t n = fread(body, 1, sizeof body - 1, stdin);
    struct timespec real, mono;
    printf("Content-Type: text/plain\n\nbody %zu\n", n);
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_MONOTONIC, &mono);
    printf("time %lld.%09ld %lld.%09ld\n", (long long)real.tv_sec, real.tv_nsec,
           (long long)mono.tv_sec, mono.tv_nsec);
    getentropy(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        printf("%02x", random[i]);
    usleep(1000);
    /* https://host/path is the file /net/https/host/path */
    body[strcspn(body, "\n")] = '\0';
    char *rest = strstr(body, "://");
    if (!rest)
        return 3;
    *rest = '\0';
    snprintf(path, sizeof path, "/net/%s/%s", body, rest + 3);
    FILE *file = fopen(path, "r");
    if (!file) {
        puts("not opened");
        return 3;
    }
    puts("\nanswer");
    for (int c; (c = getc(file)) != EOF;)
        putchar(c);
    puts("");
    return 0;
}
