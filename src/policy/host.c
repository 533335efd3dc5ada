#include "policy/host.h"

#include "policy/escape.h"

#include <arpa/inet.h>

enum { LABEL_MOST = 63 };

bool host_byte(char c)
{
    return url_alpha(c) || url_digit(c) || c == '-' || c == '_' || c == '.';
}

enum err_code host_port(struct slice text, uint16_t *ret_port, struct err *e)
{
    uint64_t v = 0;
    if (text.n && (text.p[0] == '0' || text.n > 5 || !slice_u64(text, &v) || v > UINT16_MAX))
        return err_set(e, ERR_INVALID, "the port is not a number from 1 to 65535");
    *ret_port = (uint16_t)v;
    return ERR_OK;
}

/* All digits, or 0x and hex digits: what WHATWG and inet_aton take for a part of an address. */
static bool is_number(struct slice label)
{
    bool hex = label.n >= 2 && label.p[0] == '0' && (label.p[1] | 0x20) == 'x';
    for (size_t i = hex ? 2 : 0; i < label.n; i++)
        if (!url_digit(label.p[i]) &&
            !(hex && (label.p[i] | 0x20) >= 'a' && (label.p[i] | 0x20) <= 'f'))
            return false;
    return label.n > 0;
}

/* Four numbers from 0 to 255 in decimal without leading zeros. */
static bool is_dotted_quad(struct slice s)
{
    int parts = 0;
    for (struct slice rest = s; rest.p; parts++) {
        struct slice part = slice_split(&rest, '.');
        uint64_t v;
        if (part.n > 3 || (part.n > 1 && part.p[0] == '0') || !slice_u64(part, &v) || v > 255)
            return false;
    }
    return parts == 4;
}

static enum err_code parse_name(struct slice name, struct host *h, struct err *e)
{
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] >= 0x80)
            return err_set(e, ERR_INVALID,
                           "the host is not ASCII: write it in its \"xn--\" form (IDNA)");
        if (!host_byte(name.p[i]))
            return err_set(e, ERR_INVALID, "'%c' may not stand in a host", name.p[i]);
    }
    if (name.n && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0)
        return err_set(e, ERR_INVALID, "it has no host");
    if (name.n > HOST_MOST)
        return err_set(e, ERR_INVALID, "the host is longer than %d bytes", HOST_MOST);
    struct slice last = name;
    for (struct slice rest = name; rest.p;) {
        last = slice_split(&rest, '.');
        if (last.n == 0 || last.n > LABEL_MOST)
            return err_set(e, ERR_INVALID, "between two dots of a host are 1 to %d characters",
                           LABEL_MOST);
    }
    h->numeric = is_number(last);
    if (h->numeric && !is_dotted_quad(name))
        return err_set(e, ERR_INVALID,
                       "the host is a number: an address is written as four decimal numbers "
                       "(192.0.2.1) or as [IPv6]");
    struct url_out out = {.p = h->text, .cap = HOST_MOST};
    url_put_lower(&out, name);
    h->n = out.n;
    return ERR_OK;
}

static enum err_code parse_ipv6(struct slice text, struct host *h, struct err *e)
{
    char given[INET6_ADDRSTRLEN];
    struct in6_addr a;
    if (!slice_copy(text, given, sizeof given) || inet_pton(AF_INET6, given, &a) != 1 ||
        !inet_ntop(AF_INET6, &a, h->text, sizeof h->text))
        return err_set(e, ERR_INVALID, "what stands in [] is not an IPv6 address");
    h->n = strlen(h->text);
    h->numeric = true;
    return ERR_OK;
}

enum err_code host_parse(struct slice authority, struct host *ret_host, struct err *e)
{
    struct host h = {.n = 0};
    struct slice rest = authority;
    enum err_code rc;
    if (authority.n && memchr(authority.p, '@', authority.n))
        return err_set(e, ERR_INVALID,
                       "it has user and password before the host: put them in a header field");
    if (authority.n && authority.p[0] == '[') {
        const char *end = memchr(authority.p, ']', authority.n);
        if (!end)
            return err_set(e, ERR_INVALID, "the ']' after the IPv6 address is missing");
        size_t n = (size_t)(end - authority.p) - 1;
        rc = parse_ipv6(slice_make(authority.p + 1, n), &h, e);
        rest = slice_from(authority, n + 2);
        if (!rc && rest.n && rest.p[0] != ':')
            rc = err_set(e, ERR_INVALID, "after an IPv6 address's ']' comes nothing but a port");
    } else {
        const char *colon = authority.n ? memchr(authority.p, ':', authority.n) : NULL;
        size_t n = colon ? (size_t)(colon - authority.p) : authority.n;
        rc = parse_name(slice_make(authority.p, n), &h, e);
        rest = slice_from(authority, n);
    }
    if (!rc && rest.n)
        rc = host_port(slice_from(rest, 1), &h.port, e);
    if (!rc)
        *ret_host = h;
    return rc;
}
