/* Is the server alive, and can it work? Both answer without a token. */
#include "api/request.h"

#include <stdio.h>

void health_live(struct api_request *r)
{
    api_answer(r, 200, json_pack("{s:s}", "status", "ok"));
}

/* A COMMIT that failed stays the last one until somebody writes: here that is us. */
static void try_to_write(struct api_request *r)
{
    struct store *st = r->api->store;
    struct err ignored;
    if (store_begin(st, &ignored) == ERR_OK &&
        store_end(st, store_setting_put(st, "ready", SLICE("asked"), &ignored), &ignored))
        return;
}

void health_ready(struct api_request *r)
{
    struct api_state state = r->api->backend->state(r->api);
    enum err_code trouble = store_trouble(r->api->store);
    char why[256] = "";
    size_t n = 0;
    if (trouble)
        n += (size_t)snprintf(why + n, sizeof why - n, "the database can't be written: %s",
                              err_title(trouble));
    if (state.routes_behind)
        n += (size_t)snprintf(why + n, sizeof why - n, "%sthe route table can't be written",
                              n ? "; " : "");
    if (!state.edges)
        snprintf(why + n, sizeof why - n, "%sno functions edge is connected yet", n ? "; " : "");
    if (!why[0]) {
        api_answer(r, 200, json_pack("{s:s}", "status", "ok"));
        return;
    }
    api_refuse(r, ERR_UNAVAILABLE, "%s", why);
    if (trouble)
        try_to_write(r);
}
