#include "http/address.h"

#include <arpa/inet.h>
#include <stdlib.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const struct http_address *a)
{
    return memcmp(a->b, mapped, sizeof mapped) == 0;
}

static struct http_address from_v4(const void *four)
{
    struct http_address a;
    memcpy(a.b, mapped, sizeof mapped);
    memcpy(a.b + 12, four, 4);
    return a;
}

struct http_address address_of(const struct sockaddr_storage *sa, uint16_t *ret_port)
{
    struct http_address a = {{0}};
    *ret_port = 0;
    if (sa->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        a = from_v4(&in->sin_addr);
        *ret_port = ntohs(in->sin_port);
    } else if (sa->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        memcpy(a.b, &in6->sin6_addr, 16);
        *ret_port = ntohs(in6->sin6_port);
    }
    return a;
}

/* By hand for IPv4: every request needs it twice, and inet_ntop() goes through sprintf(). */
void address_text(const struct http_address *a, char out[ADDRESS_TEXT])
{
    if (!is_v4(a)) {
        if (!inet_ntop(AF_INET6, a->b, out, ADDRESS_TEXT))
            out[0] = '\0';
        return;
    }
    for (int i = 12; i < 16; i++) {
        unsigned n = a->b[i];
        if (n >= 100)
            *out++ = (char)('0' + n / 100);
        if (n >= 10)
            *out++ = (char)('0' + n / 10 % 10);
        *out++ = (char)('0' + n % 10);
        *out++ = i < 15 ? '.' : '\0';
    }
}

struct http_address address_network(const struct http_address *a)
{
    struct http_address n = *a;
    size_t keep = is_v4(a) ? 15 : 6;
    memset(n.b + keep, 0, sizeof n.b - keep);
    return n;
}

bool address_parse(struct slice text, struct http_address *ret_address)
{
    char s[INET6_ADDRSTRLEN + 1];
    struct http_address a;
    uint8_t four[4];
    text = slice_trim(text);
    if (text.n && text.p[0] == '[') {
        const char *close = memchr(text.p, ']', text.n);
        if (!close)
            return false;
        text = slice_make(text.p + 1, (size_t)(close - text.p) - 1);
    } else if (text.n) {
        const char *colon = memchr(text.p, ':', text.n);
        if (colon && colon == memrchr(text.p, ':', text.n))
            text.n = (size_t)(colon - text.p); /* one colon: IPv4 and a port */
    }
    if (!slice_copy(text, s, sizeof s))
        return false;
    if (inet_pton(AF_INET, s, four) == 1)
        a = from_v4(four);
    else if (inet_pton(AF_INET6, s, a.b) != 1)
        return false;
    *ret_address = a;
    return true;
}

enum err_code cidr_parse(struct slice text, struct cidr_list *ret_list, struct err *e)
{
    struct cidr_list list = {0};
    while (text.p && text.n) {
        struct slice bits = slice_trim(slice_split(&text, ','));
        struct slice all = bits, base = slice_split(&bits, '/');
        struct cidr c = {.bits = 128};
        uint64_t n = 128;
        if (all.n == 0)
            continue;
        bool ok = address_parse(base, &c.base);
        if (ok && bits.p) {
            unsigned most = is_v4(&c.base) ? 32 : 128;
            ok = slice_u64(bits, &n) && n <= most;
            n += 128 - most;
        }
        struct cidr *more = ok ? realloc(list.items, (list.count + 1) * sizeof *more) : NULL;
        if (!more) {
            cidr_done(&list);
            return ok ? err_set(e, ERR_MEMORY, "no memory for a list of networks")
                      : err_set(e, ERR_USAGE, "\"%.*s\" is not a network like 10.0.0.0/8",
                                SLICE_ARG(all));
        }
        c.bits = (uint8_t)n;
        list.items = more;
        list.items[list.count++] = c;
    }
    *ret_list = list;
    return ERR_OK;
}

void cidr_done(struct cidr_list *l)
{
    free(l->items);
    *l = (struct cidr_list){0};
}

bool cidr_match(const struct cidr_list *l, const struct http_address *a)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct cidr *c = &l->items[i];
        size_t whole = c->bits / 8;
        uint8_t mask = (uint8_t)(0xff00u >> c->bits % 8);
        if (memcmp(c->base.b, a->b, whole) == 0 &&
            (!mask || whole == 16 || ((c->base.b[whole] ^ a->b[whole]) & mask) == 0))
            return true;
    }
    return false;
}

/* haproxy's proxy-protocol.txt, 2.2 */
enum { PROXY_HEAD = 16, PROXY_MOST = 536 };

enum err_code proxy_header(struct slice bytes, size_t *ret_size, struct http_address *address,
                           struct err *e)
{
    static const uint8_t magic[12] = "\r\n\r\n\0\r\nQUIT\n";
    size_t n = bytes.n < sizeof magic ? bytes.n : sizeof magic;
    *ret_size = 0;
    if (memcmp(bytes.p, magic, n))
        return ERR_OK;
    if (bytes.n < PROXY_HEAD) {
        *ret_size = SIZE_MAX;
        return ERR_OK;
    }
    const uint8_t *b = (const uint8_t *)bytes.p;
    size_t length = (size_t)b[14] << 8 | b[15];
    if (b[12] >> 4 != 2 || (b[12] & 15) > 1 || length > PROXY_MOST)
        return err_set(e, ERR_BAD_REQUEST, "a malformed PROXY header");
    if (bytes.n < PROXY_HEAD + length) {
        *ret_size = SIZE_MAX;
        return ERR_OK;
    }
    bool tcp4 = b[13] == 0x11, tcp6 = b[13] == 0x21;
    if ((b[12] & 15) == 1 && (tcp4 || tcp6)) {
        if (length < (tcp4 ? 12u : 36u))
            return err_set(e, ERR_BAD_REQUEST, "a PROXY header without addresses");
        if (tcp4)
            *address = from_v4(b + 16);
        else
            memcpy(address->b, b + 16, 16);
    }
    *ret_size = PROXY_HEAD + length;
    return ERR_OK;
}

/* The parameter `name` of one element of a Forwarded field (RFC 7239), without quotes. */
static struct slice forwarded_param(struct slice element, struct slice name)
{
    while (element.p) {
        struct slice value = slice_trim(slice_split(&element, ';'));
        struct slice key = slice_split(&value, '=');
        if (!value.p || !slice_ieq(slice_trim(key), name))
            continue;
        value = slice_trim(value);
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = slice_make(value.p + 1, value.n - 2);
        return value;
    }
    return (struct slice){NULL, 0};
}

/* Takes the last comma-separated element off the list. */
static struct slice last_element(struct slice *list)
{
    const char *comma = list->n ? memrchr(list->p, ',', list->n) : NULL;
    struct slice element = *list;
    if (comma) {
        element = slice_from(*list, (size_t)(comma - list->p) + 1);
        list->n = (size_t)(comma - list->p);
    } else {
        *list = (struct slice){NULL, 0};
    }
    return slice_trim(element);
}

bool forwarded_client(const struct cidr_list *trusted, struct slice list, bool standard,
                      struct http_address *address)
{
    while (list.n) {
        struct slice hop = last_element(&list);
        struct http_address a;
        if (standard)
            hop = forwarded_param(hop, SLICE("for"));
        if (!hop.p || !address_parse(hop, &a))
            return false; /* "unknown" or nonsense: nothing to its left can be believed */
        *address = a;
        if (!cidr_match(trusted, &a))
            return false;
    }
    return true;
}

bool forwarded_https(struct slice list, bool standard)
{
    struct slice last = list.n ? last_element(&list) : list;
    struct slice proto = standard ? forwarded_param(last, SLICE("proto")) : last;
    return proto.p && slice_ieq(proto, SLICE("https"));
}
