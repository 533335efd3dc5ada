/* Requests that last: what allowed them when they came is looked at again.
 *
 * A token is judged at the head of its request. One that follows logs, downloads
 * a backup or uploads for minutes would outlive its token, its user, its project
 * or its function; so twice a second those whose body is still coming, or whose
 * answer streams, are held against the database. What was asked for completely
 * goes on to its end: a deploy that was allowed to begin is not half made. */
#include "api/request.h"

#include "base/log.h"

enum { LOOK_US = 500000 };

static void on_look(struct loop_timer *t)
{
    struct api *api = LIST_ITEM(t, struct api, watch);
    struct err e;
    LIST_EACH(n, &api->requests)
    {
        struct api_request *r = LIST_ITEM(n, struct api_request, node);
        bool lasts = r->streams ? !r->over : !r->body_over && !r->answering;
        if (!lasts || !r->route || r->route->open)
            continue;
        enum err_code rc = request_allowed(r, &e);
        if (rc == ERR_UNAUTHORIZED || rc == ERR_NOT_FOUND) {
            log_line(LOG_INFO, "request_cut", "path=%.*s why=\"%s\"", SLICE_ARG(r->path), e.text);
            request_cut(r, &e);
        }
    }
    watch_begin(api);
}

void watch_begin(struct api *api)
{
    if (!api->watch.slot && !list_empty(&api->requests))
        loop_timer_start(api->loop, &api->watch, loop_now(api->loop) + LOOK_US, on_look);
}
