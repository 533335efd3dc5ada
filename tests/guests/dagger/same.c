/* The work that a program of every ABI does, with the same answer: see cwa/same.c.
 *
 * The entry point is `handle`, or with -DENTRY=main, `main`. */
#include "dagger.h"

#ifndef ENTRY
#define ENTRY handle
#endif
#define NAME_OF(name) #name
#define EXPORTED(name) __attribute__((export_name(NAME_OF(name))))

enum { MOST = 1 << 20 };

static unsigned char body[MOST + 1];

static void put(const char *s)
{
    int n = 0;
    while (s[n])
        n++;
    dagger_write(1, s, n);
}

static void put_number(unsigned n)
{
    char text[12], *at = text + sizeof text;
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    dagger_write(1, at, (int)(text + sizeof text - at));
}

static int read_all(int fd, unsigned char *to, int len)
{
    int have = 0;
    while (have < len) {
        int n = (int)dagger_read(fd, to + have, len - have);
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
    put(what);
    put(" ");
    put_number((unsigned)n);
    put(" bytes, sum ");
    put_number(total);
    put("\n");
}

static void fetch(void)
{
    static unsigned char answer[MOST];
    int len = 0;
    while (body[5 + len] && body[5 + len] != '\n')
        len++;
    body[5 + len] = 0;
    int fd = (int)dagger_open((const char *)body + 5, 0);
    if (fd < 0) {
        put("not opened\n");
        return;
    }
    int n = read_all(fd, answer, sizeof answer);
    dagger_close(fd);
    show("answer", n, sum(answer, n));
}

EXPORTED(ENTRY) int entry(void)
{
    unsigned char some[16];
    put("Content-Type: text/plain\n\n");
    int n = read_all(0, body, MOST);
    show("body", n, sum(body, n));

    int fd = (int)dagger_open("null://", 0);
    int written = (int)dagger_write(fd, body, n < 16 ? n : 16);
    show("null", read_all(fd, some, 16) + written, 0);
    dagger_close(fd);
    fd = (int)dagger_open("zero://", 0);
    int zeros = read_all(fd, some, 16);
    show("zero", zeros, sum(some, zeros));
    dagger_close(fd);
    fd = (int)dagger_open("random://", 0);
    show("random", read_all(fd, some, 16), 0);
    dagger_close(fd);
    fd = (int)dagger_open("log://?prefix=same", 0);
    show("log", (int)dagger_write(fd, "a line\n", 7), 0);
    dagger_sync(fd);
    dagger_close(fd);

    if (n > 5 && sum(body, 5) == sum((const unsigned char *)"open ", 5))
        fetch();
    dagger_write(2, "done\n", 5);
    return 0;
}
