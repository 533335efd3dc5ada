#include "guest/http_request.h"

#include <ctype.h>

void guest_request_init(struct guest_request *r)
{
    struct buf text = r->text, fields = r->fields;
    *r = (struct guest_request){.text = text, .fields = fields};
    buf_clear(&r->text);
    buf_clear(&r->fields);
    r->text.limit = r->fields.limit = GUEST_REQUEST_HEAD;
}

void guest_request_done(struct guest_request *r)
{
    buf_done(&r->text);
    buf_done(&r->fields);
}

static bool bad(struct guest_request *r, const char *why)
{
    r->state = GUEST_REQUEST_BAD;
    r->why = why;
    return false;
}

/* RFC 9110 5.6.2 */
static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !memchr("!#$%&'*+-.^_`|~", s.p[i], 15))
            return false;
    return s.n > 0;
}

/* RFC 9110 5.5: no control characters but the tab. */
static bool is_value(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

/* "METHOD target HTTP/1.x", one space between (RFC 9112 3) */
static bool read_first_line(struct guest_request *r, struct slice line)
{
    r->method = slice_split(&line, ' ');
    if (!line.p)
        return bad(r, "its first line is not \"METHOD target HTTP/1.1\"");
    r->target = slice_split(&line, ' ');
    if (!is_token(r->method) || r->method.n > GUEST_REQUEST_METHOD)
        return bad(r, "its method is not a name of at most 32 letters");
    if (!line.p || (!slice_eq(line, SLICE("HTTP/1.1")) && !slice_eq(line, SLICE("HTTP/1.0"))))
        return bad(r, "its first line does not end in \" HTTP/1.1\" or \" HTTP/1.0\"");
    if (slice_eq(r->method, SLICE("CONNECT")))
        return bad(r, "CONNECT is not possible: there are no tunnels");
    if (!r->target.n || !is_value(r->target))
        return bad(r, "its target is empty or has a control character");
    return true;
}

static bool on_length(struct guest_request *r, struct slice value, bool *seen)
{
    if (*seen)
        return bad(r, "it has two Content-Length fields");
    if (!slice_u64(value, &r->length) || r->length > INT64_MAX)
        return bad(r, "its Content-Length is not a number");
    *seen = true;
    return true;
}

/* What frames the message or is meant for the next hop only: egress makes its own. */
static bool is_dropped(struct slice name)
{
    static const char *const names[] = {"Connection",
                                        "Expect",
                                        "HTTP2-Settings",
                                        "Keep-Alive",
                                        "Proxy-Authenticate",
                                        "Proxy-Authorization",
                                        "Proxy-Connection",
                                        "TE",
                                        "Trailer",
                                        "Upgrade"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_ieq(name, slice_str(names[i])))
            return true;
    return false;
}

/* Is `name` in one of the Connection fields? (RFC 9110 7.6.1) `lines` are the head's field lines.
 */
static bool connection_names(struct slice lines, struct slice name)
{
    while (lines.p && lines.n) {
        struct slice value = slice_split(&lines, '\n');
        if (!slice_ieq(slice_split(&value, ':'), SLICE("Connection")))
            continue;
        if (value.n && value.p[value.n - 1] == '\r')
            value.n--;
        while (value.p)
            if (slice_ieq(slice_trim(slice_split(&value, ',')), name))
                return true;
    }
    return false;
}

static bool keep_field(struct guest_request *r, struct slice name, struct slice value)
{
    /* Each takes no more than its line did: the name's NUL is for the colon, the value's for the
     * LF. So there is always room. */
    return buf_add(&r->fields, name.p, name.n) && buf_add(&r->fields, "", 1) &&
                   buf_add(&r->fields, value.p, value.n) && buf_add(&r->fields, "", 1)
               ? true
               : bad(r, "there is no memory for its fields");
}

struct framing {
    bool host, length, chunked;
    unsigned fields;
};

static bool read_field(struct guest_request *r, struct slice line, struct slice lines,
                       struct framing *seen)
{
    struct slice name = slice_split(&line, ':');
    if (seen->fields++ == GUEST_REQUEST_FIELDS)
        return bad(r, "it has more than 200 fields");
    if (!line.p)
        return bad(r, "a field line has no colon");
    if (!is_token(name))
        return bad(r, "a field's name is empty or has a space or another character that it can't");
    struct slice value = slice_trim(line);
    if (!is_value(value))
        return bad(r, "a field's value has a control character");
    if (slice_ieq(name, SLICE("Host"))) {
        if (seen->host)
            return bad(r, "it has two Host fields");
        seen->host = true;
        r->host = value.n ? value : (struct slice){0};
        return true;
    }
    if (slice_ieq(name, SLICE("Content-Length")))
        return on_length(r, value, &seen->length);
    if (slice_ieq(name, SLICE("Transfer-Encoding"))) {
        if (seen->chunked || !slice_ieq(value, SLICE("chunked")))
            return bad(r, "its Transfer-Encoding is not just \"chunked\"");
        seen->chunked = true;
        return true;
    }
    if (is_dropped(name) || connection_names(lines, name))
        return true;
    return keep_field(r, name, value);
}

/* The whole head is in `text`. */
static bool read_head(struct guest_request *r)
{
    struct slice lines = buf_slice(&r->text), first = slice_split(&lines, '\n'), rest = lines;
    struct framing seen = {0};
    if (first.n && first.p[first.n - 1] == '\r')
        first.n--;
    if (!read_first_line(r, first))
        return false;
    while (rest.p && rest.n) {
        struct slice line = slice_split(&rest, '\n');
        if (line.n && line.p[line.n - 1] == '\r')
            line.n--;
        if (!line.n)
            break;
        if (*line.p == ' ' || *line.p == '\t')
            return bad(r, "a field goes on in a second line");
        if (!read_field(r, line, lines, &seen))
            return false;
    }
    if (seen.length && seen.chunked)
        return bad(r, "it has both a Content-Length and a Transfer-Encoding");
    r->body = seen.chunked ? BODY_CHUNKED : seen.length ? BODY_LENGTH : BODY_NONE;
    r->state = GUEST_REQUEST_READY;
    return true;
}

size_t guest_request_feed(struct guest_request *r, struct slice bytes)
{
    size_t used = 0;
    if (!buf_size(&r->text)) /* empty lines before it (RFC 9112 2.2) */
        while (used < bytes.n && (bytes.p[used] == '\r' || bytes.p[used] == '\n'))
            used++;
    while (used < bytes.n) {
        struct slice rest = slice_from(bytes, used);
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) + 1 : rest.n;
        if (!buf_add(&r->text, rest.p, n)) {
            bad(r, "its head is over 32 KiB, or there is no memory for it");
            return bytes.n;
        }
        used += n;
        if (!end)
            break;
        struct slice line = slice_from(buf_slice(&r->text), r->line);
        r->line = buf_size(&r->text);
        if (line.n == 1 || (line.n == 2 && *line.p == '\r')) {
            read_head(r);
            return r->state == GUEST_REQUEST_READY ? used : bytes.n;
        }
    }
    return used;
}

/* Chunks */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte that is not content. */
static void frame_byte(struct guest_chunks *c, char byte)
{
    bool lf = byte == '\n';
    switch (c->state) {
    case CHUNK_SIZE: {
        int digit = hex_digit(byte);
        if (digit >= 0 && c->digits < 15) {
            c->left = c->left << 4 | (unsigned)digit;
            c->digits++;
            return;
        }
        c->state = c->digits && byte == '\r' ? CHUNK_SIZE_LF : CHUNK_BAD;
        if (!c->digits || !lf)
            return;
    } /* fall through */
    case CHUNK_SIZE_LF:
        c->state = !lf ? CHUNK_BAD : c->left ? CHUNK_DATA : CHUNK_LAST;
        c->digits = 0;
        return;
    case CHUNK_END:
        c->state = lf ? CHUNK_SIZE : byte == '\r' ? CHUNK_END_LF : CHUNK_BAD;
        return;
    case CHUNK_END_LF:
        c->state = lf ? CHUNK_SIZE : CHUNK_BAD;
        return;
    case CHUNK_LAST:
        c->state = lf ? CHUNK_DONE : byte == '\r' ? CHUNK_LAST_LF : CHUNK_BAD;
        return;
    case CHUNK_LAST_LF:
        c->state = lf ? CHUNK_DONE : CHUNK_BAD;
        return;
    case CHUNK_DATA:
    case CHUNK_DONE:
    case CHUNK_BAD:
        return;
    }
}

size_t guest_chunks_feed(struct guest_chunks *c, struct slice bytes, uint64_t most,
                         struct slice *ret_content)
{
    size_t used = 0;
    *ret_content = (struct slice){0};
    for (; used < bytes.n && c->state != CHUNK_DONE && c->state != CHUNK_BAD; used++) {
        if (c->state != CHUNK_DATA) {
            frame_byte(c, bytes.p[used]);
            continue;
        }
        size_t n = bytes.n - used;
        if (n > c->left)
            n = (size_t)c->left;
        if (n > most)
            n = (size_t)most;
        *ret_content = slice_make(bytes.p + used, n);
        c->left -= n;
        if (!c->left)
            c->state = CHUNK_END;
        return used + n;
    }
    return used;
}
