/* Hosts: the part of a URL that everything hangs on, in one spelling only.
 *
 * Whatever another reader could take for an address (WHATWG's "ends in a number", inet_aton's
 * short, octal and hex forms) is either a plain dotted quad or refused, so a name is never an
 * address and an address never looks like a name. */
#pragma once

#include "base/err.h"

enum { HOST_MOST = 253 /* bytes of a name (RFC 1035 2.3.4, without the last dot) */ };

struct host {
    char text[HOST_MOST + 1]; /* lower case, without brackets and last dot */
    size_t n;
    uint16_t port; /* 0: none was given */
    bool numeric;  /* a dotted quad or an IPv6 address */
};

/* Reads "HOST", "HOST:PORT", "[IPV6]:PORT". ERR_INVALID with the reason. */
enum err_code host_parse(struct slice authority, struct host *ret_host, struct err *e) MUST_CHECK;
/* Reads the part after ':'; an empty one is 0. ERR_INVALID. */
enum err_code host_port(struct slice text, uint16_t *ret_port, struct err *e) MUST_CHECK;
/* May this byte stand in a host's name? */
bool host_byte(char c);
