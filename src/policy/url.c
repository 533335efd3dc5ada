#include "policy/url.h"

#include "policy/escape.h"
#include "policy/host.h"

#include <stdio.h>

/* The parts of a URL while it is put together: offsets into the text, since that is copied. */
struct build {
    struct url_out out;
    struct slice scheme, host; /* as in `out` */
    size_t authority, path, query, end;
    uint16_t port;
    bool numeric, has_query;
};

static void put_authority(struct build *b, const struct host *h, uint16_t normal)
{
    bool v6 = memchr(h->text, ':', h->n);
    b->authority = b->out.n;
    url_put(&b->out, slice_make("[", v6));
    b->host = slice_make(b->out.p + b->out.n, h->n);
    url_put(&b->out, slice_make(h->text, h->n));
    url_put(&b->out, slice_make("]", v6));
    b->numeric = h->numeric;
    b->port = h->port ? h->port : normal;
    if (b->port != normal) {
        char text[8];
        int n = snprintf(text, sizeof text, ":%u", b->port);
        url_put(&b->out, slice_make(text, (size_t)n));
    }
}

/* The path and query, or nothing: `s` has no fragment any more. */
static enum err_code put_target(struct build *b, struct slice s, bool rooted, struct err *e)
{
    const char *mark = s.n ? memchr(s.p, '?', s.n) : NULL;
    struct slice path = slice_make(s.p, mark ? (size_t)(mark - s.p) : s.n);
    b->path = b->out.n;
    if (path.n == 0 && rooted)
        path = SLICE("/");
    enum err_code rc = url_escape(path, false, &b->out, e);
    if (rc)
        return rc;
    b->out.n = b->path + url_remove_dots(b->out.p + b->path, b->out.n - b->path);
    b->query = b->out.n;
    b->has_query = mark != NULL;
    if (mark) {
        url_put(&b->out, SLICE("?"));
        b->query = b->out.n;
        rc = url_escape(slice_from(s, (size_t)(mark - s.p) + 1), true, &b->out, e);
    }
    return rc;
}

static enum err_code finish(struct build *b, bool remote, struct url *ret_url, struct err *e)
{
    if (b->out.full)
        return err_set(e, ERR_INVALID, "the URL is longer than %d bytes", URL_MOST);
    struct url *u = ret_url;
    const char *from = b->out.p;
    memcpy(u->text, from, b->out.n);
    u->text[b->out.n] = '\0';
    u->size = b->out.n;
    u->scheme = slice_make(u->text, b->scheme.n);
    u->authority = slice_make(u->text + b->authority, remote ? b->path - b->authority : 0);
    u->host = slice_make(u->text + (remote ? b->host.p - from : 0), b->host.n);
    u->path = slice_make(u->text + b->path, (b->has_query ? b->query - 1 : b->out.n) - b->path);
    u->query =
        b->has_query ? slice_make(u->text + b->query, b->out.n - b->query) : slice_make(NULL, 0);
    u->port = b->port;
    u->remote = remote;
    u->numeric = b->numeric;
    return ERR_OK;
}

/* A URL of a remote scheme: `scheme` as given, `authority` and `target` not yet looked at. */
static enum err_code parse_remote(struct slice scheme, struct slice authority, struct slice target,
                                  struct url *ret_url, struct err *e)
{
    char text[URL_MOST];
    struct build b = {.out = {.p = text, .cap = sizeof text}};
    struct host h;
    url_put_lower(&b.out, scheme);
    b.scheme = slice_make(text, b.out.n);
    uint16_t normal = url_default_port(b.scheme);
    url_put(&b.out, SLICE("://"));
    enum err_code rc = host_parse(authority, &h, e);
    if (rc)
        return rc;
    put_authority(&b, &h, normal);
    bool rooted = !slice_eq(b.scheme, SLICE("gemini"));
    rc = put_target(&b, target, rooted, e);
    return rc ? rc : finish(&b, true, ret_url, e);
}

static enum err_code parse_local(struct slice scheme, struct slice rest, struct url *ret_url,
                                 struct err *e)
{
    char text[URL_MOST];
    struct build b = {.out = {.p = text, .cap = sizeof text}};
    url_put_lower(&b.out, scheme);
    b.scheme = slice_make(text, b.out.n);
    url_put(&b.out, SLICE("://"));
    b.path = b.out.n;
    url_put(&b.out, rest);
    return finish(&b, false, ret_url, e);
}

/* The scheme, and what follows its "://". */
static enum err_code split_scheme(struct slice text, struct slice *ret_scheme,
                                  struct slice *ret_rest, struct err *e)
{
    if (text.n > URL_MOST)
        return err_set(e, ERR_INVALID, "the URL is longer than %d bytes", URL_MOST);
    const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    struct slice scheme = slice_make(text.p, colon ? (size_t)(colon - text.p) : 0);
    struct slice rest = slice_from(text, scheme.n);
    if (!url_scheme_valid(scheme, false) || !slice_starts(rest, SLICE("://")))
        return err_set(e, ERR_INVALID, "a URL begins with its scheme, such as \"https://\"");
    *ret_scheme = scheme;
    *ret_rest = slice_from(rest, 3);
    return ERR_OK;
}

static bool is_remote(struct slice scheme)
{
    return slice_ieq(scheme, SLICE("https")) || slice_ieq(scheme, SLICE("http")) ||
           slice_ieq(scheme, SLICE("gemini"));
}

enum err_code url_parse(struct slice text, struct url *ret_url, struct err *e)
{
    struct slice scheme, rest;
    enum err_code rc = split_scheme(text, &scheme, &rest, e);
    if (rc)
        return rc;
    bool remote = is_remote(scheme);
    rc = url_plain(text, remote, e);
    if (rc)
        return rc;
    if (!remote)
        return parse_local(scheme, rest, ret_url, e);
    const char *mark = rest.n ? memchr(rest.p, '#', rest.n) : NULL;
    if (mark)
        rest.n = (size_t)(mark - rest.p);
    size_t authority = 0;
    while (authority < rest.n && rest.p[authority] != '/' && rest.p[authority] != '?')
        authority++;
    return parse_remote(scheme, slice_make(rest.p, authority), slice_from(rest, authority), ret_url,
                        e);
}

enum err_code url_join(struct slice scheme, struct slice authority, struct slice target,
                       struct url *ret_url, struct err *e)
{
    if (!is_remote(scheme))
        return err_set(e, ERR_INVALID, "only http, https and gemini have hosts");
    if (authority.n > URL_MOST || target.n > URL_MOST)
        return err_set(e, ERR_INVALID, "the URL is longer than %d bytes", URL_MOST);
    if (target.n == 0 || target.p[0] != '/')
        return err_set(e, ERR_INVALID, "a request's target begins with \"/\"");
    if (memchr(target.p, '#', target.n))
        return err_set(e, ERR_INVALID, "a request's target has no fragment (\"#…\")");
    enum err_code rc = url_plain(authority, true, e);
    if (!rc)
        rc = url_plain(target, true, e);
    return rc ? rc : parse_remote(scheme, authority, target, ret_url, e);
}

void url_redact(struct slice url, char *out, size_t cap)
{
    static const char more[] = "\xe2\x80\xa6";
    const char *query = memchr(url.p, '?', url.n);
    size_t n = query ? (size_t)(query - url.p) : url.n;
    const char *tail = query ? "?\xe2\x80\xa6" : "";
    if (n + strlen(tail) >= cap) {
        n = cap - sizeof more;
        tail = more;
        while (n && ((unsigned char)url.p[n] & 0xc0) == 0x80)
            n--; /* not within a character */
    }
    snprintf(out, cap, "%.*s%s", (int)n, url.p, tail);
}
