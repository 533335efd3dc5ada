/* Fetches UPSTREAM as often as the query says, `n=N`, with `at-once=K` under way, and prints how many
 * bytes came. With `slow=1` it prints what it reads as it comes, until the end. */
#include "cwa.h"

enum { MOST_AT_ONCE = 64 };

static char url[256], buf[65536];

static int fetch_all(int len, int n, int at_once)
{
    int fds[MOST_AT_ONCE], bytes = 0;
    for (int done = 0; done < n; done += at_once) {
        int many = n - done < at_once ? n - done : at_once;
        for (int i = 0; i < many; i++) {
            fds[i] = resource_open(url, len);
            if (fds[i] < 0 || resource_flush(fds[i]) < 0)
                return -1;
        }
        for (int i = 0; i < many; i++) {
            for (int got; (got = resource_read(fds[i], buf, sizeof buf)) > 0;)
                bytes += got;
            resource_close(fds[i]);
        }
    }
    return bytes;
}

ENTRY
{
    int len = env_get("UPSTREAM", 8, url, sizeof url);
    int n = param("n", 1), at_once = param("at-once", 1);
    if (len <= 0 || len > (int)sizeof url || at_once < 1 || at_once > MOST_AT_ONCE)
        return 2;
    put_text_head();
    if (param("slow", 0)) {
        int fd = resource_open(url, len);
        for (int got; (got = resource_read(fd, buf, sizeof buf)) > 0;)
            put_bytes(buf, got);
        resource_close(fd);
        return 0;
    }
    put_number(fetch_all(len, n, at_once));
    put("\n");
    return 0;
}
