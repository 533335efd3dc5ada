/* Log lines: pages of the past, and following as Server-Sent Events.
 *
 * A page holds the latest lines that fit the filter, oldest first, and its
 * cursor leads to earlier ones. A follower gets a few past lines and then each
 * new line once, its id being the SSE id, so that Last-Event-ID resumes exactly.
 * Lines are read from the database whenever more were drained: a slow client
 * costs no memory, it just reads later. */
#include "api/request.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE = 100,
    PAGE_MOST = 1000,
    PAGE_BYTES = 1 << 20, /* a page ends early when its lines are long */
    FOLLOW_PAST = 10,     /* lines shown before the first new one */
    BATCH = 200,
    PING_US = 15000000
};

static const struct {
    const char *name;
    uint32_t most;
} levels[] = {{"error", 1}, {"warning", 3}, {"info", UINT32_MAX}};

static struct store_log_query read_query(const struct api_request *r)
{
    char text[16];
    struct store_log_query q = {.function = r->function.id,
                                .run = api_uuid(r, "run"),
                                .before = api_number(r, "cursor", 0),
                                .since_ms = api_time(r, "since"),
                                .until_ms = api_time(r, "until"),
                                .level = UINT32_MAX,
                                .limit = (uint32_t)api_number(r, "limit", PAGE),
                                .newest = true};
    if (api_query(r, "level", text, sizeof text))
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
            if (strcmp(levels[i].name, text) == 0)
                q.level = levels[i].most;
    return q;
}

/* ---- pages ---- */

struct page {
    const char *function;
    json_t *items;
    uint64_t last;
    size_t bytes;
    bool cut;
};

static enum err_code add(void *arg, const struct store_log *l, struct err *e)
{
    struct page *page = arg;
    page->cut |= page->bytes > PAGE_BYTES;
    if (page->cut)
        return ERR_OK;
    page->bytes += l->text.n + 128;
    page->last = l->id;
    json_array_insert_new(page->items, 0, shape_log(l, page->function));
    return ERR_OK;
}

static void answer_page(struct api_request *r, const struct store_log_query *q)
{
    struct err e;
    struct page page = {.function = r->function.name, .items = json_array()};
    if (store_logs(r->api->store, q, add, &page, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    bool more = page.cut || json_array_size(page.items) == q->limit;
    api_answer(
        r, 200,
        shape_list(page.items, more ? json_sprintf("%llu", (unsigned long long)page.last) : NULL));
}

/* ---- following ---- */

struct follower {
    struct api_request *request;
    struct store_log_query q;
    struct loop_timer ping;
    bool full; /* the client has not taken enough yet */
};

static enum err_code send_line(void *arg, const struct store_log *l, struct err *e)
{
    struct follower *f = arg;
    struct api_request *r = f->request;
    json_t *o = shape_log(l, r->function.name);
    char *text = json_dumps(o, JSON_COMPACT);
    struct buf event;
    json_decref(o);
    if (!text)
        return err_set(e, ERR_MEMORY, "no memory for a log line");
    buf_init(&event, strlen(text) + 64);
    bool fits = buf_addf(&event, "id: %llu\ndata: ", (unsigned long long)l->id) &&
                buf_add(&event, text, strlen(text)) && buf_add(&event, "\n\n", 2) &&
                api_stream_write(r, buf_slice(&event));
    free(text);
    buf_done(&event);
    if (!fits) {
        f->full = true;
        return err_set(e, ERR_BUSY, "the client is slow");
    }
    f->q.after = l->id;
    return ERR_OK;
}

void logs_more(struct api_request *r)
{
    struct follower *f = r->state;
    struct err e;
    if (!f || f->full)
        return;
    /* Lines of one batch at a time, so that one follower does not hold up the loop. */
    uint64_t before;
    int batches = 0;
    enum err_code rc;
    do {
        before = f->q.after;
        rc = store_logs(r->api->store, &f->q, send_line, f, &e);
    } while (rc == ERR_OK && f->q.after != before && !r->gone && ++batches < 10);
}

static void on_room(struct api_request *r)
{
    struct follower *f = r->state;
    if (!f || !f->full || buf_size(&r->out) > API_STREAM_ROOM / 2)
        return;
    f->full = false;
    logs_more(r);
}

static void on_ping(struct loop_timer *t)
{
    struct follower *f = LIST_ITEM(t, struct follower, ping);
    struct api_request *r = f->request;
    if (api_stream_write(r, SLICE(": still here\n\n")))
        logs_more(r);
    loop_timer_start(r->api->loop, t, loop_now(r->api->loop) + PING_US, on_ping);
}

static void follow_gone(struct api_request *r)
{
    struct follower *f = r->state;
    loop_timer_stop(r->api->loop, &f->ping);
    free(f);
    r->state = NULL;
}

static enum err_code note_first(void *arg, const struct store_log *l, struct err *e)
{
    *(uint64_t *)arg = l->id - 1; /* newest first: the last one seen is the oldest */
    return ERR_OK;
}

static void follow(struct api_request *r, const struct store_log_query *q)
{
    struct slice last_id = api_var(r, "HTTP_LAST_EVENT_ID");
    struct err e;
    struct store_log_query past = *q;
    uint64_t after = 0;
    if (last_id.n && slice_u64(last_id, &after)) {
        /* resuming: nothing else to find out */
    } else {
        /* Start before the few latest lines, or before all that `since` names. */
        past.limit = (uint32_t)api_number(r, "limit", q->since_ms ? PAGE_MOST : FOLLOW_PAST);
        uint64_t end = 0;
        struct store_log_query newest = {
            .function = q->function, .level = UINT32_MAX, .limit = 1, .newest = true};
        if (store_logs(r->api->store, &newest, note_first, &end, &e)) {
            api_fail(r, &e);
            return;
        }
        after = end + (end != 0);
        if (store_logs(r->api->store, &past, note_first, &after, &e)) {
            api_fail(r, &e);
            return;
        }
    }
    struct follower *f = calloc(1, sizeof *f);
    if (!f) {
        api_refuse(r, ERR_MEMORY, "no memory");
        return;
    }
    *f = (struct follower){.request = r, .q = *q};
    f->q.after = after;
    f->q.before = 0;
    f->q.newest = false;
    f->q.limit = BATCH;
    r->state = f;
    r->on_gone = follow_gone;
    r->on_room = on_room;
    list_push(&r->api->followers, &r->follow);
    loop_timer_start(r->api->loop, &f->ping, loop_now(r->api->loop) + PING_US, on_ping);
    api_stream(r, 200, "text/event-stream");
    logs_more(r);
}

void api_on_logs(struct api *api)
{
    LIST_EACH(n, &api->followers) logs_more(LIST_ITEM(n, struct api_request, follow));
}

void logs_list(struct api_request *r)
{
    struct store_log_query q = read_query(r);
    api_drain(r);
    if (api_flag(r, "follow"))
        follow(r, &q);
    else
        answer_page(r, &q);
}
