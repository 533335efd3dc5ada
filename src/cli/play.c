#include "cli/play.h"

#include "base/uuid.h"
#include "cgi/meta.h"
#include "cli/local.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAIRS = 60 << 10 /* bytes of meta-variables: they fit into a BEGIN */ };

/* Replaces standard input by a file in memory that holds all of it; a terminal counts as empty. */
static enum err_code take_body(const struct limits *limits, uint64_t *ret_length, struct err *e)
{
    struct buf body;
    enum err_code rc = ERR_OK;
    buf_init(&body, limits->v[LIMIT_REQUEST_BODY] + LOCAL_READ);
    if (!isatty(STDIN_FILENO))
        rc = local_read("-", limits, LIMIT_REQUEST_BODY, &body, e);
    if (rc == ERR_TOO_LARGE) /* the request is wrong, not the module */
        e->code = rc = ERR_USAGE;
    size_t n = buf_size(&body), at = 0;
    int fd = rc ? -1 : memfd_create("body", MFD_CLOEXEC);
    while (fd >= 0 && at < n) {
        ssize_t w = pwrite(fd, buf_data(&body) + at, n - at, (off_t)at);
        if (w < 0 && errno != EINTR)
            break;
        at += w > 0 ? (size_t)w : 0;
    }
    if (!rc && (fd < 0 || at < n || dup2(fd, STDIN_FILENO) < 0))
        rc = err_errno(e, "can't keep the request's body");
    if (fd >= 0)
        close(fd);
    buf_done(&body);
    *ret_length = n;
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

enum err_code play_request(const char *request, const struct words *headers,
                           const struct limits *limits, struct buf *out, struct err *e)
{
    struct slice target = slice_str(request), method = slice_split(&target, ' ');
    if (!target.p) {
        target = method;
        method = SLICE("GET");
    }
    if (method.n == 0 || target.n == 0 || target.p[0] != '/')
        return err_set(e, ERR_USAGE, "--cgi wants \"[METHOD ]/PATH\", not \"%s\"", request);
    static const struct field host = {{"Host", 4}, {"localhost", 9}};
    struct field fields[WORDS_MAX + 1] = {host};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < headers->n && !rc; i++)
        rc = read_header(headers->at[i], &fields[i + 1], e);
    uint64_t length = 0;
    if (!rc)
        rc = take_body(limits, &length, e);
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
                                  .server_name = SLICE("localhost"),
                                  .server_port = 80,
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
