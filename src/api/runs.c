/* Receipts: what each run was and used. Lists with filters, newest first; the same as JSON lines;
 * following, in the order in which they were stored: a run is listed when it is over. */
#include "api/feed.h"

enum {
    PAGE = 50,
    PAGE_BYTES = 1 << 20, /* a page ends early when runs opened much */
    LOGS = 1000           /* lines shown with one run */
};

/* ---- the query ---- */

struct search {
    struct store_run_query q;
    char cause[32], method[64], path[4 * RUN_PATH + 1];
};

bool runs_status(struct slice text, uint64_t *ret_low, uint64_t *ret_high)
{
    bool class = text.n == 3 && text.p[1] == 'x' && text.p[2] == 'x';
    uint64_t n;
    if (text.n != 3 || !slice_u64(class ? slice_make(text.p, 1) : text, &n) || n == 0)
        return false;
    *ret_low = class ? n * 100 : n;
    *ret_high = class ? n * 100 + 99 : n;
    return *ret_low >= 100 && *ret_high < 600;
}

bool runs_slower(struct slice text, uint64_t *ret_us)
{
    static const struct {
        const char *unit;
        uint64_t us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t u = strlen(units[i].unit);
        uint64_t n;
        if (text.n > u && memcmp(text.p + text.n - u, units[i].unit, u) == 0 &&
            slice_u64(slice_make(text.p, text.n - u), &n) && n < 1000000000) {
            *ret_us = n * units[i].us;
            return true;
        }
    }
    return false;
}

/* The texts lie in the search. */
static void point(struct search *s)
{
    s->q.cause = slice_str(s->cause);
    s->q.method = slice_str(s->method);
    s->q.path = slice_str(s->path);
}

static void read_query(const struct api_request *r, struct search *s)
{
    char text[16];
    *s = (struct search){.q = {.project = r->project.id,
                               .function = r->function.id,
                               .before = api_uuid(r, "cursor"),
                               .failed = api_flag(r, "failed"),
                               .version = api_number(r, "version", 0),
                               .since_ms = api_time(r, "since"),
                               .until_ms = api_time(r, "until"),
                               .limit = (uint32_t)api_number(r, "limit", PAGE)}};
    if (api_query(r, "status", text, sizeof text))
        runs_status(slice_str(text), &s->q.status_low, &s->q.status_high);
    if (api_query(r, "slower", text, sizeof text))
        runs_slower(slice_str(text), &s->q.wall_us);
    api_query(r, "cause", s->cause, sizeof s->cause);
    api_query(r, "method", s->method, sizeof s->method);
    api_query(r, "path", s->path, sizeof s->path);
    point(s);
}

/* ---- pages ---- */

struct page {
    json_t *items;
    struct uuid last;
    size_t bytes;
    bool cut;
};

static enum err_code add(void *arg, const struct store_run *r, struct err *e)
{
    struct page *page = arg;
    page->cut |= page->bytes > PAGE_BYTES;
    if (page->cut)
        return ERR_OK;
    json_array_append_new(page->items, shape_run(r));
    page->bytes += r->uses.n + r->host_calls.n + r->text.n + 1024;
    page->last = r->id;
    return ERR_OK;
}

static void answer_page(struct api_request *r, const struct store_run_query *q)
{
    struct err e;
    struct store_scan scan;
    struct page page = {.items = json_array()};
    if (store_runs(r->api->store, q, add, &page, &scan, &e)) {
        json_decref(page.items);
        api_fail(r, &e);
        return;
    }
    json_t *next = page.cut ? shape_uuid(page.last) : scan.more ? shape_uuid(scan.id) : NULL;
    api_answer(r, 200, shape_list(page.items, next));
}

/* ---- feeds ---- */

struct run_feed {
    struct feed feed;
    struct search search;
};

static enum err_code send_run(void *arg, const struct store_run *r, struct err *e)
{
    struct run_feed *f = arg;
    enum err_code rc = feed_row(&f->feed, r->serial, shape_run(r), e);
    if (rc == ERR_OK) {
        f->search.q.after = r->serial;
        f->search.q.before = r->id;
    }
    return rc;
}

static enum err_code note_first(void *arg, const struct store_run *r, struct err *e)
{
    uint64_t *after = arg;
    *after = *after < r->serial ? *after : r->serial - 1;
    return ERR_OK;
}

static enum err_code find_place(struct feed *feed, struct err *e)
{
    struct run_feed *f = LIST_ITEM(feed, struct run_feed, feed);
    struct api_request *r = feed->request;
    struct store_run_query *q = &f->search.q, past = *q;
    struct store_scan scan;
    enum err_code rc = ERR_OK;
    bool limited = feed_past(r, &past.limit);
    q->limit = FEED_BATCH;
    if (feed->follows && !feed_resumes(r, &q->after)) {
        uint64_t since = q->since_ms && !limited ? q->since_ms : UINT64_MAX;
        rc = store_runs_before(r->api->store, since, &q->after, e);
        if (rc == ERR_OK && since == UINT64_MAX)
            rc = store_runs(r->api->store, &past, note_first, &q->after, &scan, e);
    }
    return rc;
}

static enum err_code read_more(struct feed *feed, bool *ret_more, struct err *e)
{
    struct run_feed *f = LIST_ITEM(feed, struct run_feed, feed);
    struct store_run_query *q = &f->search.q;
    struct store *st = feed->request->api->store;
    struct store_scan scan;
    enum err_code rc = feed->follows ? store_runs_stored(st, q, send_run, f, &scan, e)
                                     : store_runs(st, q, send_run, f, &scan, e);
    if (rc == ERR_OK && scan.more) {
        if (feed->follows)
            q->after = scan.at;
        else
            q->before = scan.id;
        *ret_more = true;
    }
    return rc;
}

static void begin_feed(struct api_request *r, const struct search *s, enum feed_form form)
{
    struct run_feed *f = feed_new(r, sizeof *f);
    if (!f)
        return;
    f->search = *s;
    point(&f->search);
    f->feed.place = find_place;
    f->feed.read = read_more;
    feed_begin(&f->feed, r, form);
}

/* Of a function, or of the project: then there is none in the path, and its id is zero. */
void runs_list(struct api_request *r)
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

/* ---- one run ---- */

struct one {
    json_t *run, *logs;
};

static enum err_code keep(void *arg, const struct store_run *r, struct err *e)
{
    struct one *one = arg;
    one->run = shape_run(r);
    return ERR_OK;
}

static enum err_code add_line(void *arg, const struct store_log *l, struct err *e)
{
    struct one *one = arg;
    json_array_append_new(one->logs, shape_log(l));
    return ERR_OK;
}

bool runs_id(struct api_request *r, struct uuid *ret_id)
{
    if (uuid_parse(r->id_text, ret_id))
        return true;
    api_refuse(r, ERR_NOT_FOUND, "there is no run \"%.*s\"",
               (int)(r->id_text.n < 64 ? r->id_text.n : 64), r->id_text.p);
    return false;
}

void runs_fail(struct api_request *r, struct err *e)
{
    if (e->code == ERR_NOT_FOUND)
        err_set(e, e->code, "there is no run \"%.*s\" (records of runs are not kept for ever)",
                SLICE_ARG(r->id_text));
    api_fail(r, e);
}

void runs_get(struct api_request *r)
{
    struct err e;
    struct uuid id;
    struct store_scan scan;
    if (!runs_id(r, &id))
        return;
    struct one one = {.logs = json_array()};
    api_drain(r);
    enum err_code rc = store_run(r->api->store, r->project.id, id, keep, &one, &e);
    if (rc == ERR_OK) {
        struct store_log_query q = {
            .project = r->project.id, .run = id, .level = UINT32_MAX, .limit = LOGS};
        rc = store_logs(r->api->store, &q, add_line, &one, &scan, &e);
    }
    if (rc) {
        json_decref(one.run);
        json_decref(one.logs);
        runs_fail(r, &e);
        return;
    }
    json_object_set_new(one.run, "logs", one.logs);
    api_answer(r, 200, one.run);
}
