#include "http/request.h"

#include <ctype.h>

/* Framing bytes of a chunked body on top of its content: the overhead of the smallest sensible
 * chunks, and trailers. Beyond it a client sends chunk extensions for their own sake. */
enum { CHUNK_OVERHEAD = 16 << 10, CHUNK_OVERHEAD_FACTOR = 8 };

struct slice http_field(const struct http_request *r, struct slice name)
{
    for (size_t i = 0; i < r->count; i++)
        if (slice_ieq(r->fields[i].name, name))
            return r->fields[i].value;
    return (struct slice){NULL, 0};
}

enum err_code http_head_end(struct slice bytes, const struct limits *l, size_t *scanned,
                            size_t *ret_size, struct err *e)
{
    size_t at = *scanned; /* start of a line */
    *ret_size = 0;
    while (at < bytes.n) {
        const char *lf = memchr(bytes.p + at, '\n', bytes.n - at);
        size_t end = lf ? (size_t)(lf - bytes.p) + 1 : bytes.n;
        if (at == 0 && end > l->v[LIMIT_REQUEST_LINE] + sizeof " HTTP/1.1\r\n")
            return err_set(e, ERR_URI_TOO_LONG, "the request line is over %llu bytes",
                           (unsigned long long)l->v[LIMIT_REQUEST_LINE]);
        if (at && end - at > l->v[LIMIT_HEADER])
            return err_set(e, ERR_HEADERS_TOO_LARGE, "a header field is over %llu bytes",
                           (unsigned long long)l->v[LIMIT_HEADER]);
        if (end > l->v[LIMIT_HEADERS] + l->v[LIMIT_REQUEST_LINE])
            return err_set(e, ERR_HEADERS_TOO_LARGE, "the header fields are over %llu bytes",
                           (unsigned long long)l->v[LIMIT_HEADERS]);
        if (!lf)
            break;
        if (end < at + 2 || lf[-1] != '\r')
            return err_set(e, ERR_BAD_REQUEST, "a line of the head ends in a bare line feed");
        if (at && end == at + 2) {
            *ret_size = end;
            return ERR_OK;
        }
        if (strchr(" \t:", bytes.p[at]))
            return err_set(e, ERR_BAD_REQUEST, "a line of the head begins with a space or colon");
        at = end;
        *scanned = at;
    }
    return ERR_OK;
}

/* Remembers the first reason and stops llhttp. */
static int refuse(struct http_parser *p, enum err_code code, const char *why)
{
    if (!p->refused) {
        p->refused = code;
        p->why = why;
    }
    return -1;
}

static int on_field(llhttp_t *ll, const char *at, size_t n)
{
    struct http_parser *p = ll->data;
    struct http_request *r = p->request;
    if (!r)
        return 0; /* a trailer: read and dropped */
    if (r->count == HTTP_FIELDS)
        return refuse(p, ERR_HEADERS_TOO_LARGE, "there are too many header fields");
    r->fields[r->count++] = (struct field){.name = {at, n}, .value = {at + n, 0}};
    return 0;
}

static int on_value(llhttp_t *ll, const char *at, size_t n)
{
    struct http_parser *p = ll->data;
    struct http_request *r = p->request;
    if (!r || n == 0)
        return 0;
    struct field *f = &r->fields[r->count - 1];
    if (f->value.n && f->value.p + f->value.n != at)
        return refuse(p, ERR_BAD_REQUEST, "a header field is folded");
    if (!f->value.n)
        f->value.p = at;
    f->value.n += n;
    return 0;
}

/* The bytes of a chunked body that frame it, up to `end`: lines that end in CRLF and hold no other
 * control byte. llhttp lets some bare line feeds pass. */
static bool is_framing(struct http_parser *p, const char *end)
{
    for (; p->framing < end; p->framing++) {
        unsigned char c = (unsigned char)*p->framing;
        if ((c == '\n') != p->after_cr || (c < ' ' && !strchr("\r\n\t", c)) || c == 0 || c == 0x7f)
            return false;
        p->after_cr = c == '\r';
    }
    return true;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
    struct http_parser *p = ll->data;
    if (ll->flags & F_CHUNKED && !is_framing(p, at))
        return refuse(p, ERR_BAD_REQUEST, "a line between chunks is malformed");
    p->framing = at + n;
    p->body += n;
    p->on_body(p->owner, slice_make(at, n));
    return 0;
}

static int on_headers_complete(llhttp_t *ll)
{
    /* Stop here: the rules of this file come before the body. */
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *ll)
{
    struct http_parser *p = ll->data;
    p->in_body = false;
    return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
    static llhttp_settings_t s;
    if (!s.on_body) {
        llhttp_settings_init(&s);
        s.on_header_field = on_field;
        s.on_header_value = on_value;
        s.on_headers_complete = on_headers_complete;
        s.on_body = on_body;
        s.on_message_complete = on_message_complete;
    }
    return &s;
}

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* `METHOD SP target SP HTTP/1.x`, with exactly these spaces. */
static enum err_code parse_line(struct slice line, const struct limits *l, struct http_request *r,
                                struct err *e)
{
    struct slice rest = line;
    r->method = slice_split(&rest, ' ');
    if (!rest.p || r->method.n == 0)
        return err_set(e, ERR_BAD_REQUEST, "the request line has no target");
    for (size_t i = 0; i < r->method.n; i++)
        if (!is_token_char(r->method.p[i]))
            return err_set(e, ERR_BAD_REQUEST, "the method is not a token");
    r->target = slice_split(&rest, ' ');
    if (!rest.p || r->target.n == 0)
        return err_set(e, ERR_BAD_REQUEST, "the request line has no version");
    if (r->target.n > l->v[LIMIT_REQUEST_LINE])
        return err_set(e, ERR_URI_TOO_LONG, "the target is over %llu bytes",
                       (unsigned long long)l->v[LIMIT_REQUEST_LINE]);
    for (size_t i = 0; i < r->target.n; i++) {
        unsigned char c = (unsigned char)r->target.p[i];
        if (c <= ' ' || c >= 0x7f || c == '#')
            return err_set(e, ERR_BAD_REQUEST, "the target holds a byte that no URI holds");
    }
    if (rest.n != 8 || memcmp(rest.p, "HTTP/", 5) || !isdigit((unsigned char)rest.p[5]) ||
        rest.p[6] != '.' || !isdigit((unsigned char)rest.p[7]))
        return err_set(e, ERR_BAD_REQUEST, "the request line doesn't end in a version");
    if (rest.p[5] != '1' || rest.p[7] > '1')
        return err_set(e, ERR_HTTP_VERSION, "this server speaks HTTP/1.1 and HTTP/1.0");
    r->minor = (uint8_t)(rest.p[7] - '0');
    return ERR_OK;
}

static bool is_host(struct slice s)
{
    if (s.n == 0 || s.n > 255 || s.p[0] == '.' || memmem(s.p, s.n, "..", 2))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && !strchr("-._~", s.p[i]))
            return false;
    return true;
}

/* host[:port] into host; false if it isn't one. */
static bool split_authority(struct slice a, struct slice *ret_host)
{
    struct slice host = a, port = {NULL, 0};
    if (a.n && a.p[0] == '[') {
        const char *close = memchr(a.p, ']', a.n);
        if (!close)
            return false;
        host = slice_make(a.p + 1, (size_t)(close - a.p) - 1);
        for (size_t i = 0; i < host.n; i++)
            if (!isxdigit((unsigned char)host.p[i]) && !strchr(":.", host.p[i]))
                return false;
        struct slice after = slice_from(a, host.n + 2);
        if (host.n < 2 || (after.n && after.p[0] != ':'))
            return false;
        if (after.n)
            port = slice_from(after, 1);
    } else {
        host = slice_split(&a, ':');
        port = a;
        if (!is_host(host))
            return false;
    }
    uint64_t n;
    if (port.p && port.n && (!slice_u64(port, &n) || n > 65535))
        return false;
    *ret_host = host;
    return true;
}

/* Origin form, absolute form, or `*` for OPTIONS (RFC 9112 3.2). */
static enum err_code parse_target(struct http_request *r, struct slice *ret_authority,
                                  struct err *e)
{
    struct slice t = r->target;
    if (slice_eq(t, SLICE("*"))) {
        if (!slice_eq(r->method, SLICE("OPTIONS")))
            return err_set(e, ERR_BAD_REQUEST, "the target * is for OPTIONS only");
        r->path = t;
        return ERR_OK;
    }
    if (t.p[0] != '/') {
        struct slice http = SLICE("http://"), https = SLICE("https://");
        size_t skip = t.n > http.n && slice_ieq(slice_make(t.p, http.n), http)      ? http.n
                      : t.n > https.n && slice_ieq(slice_make(t.p, https.n), https) ? https.n
                                                                                    : 0;
        if (!skip)
            return err_set(e, ERR_BAD_REQUEST, "the target is neither a path nor an http URL");
        t = slice_from(t, skip);
        size_t n = 0;
        while (n < t.n && t.p[n] != '/' && t.p[n] != '?')
            n++;
        *ret_authority = slice_make(t.p, n);
        t = slice_from(t, n);
        if (t.n == 0 || t.p[0] != '/') {
            /* no path: it is "/", and a query may follow */
            r->path = SLICE("/");
            if (t.n)
                r->query = slice_from(t, 1);
            return ERR_OK;
        }
    }
    r->path = slice_split(&t, '?');
    r->query = t;
    return ERR_OK;
}

static enum err_code judge_fields(struct http_request *r, struct slice authority,
                                  const struct limits *l, struct err *e)
{
    bool host = false, coding = false;
    if (r->count > l->v[LIMIT_HEADER_COUNT])
        return err_set(e, ERR_HEADERS_TOO_LARGE, "there are over %llu header fields",
                       (unsigned long long)l->v[LIMIT_HEADER_COUNT]);
    for (size_t i = 0; i < r->count; i++) {
        struct field *f = &r->fields[i];
        f->value = slice_trim(f->value);
        switch (f->name.n) { /* most fields are none of these */
        case 4:
            if (!slice_ieq(f->name, SLICE("Host")))
                break;
            if (host)
                return err_set(e, ERR_BAD_REQUEST, "there are two Host fields");
            host = true;
            r->authority = f->value;
            if (!split_authority(r->authority, &r->host))
                return err_set(e, ERR_BAD_REQUEST, "the Host field is not a host");
            break;
        case 6:
            if (slice_ieq(f->name, SLICE("Accept")))
                r->accepts_html = memmem(f->value.p, f->value.n, "text/html", 9) != NULL;
            if (!slice_ieq(f->name, SLICE("Expect")) || r->minor == 0)
                break;
            if (!slice_ieq(f->value, SLICE("100-continue")))
                return err_set(e, ERR_EXPECTATION, "only 100-continue can be expected");
            r->expect_continue = true;
            break;
        case 14: {
            uint64_t n;
            if (!slice_ieq(f->name, SLICE("Content-Length")))
                break;
            if (r->has_length)
                return err_set(e, ERR_BAD_REQUEST, "there are two Content-Length fields");
            if (!slice_u64(f->value, &n) || n > INT64_MAX)
                return err_set(e, ERR_BAD_REQUEST, "the Content-Length is not a number");
            r->has_length = true;
            r->length = (int64_t)n;
            break;
        }
        case 17:
            if (!slice_ieq(f->name, SLICE("Transfer-Encoding")))
                break;
            if (coding || r->minor == 0 || !slice_ieq(f->value, SLICE("chunked")))
                return err_set(e, ERR_BAD_REQUEST,
                               "the only transfer coding is chunked, once, in HTTP/1.1");
            coding = true;
            break;
        }
    }
    if (coding && r->has_length)
        return err_set(e, ERR_BAD_REQUEST, "there are both a length and a transfer coding");
    if (coding)
        r->length = HTTP_NO_LENGTH;
    if (!host && r->minor)
        return err_set(e, ERR_BAD_REQUEST, "there is no Host field");
    if (authority.p) {
        if (host && !slice_ieq(authority, r->authority))
            return err_set(e, ERR_BAD_REQUEST, "the target and the Host field name two hosts");
        r->authority = authority;
        if (!split_authority(authority, &r->host))
            return err_set(e, ERR_BAD_REQUEST, "the target's host is not a host");
    }
    return ERR_OK;
}

/* What llhttp has against a head whose request line we accepted. */
static enum err_code llhttp_refusal(const struct http_parser *p, llhttp_errno_t error,
                                    const struct http_request *r, struct err *e)
{
    if (p->refused)
        return err_set(e, p->refused, "%s", p->why);
    if (error == HPE_INVALID_METHOD)
        return err_set(e, ERR_NOT_IMPLEMENTED, "the method %.*s is not implemented",
                       (int)(r->method.n > 40 ? 40 : r->method.n), r->method.p);
    const char *reason = llhttp_get_error_reason(&p->ll);
    return err_set(e, ERR_BAD_REQUEST, "%s", reason && *reason ? reason : "the head is malformed");
}

enum err_code http_head_parse(struct http_parser *p, struct slice head, const struct limits *l,
                              struct http_request *r, struct err *e)
{
    struct slice authority = {NULL, 0};
    struct slice line = slice_make(head.p, (size_t)((char *)memchr(head.p, '\n', head.n) - head.p));
    if (head.n - line.n > l->v[LIMIT_HEADERS])
        return err_set(e, ERR_HEADERS_TOO_LARGE, "the header fields are over %llu bytes",
                       (unsigned long long)l->v[LIMIT_HEADERS]);
    line.n--; /* the CR: http_head_end() saw to it */
    /* Member by member: the array of fields is large and needs no clearing. */
    r->query = (struct slice){NULL, 0};
    r->authority = r->host = SLICE("");
    r->expect_continue = r->has_length = r->accepts_html = false;
    r->length = 0;
    r->count = 0;
    enum err_code rc = parse_line(line, l, r, e);
    if (rc)
        return rc;

    llhttp_init(&p->ll, HTTP_REQUEST, settings());
    p->ll.data = p;
    p->request = r;
    p->wire = p->body = 0;
    p->in_body = true;
    p->after_cr = false;
    p->refused = ERR_OK;
    llhttp_errno_t error = llhttp_execute(&p->ll, head.p, head.n);
    p->request = NULL;
    if (error != HPE_PAUSED)
        return llhttp_refusal(p, error, r, e);
    if (slice_eq(r->method, SLICE("CONNECT")))
        return err_set(e, ERR_NOT_IMPLEMENTED, "CONNECT is not implemented");
    if (slice_eq(r->method, SLICE("TRACE")))
        return err_set(e, ERR_METHOD, "TRACE is not allowed");
    rc = parse_target(r, &authority, e);
    if (!rc)
        rc = judge_fields(r, authority, l, e);
    if (rc)
        return rc;
    r->keep_alive = llhttp_should_keep_alive(&p->ll);
    p->ll.upgrade = 0; /* an offer to upgrade is not taken */
    p->in_body = r->length != 0;
    if (p->in_body)
        llhttp_resume(&p->ll);
    return ERR_OK;
}

enum err_code http_body_parse(struct http_parser *p, struct slice bytes, size_t *ret_used,
                              struct err *e)
{
    bool chunked = p->ll.flags & F_CHUNKED;
    p->framing = bytes.p;
    llhttp_errno_t error = llhttp_execute(&p->ll, bytes.p, bytes.n);
    if (p->refused)
        return err_set(e, p->refused, "%s", p->why);
    if (error == HPE_PAUSED) {
        *ret_used = (size_t)(llhttp_get_error_pos(&p->ll) - bytes.p);
    } else if (error == HPE_OK) {
        *ret_used = bytes.n;
    } else {
        const char *reason = llhttp_get_error_reason(&p->ll);
        return err_set(e, ERR_BAD_REQUEST, "%s", reason && *reason ? reason : "malformed chunks");
    }
    if (chunked && !is_framing(p, bytes.p + *ret_used))
        return err_set(e, ERR_BAD_REQUEST, "a line between chunks is malformed");
    p->wire += *ret_used;
    if (chunked && (p->wire - p->body) / CHUNK_OVERHEAD_FACTOR > p->body + CHUNK_OVERHEAD)
        return err_set(e, ERR_BAD_REQUEST, "the chunks are mostly framing");
    return ERR_OK;
}
