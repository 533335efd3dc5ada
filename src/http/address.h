/* Addresses: who is at the other end, and who may say so.
 *
 * A proxy in front of us knows the client's address and scheme; we believe it
 * only if the operator listed it in `trusted-proxies`. Addresses are kept as
 * 16 bytes, IPv4 as mapped IPv6, so that one comparison serves both. */
#pragma once

#include "base/err.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct http_address {
    uint8_t b[16]; /* IPv4 as ::ffff:a.b.c.d */
};

enum { ADDRESS_TEXT = 46 };

/* The address and port of a socket address; other families give ::. */
struct http_address address_of(const struct sockaddr_storage *sa, uint16_t *ret_port);
/* "192.0.2.1" or "2001:db8::1", NUL-terminated. */
void address_text(const struct http_address *a, char out[ADDRESS_TEXT]);
/* Cut to /24 or /48, as records keep it. */
struct http_address address_network(const struct http_address *a);
/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80". */
bool address_parse(struct slice text, struct http_address *ret_address);

struct cidr_list {
    struct cidr {
        struct http_address base;
        uint8_t bits; /* of 128 */
    } * items;
    size_t count;
};

/* Comma-separated networks or single addresses. */
enum err_code cidr_parse(struct slice text, struct cidr_list *ret_list, struct err *e) MUST_CHECK;
void cidr_done(struct cidr_list *l);
bool cidr_match(const struct cidr_list *l, const struct http_address *a);

/* A PROXY protocol v2 header at the start of `bytes`: *ret_size is its size, 0 if there is none,
 * SIZE_MAX if more bytes are needed to tell. The command LOCAL and other families leave
 * *address as it is. */
enum err_code proxy_header(struct slice bytes, size_t *ret_size, struct http_address *address,
                           struct err *e) MUST_CHECK;

/* Goes from the right through the hops of one Forwarded (RFC 7239) or, unless `standard`,
 * X-Forwarded-For field: *address becomes the rightmost that isn't trusted. True if all were
 * trusted: then a field before this one goes on. */
bool forwarded_client(const struct cidr_list *trusted, struct slice list, bool standard,
                      struct http_address *address);
/* Does the nearest proxy say that the client came by https? From the last Forwarded field, or the
 * last X-Forwarded-Proto unless `standard`. */
bool forwarded_https(struct slice list, bool standard);
