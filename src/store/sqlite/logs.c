/* Log lines, in the order in which they were stored.
 *
 * A search is bounded by rows looked at, not by rows found: before it a second
 * query, of the index alone, finds the id at which it has to stop. Lines are
 * stored some time after they were written and never before, so that the time of
 * storing, which grows with the id, bounds a search by `since` exactly. */
#include "store/sqlite/db.h"

#include "base/clock.h"

/* What a line costs beside its text, for the project's sum of log bytes. */
#define LOG_ROW "64"
enum { ROW = 64 };

enum err_code store_log_put(struct store *st, const struct store_log *l, uint64_t *ret_bytes,
                            struct err *e)
{
    enum err_code rc = query_run(
        query(st,
              "INSERT OR IGNORE INTO logs (project_id, function_id, run_id, at, level, source,"
              " text, lost, created_at, updated_at) VALUES ((SELECT project_id FROM functions"
              " WHERE id = ?2 AND project_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
              "uuuiiisii", l->project, l->function, l->run, l->at_ms, (uint64_t)l->level,
              (uint64_t)l->source, l->text, (uint64_t)l->lost, clock_real_us() / 1000),
        e);
    *ret_bytes = rc == ERR_OK && sqlite3_changes(st->db) ? l->text.n + ROW : 0;
    return rc;
}

enum err_code store_logs_grew(struct store *st, struct uuid project, uint64_t bytes, struct err *e)
{
    return query_run(query(st, "UPDATE projects SET log_bytes = log_bytes + ? WHERE id = ?", "iu",
                           bytes, project),
                     e);
}

/* ---- searching ---- */

enum owner { OF_PROJECT, OF_FUNCTION, OF_RUN };

/* Rows after ?2 and before ?3 of the owner ?1. */
#define SPAN(owner) " WHERE l." owner " = ?1 AND l.id > ?2 AND l.id < ?3"

/* The functions' names come last: the order is that of the lines. */
#define LINES(owner, order)                                                                        \
    "SELECT l.id, l.project_id, l.function_id, l.run_id, l.at, l.level, l.source, l.text, l.lost," \
    " f.name FROM logs l CROSS JOIN functions f ON f.id = l.function_id" SPAN(                     \
        owner) " AND +l.project_id = ?4 AND (?5 IS NULL OR +l.function_id = ?5)"                   \
               " AND l.at >= ?6 AND l.at < ?7 AND l.level <= ?8"                                   \
               " AND (length(?9) = 0 OR instr(CAST(l.text AS BLOB), ?9))"                          \
               " ORDER BY l.id" order " LIMIT ?10"

#define FLOOR(owner, order)                                                                        \
    "SELECT l.id FROM logs l" SPAN(owner) " ORDER BY l.id" order " LIMIT 1 OFFSET ?4"

static const struct {
    const char *lines[2], *floor[2]; /* oldest first, newest first */
} searches[] = {
    [OF_PROJECT] = {{LINES("project_id", ""), LINES("project_id", " DESC")},
                    {FLOOR("project_id", ""), FLOOR("project_id", " DESC")}},
    [OF_FUNCTION] = {{LINES("function_id", ""), LINES("function_id", " DESC")},
                     {FLOOR("function_id", ""), FLOOR("function_id", " DESC")}},
    [OF_RUN] = {{LINES("run_id", ""), LINES("run_id", " DESC")},
                {FLOOR("run_id", ""), FLOOR("run_id", " DESC")}},
};

/* The id of the last line that was stored before `since_ms`. */
static enum err_code stored_before(struct store *st, uint64_t since_ms, uint64_t *ret_id,
                                   struct err *e)
{
    return db_stored_before(st, "SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM logs",
                            "SELECT id, created_at FROM logs WHERE id >= ? ORDER BY id LIMIT 1",
                            since_ms, ret_id, e);
}

enum err_code store_logs(struct store *st, const struct store_log_query *l, store_each_log *each,
                         void *arg, struct store_scan *ret_scan, struct err *e)
{
    const uint64_t most = (uint64_t)INT64_MAX;
    uint64_t after = l->after, before = l->before ? l->before : most, low = 0, n = 0;
    enum owner by = !uuid_is_zero(l->run)        ? OF_RUN
                    : !uuid_is_zero(l->function) ? OF_FUNCTION
                                                 : OF_PROJECT;
    struct uuid owner = by == OF_RUN ? l->run : by == OF_FUNCTION ? l->function : l->project;
    *ret_scan = (struct store_scan){0};
    enum err_code rc = l->since_ms ? stored_before(st, l->since_ms, &low, e) : ERR_OK;
    if (rc)
        return rc;
    after = after < low ? low : after;
    if (l->since_ms || l->until_ms || l->level < 6 || l->text.n) {
        struct query f = query(st, searches[by].floor[l->newest], "uiii", owner, after, before,
                               (uint64_t)DB_SCAN);
        if (query_row(&f)) {
            *ret_scan = (struct store_scan){.more = true, .at = col_u64(&f, 0)};
            if (l->newest)
                after = ret_scan->at - 1;
            else
                before = ret_scan->at + 1;
        }
        rc = query_end(&f, e);
    }
    if (rc)
        return rc;
    struct query q = query(st, searches[by].lines[l->newest], "uiiuUiiibi", owner, after, before,
                           l->project, l->function, l->since_ms, l->until_ms ? l->until_ms : most,
                           (uint64_t)l->level, l->text, (uint64_t)l->limit);
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
            .lost = (uint32_t)col_u64(&q, 8),
            .function_name = col_slice(&q, 9),
        };
        rc = each(arg, &row, e);
        if (rc == ERR_OK && ++n == l->limit)
            *ret_scan = (struct store_scan){.more = true, .at = row.id};
    }
    struct err ended;
    enum err_code end = query_end(&q, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_logs_last(struct store *st, uint64_t *ret_id, struct err *e)
{
    struct query q = query(st, "SELECT coalesce(max(id), 0) FROM logs", "");
    *ret_id = query_row(&q) ? col_u64(&q, 0) : 0;
    return query_end(&q, e);
}

/* ---- trimming ---- */

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

enum err_code store_logs_expire(struct store *st, uint64_t before_ms, uint32_t most, struct err *e)
{
    /* The id of the last one to go: the oldest are the first. */
    struct query q = query(st,
                           "SELECT max(id) FROM (SELECT id, created_at FROM logs ORDER BY id"
                           " LIMIT ?) WHERE created_at < ?",
                           "ii", (uint64_t)most, before_ms);
    uint64_t last = query_row(&q) ? col_u64(&q, 0) : 0;
    enum err_code rc = query_end(&q, e);
    if (rc || last == 0)
        return rc ? rc : err_set(e, ERR_NOT_FOUND, "no line is that old");
    rc = query_run(query(st,
                         "UPDATE projects SET log_bytes = max(0, log_bytes - gone.bytes) FROM"
                         " (SELECT project_id, sum(length(CAST(text AS BLOB)) + " LOG_ROW ") AS"
                         " bytes FROM logs WHERE id <= ? GROUP BY project_id) AS gone"
                         " WHERE projects.id = gone.project_id",
                         "i", last),
                   e);
    return rc ? rc : query_run(query(st, "DELETE FROM logs WHERE id <= ?", "i", last), e);
}
