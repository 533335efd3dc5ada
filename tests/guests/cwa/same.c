/* The work that a program of every ABI does, with the same answer: "same" of this ABI.
 *
 * It reads the body, moves bytes through each local resource, and, when the body begins with a line
 * `open URL`, reads that URL to its end. Built as it is, with -DCWA_MODULE="env", and with another
 * entry point: -DENTRY_START for `_start` alone, -DENTRY_BOTH for `_start` and a wrong `cwa_main`. */
#include "cwa.h"

enum { MOST = 1 << 20 };

static unsigned char body[MOST];

static int open_url(const char *url)
{
    return resource_open(url, length(url));
}

/* Reads until `len` bytes are there or the end comes. */
static int read_all(int fd, unsigned char *to, int len)
{
    int have = 0;
    while (have < len) {
        int n = resource_read(fd, to + have, len - have);
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
    put_number(n);
    put(" bytes, sum ");
    put_number(total);
    put("\n");
}

static void fetch(int n)
{
    static unsigned char answer[MOST];
    int len = 0;
    while (5 + len < n && body[5 + len] != '\n')
        len++;
    int fd = resource_open((const char *)body + 5, len);
    if (fd < 0) {
        put("not opened\n");
        return;
    }
    n = read_all(fd, answer, sizeof answer);
    resource_close(fd);
    show("answer", n, sum(answer, n));
}

static void work(void)
{
    unsigned char some[16];
    put_text_head();
    int n = read_all(io_get_stdin(), body, sizeof body);
    show("body", n, sum(body, n));

    int fd = open_url("null://");
    int written = resource_write(fd, body, n < 16 ? n : 16);
    show("null", read_all(fd, some, 16) + written, 0);
    resource_close(fd);
    fd = open_url("zero://");
    int zeros = read_all(fd, some, 16);
    show("zero", zeros, sum(some, zeros));
    resource_close(fd);
    fd = open_url("random://");
    show("random", read_all(fd, some, 16), 0);
    resource_close(fd);
    fd = open_url("log://?prefix=same");
    show("log", resource_write(fd, "a line\n", 7), 0);
    resource_close(fd);

    if (n > 5 && sum(body, 5) == sum((const unsigned char *)"open ", 5))
        fetch(n);
    resource_write(io_get_stderr(), "done\n", 5);
}

#if defined ENTRY_START || defined ENTRY_BOTH
__attribute__((export_name("_start"))) void start(void)
{
    work();
}
#endif
#ifdef ENTRY_BOTH
ENTRY
{
    put("Status: 500 the wrong entry point\n");
    put_text_head();
    return 0;
}
#elif !defined ENTRY_START
ENTRY
{
    work();
    return 0;
}
#endif
