/* Begins: a request of the world as the payload of a BEGIN frame. */
#include "roles/edge.h"

#include "cgi/meta.h"

enum err_code edge_begin(struct edge *e, const struct http_conn *c, const struct http_request *q,
                         struct slice script, struct slice path, struct slice run,
                         struct slice worker, struct slice *ret_begin, struct err *err)
{
    char remote[ADDRESS_TEXT];
    uint32_t slot = 0; /* a functions edge fills it in when the run has its exec */
    size_t n = 0;
    address_text(&c->client, remote);
    struct cgi_request meta = {
        .method = q->method,
        .uri = q->target,
        .query = q->query,
        .script_name = script,
        .path = path,
        .server_name = q->host,
        .server_port = c->server->port,
        .minor = q->minor,
        .https = c->https,
        .trusted = c->trusted,
        .remote = slice_str(remote),
        .run = run,
        .worker = worker,
        .has_length = q->has_length,
        .length = q->length > 0 ? (uint64_t)q->length : 0,
        .fields = q->fields,
        .count = q->count,
    };
    memcpy(e->scratch, &slot, sizeof slot);
    switch (cgi_meta_write(&meta, e->scratch + sizeof slot, FRAME_MOST - sizeof slot, &n)) {
    case CGI_META_OK:
        *ret_begin = slice_make(e->scratch, sizeof slot + n);
        return ERR_OK;
    case CGI_META_FULL:
        return err_set(err, ERR_HEADERS_TOO_LARGE, "the request's variables are over the limit");
    case CGI_META_BAD_PATH:
        break;
    }
    return err_set(err, ERR_BAD_REQUEST, "the path holds a malformed percent escape");
}
