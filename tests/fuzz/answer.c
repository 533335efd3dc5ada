/* What upstream servers say: libcurl cuts it into lines, egress/head.c judges and rewrites them.
 * Whatever comes, what a guest reads is one well-formed head whose framing is ours. */
#include "fuzz.h"

#include "egress/head.h"
#include "ipc/exchange.h"

/* Every line of a head that is handed on: a status line, then fields, then the empty line. */
static void check(const struct head *h)
{
    struct slice text = buf_slice(&h->text);
    unsigned lengths = 0;
    MUST(text.n <= EXCHANGE_HEAD && text.n > 4 && memcmp(text.p, "HTTP/1.1 ", 9) == 0);
    MUST(memcmp(text.p + text.n - 4, "\r\n\r\n", 4) == 0);
    MUST(!memchr(text.p, '\0', text.n));
    for (bool first = true; text.n; first = false) {
        const char *end = memmem(text.p, text.n, "\r\n", 2);
        MUST(end);
        struct slice line = slice_make(text.p, (size_t)(end - text.p));
        MUST(!memchr(line.p, '\r', line.n) && !memchr(line.p, '\n', line.n));
        text = slice_from(text, line.n + 2);
        if (first)
            continue;
        if (!line.n) {
            MUST(!text.n); /* only at the end */
            break;
        }
        struct slice value = line, name = slice_split(&value, ':');
        MUST(value.p && head_is_token(name));
        bool length = slice_ieq(name, SLICE("Content-Length"));
        lengths += length;
        MUST(length || !head_is_hop(name));
    }
    MUST(lengths <= 1 && (!lengths || (!h->coded && h->has_length && h->status != 204)));
}

FUZZ(bytes)
{
    static struct head h;
    struct err e;
    if (!h.text.limit)
        head_init(&h);
    head_reset(&h, bytes.n & 1);
    bool was = false;
    while (bytes.n) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        size_t n = end ? (size_t)(end - bytes.p) + 1 : bytes.n;
        if (head_line(&h, slice_make(bytes.p, n), &e)) {
            MUST(e.code == ERR_UNREACHABLE || e.code == ERR_TOO_LARGE);
            MUST(e.text[0]);
            return;
        }
        MUST(!was || h.done); /* nothing begins anew after the end */
        was = h.done;
        if (h.done)
            check(&h);
        bytes = slice_from(bytes, n);
    }
}
