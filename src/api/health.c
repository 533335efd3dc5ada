/* Is the server alive, and can it work? Both answer without a token. */
#include "api/request.h"

void health_live(struct api_request *r)
{
    api_answer(r, 200, json_pack("{s:s}", "status", "ok"));
}

void health_ready(struct api_request *r)
{
    if (r->api->backend->ready(r->api))
        api_answer(r, 200, json_pack("{s:s}", "status", "ok"));
    else
        api_refuse(r, ERR_UNAVAILABLE, "no functions edge is connected yet");
}
