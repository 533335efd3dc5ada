/* What no two runs have in common: the time, random numbers, what comes on standard input, and
 * what a server answers. The first line of standard input is the URL; the secret WORD is the
 * Authorization of the request. */
#include "cwa.h"

static char body[65536], answer[65536];

ENTRY
{
    char word[256];
    int in = io_get_stdin(), n = 0, got, url = 0, size = env_get("WORD", 4, word, sizeof word);
    put_text_head();
    while ((got = resource_read(in, body + n, (int)sizeof body - n)) > 0)
        n += got;
    put("body ");
    put_number(n);
    put("\ntime ");
    put_number(time_now());
    put("\nrandom ");
    put_number(random_i64());
    put(" ");
    put_number(random_i32());
    put("\n");
    runtime_msleep(1);
    while (url < n && body[url] != '\n')
        url++;
    int fd = resource_open(body, url);
    if (fd < 0) {
        put("not opened ");
        put_number(fd);
        put("\n");
        return 3;
    }
#ifdef OTHER_BUILD
    put_number(time_now());
#endif
    put("answer ");
    if (size > 0) {
        static const char head[] = "GET /hello HTTP/1.1\nAuthorization: Bearer ";
        resource_write(fd, head, sizeof head - 1);
        resource_write(fd, word, size);
        resource_write(fd, "\n\n", 2);
        resource_flush(fd);
    }
    while ((got = resource_read(fd, answer, sizeof answer)) > 0)
        put_bytes(answer, got);
    put("\n");
    resource_close(fd);
    fd = resource_open("random://", 9);
    for (int i = 0; i < 4; i++) {
        resource_read(fd, answer, 1);
        put_number((unsigned char)*answer);
        put("\n");
    }
    return param("status", 0);
}
