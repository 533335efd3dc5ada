#include "cgi/head.h"

#include "base/brand.h"

#include <ctype.h>
#include <stdio.h>

void cgi_head_init(struct cgi_head *h, const struct limits *limits, struct slice script_name,
                   bool trusted)
{
    struct buf lines = h->lines, line = h->line;
    *h = (struct cgi_head){.limits = limits,
                           .script_name = script_name,
                           .trusted = trusted,
                           .status = 200,
                           .lines = lines,
                           .line = line};
    buf_clear(&h->lines);
    buf_clear(&h->line);
    /* A local Location grows by the script name, a bare LF by its CR. */
    h->lines.limit = limits->v[LIMIT_RESPONSE_HEAD] * 2 + 256;
    h->line.limit = limits->v[LIMIT_RESPONSE_HEAD];
}

void cgi_head_done(struct cgi_head *h)
{
    buf_done(&h->lines);
    buf_done(&h->line);
}

static bool bad(struct cgi_head *h, const char *why)
{
    h->why = why;
    return false;
}

static bool put(struct cgi_head *h, struct slice name, struct slice before, struct slice value)
{
    bool ok = buf_add(&h->lines, name.p, name.n) && buf_add(&h->lines, ": ", 2) &&
              buf_add(&h->lines, before.p, before.n) && buf_add(&h->lines, value.p, value.n) &&
              buf_add(&h->lines, "\r\n", 2);
    return ok || bad(h, "the head is too large");
}

static bool on_status(struct cgi_head *h, struct slice name, struct slice value)
{
    uint64_t n;
    struct slice code = slice_make(value.p, value.n < 3 ? value.n : 3);
    if (h->has_status)
        return bad(h, "there are two Status fields");
    if (!slice_u64(code, &n) || n < 200 || n > 599 || (value.n > 3 && value.p[3] != ' '))
        return bad(h, "the Status is not a number from 200 to 599");
    h->has_status = true;
    h->status = (int)n;
    return true;
}

static bool on_length(struct cgi_head *h, struct slice name, struct slice value)
{
    if (h->has_length)
        return bad(h, "there are two Content-Length fields");
    if (!slice_u64(value, &h->length))
        return bad(h, "the Content-Length is not a number");
    h->has_length = true;
    return true;
}

static bool on_type(struct cgi_head *h, struct slice name, struct slice value)
{
    if (h->has_type)
        return bad(h, "there are two Content-Type fields");
    if (value.n == 0)
        return bad(h, "the Content-Type is empty");
    h->has_type = true;
    return put(h, name, SLICE(""), value);
}

/* A path is on the same function; programs that know their SCRIPT_NAME write it themselves. */
static bool on_location(struct cgi_head *h, struct slice name, struct slice value)
{
    struct slice script = h->script_name;
    if (h->has_location)
        return bad(h, "there are two Location fields");
    h->has_location = true;
    bool local = value.n && value.p[0] == '/' && (value.n == 1 || value.p[1] != '/');
    bool whole =
        slice_starts(value, script) && (value.n == script.n || strchr("/?#", value.p[script.n]));
    return put(h, name, local && !whole ? script : SLICE(""), value);
}

static bool on_cookie(struct cgi_head *h, struct slice name, struct slice value)
{
    if (++h->cookies > h->limits->v[LIMIT_RESPONSE_COOKIES])
        return bad(h, "there are too many Set-Cookie fields");
    if (h->trusted)
        return put(h, name, SLICE(""), value);
    /* Without Domain= a cookie stays with its function. */
    bool first = true, ok = buf_add(&h->lines, "Set-Cookie: ", 12);
    while (value.p && ok) {
        struct slice part = slice_split(&value, ';'), attribute = part;
        struct slice key = slice_trim(slice_split(&attribute, '='));
        if (!first && slice_ieq(key, SLICE("Domain")))
            continue;
        ok = (first || buf_add(&h->lines, ";", 1)) && buf_add(&h->lines, part.p, part.n);
        first = false;
    }
    return (ok && buf_add(&h->lines, "\r\n", 2)) || bad(h, "the head is too large");
}

static bool on_dropped(struct cgi_head *h, struct slice name, struct slice value)
{
    return true;
}

/* The fields that mean something to us; all others are passed on. */
static const struct special {
    struct slice name;
    bool (*on_field)(struct cgi_head *, struct slice name, struct slice value);
} specials[] = {
    {{"Status", 6}, on_status},
    {{"Content-Type", 12}, on_type},
    {{"Content-Length", 14}, on_length},
    {{"Location", 8}, on_location},
    {{"Set-Cookie", 10}, on_cookie},
    /* ours, or between us and the client only */
    {{"Date", 4}, on_dropped},
    {{"Connection", 10}, on_dropped},
    {{"Keep-Alive", 10}, on_dropped},
    {{"Proxy-Connection", 16}, on_dropped},
    {{"Proxy-Authenticate", 18}, on_dropped},
    {{"TE", 2}, on_dropped},
    {{"Trailer", 7}, on_dropped},
    {{"Transfer-Encoding", 17}, on_dropped},
    {{"Upgrade", 7}, on_dropped},
};

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && (!s.p[i] || !strchr("!#$%&'*+-.^_`|~", s.p[i])))
            return false;
    return s.n > 0;
}

static bool is_value(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool take_field(struct cgi_head *h, struct slice line)
{
    const struct slice platform = SLICE(BRAND_HEADER);
    struct slice value = line, name = slice_split(&value, ':');
    if (!value.p)
        return bad(h, h->fields ? "a line of the head has no colon"
                                : "it doesn't begin with a header field");
    if (!is_token(name))
        return bad(h, "the name of a field is not a token");
    value = slice_trim(value);
    if (!is_value(value))
        return bad(h, "the value of a field holds a control character");
    if (++h->fields > h->limits->v[LIMIT_RESPONSE_FIELDS])
        return bad(h, "there are too many fields");
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (slice_ieq(name, specials[i].name))
            return specials[i].on_field(h, name, value);
    if (!h->trusted && name.n >= platform.n && slice_ieq(slice_make(name.p, platform.n), platform))
        return true; /* only the platform speaks for itself */
    return put(h, name, SLICE(""), value);
}

/* One line without its LF: true if the head goes on or, with *ret_end, is complete. */
static bool take_line(struct cgi_head *h, struct slice line, bool *ret_end)
{
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n)
        return take_field(h, line);
    *ret_end = true;
    if (!h->fields)
        return bad(h, "there is no header field before the empty line");
    if (h->has_location && !h->has_status)
        h->status = 302;
    return true;
}

enum cgi_result cgi_head_feed(struct cgi_head *h, struct slice *bytes)
{
    if (h->beginning_n < CGI_BEGINNING) {
        size_t room = CGI_BEGINNING - h->beginning_n, n = bytes->n < room ? bytes->n : room;
        memcpy(h->beginning + h->beginning_n, bytes->p, n);
        h->beginning_n += n;
    }
    while (bytes->n) {
        const char *lf = memchr(bytes->p, '\n', bytes->n);
        size_t n = lf ? (size_t)(lf - bytes->p) : bytes->n;
        h->seen += n + 1;
        if (h->seen > h->limits->v[LIMIT_RESPONSE_HEAD]) {
            bad(h, "the head is too large");
            return CGI_BAD;
        }
        struct slice line = slice_make(bytes->p, n);
        if (!lf || buf_size(&h->line)) {
            if (!buf_add(&h->line, line.p, line.n)) {
                bad(h, "the head is too large");
                return CGI_BAD;
            }
            line = buf_slice(&h->line);
        }
        *bytes = slice_from(*bytes, lf ? n + 1 : n);
        if (!lf) {
            h->seen--;
            break;
        }
        bool end = false, ok = take_line(h, line, &end);
        buf_clear(&h->line);
        if (!ok)
            return CGI_BAD;
        if (end)
            return CGI_READY;
    }
    return CGI_MORE;
}

const char *cgi_head_missing(const struct cgi_head *h)
{
    if (!h->beginning_n)
        return "nothing was printed";
    return h->fields ? "the head doesn't end in an empty line"
                     : "it doesn't begin with a header field";
}

void cgi_head_explain(const struct cgi_head *h, char *out, size_t cap)
{
    char shown[CGI_BEGINNING * 4 + 1], *at = shown, *end = shown + sizeof shown;
    for (size_t i = 0; i < h->beginning_n; i++) {
        unsigned char c = (unsigned char)h->beginning[i];
        if (c == '\n')
            at = stpcpy(at, "\\n");
        else if (c == '\r')
            at = stpcpy(at, "\\r");
        else if (c < ' ' || c >= 0x7f || c == '"' || c == '\\')
            at += snprintf(at, (size_t)(end - at), "\\x%02x", c);
        else
            *at++ = (char)c;
    }
    *at = '\0';
    snprintf(out, cap,
             "the output is not a CGI response: %s; it begins \"%s\". Print a header such as "
             "\"Content-Type: text/plain\" and an empty line first, or set `response: text`",
             h->why ? h->why : cgi_head_missing(h), shown);
}
