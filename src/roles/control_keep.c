/* Housekeeping, a little at a time: deleted functions whose name is free again, modules and assets
 * that no version has used for a while, previews whose time is over, connections of guests that
 * nobody has to answer for any more, log lines and receipts that are too old. Where they are too
 * many, they are trimmed as they are written. What is too old is judged by a clock that doesn't
 * follow a leap of the wall clock at once (base/steady.h). */
#include "roles/control.h"

#include "api/once.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/steady.h"

enum {
    KEEP_US = 10000000,
    CLOCK_US = 600000000,         /* between two writings of the clock */
    MORE_US = 100000,             /* to the next piece while there is work */
    ROWS = 2000,                  /* deleted at once */
    MODULE_MS = 24 * 3600 * 1000, /* an upload without a version is kept this long */
    JOURNAL_DAYS = 30,
    JOURNAL_ROWS = 10000000, /* some gigabytes: the oldest go first */
};

static enum err_code purge_function(struct control *c, struct err *e)
{
    struct uuid id;
    enum err_code rc = store_function_dead(c->api.store, functions_kept_since(), &id, e);
    if (rc == ERR_OK)
        rc = store_begin(c->api.store, e);
    if (rc)
        return rc;
    return store_end(c->api.store, store_function_purge(c->api.store, id, ROWS, e), e);
}

static enum err_code remove_module(struct control *c, struct err *e)
{
    struct uuid project;
    uint8_t digest[DIGEST_BYTES];
    bool last = false;
    /* A deploy may be about to name it. */
    if (!list_empty(&c->deploys) || !list_empty(&c->jobs))
        return ERR_NOT_FOUND;
    enum err_code rc =
        store_module_unused(c->api.store, steady_ms() - c->upload_ms, &project, digest, e);
    if (rc == ERR_OK)
        rc = store_begin(c->api.store, e);
    if (rc)
        return rc;
    rc = store_end(c->api.store, store_module_delete(c->api.store, project, digest, &last, e), e);
    if (rc == ERR_OK)
        rc = store_flush(c->api.store, e); /* rows first: a file without a row harms nobody */
    if (rc)
        return rc;
    control_images_unlink(c, project, digest);
    return last ? blob_delete(c->api.blobs, digest, e) : ERR_OK;
}

static enum err_code remove_assets(struct control *c, struct err *e)
{
    struct uuid project;
    uint8_t digest[DIGEST_BYTES];
    bool last = false;
    if (!list_empty(&c->deploys) || !list_empty(&c->bundling))
        return ERR_NOT_FOUND;
    enum err_code rc =
        store_assets_unused(c->api.store, steady_ms() - c->upload_ms, &project, digest, e);
    if (rc == ERR_OK)
        rc = store_begin(c->api.store, e);
    if (rc)
        return rc;
    rc = store_end(c->api.store, store_assets_delete(c->api.store, project, digest, &last, e), e);
    if (rc == ERR_OK)
        rc = store_flush(c->api.store, e);
    if (rc)
        return rc;
    control_assets_unlink(c, project, digest);
    return last ? blob_delete(c->api.blobs, digest, e) : ERR_OK;
}

/* A crash between storing a blob and writing its row leaves bytes that nobody can name. */
static void remove_orphan(void *arg, const uint8_t digest[DIGEST_BYTES])
{
    struct control *c = arg;
    struct err e;
    bool known = true;
    if (store_blob_known(c->api.store, digest, &known, &e) ||
        (!known && blob_delete(c->api.blobs, digest, &e)))
        log_line(LOG_WARNING, "orphan", "error=\"%s\"", e.text);
}

enum err_code control_keep_orphans(struct control *c, struct err *e)
{
    return blobs_each(c->api.blobs, remove_orphan, c, e);
}

/* An upload has no row yet while its image or bundle is being made. */
static bool uploads_rest(const struct control *c)
{
    return list_empty(&c->deploys) && list_empty(&c->jobs) && list_empty(&c->bundling);
}

static enum err_code sweep(struct control *c, struct err *e)
{
    if (!c->sweep || !uploads_rest(c))
        return ERR_NOT_FOUND;
    c->sweep = false;
    return control_keep_orphans(c, e);
}

void control_sweep(struct api *api)
{
    control_of(api)->sweep = true;
}

static enum err_code trim_journal(struct control *c, struct err *e)
{
    uint64_t before = steady_ms() - JOURNAL_DAYS * 24ull * 3600 * 1000;
    enum err_code rc = store_begin(c->api.store, e);
    return rc ? rc
              : store_end(c->api.store,
                          store_connections_trim(c->api.store, before, JOURNAL_ROWS, ROWS, e), e);
}

/* A restart goes on with this clock; and whoever set the wall clock wrong hears of it. */
static void keep_clock(struct control *c)
{
    static uint64_t saved_us;
    static bool told;
    char text[STEADY_TEXT];
    struct err e;
    bool leapt = steady_leapt();
    if (leapt && !told)
        log_line(LOG_WARNING, "clock_leap",
                 "text=\"the clock went forward by more time than has passed: for a day nothing is "
                 "deleted for its age by it; set it right if it is wrong\"");
    uint64_t now = loop_now(c->loop);
    if (saved_us && leapt == told && now < saved_us + CLOCK_US)
        return;
    told = leapt;
    saved_us = now;
    steady_save(text);
    if (store_begin(c->api.store, &e) ||
        store_end(c->api.store, store_setting_put(c->api.store, "clock", slice_str(text), &e), &e))
        log_line(LOG_WARNING, "keep_clock", "error=\"%s\"", e.text);
}

/* By age; by size a project's lines are trimmed as they are written. */
static enum err_code expire(struct control *c, enum limit_id limit,
                            enum err_code (*oldest)(struct store *st, uint64_t before_ms,
                                                    uint32_t most, struct err *e),
                            struct err *e)
{
    uint64_t age = c->options.limits.v[limit] / 1000, now = steady_ms();
    if (age == 0 || age > now)
        return ERR_NOT_FOUND;
    enum err_code rc = store_begin(c->api.store, e);
    return rc ? rc : store_end(c->api.store, oldest(c->api.store, now - age, ROWS, e), e);
}

/* Their rows leave the route table with the commit. */
static enum err_code trim_kept_answers(struct control *c, struct err *e)
{
    enum err_code rc = store_begin(c->api.store, e);
    return rc ? rc
              : store_end(c->api.store, store_once_trim(c->api.store, once_kept_since(), ROWS, e),
                          e);
}

static enum err_code end_previews(struct control *c, struct err *e)
{
    enum err_code rc = store_begin(c->api.store, e);
    return rc ? rc
              : store_end(c->api.store, store_preview_over(c->api.store, clock_real_us() / 1000, e),
                          e);
}

static enum err_code expire_logs(struct control *c, struct err *e)
{
    return expire(c, LIMIT_LOG_AGE, store_logs_expire, e);
}

static enum err_code expire_runs(struct control *c, struct err *e)
{
    return expire(c, LIMIT_RUN_AGE, store_runs_expire, e);
}

static enum err_code expire_captures(struct control *c, struct err *e)
{
    return expire(c, LIMIT_RUN_AGE, store_captures_old, e);
}

/* A piece of each; ERR_NOT_FOUND: there was nothing to do. */
static const struct {
    const char *event; /* of its failure */
    enum err_code (*piece)(struct control *c, struct err *e);
} duties[] = {
    {"keep_functions", purge_function}, {"keep_modules", remove_module},
    {"keep_assets", remove_assets},     {"keep_journal", trim_journal},
    {"keep_previews", end_previews},    {"keep_blobs", sweep},
    {"keep_logs", expire_logs},         {"keep_runs", expire_runs},
    {"keep_captures", expire_captures}, {"keep_answers", trim_kept_answers},
};

static void on_keep(struct loop_timer *t)
{
    struct control *c = LIST_ITEM(t, struct control, keep);
    bool more = false;
    keep_clock(c);
    for (size_t i = 0; i < sizeof duties / sizeof *duties; i++) {
        struct err e;
        enum err_code rc = duties[i].piece(c, &e);
        more |= rc == ERR_OK;
        if (rc && rc != ERR_NOT_FOUND)
            log_line(LOG_WARNING, duties[i].event, "error=\"%s\"", e.text);
    }
    log_line(LOG_DEBUG, "keep_looked", "more=%d", more);
    loop_timer_start(c->loop, t, loop_now(c->loop) + (more ? MORE_US : KEEP_US), on_keep);
}

/* ---- all of it now ---- */

static void count_orphan(void *arg, const uint8_t digest[DIGEST_BYTES])
{
    struct gc_want *w = arg;
    struct control *c = w->control;
    struct err ignored;
    bool known = true;
    if (store_blob_known(c->api.store, digest, &known, &ignored) == ERR_OK && !known) {
        w->removed.blobs++;
        w->removed.blob_bytes += blob_size(c->api.blobs, digest);
    }
}

/* What there is to remove, into w->removed. */
static enum err_code count_all(struct gc_want *w, struct err *e)
{
    struct control *c = w->control;
    w->removed = (struct gc_counts){0};
    enum err_code rc = store_unused(c->api.store, steady_ms() - w->older_ms, functions_kept_since(),
                                    &w->removed.unused, e);
    if (rc == ERR_OK && uploads_rest(c))
        rc = blobs_each(c->api.blobs, count_orphan, w, e);
    return rc;
}

/* Removed is what was there before and is not any more. */
static void gc_end(struct gc_want *w, const struct err *failure)
{
    struct control *c = w->control;
    struct gc_counts *now = &w->removed, *was = &w->before;
    struct err e;
    c->upload_ms = MODULE_MS;
    if (!failure && count_all(w, &e))
        failure = &e;
    if (w->dry || failure) {
        w->on_done(w, failure);
        return;
    }
    *now = (struct gc_counts){
        .unused = {.modules = was->unused.modules - now->unused.modules,
                   .module_bytes = was->unused.module_bytes - now->unused.module_bytes,
                   .assets = was->unused.assets - now->unused.assets,
                   .asset_bytes = was->unused.asset_bytes - now->unused.asset_bytes,
                   .functions = was->unused.functions - now->unused.functions},
        .blobs = was->blobs - now->blobs,
        .blob_bytes = was->blob_bytes - now->blob_bytes};
    w->on_done(w, NULL);
}

/* A piece of each duty a turn, until none has more. */
static void gc_step(struct loop_task *t)
{
    struct gc_want *w = LIST_ITEM(t, struct gc_want, step);
    struct control *c = w->control;
    bool more = false;
    c->sweep = true;
    c->upload_ms = w->older_ms;
    for (size_t i = 0; !w->dry && i < sizeof duties / sizeof *duties; i++) {
        struct err e;
        enum err_code rc = duties[i].piece(c, &e);
        more |= rc == ERR_OK && duties[i].piece != sweep;
        if (rc && rc != ERR_NOT_FOUND) {
            gc_end(w, &e);
            return;
        }
    }
    if (more)
        loop_task_add(c->loop, t);
    else
        gc_end(w, NULL);
}

void control_gc(struct api *api, struct gc_want *w)
{
    struct control *c = control_of(api);
    struct err e;
    w->control = c;
    loop_task_init(&w->step, gc_step);
    if (count_all(w, &e)) {
        w->on_done(w, &e);
        return;
    }
    w->before = w->removed;
    loop_task_add(c->loop, &w->step);
}

void control_keep_start(struct control *c)
{
    c->upload_ms = MODULE_MS;
    char text[STEADY_TEXT];
    struct err e;
    if (store_setting(c->api.store, "clock", text, sizeof text, &e))
        text[0] = '\0';
    steady_restore(text);
    keep_clock(c);
    loop_timer_start(c->loop, &c->keep, loop_now(c->loop) + MORE_US, on_keep);
}
