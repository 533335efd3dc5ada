/* Previews: who may see a version at NUMBER--NAME.DOMAIN.
 *
 * A version that says `preview: public` is there for everybody. Any other is
 * for members: they come with a link whose token is judged here and traded for
 * a cookie, by a redirect to the same address without the token. The program
 * sees neither: the token never reaches it, and the cookie is taken out of
 * what it gets. The cookie is for this host alone (no Domain), and over TLS the
 * browser holds us to that (the prefix __Host-, RFC 6265bis 4.1.3.2); below a
 * path of localhost it is for that path. */
#include "roles/edge.h"

#include "auth/preview.h"
#include "base/brand.h"
#include "base/clock.h"

#include <stdio.h>

static const struct slice token_name = SLICE(BRAND_COMMAND "-preview");

struct cookie_name {
    char text[48];
};

static struct slice cookie_name(const struct http_conn *c, struct slice script,
                                struct cookie_name *n)
{
    bool host = c->https && script.n == 0;
    snprintf(n->text, sizeof n->text, "%s%.*s", host ? "__Host-" : "", SLICE_ARG(token_name));
    return slice_str(n->text);
}

static void page(struct http_conn *c, const struct edge_route *route, const char *why)
{
    char detail[320];
    snprintf(detail, sizeof detail,
             "%.200s. Members of the project get a link with `" BRAND_COMMAND " preview %s %u`",
             why, route->row.name, route->row.preview);
    edge_refuse(c, ERR_PREVIEW, detail);
}

/* The token in the query; the query without it is appended to `rest`, with its '?'. */
static struct slice take_token(struct slice query, struct buf *rest, bool *ret_ok)
{
    struct slice token = {0};
    *ret_ok = true;
    while (query.p && query.n) {
        struct slice pair = slice_split(&query, '&'), value = pair, name = slice_split(&value, '=');
        if (slice_eq(name, token_name)) {
            token = value.p ? value : SLICE("");
            continue;
        }
        *ret_ok = *ret_ok && buf_addf(rest, "%s%.*s", buf_size(rest) ? "&" : "?", SLICE_ARG(pair));
    }
    return token;
}

/* To the same address without the token; `cookie` may be empty. */
static void redirect(struct http_conn *c, const struct http_request *q, struct slice rest,
                     struct slice cookie)
{
    struct buf url;
    buf_init(&url, 16 << 10);
    if (!buf_addf(&url, "%s://%.*s%.*s%.*s", c->https ? "https" : "http", SLICE_ARG(q->authority),
                  SLICE_ARG(q->path), SLICE_ARG(rest))) {
        edge_refuse(c, ERR_URI_TOO_LONG, NULL);
    } else {
        http_answer_begin(c, 307);
        http_answer_field(c, SLICE("Location"), buf_slice(&url));
        if (cookie.n)
            http_answer_field(c, SLICE("Set-Cookie"), cookie);
        http_answer_field(c, SLICE("Cache-Control"), SLICE("no-store"));
        http_answer_field(c, SLICE("Referrer-Policy"), SLICE("no-referrer"));
        http_answer_ready(c);
        http_answer_end(c, SLICE(""));
    }
    buf_done(&url);
}

static void trade(struct edge *e, struct http_conn *c, const struct http_request *q,
                  const struct edge_route *route, struct slice script, struct slice token,
                  struct slice rest)
{
    const struct route_row *row = &route->row;
    const struct uuid version = row->versions[0].id;
    uint8_t public_key[ROUTE_PUBLIC_BYTES];
    uint64_t now_s = clock_real_us() / 1000000;
    struct err why;
    if (row->open) {
        redirect(c, q, rest, SLICE(""));
        return;
    }
    route_public_key(e->routes, public_key);
    if (preview_token_judge(public_key, token, row->function, version, now_s, &why)) {
        page(c, route, why.text);
        return;
    }
    struct preview_pass pass = {
        .function = row->function, .version = version, .until_s = row->until_ms / 1000};
    struct cookie_name name;
    char value[PREVIEW_COOKIE], cookie[256];
    struct slice cookie_text = cookie_name(c, script, &name);
    preview_cookie(e->node_key, &pass, value);
    int n = snprintf(cookie, sizeof cookie,
                     "%.*s=%s; Path=%.*s; Max-Age=%llu; HttpOnly; SameSite=Lax%s",
                     SLICE_ARG(cookie_text), value, SLICE_ARG(script.n ? script : SLICE("/")),
                     (unsigned long long)(pass.until_s > now_s ? pass.until_s - now_s : 0),
                     c->https ? "; Secure" : "");
    redirect(c, q, rest, slice_make(cookie, (size_t)n));
}

/* Is it the name of a preview's cookie, over TLS or not? Behind a proxy a host may have both. */
static bool is_ours(struct slice name)
{
    const struct slice host = SLICE("__Host-");
    return slice_eq(name, token_name) ||
           (slice_starts(name, host) && slice_eq(slice_from(name, host.n), token_name));
}

/* Is the cookie of this name in this field good? Ours are left out of `rest`, of whatever name. */
static bool read_cookies(struct edge *e, const struct route_row *row, struct slice name,
                         struct slice field, struct buf *rest, bool *ret_ok)
{
    bool good = false;
    while (field.p && field.n) {
        struct slice pair = slice_trim(slice_split(&field, ';')), value = pair,
                     key = slice_trim(slice_split(&value, '='));
        if (slice_eq(key, name))
            good |= value.p && preview_cookie_good(e->node_key, value, row->function,
                                                   row->versions[0].id, clock_real_us() / 1000000);
        if (pair.n && !is_ours(key))
            *ret_ok =
                *ret_ok && buf_addf(rest, "%s%.*s", buf_size(rest) ? "; " : "", SLICE_ARG(pair));
    }
    return good;
}

bool edge_preview_admit(struct edge *e, struct http_conn *c, struct http_request *q,
                        const struct edge_route *route, struct slice script, struct buf *cookies)
{
    const struct route_row *row = &route->row;
    struct buf rest;
    bool fits, good = row->open;
    buf_init(&rest, 16 << 10);
    struct slice token = take_token(q->query, &rest, &fits);
    if (token.p) {
        if (fits)
            trade(e, c, q, route, script, token, buf_slice(&rest));
        else
            edge_refuse(c, ERR_URI_TOO_LONG, NULL);
        buf_done(&rest);
        return false;
    }
    buf_done(&rest);
    struct cookie_name room;
    struct slice name = cookie_name(c, script, &room);
    size_t kept = 0;
    for (size_t i = 0; i < q->count; i++)
        if (slice_ieq(q->fields[i].name, SLICE("Cookie")))
            good |= read_cookies(e, row, name, q->fields[i].value, cookies, &fits);
        else
            q->fields[kept++] = q->fields[i];
    if (buf_size(cookies)) /* there was at least one field, so there is room for this */
        q->fields[kept++] = (struct field){SLICE("Cookie"), buf_slice(cookies)};
    q->count = kept;
    if (!fits)
        edge_refuse(c, ERR_HEADERS_TOO_LARGE, NULL);
    else if (!good || (!row->open && clock_real_us() / 1000 >= row->until_ms))
        page(c, route, "this version is not live yet, and its preview is for members");
    else
        return true;
    return false;
}
