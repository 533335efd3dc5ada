/* Receipts and log lines. */
#include "store/sqlite/db.h"

typedef enum err_code each_run(void *arg, const struct store_run *r, struct err *e);
typedef enum err_code each_log(void *arg, const struct store_log *l, struct err *e);

/* What a line costs beside its text, for the project's sum of log bytes. */
#define LOG_ROW "64"

/* ---- runs ---- */

#define RUN                                                                                        \
    "SELECT r.id, r.project_id, r.function_id, r.version_id, f.name, v.number, r.started_at,"      \
    " r.method, r.path, r.client, r.cause, r.host_calls, r.text, r.status, r.injected, r.sampled," \
    " r.exit_status, r.cpu_us, r.wall_us, r.memory_peak, r.bytes_in, r.bytes_out,"                 \
    " r.request_bytes, r.response_bytes, r.calls, r.log_lines, r.log_lost, r.uses, r.sums,"        \
    " EXISTS (SELECT 1 FROM captures c WHERE c.run_id = r.id)"                                     \
    " FROM runs r JOIN functions f ON f.id = r.function_id"                                        \
    " LEFT JOIN versions v ON v.id = r.version_id "

static enum err_code read_runs(struct query q, uint64_t least, each_run *each, void *arg,
                               struct err *e)
{
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && query_row(&q)) {
        struct store_run r = {
            .id = col_uuid(&q, 0),
            .project = col_uuid(&q, 1),
            .function = col_uuid(&q, 2),
            .version = col_uuid(&q, 3),
            .function_name = col_slice(&q, 4),
            .version_number = col_u64(&q, 5),
            .started_ms = col_u64(&q, 6),
            .method = col_slice(&q, 7),
            .path = col_slice(&q, 8),
            .client = col_slice(&q, 9),
            .cause = col_slice(&q, 10),
            .host_calls = col_slice(&q, 11),
            .text = col_slice(&q, 12),
            .status = col_u64(&q, 13),
            .injected = col_u64(&q, 14),
            .sampled = col_u64(&q, 15),
            .exit_status = col_i64(&q, 16),
            .cpu_us = col_u64(&q, 17),
            .wall_us = col_u64(&q, 18),
            .memory_peak = col_u64(&q, 19),
            .bytes_in = col_u64(&q, 20),
            .bytes_out = col_u64(&q, 21),
            .request_bytes = col_u64(&q, 22),
            .response_bytes = col_u64(&q, 23),
            .calls = col_u64(&q, 24),
            .log_lines = col_u64(&q, 25),
            .log_lost = col_u64(&q, 26),
            .uses = col_slice(&q, 27),
            .sums = col_slice(&q, 28),
            .captured = col_u64(&q, 29),
        };
        rc = each(arg, &r, e);
    }
    struct err ended;
    enum err_code end = query_end_least(&q, least, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_run_put(struct store *st, const struct store_run *r, struct err *e)
{
    return query_run(
        query(st,
              "INSERT INTO runs (id, project_id, function_id, version_id, started_at, method, path,"
              " client, status, cause, injected, sampled, exit_status, cpu_us, wall_us,"
              " memory_peak, bytes_in, bytes_out, request_bytes, response_bytes, calls, host_calls,"
              " log_lines, log_lost, text, uses, sums) SELECT ?1, project_id, id, ?4, ?5, ?6, ?7,"
              " ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,"
              " ?25, ?26, ?27"
              " FROM functions WHERE id = ?3 AND project_id = ?2 ON CONFLICT DO NOTHING",
              "uuuuisssisiiiiiiiiiiisiisss", r->id, r->project, r->function, r->version,
              r->started_ms, r->method, r->path, r->client, r->status, r->cause, r->injected,
              r->sampled, (uint64_t)r->exit_status, r->cpu_us, r->wall_us, r->memory_peak,
              r->bytes_in, r->bytes_out, r->request_bytes, r->response_bytes, r->calls,
              r->host_calls, r->log_lines, r->log_lost, r->text, r->uses, r->sums),
        e);
}

enum err_code store_runs(struct store *st, struct uuid project, struct uuid function,
                         struct uuid before, bool failed, uint32_t limit, each_run *each, void *arg,
                         struct err *e)
{
    if (uuid_is_zero(before))
        memset(before.b, 0xff, sizeof before.b);
    struct query q =
        uuid_is_zero(function)
            ? query(st,
                    RUN "WHERE r.project_id = ? AND r.id < ? AND (? = 0 OR r.cause != 'ok')"
                        " ORDER BY r.id DESC LIMIT ?",
                    "uuii", project, before, (uint64_t)failed, (uint64_t)limit)
            : query(st,
                    RUN "WHERE r.function_id = ? AND r.id < ? AND (? = 0 OR r.cause != 'ok')"
                        " ORDER BY r.id DESC LIMIT ?",
                    "uuii", function, before, (uint64_t)failed, (uint64_t)limit);
    return read_runs(q, 0, each, arg, e);
}

enum err_code store_run(struct store *st, struct uuid project, struct uuid id, each_run *each,
                        void *arg, struct err *e)
{
    return read_runs(query(st, RUN "WHERE r.id = ? AND r.project_id = ?", "uu", id, project), 1,
                     each, arg, e);
}

/* The id of a function's receipt that has ?2 newer ones. */
#define NEWER "(SELECT id FROM runs WHERE function_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)"

enum err_code store_runs_trim(struct store *st, struct uuid function, uint64_t keep, uint64_t full,
                              uint32_t most, struct err *e)
{
    enum err_code rc = query_run(
        query(st,
              "UPDATE runs SET sums = json_set(sums, '$.uses_lost', json_array_length(uses) +"
              " coalesce(json_extract(sums, '$.uses_lost'), 0)), uses = '[]' WHERE id IN"
              " (SELECT id FROM runs WHERE function_id = ?1 AND id <= " NEWER
              " ORDER BY id DESC LIMIT ?3) AND length(uses) > 2048",
              "uii", function, full, (uint64_t)most),
        e);
    if (rc)
        return rc;
    return query_run(
        query(st,
              "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE function_id = ?1"
              " AND id <= " NEWER " ORDER BY id LIMIT ?3)",
              "uii", function, keep, (uint64_t)most),
        e);
}

/* ---- logs ---- */

enum err_code store_log_put(struct store *st, const struct store_log *l, struct err *e)
{
    enum err_code rc = query_run(
        query(st,
              "INSERT INTO logs (project_id, function_id, run_id, at, level, source, text)"
              " SELECT project_id, id, ?3, ?4, ?5, ?6, ?7 FROM functions"
              " WHERE id = ?2 AND project_id = ?1",
              "uuuiiis", l->project, l->function, l->run, l->at_ms, (uint64_t)l->level,
              (uint64_t)l->source, l->text),
        e);
    if (rc || sqlite3_changes(st->db) == 0)
        return rc;
    return query_run(
        query(st, "UPDATE projects SET log_bytes = log_bytes + ? + " LOG_ROW " WHERE id = ?", "iu",
              (uint64_t)l->text.n, l->project),
        e);
}

#define LOG                                                                                        \
    "SELECT id, project_id, function_id, run_id, at, level, source, text FROM logs"                \
    " WHERE function_id = ?1 AND id > ?2 AND id < ?3 AND at >= ?4 AND at < ?5 AND level <= ?6"     \
    " AND (?7 IS NULL OR run_id = ?7) "

enum err_code store_logs(struct store *st, const struct store_log_query *l, each_log *each,
                         void *arg, struct err *e)
{
    uint64_t most = (uint64_t)INT64_MAX;
    const char *const newest = LOG "ORDER BY id DESC LIMIT ?8";
    const char *const oldest = LOG "ORDER BY id LIMIT ?8";
    struct query q =
        query(st, l->newest ? newest : oldest, "uiiiiiUi", l->function, l->after,
              l->before ? l->before : most, l->since_ms, l->until_ms ? l->until_ms : most,
              (uint64_t)l->level, l->run, (uint64_t)l->limit);
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && query_row(&q)) {
        struct store_log row = {
            .id = col_u64(&q, 0),
            .project = col_uuid(&q, 1),
            .function = col_uuid(&q, 2),
            .run = col_uuid(&q, 3),
            .at_ms = col_u64(&q, 4),
            .level = (uint32_t)col_u64(&q, 5),
            .source = (uint32_t)col_u64(&q, 6),
            .text = col_slice(&q, 7),
        };
        rc = each(arg, &row, e);
    }
    struct err ended;
    enum err_code end = query_end(&q, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_logs_trim(struct store *st, struct uuid project, uint64_t keep_bytes,
                              uint32_t most, struct err *e)
{
    struct query q = query(st, "SELECT log_bytes FROM projects WHERE id = ?", "u", project);
    uint64_t have = query_row(&q) ? col_u64(&q, 0) : 0;
    enum err_code rc = query_end(&q, e);
    if (rc || have <= keep_bytes)
        return rc;

    /* From the oldest on until enough is gone: the id of the last one to go. */
    uint64_t last = 0, gone = 0, rows = 0;
    q = query(st,
              "SELECT id, length(CAST(text AS BLOB)) + " LOG_ROW " FROM logs WHERE project_id = ?"
              " ORDER BY id LIMIT ?",
              "ui", project, (uint64_t)most);
    while (have - gone > keep_bytes && query_row(&q)) {
        uint64_t size = col_u64(&q, 1);
        last = col_u64(&q, 0);
        gone += size < have - gone ? size : have - gone;
        rows++;
    }
    rc = query_end(&q, e);
    if (rc)
        return rc;
    if (rows == 0) /* nothing is there: the sum had drifted */
        gone = have;
    rc = query_run(
        query(st, "DELETE FROM logs WHERE project_id = ? AND id <= ?", "ui", project, last), e);
    if (rc)
        return rc;
    return query_run(
        query(st, "UPDATE projects SET log_bytes = ? WHERE id = ?", "iu", have - gone, project), e);
}
