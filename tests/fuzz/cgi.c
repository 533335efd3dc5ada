/* What a guest may print as its head: whatever it is, the lines that come out can be sent, and how
 * it was cut into writes makes no difference. */
#include "fuzz.h"

#include "cgi/head.h"

static struct limits limits;

static enum cgi_result feed(struct cgi_head *h, struct slice bytes, size_t step, size_t *ret_left)
{
    enum cgi_result rc = CGI_MORE;
    cgi_head_init(h, &limits, SLICE("/f"), false);
    while (bytes.n && rc == CGI_MORE) {
        struct slice piece = slice_make(bytes.p, bytes.n < step ? bytes.n : step);
        size_t before = piece.n;
        rc = cgi_head_feed(h, &piece);
        MUST(rc != CGI_MORE || piece.n == 0);
        bytes = slice_from(bytes, before - piece.n);
    }
    *ret_left = bytes.n;
    return rc;
}

static void judge(const struct cgi_head *h)
{
    struct slice lines = buf_slice(&h->lines);
    MUST(h->status >= 200 && h->status <= 599);
    while (lines.n) {
        const char *end = memmem(lines.p, lines.n, "\r\n", 2);
        MUST(end);
        struct slice value = slice_make(lines.p, (size_t)(end - lines.p));
        lines = slice_from(lines, value.n + 2);
        struct slice name = slice_split(&value, ':');
        MUST(value.p && name.n);
        for (size_t i = 0; i < name.n; i++)
            MUST((unsigned char)name.p[i] > ' ' && (unsigned char)name.p[i] < 0x7f);
        for (size_t i = 0; i < value.n; i++)
            MUST((unsigned char)value.p[i] >= ' ' || value.p[i] == '\t');
        MUST(!slice_ieq(name, SLICE("Content-Length")) && !slice_ieq(name, SLICE("Connection")) &&
             !slice_ieq(name, SLICE("Transfer-Encoding")) && !slice_ieq(name, SLICE("Status")));
    }
}

FUZZ(bytes)
{
    static struct cgi_head whole, parts;
    size_t left, left_parts;
    char why[512];
    limits_init(&limits, false);
    enum cgi_result rc = feed(&whole, bytes, SIZE_MAX, &left);
    MUST(feed(&parts, bytes, 1, &left_parts) == rc);
    if (rc == CGI_READY) {
        MUST(left == left_parts && whole.status == parts.status);
        MUST(slice_eq(buf_slice(&whole.lines), buf_slice(&parts.lines)));
        judge(&whole);
    }
    cgi_head_explain(&whole, why, sizeof why);
    MUST(strlen(why) < sizeof why);
}
