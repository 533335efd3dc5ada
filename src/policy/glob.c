/* Globs: URLs with `*` for a piece and `**` for the rest.
 *
 * A glob is brought into the normal form of URLs when it is read, and compared part by part: `*`
 * stays within the scheme, the host, or one segment of the path; `**` in a path or query matches
 * anything there; in place of a host, all hosts, ports and paths. A glob without '?'
 * says nothing about the query. */
#include "policy/escape.h"
#include "policy/host.h"
#include "policy/rules.h"

#include <stdlib.h>

/* ---- reading ---- */

static bool has(struct slice s, const char *what)
{
    return s.n && memmem(s.p, s.n, what, strlen(what));
}

static bool has_star(struct slice s)
{
    return s.n && memchr(s.p, '*', s.n);
}

/* A host with `*` in it: what host_parse does for plain ones, as far as it can be done. */
static enum err_code put_host_pattern(struct slice host, struct url_out *out, struct err *e)
{
    if (has(host, "**"))
        return err_set(
            e, ERR_INVALID,
            "\"**\" would reach beyond the host: write \"*\", as in https://*.example.com/**");
    for (size_t i = 0; i < host.n; i++)
        if (!host_byte(host.p[i]) && host.p[i] != '*')
            return err_set(e, ERR_INVALID, "'%c' may not stand in a host", host.p[i]);
    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    url_put_lower(out, host);
    return ERR_OK;
}

static enum err_code read_authority(struct glob *g, struct slice authority, struct url_out *out,
                                    struct err *e)
{
    bool some = authority.p && authority.n;
    const char *colon = some ? memrchr(authority.p, ':', authority.n) : NULL;
    const char *bracket = some ? memrchr(authority.p, ']', authority.n) : NULL;
    struct slice host = authority;
    enum err_code rc;
    g->any_port =
        colon && slice_eq(slice_from(authority, (size_t)(colon - authority.p)), SLICE(":*"));
    if (g->any_port)
        host.n = (size_t)(colon - authority.p);
    size_t start = out->n;
    if (has_star(host)) {
        if (colon && !g->any_port && colon > bracket) {
            host.n = (size_t)(colon - authority.p);
            rc = host_port(slice_from(authority, host.n + 1), &g->port, e);
            if (rc)
                return rc;
        }
        rc = put_host_pattern(host, out, e);
    } else {
        struct host h;
        rc = host_parse(host, &h, e);
        if (!rc) {
            url_put(out, slice_make(h.text, h.n));
            g->port = h.port;
        }
    }
    if (!rc && g->port == url_default_port(g->scheme))
        g->port = 0;
    g->host = slice_make(out->p + start, out->n - start);
    return rc;
}

static enum err_code check_segments(struct slice path, struct err *e)
{
    for (struct slice rest = path; rest.p;) {
        struct slice s = slice_split(&rest, '/');
        if (slice_eq(s, SLICE(".")) || slice_eq(s, SLICE("..")))
            return err_set(e, ERR_INVALID,
                           "\".\" and \"..\" never stand in a normalised path: leave them out");
    }
    return ERR_OK;
}

static enum err_code read_target(struct glob *g, struct slice target, struct url_out *out,
                                 struct err *e)
{
    const char *mark = target.n ? memchr(target.p, '?', target.n) : NULL;
    struct slice path = slice_make(target.p, mark ? (size_t)(mark - target.p) : target.n);
    size_t start = out->n;
    enum err_code rc = ERR_OK;
    g->has_query = mark != NULL;
    if (g->local)
        url_put(out, path);
    else
        rc = url_escape(path.n ? path : SLICE("/"), false, out, e);
    g->path = slice_make(out->p + start, out->n - start);
    if (!rc && !g->local)
        rc = check_segments(g->path, e);
    start = out->n;
    if (!rc && mark) {
        struct slice query = slice_from(target, path.n + 1);
        if (g->local)
            url_put(out, query);
        else
            rc = url_escape(query, true, out, e);
    }
    g->query = slice_make(out->p + start, out->n - start);
    return rc;
}

static enum err_code read_glob(struct slice text, struct glob *g, struct url_out *out,
                               struct err *e)
{
    if (slice_eq(text, SLICE("**"))) {
        g->everything = true;
        return ERR_OK;
    }
    const char *colon = text.n ? memmem(text.p, text.n, "://", 3) : NULL;
    struct slice scheme = slice_make(text.p, colon ? (size_t)(colon - text.p) : 0);
    if (!colon || !url_scheme_valid(scheme, true))
        return err_set(e, ERR_INVALID, "a rule begins with a scheme, such as \"https://\"");
    url_put_lower(out, scheme);
    g->scheme = slice_make(out->p, out->n);
    g->local = !has_star(scheme) && !url_default_port(g->scheme);
    enum err_code rc = url_plain(text, !g->local, e);
    if (rc)
        return rc;
    struct slice rest = slice_from(text, scheme.n + 3);
    if (!g->local && has(rest, "#"))
        return err_set(e, ERR_INVALID, "a normalised URL has no fragment (\"#…\"): leave it out");
    if (g->local)
        return read_target(g, rest, out, e);
    g->any_host = slice_eq(rest, SLICE("**"));
    if (g->any_host)
        return ERR_OK;
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    rc = read_authority(g, slice_make(rest.p, n), out, e);
    return rc ? rc : read_target(g, slice_from(rest, n), out, e);
}

enum err_code glob_parse(struct slice text, struct glob *ret_glob, struct err *e)
{
    size_t cap = 3 * text.n + 2; /* if every byte is percent-encoded */
    struct glob g = {.text = malloc(cap)};
    struct url_out out = {.p = g.text, .cap = cap};
    if (!g.text)
        return err_set(e, ERR_MEMORY, "no memory for a policy's rule");
    enum err_code rc = read_glob(text, &g, &out, e);
    if (rc)
        glob_done(&g);
    else
        *ret_glob = g;
    return rc;
}

void glob_pairs(const struct glob *g, struct pairs *ret_pairs)
{
    *ret_pairs = (struct pairs){{0}};
    pairs_of(ret_pairs, g->scheme, true);
    pairs_of(ret_pairs, g->host, true);
    pairs_of(ret_pairs, g->path, true);
    pairs_of(ret_pairs, g->query, true);
}

void glob_done(struct glob *g)
{
    free(g->text);
    g->text = NULL;
}

/* ---- matching ---- */

/* `*` stops at a byte of `stops`, `**` at nothing. A later star makes going back to an earlier one
 * of its kind needless, so at most two are kept. Each step is taken from *steps; at 0 the answer
 * is false and has no meaning. */
static bool wild(struct slice pattern, struct slice text, const char *stops, uint32_t *steps)
{
    size_t p = 0, t = 0;
    size_t one_p = SIZE_MAX, one_t = 0, two_p = SIZE_MAX, two_t = 0;
    for (; *steps; --*steps) {
        if (p < pattern.n && pattern.p[p] == '*') {
            if (p + 1 < pattern.n && pattern.p[p + 1] == '*') {
                two_p = p += 2, two_t = t;
                one_p = SIZE_MAX;
                if (p == pattern.n)
                    return true;
            } else {
                one_p = ++p, one_t = t;
            }
        } else if (p < pattern.n && t < text.n && pattern.p[p] == text.p[t]) {
            p++, t++;
        } else if (p == pattern.n && t == text.n) {
            return true;
        } else if (one_p != SIZE_MAX && one_t < text.n && !strchr(stops, text.p[one_t])) {
            p = one_p, t = ++one_t;
        } else if (two_p != SIZE_MAX && two_t < text.n) {
            p = two_p, t = ++two_t;
            one_p = SIZE_MAX;
        } else {
            return false;
        }
    }
    return false;
}

static bool name_matches(struct slice pattern, struct slice text, uint32_t *steps)
{
    return slice_eq(pattern, text) || (has_star(pattern) && wild(pattern, text, "", steps));
}

static bool target_matches(const struct glob *g, struct slice path, struct slice query,
                           uint32_t *steps)
{
    if (path.n == 0 && !g->local)
        path = SLICE("/"); /* gemini's */
    return wild(g->path, path, "/", steps) &&
           (!g->has_query || (query.p && wild(g->query, query, "&/", steps)));
}

bool glob_match(const struct glob *g, const struct url *u, uint32_t *steps)
{
    if (g->everything)
        return true;
    if (g->local == u->remote || !name_matches(g->scheme, u->scheme, steps))
        return false;
    if (g->any_host)
        return true;
    if (!u->remote) {
        struct slice rest = u->path, path = slice_split(&rest, '?');
        return target_matches(g, path, rest, steps);
    }
    if (!g->any_port && u->port != (g->port ? g->port : url_default_port(u->scheme)))
        return false;
    return name_matches(g->host, u->host, steps) && target_matches(g, u->path, u->query, steps);
}

/* ---- covering ---- */

/* The narrow pattern is matched as if it were text: its `*` is a byte that only a star of the wide
 * one can take, and its `**` only a `**`. What comes out as true is true. */
static bool wild_covers(struct slice wide, struct slice narrow, const char *stops)
{
    uint32_t steps = GLOB_STEPS;
    if (slice_eq(wide, narrow))
        return true;
    if (!has(narrow, "**"))
        return wild(wide, narrow, stops, &steps);
    /* Plain to see only for "LITERAL**" over "LITERAL…". */
    size_t n = wide.n >= 2 ? wide.n - 2 : 0;
    struct slice literal = slice_make(wide.p, n);
    return wide.n >= 2 && slice_eq(slice_from(wide, n), SLICE("**")) && !has_star(literal) &&
           slice_starts(narrow, literal);
}

bool glob_covers(const struct glob *wide, const struct glob *narrow)
{
    if (wide->everything)
        return true;
    if (narrow->everything || wide->local != narrow->local ||
        !wild_covers(wide->scheme, narrow->scheme, ""))
        return false;
    if (wide->any_host)
        return true;
    if (narrow->any_host)
        return false;
    if (!wide->local && ((!wide->any_port && (narrow->any_port || wide->port != narrow->port)) ||
                         !wild_covers(wide->host, narrow->host, "")))
        return false;
    if (!wild_covers(wide->path, narrow->path, "/"))
        return false;
    return !wide->has_query || (narrow->has_query && wild_covers(wide->query, narrow->query, "&/"));
}
