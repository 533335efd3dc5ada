#include "policy/url.h"

#include <stdio.h>

void url_redact(struct slice url, char *out, size_t cap)
{
    static const char more[] = "\xe2\x80\xa6";
    const char *query = memchr(url.p, '?', url.n);
    size_t n = query ? (size_t)(query - url.p) : url.n;
    const char *tail = query ? "?\xe2\x80\xa6" : "";
    if (n + strlen(tail) >= cap) {
        n = cap - sizeof more;
        tail = more;
        while (n && ((unsigned char)url.p[n] & 0xc0) == 0x80)
            n--; /* not within a character */
    }
    snprintf(out, cap, "%.*s%s", (int)n, url.p, tail);
}
