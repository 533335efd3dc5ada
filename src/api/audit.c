/* The operator's questions: who connected to this address?
 *
 * Somebody reports that this server attacked them and says when and where. The
 * journal of egress answers with project, function and run. */
#include "api/request.h"

#include "http/address.h"

#include <stdio.h>

enum {
    PAGE = 100,
    PAGE_MOST = 1000,
    WITHIN_S = 300, /* clocks differ, and a connection is written down when it ends */
    WITHIN_MOST_S = 31 * 86400,
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

/* A number of the query from `least` to `most`; stays if it is absent. */
static bool read_number(struct api_request *r, const char *name, uint64_t least, uint64_t most,
                        uint64_t *ret_n)
{
    char text[24];
    if (!api_query(r, name, text, sizeof text))
        return true;
    if (slice_u64(slice_str(text), ret_n) && *ret_n >= least && *ret_n <= most)
        return true;
    api_refuse_field(r, name, "%s is a number from %llu to %llu", name, (unsigned long long)least,
                     (unsigned long long)most);
    return false;
}

static bool read_query(struct api_request *r, struct store_connection_query *q)
{
    static const char *const known[] = {"to", "port", "at", "within", "limit", "cursor", NULL};
    struct http_address address;
    char text[64] = "";
    uint64_t at = 0, within = WITHIN_S;
    *q = (struct store_connection_query){.until_ms = UINT64_MAX};
    if (!api_known_query(r, known) || !api_limit(r, PAGE, PAGE_MOST, &q->limit) ||
        !api_time(r, "at", &at) || !read_number(r, "port", 1, 65535, &q->port) ||
        !read_number(r, "within", 1, WITHIN_MOST_S, &within) ||
        !read_number(r, "cursor", 1, INT64_MAX, &q->before))
        return false;
    if (!api_query(r, "to", text, sizeof text) || !address_parse(slice_str(text), &address)) {
        api_refuse_field(r, "to",
                         "to is the address that was reached, as 192.0.2.1 or 2001:db8::1");
        return false;
    }
    memcpy(q->address, address.b, sizeof q->address);
    if (at) {
        q->since_ms = at > within * 1000 ? at - within * 1000 : 0;
        q->until_ms = at + within * 1000;
    }
    return true;
}

void audit_egress(struct api_request *r)
{
    struct err e;
    struct store_connection_query q;
    /* It is about everybody's projects. */
    if (strcmp(r->user.role, "operator") != 0 || !uuid_is_zero(r->token.project)) {
        api_refuse(r, ERR_FORBIDDEN, "only an operator's token for all projects may ask this");
        return;
    }
    if (!read_query(r, &q))
        return;
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
