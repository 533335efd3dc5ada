#include "cgi/meta.h"

#include "base/brand.h"

/* Fields that never become HTTP_…: each has its reason. */
static const struct hidden {
    struct slice name;
    bool unless_trusted; /* a trusted proxy's are passed on */
} hidden[] = {
    {{"Content-Length", 14}, false}, /* CONTENT_LENGTH */
    {{"Content-Type", 12}, false},   /* CONTENT_TYPE */
    {{"Proxy", 5}, false},           /* httpoxy: would be HTTP_PROXY */
    {{"Connection", 10}, false},     /* hop by hop, RFC 9110 7.6.1 */
    {{"Keep-Alive", 10}, false},
    {{"Proxy-Connection", 16}, false},
    {{"Proxy-Authorization", 19}, false},
    {{"Proxy-Authenticate", 18}, false},
    {{"TE", 2}, false},
    {{"Trailer", 7}, false},
    {{"Transfer-Encoding", 17}, false},
    {{"Upgrade", 7}, false},
    {{"Expect", 6}, false}, /* answered by us */
    {{"Forwarded", 9}, true},
    {{"X-Forwarded-For", 15}, true},
    {{"X-Forwarded-Proto", 17}, true},
    {{"X-Forwarded-Host", 16}, true},
    {{"X-Forwarded-Port", 16}, true},
    {{"X-Real-IP", 9}, true},
};

struct writer {
    char *at, *end;
    bool full;
};

static void put(struct writer *w, const char *p, size_t n)
{
    if ((size_t)(w->end - w->at) < n) {
        w->full = true;
        return;
    }
    if (n) /* an empty slice may have no pointer */
        w->at = mempcpy(w->at, p, n);
}

/* A pair; `name` is a literal, its NUL goes along. */
#define PAIR(w, name, value)                                                                       \
    do {                                                                                           \
        put(w, name, sizeof name);                                                                 \
        put(w, (value).p, (value).n);                                                              \
        put(w, "", 1);                                                                             \
    } while (0)

static void put_number(struct writer *w, uint64_t n)
{
    char digits[20], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    put(w, at, (size_t)(digits + sizeof digits - at));
    put(w, "", 1);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The path, percent-decoded; false on a malformed escape or one for NUL. */
static bool put_path(struct writer *w, struct slice s)
{
    put(w, "PATH_INFO", sizeof "PATH_INFO");
    if (s.n == 0)
        put(w, "/", 1);
    while (s.n) {
        const char *percent = memchr(s.p, '%', s.n);
        size_t plain = percent ? (size_t)(percent - s.p) : s.n;
        put(w, s.p, plain);
        s = slice_from(s, plain);
        if (s.n == 0)
            break;
        int hi = s.n > 2 ? hex_digit(s.p[1]) : -1, lo = s.n > 2 ? hex_digit(s.p[2]) : -1;
        if (hi < 0 || lo < 0 || (hi | lo) == 0)
            return false;
        char c = (char)(hi << 4 | lo);
        put(w, &c, 1);
        s = slice_from(s, 3);
    }
    put(w, "", 1);
    return true;
}

static bool is_hidden(struct slice name, bool trusted)
{
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (slice_ieq(name, hidden[i].name))
            return !(trusted && hidden[i].unless_trusted);
    return name.n == 0 || memchr(name.p, '_', name.n) != NULL;
}

/* Does a Connection field make this one hop-by-hop? */
static bool is_nominated(const struct cgi_request *r, struct slice name)
{
    for (size_t i = 0; i < r->count; i++) {
        struct slice list = r->fields[i].value;
        if (!slice_ieq(r->fields[i].name, SLICE("Connection")))
            continue;
        while (list.p)
            if (slice_ieq(slice_trim(slice_split(&list, ',')), name))
                return true;
    }
    return false;
}

/* Is there anything but the usual words in the Connection fields? */
static bool has_nominations(const struct cgi_request *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (slice_ieq(r->fields[i].name, SLICE("Connection")) &&
            !slice_ieq(r->fields[i].value, SLICE("keep-alive")) &&
            !slice_ieq(r->fields[i].value, SLICE("close")))
            return true;
    return false;
}

static void put_field_name(struct writer *w, struct slice name)
{
    put(w, "HTTP_", 5);
    if ((size_t)(w->end - w->at) < name.n + 1) {
        w->full = true;
        return;
    }
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        *w->at++ = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    *w->at++ = '\0';
}

static void put_fields(struct writer *w, const struct cgi_request *r)
{
    bool nominations = has_nominations(r), typed = false;
    for (size_t i = 0; i < r->count; i++) {
        struct slice name = r->fields[i].name;
        bool repeated = false;
        if (!typed && slice_ieq(name, SLICE("Content-Type"))) {
            PAIR(w, "CONTENT_TYPE", r->fields[i].value);
            typed = true;
        }
        if (is_hidden(name, r->trusted) || (nominations && is_nominated(r, name)))
            continue;
        for (size_t j = 0; j < i && !repeated; j++)
            repeated = slice_ieq(r->fields[j].name, name);
        if (repeated)
            continue; /* it was joined to the first */
        put_field_name(w, name);
        put(w, r->fields[i].value.p, r->fields[i].value.n);
        const char *joint = slice_ieq(name, SLICE("Cookie")) ? "; " : ", ";
        for (size_t j = i + 1; j < r->count; j++)
            if (slice_ieq(r->fields[j].name, name)) {
                put(w, joint, 2);
                put(w, r->fields[j].value.p, r->fields[j].value.n);
            }
        put(w, "", 1);
    }
}

enum cgi_meta cgi_meta_write(const struct cgi_request *r, char *out, size_t cap, size_t *ret_n)
{
    struct writer w = {.at = out, .end = out + cap};
    PAIR(&w, "WORKER_ID", r->worker);
    PAIR(&w, "RUN_ID", r->run);
    PAIR(&w, "GATEWAY_INTERFACE", SLICE("CGI/1.1"));
    PAIR(&w, "SERVER_SOFTWARE", SLICE(BRAND_SERVER));
    PAIR(&w, "SERVER_PROTOCOL", r->minor ? SLICE("HTTP/1.1") : SLICE("HTTP/1.0"));
    PAIR(&w, "SERVER_NAME", r->server_name);
    put(&w, "SERVER_PORT", sizeof "SERVER_PORT");
    put_number(&w, r->server_port);
    PAIR(&w, "REQUEST_METHOD", r->method);
    PAIR(&w, "SCRIPT_NAME", r->script_name);
    PAIR(&w, "QUERY_STRING", r->query);
    PAIR(&w, "REQUEST_URI", r->uri);
    PAIR(&w, "REMOTE_ADDR", r->remote);
    PAIR(&w, "REMOTE_HOST", r->remote);
    if (r->https)
        PAIR(&w, "HTTPS", SLICE("on"));
    if (r->has_length) {
        put(&w, "CONTENT_LENGTH", sizeof "CONTENT_LENGTH");
        put_number(&w, r->length);
    }
    if (!put_path(&w, r->path))
        return CGI_META_BAD_PATH;
    put_fields(&w, r);
    *ret_n = (size_t)(w.at - out);
    return w.full ? CGI_META_FULL : CGI_META_OK;
}

bool cgi_is_meta(struct slice name)
{
    static const struct slice names[] = {
        {"AUTH_TYPE", 9},
        {"CONTENT_LENGTH", 14},
        {"CONTENT_TYPE", 12},
        {"GATEWAY_INTERFACE", 17},
        {"HTTPS", 5},
        {"PATH_INFO", 9},
        {"PATH_TRANSLATED", 15},
        {"QUERY_STRING", 12},
        {"REMOTE_ADDR", 11},
        {"REMOTE_HOST", 11},
        {"REMOTE_IDENT", 12},
        {"REMOTE_USER", 11},
        {"REQUEST_METHOD", 14},
        {"REQUEST_URI", 11},
        {"RUN_ID", 6},
        {"SCRIPT_NAME", 11},
        {"SERVER_NAME", 11},
        {"SERVER_PORT", 11},
        {"SERVER_PROTOCOL", 15},
        {"SERVER_SOFTWARE", 15},
        {"WORKER_ID", 9},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_eq(name, names[i]))
            return true;
    return slice_starts(name, SLICE("HTTP_"));
}
