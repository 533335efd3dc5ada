#include "egress/head.h"

#include "ipc/exchange.h"

void head_init(struct head *h)
{
    *h = (struct head){0};
    buf_init(&h->text, EXCHANGE_HEAD);
    buf_init(&h->nominated, EXCHANGE_HEAD);
}

void head_done(struct head *h)
{
    buf_done(&h->text);
    buf_done(&h->nominated);
}

static void begin(struct head *h)
{
    buf_clear(&h->text);
    buf_clear(&h->nominated);
    h->status = 0;
    h->done = h->has_length = h->coded = h->dropped = false;
    h->length = 0;
}

void head_reset(struct head *h, bool bodyless)
{
    begin(h);
    h->taken = 0;
    h->bodyless = bodyless;
}

bool head_is_token(struct slice s)
{
    static const bool is[256] = {
        ['!'] = true,         ['#'] = true,         ['$'] = true, ['%'] = true,
        ['&'] = true,         ['\''] = true,        ['*'] = true, ['+'] = true,
        ['-'] = true,         ['.'] = true,         ['^'] = true, ['_'] = true,
        ['`'] = true,         ['|'] = true,         ['~'] = true, ['0' ... '9'] = true,
        ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
    };
    for (size_t i = 0; i < s.n; i++)
        if (!is[(uint8_t)s.p[i]])
            return false;
    return s.n > 0;
}

bool head_is_hop(struct slice name)
{
    static const char *const hops[] = {
        "Connection",          "Content-Length",   "Keep-Alive", "Proxy-Authenticate",
        "Proxy-Authorization", "Proxy-Connection", "TE",         "Trailer",
        "Transfer-Encoding",   "Upgrade",
    };
    for (size_t i = 0; i < sizeof hops / sizeof *hops; i++)
        if (slice_ieq(name, slice_str(hops[i])))
            return true;
    return false;
}

static enum err_code garbage(struct err *e, const char *what)
{
    return err_set(e, ERR_UNREACHABLE, "the server's answer is malformed: %s", what);
}

static enum err_code no_room(struct err *e)
{
    return err_set(e, ERR_TOO_LARGE, "the head of the server's answer is over %d bytes",
                   EXCHANGE_HEAD);
}

/* HTTP/1.0 and 1.1 (RFC 9112 4); the answer is handed on as 1.1. */
static enum err_code status_line(struct head *h, struct slice line, struct err *e)
{
    const char *p = line.p;
    if (line.n < 12 || memcmp(p, "HTTP/1.", 7) || (p[7] != '0' && p[7] != '1') || p[8] != ' ' ||
        (line.n > 12 && p[12] != ' '))
        return garbage(e, "no HTTP/1.1 status line");
    unsigned status = 0;
    for (int i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9')
            return garbage(e, "no status code");
        status = status * 10 + (unsigned)(p[i] - '0');
    }
    if (status < 100 || status > 599)
        return garbage(e, "a status code out of range");
    if (status == 101)
        return garbage(e, "it switches to another protocol, which was not asked for");
    h->status = status;
    struct slice reason = slice_trim(slice_from(line, 12));
    return buf_addf(&h->text, "HTTP/1.1 %u ", status) && buf_add(&h->text, reason.p, reason.n) &&
                   buf_add(&h->text, "\r\n", 2)
               ? ERR_OK
               : no_room(e);
}

static enum err_code content_length(struct head *h, struct slice value, struct err *e)
{
    uint64_t n;
    if (!slice_u64(value, &n) || (h->has_length && n != h->length))
        return garbage(e, "an ambiguous Content-Length");
    h->has_length = true;
    h->length = n;
    return ERR_OK;
}

/* We sent no TE field, so nothing but chunked may come (RFC 9112 7.4). */
static enum err_code transfer_encoding(struct head *h, struct slice value, struct err *e)
{
    if (h->coded || !slice_ieq(value, SLICE("chunked")))
        return garbage(e, "a Transfer-Encoding other than chunked");
    h->coded = true;
    return ERR_OK;
}

static enum err_code nominate(struct head *h, struct slice names, struct err *e)
{
    while (names.p) {
        struct slice name = slice_trim(slice_split(&names, ','));
        if (head_is_token(name) &&
            !(buf_add(&h->nominated, name.p, name.n) && buf_add(&h->nominated, "", 1)))
            return no_room(e);
    }
    return ERR_OK;
}

static enum err_code field_line(struct head *h, struct slice line, struct err *e)
{
    struct slice value = line, name = slice_split(&value, ':');
    if (!value.p || !head_is_token(name))
        return garbage(e, "a line that is no header field");
    value = slice_trim(value);
    h->dropped = head_is_hop(name);
    if (slice_ieq(name, SLICE("Content-Length")))
        return content_length(h, value, e);
    if (slice_ieq(name, SLICE("Transfer-Encoding")))
        return transfer_encoding(h, value, e);
    if (slice_ieq(name, SLICE("Connection")))
        return nominate(h, value, e);
    if (h->dropped)
        return ERR_OK;
    return buf_add(&h->text, name.p, name.n) && buf_add(&h->text, ": ", 2) &&
                   buf_add(&h->text, value.p, value.n) && buf_add(&h->text, "\r\n", 2)
               ? ERR_OK
               : no_room(e);
}

/* obs-fold (RFC 9112 5.2): replaced with a space. */
static enum err_code folded_line(struct head *h, struct slice line, struct err *e)
{
    if (h->dropped)
        return h->has_length || h->coded ? garbage(e, "a framing field of two lines") : ERR_OK;
    if (buf_size(&h->text) == 0 || !h->status)
        return garbage(e, "it begins with a space");
    line = slice_trim(line);
    h->text.len -= 2;
    return buf_add(&h->text, " ", 1) && buf_add(&h->text, line.p, line.n) &&
                   buf_add(&h->text, "\r\n", 2)
               ? ERR_OK
               : no_room(e);
}

static bool is_nominated(const struct head *h, struct slice name)
{
    for (struct slice rest = buf_slice(&h->nominated); rest.n;) {
        struct slice one = slice_str(rest.p);
        if (slice_ieq(one, name))
            return true;
        rest = slice_from(rest, one.n + 1);
    }
    return false;
}

/* Takes the fields out that Connection named, in place. */
static void drop_nominated(struct head *h)
{
    char *to = buf_data(&h->text);
    bool first = true;
    for (struct slice rest = buf_slice(&h->text); rest.n; first = false) {
        size_t n = (size_t)((const char *)memchr(rest.p, '\n', rest.n) - rest.p) + 1;
        struct slice value = slice_make(rest.p, n), name = slice_split(&value, ':');
        rest = slice_from(rest, n);
        if (!first && is_nominated(h, name))
            continue;
        memmove(to, name.p, n);
        to += n;
    }
    h->text.len = (size_t)(to - h->text.p);
}

static enum err_code end(struct head *h, struct err *e)
{
    if (h->status < 200) {
        begin(h); /* 1xx: another head follows */
        return ERR_OK;
    }
    if (buf_size(&h->nominated))
        drop_nominated(h);
    /* 204 has none; those of HEAD and 304 say what a GET would have brought (RFC 9110 8.6). */
    bool said = h->has_length && !h->coded && h->status != 204;
    if (said && !buf_addf(&h->text, "Content-Length: %llu\r\n", (unsigned long long)h->length))
        return no_room(e);
    if (!buf_add(&h->text, "\r\n", 2))
        return no_room(e);
    h->done = true;
    return ERR_OK;
}

enum err_code head_line(struct head *h, struct slice line, struct err *e)
{
    h->taken += line.n;
    if (h->taken > EXCHANGE_HEAD)
        return no_room(e);
    if (h->done)
        return ERR_OK;
    if (line.n && line.p[line.n - 1] == '\n')
        line.n--;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (memchr(line.p, '\0', line.n) || memchr(line.p, '\r', line.n) ||
        memchr(line.p, '\n', line.n))
        return garbage(e, "a control byte in its head");
    if (!h->status)
        return status_line(h, line, e);
    if (!line.n)
        return end(h, e);
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return folded_line(h, line, e);
    return field_line(h, line, e);
}

enum { GEMINI_META = 1024, GEMINI_STATUS = 3 };

enum err_code head_gemini(struct slice bytes, size_t *ret_size, struct err *e)
{
    for (size_t i = 0; i < bytes.n; i++) {
        char c = bytes.p[i];
        bool fits = i == 0   ? c >= '1' && c <= '6'
                    : i == 1 ? c >= '0' && c <= '9'
                    : i == 2 ? c == ' '
                             : c == '\r' || c == '\t' || (uint8_t)c >= 0x20;
        if (i > GEMINI_STATUS && bytes.p[i - 1] == '\r') {
            if (c != '\n')
                return garbage(e, "a carriage return in the header");
            *ret_size = i + 1;
            return ERR_OK;
        }
        if (!fits || c == 0x7f)
            return garbage(e, "no gemini header");
        if (i >= GEMINI_STATUS + GEMINI_META && c != '\r')
            return garbage(e, "a gemini header of more than 1,024 bytes");
    }
    *ret_size = 0;
    return ERR_OK;
}
