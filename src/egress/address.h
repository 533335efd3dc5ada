/* Where guests may not connect to, whatever a policy says.
 *
 * A name that a guest chose may resolve to anything: the machine itself, the
 * operator's network, a cloud's metadata service. So each address is judged
 * after resolution, and the connection goes to the address that was judged. */
#pragma once

#include "http/address.h"

/* NULL: guests may connect to it, because it is an ordinary public address or because the operator
 * listed it in `allowed`. Otherwise what it is and where that is written: "private use (RFC
 * 1918)". An IPv4 address inside an IPv6 one (mapped, 6to4, Teredo, NAT64, ISATAP) is judged as
 * itself. */
const char *address_refused(const struct http_address *a, const struct cidr_list *allowed);

/* Ports that guests never reach. */
struct port_set {
    uint8_t bits[65536 / 8];
};

/* "25,465,587"; empty is the empty set. ERR_USAGE naming what is no port. */
enum err_code port_set_parse(struct slice text, struct port_set *ret_set, struct err *e) MUST_CHECK;

static inline bool port_set_has(const struct port_set *s, uint16_t port)
{
    return s->bits[port / 8] >> port % 8 & 1;
}
