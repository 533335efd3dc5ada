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
    } *items;
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
                           uint16_t *port, struct err *e) MUST_CHECK;

/* The client behind trusted proxies: the rightmost hop of the list that isn't trusted.
 * `forwarded` is a Forwarded field, `xff` an X-Forwarded-For; either may be empty, Forwarded goes
 * first. Leaves *address when nothing usable is there. True if every hop was trusted: the list
 * goes on in the field of this name before. */
bool forwarded_client(const struct cidr_list *trusted, struct slice forwarded, struct slice xff,
                      struct http_address *address);
/* Does the proxy say that the client came by https? */
bool forwarded_https(struct slice forwarded, struct slice proto);
