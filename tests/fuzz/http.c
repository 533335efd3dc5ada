/* HTTP/1.x from the world: heads, chunked bodies in pieces of any size, PROXY headers and
 * forwarding fields. However the bytes are cut, the reading must be the same. */
#include "fuzz.h"

#include "cgi/meta.h"
#include "http/address.h"
#include "http/request.h"
#include "roles/edge.h"

struct content {
    uint64_t hash;
    size_t n;
};

static void on_content(void *owner, struct slice bytes)
{
    struct content *c = owner;
    for (size_t i = 0; i < bytes.n; i++)
        c->hash = (c->hash ^ (uint8_t)bytes.p[i]) * 0x100000001b3u;
    c->n += bytes.n;
}

static struct limits limits;
static struct http_request request;

/* The body in pieces of `step` bytes: the error, or what it held. */
static enum err_code body(struct slice head, struct slice rest, size_t step,
                          struct content *ret_content, size_t *ret_used, bool *ret_open)
{
    struct http_parser p = {.on_body = on_content, .owner = ret_content};
    struct err e;
    MUST(http_head_parse(&p, head, &limits, &request, &e) == ERR_OK);
    *ret_content = (struct content){0};
    *ret_used = 0;
    while (p.in_body && *ret_used < rest.n) {
        size_t left = rest.n - *ret_used, used = 0;
        enum err_code rc = http_body_parse(
            &p, slice_make(rest.p + *ret_used, left < step ? left : step), &used, &e);
        if (rc)
            return rc;
        MUST(used > 0 && used <= left);
        *ret_used += used;
    }
    *ret_open = p.in_body;
    return ERR_OK;
}

static void addresses(struct slice bytes)
{
    struct http_address a = {{0}};
    struct cidr_list l;
    struct err e;
    size_t size;
    char text[ADDRESS_TEXT];
    if (bytes.n && proxy_header(bytes, &size, &a, &e) == ERR_OK)
        MUST(size == SIZE_MAX || size <= bytes.n);
    address_text(&a, text);
    if (cidr_parse(bytes, &l, &e))
        return;
    (void)forwarded_client(&l, bytes, true, &a);
    (void)forwarded_client(&l, bytes, false, &a);
    (void)forwarded_https(bytes, true);
    cidr_done(&l);
}

static void variables(void)
{
    static char out[FRAME_MOST];
    struct slice name, script, path;
    uint32_t preview;
    size_t n;
    if (site_find(request.host, request.path, SLICE("localhost"), &name, &preview, &script, &path))
        return;
    MUST(name.n > 0 && name.n <= ROUTE_NAME && script.n + path.n == request.path.n);
    struct cgi_request r = {.method = request.method,
                            .uri = request.target,
                            .query = request.query,
                            .script_name = script,
                            .path = path,
                            .server_name = request.host,
                            .remote = SLICE("::1"),
                            .run = SLICE("r"),
                            .worker = SLICE("w"),
                            .fields = request.fields,
                            .count = request.count};
    if (cgi_meta_write(&r, out, sizeof out, &n))
        return;
    size_t strings = 0;
    for (size_t i = 0; i < n; i++)
        strings += out[i] == 0;
    MUST(n > 0 && out[n - 1] == 0 && strings % 2 == 0);
}

FUZZ(bytes)
{
    struct err e;
    size_t scanned = 0, size = 0, again = 0;
    limits_init(&limits, false);
    addresses(bytes);
    enum err_code rc = http_head_end(bytes, &limits, &scanned, &size, &e), piecewise = ERR_OK;
    scanned = 0;
    for (size_t n = 1; n <= bytes.n && !again && !piecewise; n++)
        piecewise = http_head_end(slice_make(bytes.p, n), &limits, &scanned, &again, &e);
    MUST(size == again && !rc == !piecewise);
    if (rc || !size)
        return;
    struct http_parser p;
    struct slice head = slice_make(bytes.p, size), rest = slice_from(bytes, size);
    if (http_head_parse(&p, head, &limits, &request, &e))
        return;
    variables();
    struct content whole, parts;
    size_t used, used_parts;
    bool open = false, open_parts = false;
    rc = body(head, rest, SIZE_MAX, &whole, &used, &open);
    piecewise = body(head, rest, 1, &parts, &used_parts, &open_parts);
    MUST(rc == piecewise);
    if (rc == ERR_OK)
        MUST(whole.hash == parts.hash && whole.n == parts.n && used == used_parts &&
             open == open_parts);
}
