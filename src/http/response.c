#include "http/response.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

/* Room that a waiting head leaves between its fields and its body for what is known last: a late
 * field, Connection, the framing, the empty line and the size of the first chunk. */
enum { GAP = 224, LATE_MOST = 112 };

static const char *const reasons[] = {
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [418] = "I'm a teapot",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [510] = "Not Extended",
    [511] = "Network Authentication Required",
};

const char *http_reason(int status)
{
    const char *r =
        status >= 0 && (size_t)status < sizeof reasons / sizeof *reasons ? reasons[status] : NULL;
    return r ? r : "Unknown";
}

/* Appends to the output; if it doesn't fit the connection is closed. */
static bool put(struct http_conn *c, const void *p, size_t n)
{
    if (buf_add(&c->out, p, n))
        return true;
    http_fail(c);
    return false;
}

static struct slice date(struct http_server *s)
{
    time_t now = time(NULL);
    if (now != s->date_at) {
        s->date_at = now;
        clock_http_date((uint64_t)now * 1000000u, s->date);
    }
    return slice_make(s->date, sizeof s->date - 1);
}

void http_answer_begin(struct http_conn *c, int status)
{
    if (c->state == CONN_CLOSED)
        return;
    assert(c->answer == ANSWER_NONE && status >= 200 && status <= 999);
    c->answer = ANSWER_FIELDS;
    c->status = status;
    c->chunked = c->declared = false;
    c->bodiless = c->head_only || status == 204 || status == 304;
    c->length = c->sent = 0;
    http_borrow(c->server, &c->out);
    struct slice reason = slice_str(http_reason(status)), now = date(c->server);
    char line[128], *at = line;
    at = mempcpy(at, "HTTP/1.1 ", 9);
    *at++ = (char)('0' + status / 100);
    *at++ = (char)('0' + status / 10 % 10);
    *at++ = (char)('0' + status % 10);
    *at++ = ' ';
    at = mempcpy(at, reason.p, reason.n);
    at = mempcpy(at, "\r\nDate: ", 8);
    at = mempcpy(at, now.p, now.n);
    at = mempcpy(at, "\r\n", 2);
    put(c, line, (size_t)(at - line));
}

void http_answer_field(struct http_conn *c, struct slice name, struct slice value)
{
    if (c->answer == ANSWER_FIELDS && put(c, name.p, name.n) && put(c, ": ", 2) &&
        put(c, value.p, value.n))
        put(c, "\r\n", 2);
}

void http_answer_lines(struct http_conn *c, struct slice lines)
{
    if (c->answer == ANSWER_FIELDS)
        put(c, lines.p, lines.n);
}

void http_answer_length(struct http_conn *c, uint64_t length)
{
    c->declared = true;
    c->length = length;
}

void http_answer_ready(struct http_conn *c)
{
    static const char gap[GAP];
    if (c->answer != ANSWER_FIELDS)
        return;
    c->gap_at = buf_size(&c->out);
    if (put(c, gap, GAP)) {
        c->answer = ANSWER_HELD;
        http_dirty(c);
    }
}

static char *put_text(char *at, const char *text)
{
    return stpcpy(at, text);
}

static char *put_decimal(char *at, uint64_t n)
{
    char digits[20];
    int i = 0;
    do
        digits[i++] = (char)('0' + n % 10);
    while (n /= 10);
    while (i)
        *at++ = digits[--i];
    return at;
}

/* Fills the gap of a held head and closes up: the bytes before it move towards the body, since
 * they are few. With `whole` the body is complete in the buffer. */
static void fill_gap(struct http_conn *c, bool whole, struct slice late)
{
    char text[GAP], *at = text;
    size_t body = buf_size(&c->out) - c->gap_at - GAP;
    bool delimited = true; /* the end of the body shows without closing */
    assert(c->answer == ANSWER_HELD);
    if (late.n <= LATE_MOST)
        at = mempcpy(at, late.p, late.n);
    if (c->status == 204 || c->status == 304) {
        /* no body and no framing, RFC 9110 8.6 */
    } else if (c->declared || whole) {
        at = put_text(at, "Content-Length: ");
        at = put_decimal(at, c->declared ? c->length : c->sent);
        at = put_text(at, "\r\n");
    } else if (c->minor == 0) {
        delimited = c->bodiless;
    } else if (!c->head_only) {
        c->chunked = true;
    }
    c->close |= !delimited || (whole && c->state == CONN_BODY);
    if (c->close)
        at = put_text(at, "Connection: close\r\n");
    else if (c->minor == 0)
        at = put_text(at, "Connection: keep-alive\r\n");
    if (c->chunked)
        at = put_text(at, "Transfer-Encoding: chunked\r\n");
    at = put_text(at, "\r\n");
    if (c->chunked && body)
        at += snprintf(at, (size_t)(text + GAP - at), "%zx\r\n", body);

    size_t used = (size_t)(at - text), shift = GAP - used;
    char *start = buf_data(&c->out);
    memmove(start + shift, start, c->gap_at);
    memcpy(start + shift + c->gap_at, text, used);
    buf_consume(&c->out, shift);
    c->answer = ANSWER_OPEN;
    if (c->chunked && body)
        put(c, "\r\n", 2);
}

void http_answer_release(struct http_conn *c)
{
    fill_gap(c, false, SLICE(""));
}

bool http_answer_body(struct http_conn *c, struct slice bytes)
{
    if (c->answer != ANSWER_HELD && c->answer != ANSWER_OPEN)
        return false;
    if (bytes.n == 0)
        return true;
    c->sent += bytes.n;
    if (c->bodiless)
        return true;
    assert(!c->declared || c->sent <= c->length);
    http_borrow(c->server, &c->out);
    if (c->chunked) {
        char size[24];
        int n = snprintf(size, sizeof size, "%zx\r\n", bytes.n);
        if (!put(c, size, (size_t)n) || !put(c, bytes.p, bytes.n) || !put(c, "\r\n", 2))
            return false;
    } else if (!put(c, bytes.p, bytes.n)) {
        return false;
    }
    http_dirty(c);
    return true;
}

void http_answer_end(struct http_conn *c, struct slice late)
{
    if (c->answer != ANSWER_HELD && c->answer != ANSWER_OPEN)
        return;
    if (c->declared && !c->bodiless && c->sent != c->length) {
        http_answer_cut(c);
        return;
    }
    c->owner = NULL;
    if (c->answer == ANSWER_HELD)
        fill_gap(c, true, late);
    else if (c->chunked) {
        size_t n = late.n <= LATE_MOST ? late.n : 0;
        if (put(c, "0\r\n", 3) && put(c, late.p ? late.p : "", n))
            put(c, "\r\n", 2);
    }
    if (c->state == CONN_CLOSED)
        return;
    c->answer = ANSWER_DONE;
    http_answered(c);
}

void http_answer_cut(struct http_conn *c)
{
    if (c->state == CONN_CLOSED || c->answer == ANSWER_DONE)
        return;
    c->owner = NULL;
    if (c->answer == ANSWER_HELD)
        fill_gap(c, false, SLICE(""));
    if (c->state == CONN_CLOSED)
        return;
    if (c->answer != ANSWER_OPEN) {
        http_fail(c);
        return;
    }
    /* What was written so far still goes out; then the connection ends without the last chunk. */
    c->answer = ANSWER_DONE;
    c->close = true;
    http_answered(c);
}

void http_answer_continue(struct http_conn *c)
{
    http_borrow(c->server, &c->out);
    put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    http_dirty(c);
}
