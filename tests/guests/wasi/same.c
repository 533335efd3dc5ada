/* The work that a program of every ABI does, with the same answer: see cwa/same.c.
 *
 * Resources are files here: /dev/NAME, and /net/SCHEME/REST for SCHEME://REST. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 1 << 20 };

static unsigned char body[MOST + 1];

static int read_all(int fd, unsigned char *to, int len)
{
    int have = 0;
    while (have < len) {
        int n = (int)read(fd, to + have, (size_t)(len - have));
        if (n <= 0)
            break;
        have += n;
    }
    return have;
}

static unsigned sum(const unsigned char *bytes, int n)
{
    unsigned total = 0;
    for (int i = 0; i < n; i++)
        total = total * 31 + bytes[i];
    return total;
}

static void show(const char *what, int n, unsigned total)
{
    printf("%s %d bytes, sum %u\n", what, n, total);
}

/* SCHEME://REST is the file /net/SCHEME/REST. */
static int open_url(const char *url)
{
    char path[1024];
    const char *rest = strstr(url, "://");
    if (!rest)
        return -1;
    snprintf(path, sizeof path, "/net/%.*s/%s", (int)(rest - url), url, rest + 3);
    return open(path, O_RDONLY);
}

static void fetch(void)
{
    static unsigned char answer[MOST];
    char *url = (char *)body + 5;
    url[strcspn(url, "\n")] = 0;
    int fd = open_url(url);
    if (fd < 0) {
        printf("not opened\n");
        return;
    }
    int n = read_all(fd, answer, sizeof answer);
    close(fd);
    show("answer", n, sum(answer, n));
}

int main(void)
{
    unsigned char some[16];
    printf("Content-Type: text/plain\n\n");
    int n = read_all(0, body, MOST);
    show("body", n, sum(body, n));

    int fd = open("/dev/null", O_RDWR);
    int written = (int)write(fd, body, n < 16 ? (size_t)n : 16);
    show("null", read_all(fd, some, 16) + written, 0);
    close(fd);
    fd = open("/dev/zero", O_RDONLY);
    int zeros = read_all(fd, some, 16);
    show("zero", zeros, sum(some, zeros));
    close(fd);
    fd = open("/dev/urandom", O_RDONLY);
    show("random", read_all(fd, some, 16), 0);
    close(fd);
    fd = open("/net/log/?prefix=same", O_WRONLY);
    show("log", (int)write(fd, "a line\n", 7), 0);
    close(fd);

    if (n > 5 && memcmp(body, "open ", 5) == 0)
        fetch();
    write(2, "done\n", 5);
    return 0;
}
