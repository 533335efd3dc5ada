/* Captured runs: their tapes, sealed. */
#include "store/sqlite/db.h"

enum err_code store_capture_put(struct store *st, const struct store_capture *c, struct err *e)
{
    return query_run(
        query(st,
              "INSERT INTO captures (run_id, project_id, function_id, size, whole, bytes)"
              " SELECT ?1, project_id, id, ?4, ?5, ?6 FROM functions"
              " WHERE id = ?3 AND project_id = ?2 ON CONFLICT DO NOTHING",
              "uuuiib", c->run, c->project, c->function, c->size, (uint64_t)c->whole, c->bytes),
        e);
}

enum err_code store_capture(struct store *st, struct uuid project, struct uuid run,
                            enum err_code (*each)(void *arg, const struct store_capture *c,
                                                  struct err *e),
                            void *arg, struct err *e)
{
    struct query q = query(st,
                           "SELECT run_id, project_id, function_id, size, whole, bytes"
                           " FROM captures WHERE run_id = ? AND project_id = ?",
                           "uu", run, project);
    enum err_code rc = ERR_OK;
    if (query_row(&q)) {
        struct store_capture c = {.run = col_uuid(&q, 0),
                                  .project = col_uuid(&q, 1),
                                  .function = col_uuid(&q, 2),
                                  .size = col_u64(&q, 3),
                                  .whole = col_u64(&q, 4) != 0,
                                  .bytes = col_slice(&q, 5)};
        rc = each(arg, &c, e);
    }
    struct err ended;
    enum err_code end = query_end_least(&q, 1, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_captures_trim(struct store *st, struct uuid project, uint64_t keep_bytes,
                                  uint64_t before_ms, uint32_t most, struct err *e)
{
    struct query q =
        query(st, "SELECT coalesce(sum(size), 0) FROM captures WHERE project_id = ?", "u", project);
    uint64_t have = query_row(&q) ? col_u64(&q, 0) : 0, rows = 0;
    struct uuid last = {{0}};
    enum err_code rc = query_end(&q, e);
    if (rc)
        return rc;
    /* Run ids grow with time: from the oldest on until the rest fits. */
    q = query(st,
              "SELECT run_id, size, created_at FROM captures WHERE project_id = ?"
              " ORDER BY run_id LIMIT ?",
              "ui", project, (uint64_t)most);
    while (query_row(&q) && (col_u64(&q, 2) < before_ms || (keep_bytes && have > keep_bytes))) {
        uint64_t size = col_u64(&q, 1);
        have -= size < have ? size : have;
        last = col_uuid(&q, 0);
        rows++;
    }
    rc = query_end(&q, e);
    if (rc || rows == 0)
        return rc;
    return query_run(
        query(st, "DELETE FROM captures WHERE project_id = ? AND run_id <= ?", "uu", project, last),
        e);
}

enum err_code store_captures_old(struct store *st, uint64_t before_ms, uint32_t most, struct err *e)
{
    return query_run_one(query(st,
                               "DELETE FROM captures WHERE run_id IN (SELECT run_id FROM captures"
                               " WHERE created_at < ? LIMIT ?)",
                               "ii", before_ms, (uint64_t)most),
                         e);
}
