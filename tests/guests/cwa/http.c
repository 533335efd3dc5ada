/* Opens the URL of its query (`open=…`, with %XX), writes what comes on standard input to it, and
 * what it reads from there to standard output; the last line says with which code that ended.
 *
 *   open=URL       what to open
 *   second=TARGET  when the answer is read, GET this on the same descriptor
 *   noflush=1      reads at once
 *   lines=1        passes each read on as "N: bytes", to see what one read gave */
#include "cwa.h"

static char buf[65536];

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : 0;
}

/* The value of `name=` in the query, decoded in place; empty if it is not there. */
static char *text_param(char *all, const char *name)
{
    int n = length(name);
    for (char *at = all; *at; at++) {
        int i = 0;
        while (i < n && at[i] == name[i])
            i++;
        if (i < n || at[n] != '=' || (at != all && at[-1] != '&'))
            continue;
        char *from = at + n + 1, *to = from, *value = from;
        while (*from && *from != '&') {
            if (*from == '%' && from[1] && from[2]) {
                *to++ = (char)(hex(from[1]) << 4 | hex(from[2]));
                from += 3;
            } else {
                *to++ = *from++;
            }
        }
        *to = 0;
        return value;
    }
    return "";
}

static int say(const char *what, int code)
{
    put("\n");
    put(what);
    put(" ");
    put_number(code);
    put("\n");
    return 0;
}

static int copy_answer(int fd, int lines)
{
    int n;
    while ((n = resource_read(fd, buf, sizeof buf)) > 0) {
        if (lines) {
            put_number(n);
            put(": ");
        }
        put_bytes(buf, n);
    }
    return n;
}

ENTRY
{
    static char copies[3][8192];
    char *all = query();
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 8192 && (copies[k][i] = all[i]); i++)
            ;
    char *url = text_param(copies[0], "open"), *second = text_param(copies[1], "second");
    int lines = *text_param(copies[2], "lines") != 0, noflush = param("noflush", 0) != 0;
    int in = io_get_stdin(), n;
    int fd = resource_open(url, length(url));
    if (fd < 0)
        return say("open", fd);
    while ((n = resource_read(in, buf, sizeof buf)) > 0) {
        int put_n = resource_write(fd, buf, n);
        if (put_n != n)
            return say("write", put_n);
    }
    if (!noflush) {
        int flushed = resource_flush(fd);
        if (flushed)
            return say("flush", flushed);
    }
    n = copy_answer(fd, lines);
    if (*second) {
        say("read", n);
        const char *parts[] = {"GET ", second, " HTTP/1.1\n\n"};
        for (int i = 0; i < 3; i++) {
            int put_n = resource_write(fd, parts[i], length(parts[i]));
            if (put_n < 0)
                return say("write", put_n);
        }
        n = copy_answer(fd, lines);
    }
    resource_close(fd);
    return say("read", n);
}
