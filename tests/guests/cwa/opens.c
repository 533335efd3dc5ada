/* Opens each URL that standard input has, NUL-terminated, and reads it to its end. A line for each:
 * what open answered, the bytes that were read, what ended it, and the first line of what was read.
 */
#include "cwa.h"

enum { LINE = 9000, ANSWER = 65536 };

static void try(const char *url, int len)
{
    static char answer[ANSWER];
    int fd = resource_open(url, len), last = 0, first = 0;
    long long bytes = 0;
    while (fd >= 0 && (last = resource_read(fd, answer, ANSWER)) > 0) {
        for (; !bytes && first < last && answer[first] != '\r' && answer[first] != '\n'; first++)
            ;
        if (!bytes && first < last)
            answer[first] = 0;
        bytes += last;
    }
    put_number(fd < 0 ? fd : 0);
    put(" ");
    put_number(bytes);
    put(" ");
    put_number(last);
    put(" ");
    if (bytes)
        put_bytes(answer, first);
    put("\n");
    if (fd >= 0)
        resource_close(fd);
}

ENTRY
{
    static char line[LINE];
    int in = io_get_stdin(), have = 0, at = 0, n;
    put_text_head();
    while ((n = resource_read(in, line + have, LINE - have)) > 0) {
        have += n;
        for (int i = at; i < have; i++) {
            if (line[i])
                continue;
            try(line + at, i - at);
            at = i + 1;
        }
        for (int i = at; i < have; i++)
            line[i - at] = line[i];
        have -= at;
        at = 0;
    }
    return 0;
}
