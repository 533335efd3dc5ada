/* Opens the URL of its query (`open=URL`, raw) until that fails, then closes and opens once each. */
#include "cwa.h"

static int result(int fd)
{
    if (fd < 0)
        put_number(fd);
    else
        put("ok");
    put("\n");
    return fd;
}

ENTRY
{
    char *url = query() + 5;
    int open[64], n = 0, n_url = 0;
    static char plain[4096];
    for (char *at = url; *at; at++) { /* %3A and %2F are all there is */
        int coded = *at == '%' && at[1] && at[2];
        plain[n_url++] = !coded ? *at : at[2] == 'A' ? ':' : '/';
        at += coded ? 2 : 0;
    }
    while (n < 64 && (open[n] = result(resource_open(plain, n_url))) >= 0)
        n++;
    for (int i = 0; i < 3; i++) {
        resource_close(open[i]);
        put("closed\n");
        result(resource_open(plain, n_url));
    }
    return 0;
}
