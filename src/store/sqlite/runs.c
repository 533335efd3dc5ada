/* Receipts. Searches are bounded as those of log lines are (logs.c). */
#include "store/sqlite/db.h"

#include "base/clock.h"

#define RUN                                                                                        \
    "SELECT r.serial, r.id, r.project_id, r.function_id, r.version_id, f.name, v.number,"          \
    " r.started_at, r.method, r.path, r.client, r.cause, r.host_calls, r.text, r.status,"          \
    " r.injected, r.sampled, r.exit_status, r.cpu_us, r.wall_us, r.memory_peak, r.bytes_in,"       \
    " r.bytes_out, r.request_bytes, r.response_bytes, r.calls, r.log_lines, r.log_lost, r.uses,"   \
    " r.sums, EXISTS (SELECT 1 FROM captures c WHERE c.run_id = r.id)"                             \
    " FROM runs r CROSS JOIN functions f ON f.id = r.function_id"                                  \
    " LEFT JOIN versions v ON v.id = r.version_id "

static struct store_run row(struct query *q)
{
    return (struct store_run){
        .serial = col_u64(q, 0),
        .id = col_uuid(q, 1),
        .project = col_uuid(q, 2),
        .function = col_uuid(q, 3),
        .version = col_uuid(q, 4),
        .function_name = col_slice(q, 5),
        .version_number = col_u64(q, 6),
        .started_ms = col_u64(q, 7),
        .method = col_slice(q, 8),
        .path = col_slice(q, 9),
        .client = col_slice(q, 10),
        .cause = col_slice(q, 11),
        .host_calls = col_slice(q, 12),
        .text = col_slice(q, 13),
        .status = col_u64(q, 14),
        .injected = col_u64(q, 15),
        .sampled = col_u64(q, 16),
        .exit_status = col_i64(q, 17),
        .cpu_us = col_u64(q, 18),
        .wall_us = col_u64(q, 19),
        .memory_peak = col_u64(q, 20),
        .bytes_in = col_u64(q, 21),
        .bytes_out = col_u64(q, 22),
        .request_bytes = col_u64(q, 23),
        .response_bytes = col_u64(q, 24),
        .calls = col_u64(q, 25),
        .log_lines = col_u64(q, 26),
        .log_lost = col_u64(q, 27),
        .uses = col_slice(q, 28),
        .sums = col_slice(q, 29),
        .captured = col_u64(q, 30),
    };
}

enum err_code store_run_put(struct store *st, const struct store_run *r, struct err *e)
{
    /* One row of values: the statement needs no journal of its own. A project that isn't the
     * function's makes a NULL, and the row is ignored as one that is there already. */
    return query_run(
        query(st,
              "INSERT OR IGNORE INTO runs (id, project_id, function_id, version_id, started_at,"
              " method, path, client, status, cause, injected, sampled, exit_status, cpu_us,"
              " wall_us, memory_peak, bytes_in, bytes_out, request_bytes, response_bytes, calls,"
              " host_calls, log_lines, log_lost, text, uses, sums, created_at, updated_at)"
              " VALUES (?1, (SELECT project_id FROM functions WHERE id = ?3 AND project_id = ?2),"
              " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
              " ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?28)",
              "uuuuisssisiiiiiiiiiiisiisssi", r->id, r->project, r->function, r->version,
              r->started_ms, r->method, r->path, r->client, r->status, r->cause, r->injected,
              r->sampled, (uint64_t)r->exit_status, r->cpu_us, r->wall_us, r->memory_peak,
              r->bytes_in, r->bytes_out, r->request_bytes, r->response_bytes, r->calls,
              r->host_calls, r->log_lines, r->log_lost, r->text, r->uses, r->sums,
              clock_real_us() / 1000),
        e);
}

/* ---- searching ---- */

/* What a query lets through: ?4 to ?15. */
#define FILTER                                                                                     \
    " AND +r.project_id = ?4 AND (?5 = 0 OR r.cause != 'ok') AND r.status BETWEEN ?6 AND ?7"       \
    " AND (?8 = '' OR r.cause = ?8) AND (?9 = '' OR r.method = ?9)"                                \
    " AND (?10 = '' OR substr(r.path, 1, length(?10)) = ?10) AND (?11 = 0 OR v.number = ?11)"      \
    " AND r.started_at >= ?12 AND r.started_at < ?13 AND r.wall_us >= ?14"                         \
    " AND (?15 IS NULL OR +r.function_id = ?15)"

/* Newest first, of ids after ?2 and before ?3. */
#define SPAN(owner) "WHERE r." owner " = ?1 AND r.id > ?2 AND r.id < ?3"
#define NEWEST(owner) RUN SPAN(owner) FILTER " ORDER BY r.id DESC LIMIT ?16"
#define FLOOR(owner) "SELECT r.id FROM runs r " SPAN(owner) " ORDER BY r.id DESC LIMIT 1 OFFSET ?4"

static struct query search(struct store *st, const char *sql, const struct store_run_query *f,
                           struct uuid owner, struct uuid after, struct uuid before)
{
    return query(st, sql, "uuuuiiisssiiiiUi", owner, after, before, f->project, (uint64_t)f->failed,
                 f->status_low, f->status_high ? f->status_high : 999, f->cause, f->method, f->path,
                 f->version, f->since_ms, f->until_ms ? f->until_ms : (uint64_t)INT64_MAX,
                 f->wall_us, f->function, (uint64_t)f->limit);
}

enum err_code store_runs(struct store *st, const struct store_run_query *f, store_each_run *each,
                         void *arg, struct store_scan *ret_scan, struct err *e)
{
    bool whole = uuid_is_zero(f->function);
    struct uuid owner = whole ? f->project : f->function, after = {{0}}, before = f->before;
    enum err_code rc = ERR_OK;
    uint64_t n = 0;
    *ret_scan = (struct store_scan){0};
    if (uuid_is_zero(before))
        memset(before.b, 0xff, sizeof before.b);
    struct query q = query(st, whole ? FLOOR("project_id") : FLOOR("function_id"), "uuui", owner,
                           after, before, (uint64_t)DB_SCAN);
    if (query_row(&q)) {
        after = col_uuid(&q, 0);
        *ret_scan = (struct store_scan){.more = true, .id = after};
    }
    rc = query_end(&q, e);
    if (rc)
        return rc;
    q = search(st, whole ? NEWEST("project_id") : NEWEST("function_id"), f, owner, after, before);
    while (rc == ERR_OK && query_row(&q)) {
        struct store_run r = row(&q);
        rc = each(arg, &r, e);
        if (rc == ERR_OK && ++n == f->limit)
            *ret_scan = (struct store_scan){.more = true, .id = r.id};
    }
    struct err ended;
    enum err_code end = query_end(&q, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_runs_before(struct store *st, uint64_t since_ms, uint64_t *ret_serial,
                                struct err *e)
{
    return db_stored_before(
        st, "SELECT coalesce(min(serial), 1), coalesce(max(serial), 0) FROM runs",
        "SELECT serial, created_at FROM runs WHERE serial >= ? ORDER BY serial LIMIT 1", since_ms,
        ret_serial, e);
}

enum err_code store_runs_stored(struct store *st, const struct store_run_query *f,
                                store_each_run *each, void *arg, struct store_scan *ret_scan,
                                struct err *e)
{
    uint64_t last, n = 0, end = f->after + DB_SCAN;
    *ret_scan = (struct store_scan){0};
    enum err_code rc = store_runs_before(st, UINT64_MAX, &last, e);
    if (rc || last <= f->after)
        return rc;
    end = end < last ? end : last;
    *ret_scan = (struct store_scan){.more = true, .at = end};
    /* By serial, which is one order for all projects: the function, too, is a filter here. */
    struct query q = query(
        st, RUN "WHERE r.serial > ?1 AND r.serial <= ?2" FILTER " ORDER BY r.serial LIMIT ?16",
        "iiiuiiisssiiiiUi", f->after, end, (uint64_t)0, f->project, (uint64_t)f->failed,
        f->status_low, f->status_high ? f->status_high : 999, f->cause, f->method, f->path,
        f->version, f->since_ms, f->until_ms ? f->until_ms : (uint64_t)INT64_MAX, f->wall_us,
        f->function, (uint64_t)f->limit);
    while (rc == ERR_OK && query_row(&q)) {
        struct store_run r = row(&q);
        rc = each(arg, &r, e);
        if (rc == ERR_OK && ++n == f->limit)
            *ret_scan = (struct store_scan){.more = true, .at = r.serial};
    }
    struct err ended;
    enum err_code over = query_end(&q, rc ? &ended : e);
    return rc ? rc : over;
}

enum err_code store_run(struct store *st, struct uuid project, struct uuid id, store_each_run *each,
                        void *arg, struct err *e)
{
    enum err_code rc = ERR_OK;
    struct query q = query(st, RUN "WHERE r.id = ? AND r.project_id = ?", "uu", id, project);
    if (query_row(&q)) {
        struct store_run r = row(&q);
        rc = each(arg, &r, e);
    }
    struct err ended;
    enum err_code end = query_end_least(&q, 1, rc ? &ended : e);
    return rc ? rc : end;
}

/* The least id of a run that began at this time. */
static struct uuid begun_at(uint64_t ms)
{
    struct uuid id = {{0}};
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    return id;
}

enum err_code store_run_history(struct store *st, const struct store_run *r,
                                struct store_run_history *ret_history, struct err *e)
{
    enum { HOUR_MS = 3600000 };
    struct uuid since = begun_at(r->started_ms > HOUR_MS ? r->started_ms - HOUR_MS : 0);
    *ret_history = (struct store_run_history){0};
    struct query q = query(st,
                           "SELECT count(*) FROM runs WHERE function_id = ? AND id >= ? AND id < ?"
                           " AND cause = ?",
                           "uuus", r->function, since, r->id, r->cause);
    if (query_row(&q))
        ret_history->similar = col_u64(&q, 0);
    enum err_code rc = query_end(&q, e);
    if (rc)
        return rc;
    q = query(st,
              "SELECT count(*) FROM runs WHERE function_id = ? AND cause = 'ok' AND version_id = ?",
              "uu", r->function, r->version);
    if (query_row(&q))
        ret_history->version_good = col_u64(&q, 0);
    rc = query_end(&q, e);
    if (rc)
        return rc;
    q = query(st,
              "SELECT r.version_id, v.number FROM runs r LEFT JOIN versions v"
              " ON v.id = r.version_id WHERE r.function_id = ? AND r.cause = 'ok'"
              " AND r.version_id != ? ORDER BY r.id DESC LIMIT 1",
              "uu", r->function, r->version);
    if (query_row(&q)) {
        ret_history->good = col_uuid(&q, 0);
        ret_history->good_number = col_u64(&q, 1);
    }
    return query_end(&q, e);
}

/* ---- trimming ---- */

/* The id of a function's receipt that has ?2 newer ones. */
#define NEWER "(SELECT id FROM runs WHERE function_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"

enum err_code store_runs_trim(struct store *st, struct uuid function, uint64_t keep, uint64_t full,
                              uint32_t most, struct err *e)
{
    enum err_code rc = query_run(
        query(st,
              "UPDATE runs SET sums = json_set(sums, '$.uses_lost', json_array_length(uses) +"
              " coalesce(json_extract(sums, '$.uses_lost'), 0)), uses = '[]' WHERE serial IN"
              " (SELECT serial FROM runs WHERE function_id = ?1 AND id <= " NEWER
              " ORDER BY id DESC LIMIT ?3) AND length(uses) > 2048",
              "uii", function, full, (uint64_t)most),
        e);
    if (rc)
        return rc;
    return query_run(
        query(st,
              "DELETE FROM runs WHERE serial IN (SELECT serial FROM runs WHERE function_id = ?1"
              " AND id <= " NEWER " ORDER BY id LIMIT ?3)",
              "uii", function, keep, (uint64_t)most),
        e);
}

enum err_code store_runs_expire(struct store *st, uint64_t before_ms, uint32_t most, struct err *e)
{
    return query_run_one(
        query(st,
              "DELETE FROM runs WHERE serial IN (SELECT serial FROM runs WHERE id < ?"
              " ORDER BY id LIMIT ?)",
              "ui", begun_at(before_ms), (uint64_t)most),
        e);
}
