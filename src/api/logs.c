/* Log lines: pages of the past, the whole as JSON lines, and following.
 *
 * A page holds the latest lines that fit the filter, oldest first, and its
 * cursor leads to earlier ones. A search looks at a bounded number of lines: a
 * page may be short, or empty, and still have a cursor. */
#include "api/feed.h"

#include <stdio.h>

enum {
    PAGE = 100,
    PAGE_BYTES = 1 << 20, /* a page ends early when its lines are long */
};

static const struct {
    const char *name;
    uint32_t most;
} levels[] = {{"error", 1}, {"warning", 3}, {"info", UINT32_MAX}};

struct search {
    struct store_log_query q;
    char text[4 * LOG_PART + 1];
};

static void read_query(const struct api_request *r, struct search *s)
{
    char text[16];
    s->text[0] = '\0';
    api_query(r, "text", s->text, sizeof s->text);
    s->q = (struct store_log_query){.project = r->project.id,
                                    .function = r->function.id,
                                    .run = api_uuid(r, "run"),
                                    .before = api_number(r, "cursor", 0),
                                    .since_ms = api_time(r, "since"),
                                    .until_ms = api_time(r, "until"),
                                    .level = UINT32_MAX,
                                    .text = slice_str(s->text),
                                    .limit = (uint32_t)api_number(r, "limit", PAGE),
                                    .newest = true};
    if (api_query(r, "level", text, sizeof text))
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
            if (strcmp(levels[i].name, text) == 0)
                s->q.level = levels[i].most;
}

/* ---- pages ---- */

struct page {
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
    json_array_insert_new(page->items, 0, shape_log(l));
    return ERR_OK;
}

static enum err_code note_lost(void *arg, const struct store_run *r, struct err *e)
{
    *(uint64_t *)arg = r->log_lost;
    return ERR_OK;
}

static void answer_page(struct api_request *r, const struct store_log_query *q)
{
    struct err e;
    struct store_scan scan;
    struct page page = {.items = json_array()};
    json_t *next = NULL;
    if (store_logs(r->api->store, q, add, &page, &scan, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    if (page.cut || scan.more)
        next = json_sprintf("%llu", (unsigned long long)(page.cut ? page.last : scan.at));
    json_t *answer = shape_list(page.items, next);
    uint64_t lost;
    /* What one run lost only its receipt knows. */
    if (!uuid_is_zero(q->run) &&
        store_run(r->api->store, r->project.id, q->run, note_lost, &lost, &e) == ERR_OK && lost)
        json_object_set_new(answer, "lost", json_integer((json_int_t)lost));
    api_answer(r, 200, answer);
}

/* ---- feeds ---- */

struct log_feed {
    struct feed feed;
    struct search search;
};

static enum err_code send_line(void *arg, const struct store_log *l, struct err *e)
{
    struct log_feed *f = arg;
    enum err_code rc = feed_row(&f->feed, l->id, shape_log(l), e);
    if (rc == ERR_OK)
        f->search.q.after = l->id;
    return rc;
}

static enum err_code note_first(void *arg, const struct store_log *l, struct err *e)
{
    *(uint64_t *)arg = l->id - 1; /* newest first: the last one seen is the oldest */
    return ERR_OK;
}

/* A follower begins before the few latest lines, or before all that `since` names; an export ends
 * with the last line there is now. */
static enum err_code find_place(struct feed *feed, struct err *e)
{
    struct log_feed *f = LIST_ITEM(feed, struct log_feed, feed);
    struct api_request *r = feed->request;
    struct store_log_query *q = &f->search.q, past = *q;
    struct store_scan scan;
    uint64_t last;
    bool limited = feed_past(r, &past.limit);
    enum err_code rc = store_logs_last(r->api->store, &last, e);
    if (rc)
        return rc;
    q->newest = false;
    q->limit = FEED_BATCH;
    if (!feed->follows)
        q->before = last + 1;
    else if (!feed_resumes(r, &q->after) && (limited || !q->since_ms)) {
        q->after = last;
        rc = store_logs(r->api->store, &past, note_first, &q->after, &scan, e);
    }
    return rc;
}

static enum err_code read_more(struct feed *feed, bool *ret_more, struct err *e)
{
    struct log_feed *f = LIST_ITEM(feed, struct log_feed, feed);
    struct store_scan scan;
    enum err_code rc = store_logs(feed->request->api->store, &f->search.q, send_line, f, &scan, e);
    if (rc == ERR_OK && scan.more) {
        f->search.q.after = scan.at;
        *ret_more = true;
    }
    return rc;
}

static void begin_feed(struct api_request *r, const struct search *s, enum feed_form form)
{
    struct log_feed *f = feed_new(r, sizeof *f);
    if (!f)
        return;
    f->search = *s;
    f->search.q.text = slice_str(f->search.text);
    f->feed.place = find_place;
    f->feed.read = read_more;
    feed_begin(&f->feed, r, form);
}

/* Of a function, or of the project: then there is none in the path, and its id is zero. */
void logs_list(struct api_request *r)
{
    struct search s;
    enum feed_form form = feed_form(r);
    read_query(r, &s);
    api_drain(r);
    if (form)
        begin_feed(r, &s, form);
    else
        answer_page(r, &s.q);
}
