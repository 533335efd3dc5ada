#include "cli/play.h"

#include "base/uuid.h"
#include "cgi/meta.h"
#include "cli/files.h"
#include "cli/local.h"
#include "http/response.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { PAIRS = 60 << 10 /* bytes of meta-variables: they fit into a BEGIN */ };

/* Replaces standard input by a file in memory that holds all of it, or of `file`; a terminal counts
 * as empty. */
static enum err_code take_body(const char *file, const struct limits *limits, uint64_t *ret_length,
                               struct err *e)
{
    struct buf body;
    enum err_code rc = ERR_OK;
    buf_init(&body, limits->v[LIMIT_REQUEST_BODY]);
    if (file || !isatty(STDIN_FILENO))
        rc = local_read(file ? file : "-", limits, LIMIT_REQUEST_BODY, &body, e);
    if (rc == ERR_TOO_LARGE) /* the request is wrong, not the module */
        e->code = rc = ERR_USAGE;
    int fd = -1;
    if (!rc)
        rc = file_of(buf_slice(&body), &fd, e);
    if (!rc && dup2(fd, STDIN_FILENO) < 0)
        rc = err_errno(e, "can't keep the request's body");
    if (fd >= 0)
        close(fd);
    *ret_length = buf_size(&body);
    buf_done(&body);
    return rc;
}

static enum err_code read_header(const char *text, struct field *ret, struct err *e)
{
    struct slice value = slice_str(text), name = slice_split(&value, ':');
    if (!value.p || name.n == 0)
        return err_set(e, ERR_USAGE, "--header wants \"Name: value\", not \"%s\"", text);
    *ret = (struct field){name, slice_trim(value)};
    return ERR_OK;
}

/* What a URL says of the server, and the rest of it. */
struct origin {
    struct slice host, name; /* with and without the port */
    uint16_t port;
    bool https;
};

/* Splits "http://host:port" off the target. */
static bool take_origin(struct slice *target, struct origin *ret)
{
    struct origin o = {.host = SLICE("localhost"), .name = SLICE("localhost"), .port = 80};
    struct slice rest = *target;
    o.https = slice_starts(rest, SLICE("https://"));
    if (o.https || slice_starts(rest, SLICE("http://"))) {
        rest = slice_from(rest, o.https ? 8 : 7);
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
            n++;
        o.host = o.name = slice_make(rest.p, n);
        o.port = o.https ? 443 : 80;
        rest = slice_from(rest, n);
        const char *colon = memrchr(o.host.p, ':', o.host.n);
        uint64_t port;
        if (colon && !memchr(colon, ']', (size_t)(o.host.p + o.host.n - colon))) {
            o.name.n = (size_t)(colon - o.host.p);
            if (!slice_u64(slice_from(o.host, o.name.n + 1), &port) || !port || port > UINT16_MAX)
                return false;
            o.port = (uint16_t)port;
        }
        if (rest.n == 0)
            rest = SLICE("/");
    }
    *target = rest;
    *ret = o;
    return o.name.n && rest.n && rest.p[0] == '/';
}

enum err_code play_request(const char *request, const char *body, const struct words *headers,
                           const struct limits *limits, struct buf *out, struct err *e)
{
    struct slice target = slice_str(request), method = slice_split(&target, ' ');
    if (!target.p) {
        target = method;
        method = SLICE("GET");
    }
    struct origin origin;
    if (method.n == 0 || !take_origin(&target, &origin))
        return err_set(e, ERR_USAGE, "--cgi wants a method and a path or http URL, not \"%s\"",
                       request);
    struct field fields[WORDS_MAX + 1] = {{SLICE("Host"), origin.host}};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < headers->n && !rc; i++)
        rc = read_header(headers->at[i], &fields[i + 1], e);
    uint64_t length = 0;
    if (!rc)
        rc = take_body(body, limits, &length, e);
    if (rc)
        return rc;

    char run[UUID_TEXT + 1];
    uuid_text(uuid_new(), run);
    struct slice query = target, path = slice_split(&query, '?');
    const struct cgi_request r = {.method = method,
                                  .uri = target,
                                  .query = query.p ? query : SLICE(""),
                                  .script_name = SLICE(""),
                                  .path = path,
                                  .server_name = origin.name,
                                  .server_port = origin.port,
                                  .https = origin.https,
                                  .minor = 1,
                                  .remote = SLICE("127.0.0.1"),
                                  .run = slice_str(run),
                                  .worker = SLICE("local"),
                                  .has_length = length > 0,
                                  .length = length,
                                  .fields = fields,
                                  .count = headers->n + 1};
    size_t n = 0;
    char *to = buf_reserve(out, PAIRS);
    switch (to ? cgi_meta_write(&r, to, PAIRS, &n) : CGI_META_FULL) {
    case CGI_META_OK:
        buf_commit(out, n);
        return ERR_OK;
    case CGI_META_BAD_PATH:
        return err_set(e, ERR_USAGE, "--cgi: the path holds a malformed escape");
    case CGI_META_FULL:
        break;
    }
    return err_set(e, ERR_USAGE, "--cgi: the request is over %d KiB", PAIRS >> 10);
}

/* ---- the answer ---- */

void play_answer_init(struct play_answer *a, const struct limits *limits)
{
    *a = (struct play_answer){0};
    cgi_head_init(&a->head, limits, SLICE(""), false);
}

void play_answer_done(struct play_answer *a)
{
    cgi_head_done(&a->head);
}

/* The status line and the fields, with plain line ends. */
static bool show_head(struct play_answer *a, struct buf *out)
{
    bool ok = buf_addf(out, "HTTP/1.1 %d %s\n", a->head.status, http_reason(a->head.status));
    for (struct slice rest = buf_slice(&a->head.lines); rest.n && ok;) {
        struct slice line = slice_split(&rest, '\n');
        ok = buf_add(out, line.p, line.n ? line.n - 1 : 0) && buf_add(out, "\n", 1);
    }
    if (a->head.has_length)
        ok = ok && buf_addf(out, "Content-Length: %ju\n", (uintmax_t)a->head.length);
    a->begun = true;
    return ok && buf_add(out, "\n", 1);
}

static bool show_body(struct play_answer *a, struct slice bytes, struct buf *out)
{
    if (!bytes.n)
        return true;
    if (!a->head.has_type) {
        a->head.why = "there is a body but no Content-Type";
        return false;
    }
    uint64_t room = a->head.has_length ? a->head.length - a->body : UINT64_MAX;
    if (bytes.n > room) { /* as a server does: no more than was announced */
        a->surplus = true;
        bytes.n = room;
    }
    a->body += bytes.n;
    return (a->begun || show_head(a, out)) && buf_add(out, bytes.p, bytes.n);
}

bool play_answer_feed(struct play_answer *a, struct slice bytes, struct buf *out)
{
    if (!a->ready && !a->bad) {
        enum cgi_result r = cgi_head_feed(&a->head, &bytes);
        if (r == CGI_MORE)
            return true;
        a->ready = r == CGI_READY;
        a->bad = !a->ready || (a->head.has_type && !show_head(a, out));
    }
    a->bad = a->bad || !show_body(a, bytes, out);
    return !a->bad;
}

enum err_code play_answer_end(struct play_answer *a, struct buf *out, char *why, size_t size)
{
    if (a->bad || !a->ready || (!a->begun && !show_head(a, out))) {
        cgi_head_explain(&a->head, why, size);
        return ERR_BAD_CGI;
    }
    if (a->surplus || (a->head.has_length && a->body < a->head.length)) {
        snprintf(why, size, "the body is %s than its Content-Length",
                 a->surplus ? "longer" : "shorter");
        return ERR_BAD_CGI;
    }
    return ERR_OK;
}
