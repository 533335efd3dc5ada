/* URLs: one parser and one normal form for everybody who decides about or opens one.
 *
 * The policy is asked about the normal form, and what is opened is made of the
 * same parts, so there is no second reading of the guest's text. Normal form
 * (RFC 3986 6.2): lower-case scheme and host, default port removed, dot segments
 * removed, percent-encoding normalised (unreserved characters decoded, hex in
 * upper case, everything that may not stand raw encoded), no userinfo, no
 * fragment; the path of http and https is at least "/".
 *
 * Remote schemes (http, https, gemini) have an authority and everything is
 * judged: hosts are letters, digits, "-", "_" and "." (IDNA is the guest's own
 * work), a dotted quad, or an IPv6 address in brackets. A host that is a number in any other
 * spelling (0x7f.1, 2130706433, 127.1, 0177.0.0.1) is refused, as are userinfo,
 * control bytes, spaces and backslashes. A trailing dot of a host is removed. Of other schemes
 * only the scheme's name is lowered and the rest kept as it is. */
#pragma once

#include "base/err.h"
#include "base/slice.h"

enum { URL_MOST = 8192 /* bytes of a URL, before and after normalising */ };

struct url {
    char text[URL_MOST + 1]; /* the normal form, NUL-terminated; the slices point into it */
    size_t size;
    struct slice scheme;    /* "https" */
    struct slice authority; /* "example.com:8443" as in Host; empty for local schemes */
    struct slice host;      /* "example.com", "192.0.2.1", "2001:db8::1" (without brackets) */
    struct slice path;      /* "/a/b"; of local schemes everything after "://" */
    struct slice query;     /* after '?'; p == NULL if there is none */
    uint16_t port;          /* also when it is the default and not written; 0: local scheme */
    bool remote;            /* http, https, gemini */
    bool numeric;           /* the host is an address */
};

/* ERR_INVALID with the reason; *ret_url is then untouched. UTF-8 in the path and query is
 * percent-encoded; in a host it is refused. */
enum err_code url_parse(struct slice text, struct url *ret_url, struct err *e) MUST_CHECK;

/* As url_parse for "SCHEME://AUTHORITY" + `target`, an origin-form request target (RFC 9112 3.2.1).
 */
enum err_code url_join(struct slice scheme, struct slice authority, struct slice target,
                       struct url *ret_url, struct err *e) MUST_CHECK;

static inline struct slice url_slice(const struct url *u)
{
    return slice_make(u->text, u->size);
}

/* The URL as ledgers and logs keep it: "?…" instead of the query, cut at `cap` - 1 bytes with "…".
 * NUL-terminated. */
void url_redact(struct slice url, char *out, size_t cap);
