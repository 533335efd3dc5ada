/* The operator's questions: who connected to this address?
 *
 * Somebody reports that this server attacked them and says when and where. The
 * journal of egress answers with project, function and run. */
#include "api/request.h"

#include "http/address.h"

#include <stdio.h>

enum {
    PAGE = 100,
    WITHIN_S = 300, /* clocks differ, and a connection is written down when it ends */
};

static json_t *name_or_null(struct slice name)
{
    return name.n ? shape_text(name) : json_null();
}

struct page {
    json_t *items;
    uint64_t last;
};

static void add(void *arg, const struct store_connection *c)
{
    struct page *page = arg;
    struct http_address address;
    char text[ADDRESS_TEXT];
    memcpy(address.b, c->address, sizeof address.b);
    address_text(&address, text);
    page->last = c->id;
    json_array_append_new(
        page->items,
        json_pack("{s:o, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "at",
                  shape_time(c->at_ms), "address", text, "port", (json_int_t)c->port, "scheme",
                  shape_text(c->scheme), "host", shape_text(c->host), "project",
                  name_or_null(c->project_name), "project_id", shape_uuid(c->project), "function",
                  name_or_null(c->function_name), "function_id", shape_uuid(c->function), "run",
                  shape_uuid(c->run), "outcome",
                  c->outcome.n ? shape_text(c->outcome) : json_string("ok"), "sent",
                  (json_int_t)c->sent, "received", (json_int_t)c->received));
}

static struct store_connection_query read_query(const struct api_request *r)
{
    struct store_connection_query q = {.until_ms = UINT64_MAX};
    struct http_address address = {0};
    char text[64] = "";
    uint64_t at = api_time(r, "at"), within = api_number(r, "within", WITHIN_S);
    q.limit = (uint32_t)api_number(r, "limit", PAGE);
    q.port = api_number(r, "port", 0);
    q.before = api_number(r, "cursor", 0);
    if (api_query(r, "to", text, sizeof text) && address_parse(slice_str(text), &address))
        memcpy(q.address, address.b, sizeof q.address);
    if (at) {
        q.since_ms = at > within * 1000 ? at - within * 1000 : 0;
        q.until_ms = at + within * 1000;
    }
    return q;
}

void audit_egress(struct api_request *r)
{
    struct err e;
    struct store_connection_query q = read_query(r);
    struct page page = {.items = json_array()};
    api_drain(r);
    if (store_connections(r->api->store, &q, add, &page, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    char cursor[24];
    snprintf(cursor, sizeof cursor, "%llu", (unsigned long long)page.last);
    bool full = json_array_size(page.items) == q.limit;
    api_answer(r, 200, shape_list(page.items, full ? json_string(cursor) : NULL));
}
