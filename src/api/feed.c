#include "api/feed.h"

#include <stdlib.h>

enum {
    PING_US = 15000000,
    FOLLOW_PAST = 10, /* rows shown before the first new one */
};

enum feed_form feed_form(const struct api_request *r)
{
    char format[8];
    if (api_flag(r, "follow"))
        return FEED_EVENTS;
    bool lines = api_query(r, "format", format, sizeof format)
                     ? strcmp(format, "jsonl") == 0
                     : slice_eq(api_var(r, "HTTP_ACCEPT"), SLICE("application/jsonl"));
    return lines ? FEED_LINES : FEED_NONE;
}

bool feed_resumes(const struct api_request *r, uint64_t *ret_after)
{
    struct slice id = api_var(r, "HTTP_LAST_EVENT_ID");
    return id.n && slice_u64(id, ret_after);
}

enum err_code feed_row(struct feed *f, uint64_t id, json_t *row, struct err *e)
{
    char *text = json_dumps(row, JSON_COMPACT);
    struct buf b;
    json_decref(row);
    if (!text)
        return err_set(e, ERR_MEMORY, "no memory for a row");
    buf_init(&b, strlen(text) + 64);
    bool fits = (!f->follows || buf_addf(&b, "id: %llu\ndata: ", (unsigned long long)id)) &&
                buf_add(&b, text, strlen(text)) && buf_add(&b, "\n\n", f->follows ? 2 : 1) &&
                api_stream_write(f->request, buf_slice(&b));
    free(text);
    buf_done(&b);
    if (fits)
        return ERR_OK;
    f->full = true;
    return err_set(e, ERR_BUSY, "the client is slow");
}

static void feed_gone(struct api_request *r)
{
    struct feed *f = r->state;
    r->state = NULL;
    r->on_gone = r->on_room = NULL;
    loop_timer_stop(r->api->loop, &f->ping);
    loop_timer_stop(r->api->loop, &f->next);
    store_wait_cancel(&f->wait);
    free(f);
}

static void on_next(struct loop_timer *t)
{
    feed_more(LIST_ITEM(t, struct feed, next)->request);
}

static void batch(struct feed *f)
{
    struct api_request *r = f->request;
    struct err e;
    bool more = false;
    enum err_code rc = f->placed ? ERR_OK : f->place(f, &e);
    f->placed = rc == ERR_OK;
    if (rc == ERR_OK)
        rc = f->read(f, &more, &e);
    if (r->gone)
        return;
    f->reading = false;
    if (rc && rc != ERR_BUSY) { /* the head is out */
        request_cut(r, &e);
    } else if (!f->full && more) {
        /* In the next turn: one reader doesn't hold up the loop. */
        loop_timer_start(r->api->loop, &f->next, loop_now(r->api->loop), on_next);
    } else if (!f->full && !f->follows) {
        feed_gone(r);
        api_stream_end(r);
    }
}

/* Rows of a COMMIT that may still fail are not handed out: their ids would come again. */
static void on_commit(struct store_wait *w, enum err_code rc)
{
    (void)rc; /* what was taken back is not there */
    batch(LIST_ITEM(w, struct feed, wait));
}

void feed_more(struct api_request *r)
{
    struct feed *f = r->state;
    if (!f || f->full || f->reading || r->gone)
        return;
    f->reading = true;
    store_wait(r->api->store, &f->wait);
}

void api_on_stored(struct api *api)
{
    LIST_EACH(n, &api->followers) feed_more(LIST_ITEM(n, struct api_request, follow));
}

static void on_room(struct api_request *r)
{
    struct feed *f = r->state;
    if (!f || !f->full || buf_size(&r->out) > API_STREAM_ROOM / 2)
        return;
    f->full = false;
    feed_more(r);
}

/* Events end with one that says why, of a name of its own; JSON lines with a row that is no row. */
static bool feed_cut(struct api_request *r, const struct err *why)
{
    struct feed *f = r->state;
    json_t *problem = json_pack("{s:s, s:i, s:s, s:o}", "title", err_title(why->code), "status",
                                err_http(why->code), "code", err_slug(why->code), "detail",
                                shape_text(slice_str(why->text)));
    char *text = json_dumps(problem, JSON_COMPACT);
    bool told = text && (f->follows ? buf_addf(&r->out, "event: problem\ndata: %s\n\n", text)
                                    : buf_addf(&r->out, "{\"problem\":%s}\n", text));
    json_decref(problem);
    free(text);
    return told;
}

/* A comment now and then shows proxies, and us, that the connection lives. */
static void on_ping(struct loop_timer *t)
{
    struct feed *f = LIST_ITEM(t, struct feed, ping);
    struct api_request *r = f->request;
    loop_timer_start(r->api->loop, t, loop_now(r->api->loop) + PING_US, on_ping);
    (void)!api_stream_write(r, SLICE(": still here\n\n"));
}

bool feed_past(const struct api_request *r, uint32_t *ret_rows)
{
    char text[16];
    *ret_rows = (uint32_t)api_number(r, "limit", FOLLOW_PAST);
    return api_query(r, "limit", text, sizeof text);
}

void *feed_new(struct api_request *r, size_t size)
{
    void *f = calloc(1, size);
    if (!f)
        api_refuse(r, ERR_MEMORY, "no memory");
    return f;
}

void feed_begin(struct feed *f, struct api_request *r, enum feed_form form)
{
    f->request = r;
    f->follows = form == FEED_EVENTS;
    store_wait_init(&f->wait, on_commit);
    r->state = f;
    r->on_gone = feed_gone;
    r->on_cut = feed_cut;
    r->on_room = on_room;
    if (f->follows) {
        list_push(&r->api->followers, &r->follow);
        loop_timer_start(r->api->loop, &f->ping, loop_now(r->api->loop) + PING_US, on_ping);
    }
    api_stream(r, 200, f->follows ? "text/event-stream" : "application/jsonl");
    feed_more(r);
}
