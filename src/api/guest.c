#include "api/guest.h"

#include "base/brand.h"
#include "cgi/meta.h"

#include <stdio.h>

static bool pair(struct buf *out, const char *name, struct slice value)
{
    return buf_add(out, name, strlen(name) + 1) && buf_add(out, value.p ? value.p : "", value.n) &&
           buf_add(out, "", 1);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* PATH_INFO: percent-decoded; a malformed escape or one for NUL stays as it is. */
static bool pair_path(struct buf *out, struct slice path)
{
    if (!buf_add(out, "PATH_INFO", sizeof "PATH_INFO"))
        return false;
    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        if (c == '%' && path.n - i > 2 && hex(path.p[i + 1]) >= 0 && hex(path.p[i + 2]) >= 0 &&
            (hex(path.p[i + 1]) | hex(path.p[i + 2]))) {
            c = (char)(hex(path.p[i + 1]) << 4 | hex(path.p[i + 2]));
            i += 2;
        }
        if (!buf_add(out, &c, 1))
            return false;
    }
    return buf_add(out, "", 1);
}

bool guest_vars(const struct api *api, const char *function, struct slice method,
                struct slice target, struct slice type, uint64_t length, struct buf *out)
{
    char url[256], number[24];
    if (!api_function_url(api, function, url, sizeof url))
        return false;
    bool https = strncmp(url, "https://", 8) == 0;
    struct slice authority = slice_str(strstr(url, "://") + 3);
    authority.n -= authority.n && authority.p[authority.n - 1] == '/';
    struct slice port = authority, host = slice_split(&port, ':');
    struct slice query = target, path = slice_split(&query, '?');
    snprintf(number, sizeof number, "%llu", (unsigned long long)length);
    return pair(out, "GATEWAY_INTERFACE", SLICE("CGI/1.1")) &&
           pair(out, "SERVER_SOFTWARE", SLICE(BRAND_SERVER)) &&
           pair(out, "SERVER_PROTOCOL", SLICE("HTTP/1.1")) && pair(out, "SERVER_NAME", host) &&
           pair(out, "SERVER_PORT",
                port.p  ? port
                : https ? SLICE("443")
                        : SLICE("80")) &&
           pair(out, "REQUEST_METHOD", method) && pair(out, "SCRIPT_NAME", SLICE("")) &&
           pair_path(out, path) && pair(out, "QUERY_STRING", query.p ? query : SLICE("")) &&
           pair(out, "REQUEST_URI", target) && pair(out, "REMOTE_ADDR", SLICE("127.0.0.1")) &&
           pair(out, "REMOTE_HOST", SLICE("127.0.0.1")) && pair(out, "HTTP_HOST", authority) &&
           pair(out, "HTTP_USER_AGENT", SLICE(BRAND_SERVER)) &&
           (!https || pair(out, "HTTPS", SLICE("on"))) &&
           (!type.n || pair(out, "CONTENT_TYPE", type)) &&
           (length == UINT64_MAX || pair(out, "CONTENT_LENGTH", slice_str(number)));
}

void guest_answer_init(struct guest_answer *a, uint8_t response, const struct limits *limits)
{
    *a = (struct guest_answer){.response = response};
    cgi_head_init(&a->head, limits, SLICE(""), false);
    if (response == RESPONSE_TEXT) {
        a->ready = true;
        a->status = 200;
        snprintf(a->type, sizeof a->type, "text/plain; charset=utf-8");
    }
}

void guest_answer_done(struct guest_answer *a)
{
    cgi_head_done(&a->head);
}

/* The head's lines are `Name: value\r\n`; a value of Content-Type that does not fit is left out. */
static void keep_type(struct guest_answer *a)
{
    struct slice rest = buf_slice(&a->head.lines);
    while (rest.p && rest.n) {
        struct slice value = slice_split(&rest, '\n'), name = slice_split(&value, ':');
        if (value.n && value.p[value.n - 1] == '\r')
            value.n--;
        if (slice_ieq(name, SLICE("Content-Type")))
            slice_copy(slice_trim(value), a->type, sizeof a->type);
    }
}

void guest_answer_feed(struct guest_answer *a, struct slice *bytes)
{
    if (!a->ready && !a->bad) {
        enum cgi_result result = cgi_head_feed(&a->head, bytes);
        if (result == CGI_READY) {
            a->ready = true;
            a->status = a->head.status;
            keep_type(a);
        } else if (result == CGI_BAD) {
            a->bad = true;
            cgi_head_explain(&a->head, a->why, sizeof a->why);
        }
    }
    if (a->bad)
        *bytes = slice_from(*bytes, bytes->n);
    if (a->ready)
        a->body_bytes += bytes->n;
}

enum err_code guest_answer_end(struct guest_answer *a, const struct ledger *l,
                               const struct err *lost)
{
    if (lost) {
        snprintf(a->why, sizeof a->why, "%s", lost->text);
        return lost->code;
    }
    /* Judging a head, an edge (or we) may have ended the run: that is the reason then. */
    if (a->bad)
        return ERR_BAD_CGI;
    if (l->head.reason && l->head.reason != ERR_CANCELLED) {
        snprintf(a->why, sizeof a->why, "%.511s", l->text);
        return (enum err_code)l->head.reason;
    }
    if (l->head.reason == ERR_OK && l->head.status) {
        snprintf(a->why, sizeof a->why, "the program ended with status %d", l->head.status);
        return ERR_EXIT_STATUS;
    }
    if (!a->ready) {
        a->head.why = cgi_head_missing(&a->head);
        cgi_head_explain(&a->head, a->why, sizeof a->why);
        return ERR_BAD_CGI;
    }
    return l->head.reason ? (enum err_code)l->head.reason : ERR_OK;
}
