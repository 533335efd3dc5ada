/* Characters of URLs: which may stand as they are, and the one way to write the others.
 *
 * RFC 3986 6.2.2: unreserved characters are decoded, what may not stand raw is encoded, hex digits
 * are upper case; everything else keeps the spelling it has, for "%2F" and "/" are two things. */
#pragma once

#include "base/err.h"

/* Where a URL is put together: bytes beyond `cap` are dropped and set `full`. */
struct url_out {
    char *p;
    size_t n, cap;
    bool full;
};

void url_put(struct url_out *o, struct slice s);
void url_put_lower(struct url_out *o, struct slice s);

/* ASCII letters and digits, whatever the locale. */
bool url_alpha(char c);
bool url_digit(char c);

/* Appends `s`, a path or (with `query`) a query, in its normal form. ERR_INVALID for a '%' that no
 * two hex digits follow. `s` has been through url_plain(). */
enum err_code url_escape(struct slice s, bool query, struct url_out *out, struct err *e) MUST_CHECK;

/* Removes "." and ".." segments (RFC 3986 5.2.4) in place from a path that begins with '/';
 * returns its new length. */
size_t url_remove_dots(char *path, size_t n);

/* No control bytes, and UTF-8; with `strict` no spaces and backslashes either. ERR_INVALID. */
enum err_code url_plain(struct slice s, bool strict, struct err *e) MUST_CHECK;

/* A scheme's name (RFC 3986 3.1), at most 32 bytes; with `globs` it may have '*' in it. */
bool url_scheme_valid(struct slice s, bool globs);

/* http, https and gemini: their default port; 0: a local scheme. */
uint16_t url_default_port(struct slice scheme);
