/* Functions, and the generation of the route table that shows their last change.
 *
 * Each change of what a function answers with takes the next generation in the
 * same transaction. Whoever publishes asks for the functions changed since the
 * generation that the table has: live and at a start after a crash alike. */
#include "store/sqlite/db.h"

#define FUNCTION                                                                                   \
    "SELECT f.id, f.project_id, f.name, p.name, f.live_id, v.number, v.response, v.digest, "       \
    "v.size,"                                                                                      \
    " f.created_at, f.updated_at, f.deleted_at, u.runs, u.failed, u.status_1xx, u.status_2xx,"     \
    " u.status_3xx, u.status_4xx, u.status_5xx, u.cpu_us, u.wall_us, u.memory_us, u.bytes_in,"     \
    " u.bytes_out, u.calls, u.log_lines, u.log_lost, u.receipts_lost, u.egress_in, u.egress_out,"  \
    " u.log_bytes, f.generation, f.last_number"                                                    \
    " FROM functions f JOIN projects p ON p.id = f.project_id"                                     \
    " LEFT JOIN versions v ON v.id = f.live_id LEFT JOIN usage u ON u.function_id = f.id "

static void read_function(struct query *q, struct store_function *f)
{
    f->id = col_uuid(q, 0);
    f->project = col_uuid(q, 1);
    col_text(q, 2, f->name, sizeof f->name);
    col_text(q, 3, f->project_name, sizeof f->project_name);
    f->live = col_uuid(q, 4);
    f->live_number = (uint32_t)col_u64(q, 5);
    f->response = (uint8_t)col_u64(q, 6);
    col_digest(q, 7, f->digest);
    f->size = col_u64(q, 8);
    f->created_ms = col_u64(q, 9);
    f->updated_ms = col_u64(q, 10);
    f->deleted_ms = col_u64(q, 11);
    for (int i = 0; i < STORE_COUNTERS; i++)
        f->counters[i] = col_u64(q, 12 + i);
    f->generation = col_u64(q, 12 + STORE_COUNTERS);
    f->last_number = (uint32_t)col_u64(q, 13 + STORE_COUNTERS);
}

enum err_code store_generation(struct store *st, uint64_t *ret_generation, struct err *e)
{
    struct query q = query(st, "SELECT value FROM settings WHERE key = 'route_generation'", "");
    uint64_t generation = 0;
    if (query_row(&q) && !slice_u64(col_slice(&q, 0), &generation))
        generation = 0;
    enum err_code rc = query_end(&q, e);
    if (rc == ERR_OK)
        *ret_generation = generation;
    return rc;
}

enum err_code db_next_generation(struct store *st, uint64_t *ret_generation, struct err *e)
{
    enum err_code rc = query_run(
        query(st,
              "INSERT INTO settings (key, value) VALUES ('route_generation', '1')"
              " ON CONFLICT (key) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT)",
              ""),
        e);
    return rc ? rc : store_generation(st, ret_generation, e);
}

enum err_code store_functions_since(struct store *st, uint64_t generation,
                                    enum err_code (*each)(void *arg, const struct store_function *f,
                                                          struct err *e),
                                    void *arg, struct err *e)
{
    struct query q = query(st, FUNCTION "WHERE f.generation > ?", "i", generation);
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && query_row(&q)) {
        struct store_function f;
        read_function(&q, &f);
        rc = each(arg, &f, e);
    }
    struct err ended;
    enum err_code end = query_end(&q, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_function_put(struct store *st, struct uuid project, struct uuid id,
                                 struct slice name, uint64_t kept_since_ms, struct err *e)
{
    struct query q = query(st, "SELECT deleted_at FROM functions WHERE name = ?", "s", name);
    bool taken = query_row(&q);
    uint64_t deleted_ms = taken ? col_u64(&q, 0) : 0;
    enum err_code rc = query_end(&q, e);
    if (rc)
        return rc;
    if (taken && !deleted_ms)
        return err_set(e, ERR_CONFLICT, "the name \"%.*s\" is taken", SLICE_ARG(name));
    if (taken && deleted_ms >= kept_since_ms)
        return err_set(e, ERR_CONFLICT,
                       "the name \"%.*s\" belonged to a deleted function and is kept for its owner "
                       "for 30 days; `undelete` brings it back",
                       SLICE_ARG(name));
    if (taken) /* its time is over; what is left of it goes with it */
        rc = query_run(query(st, "DELETE FROM functions WHERE name = ?", "s", name), e);
    uint64_t generation;
    if (rc == ERR_OK)
        rc = db_next_generation(st, &generation, e);
    return rc ? rc
              : query_run(query(st,
                                "INSERT INTO functions (id, project_id, name, generation)"
                                " VALUES (?, ?, ?, ?)",
                                "uusi", id, project, name, generation),
                          e);
}

enum err_code store_function(struct store *st, struct uuid project, struct slice name_or_id,
                             struct store_function *ret_function, struct err *e)
{
    struct uuid id;
    struct query q =
        uuid_parse(name_or_id, &id)
            ? query(st, FUNCTION "WHERE f.project_id = ? AND f.id = ?", "uu", project, id)
            : query(st, FUNCTION "WHERE f.project_id = ? AND f.name = ?", "us", project,
                    name_or_id);
    if (query_row(&q))
        read_function(&q, ret_function);
    return query_end_least(&q, 1, e);
}

enum err_code store_functions(struct store *st, struct uuid project, bool deleted,
                              struct slice after, uint32_t limit,
                              void (*each)(void *arg, const struct store_function *f), void *arg,
                              struct err *e)
{
    struct query q = query(st,
                           FUNCTION "WHERE f.project_id = ? AND f.name > ?"
                                    " AND (f.deleted_at IS NOT NULL) = ? ORDER BY f.name LIMIT ?",
                           "usii", project, after, (uint64_t)deleted, (uint64_t)limit);
    while (query_row(&q)) {
        struct store_function f;
        read_function(&q, &f);
        each(arg, &f);
    }
    return query_end(&q, e);
}

enum err_code store_functions_reach(struct store *st, struct uuid project, uint64_t n,
                                    bool *ret_reached, struct err *e)
{
    /* Each function was made with a generation of its own: while fewer than n of them were taken,
     * nothing has to be counted. */
    uint64_t generation;
    *ret_reached = false;
    enum err_code rc = store_generation(st, &generation, e);
    if (rc || generation < n)
        return rc;
    struct query q = query(st,
                           "SELECT count(*) FROM (SELECT 1 FROM functions"
                           " WHERE project_id = ? AND deleted_at IS NULL LIMIT ?)",
                           "ui", project, n);
    if (query_row(&q))
        *ret_reached = col_u64(&q, 0) >= n;
    return query_end(&q, e);
}

enum err_code store_function_delete(struct store *st, struct uuid function, struct err *e)
{
    uint64_t generation;
    enum err_code rc = db_next_generation(st, &generation, e);
    if (rc)
        return rc;
    return query_run_one(query(st,
                               "UPDATE functions SET generation = ?, deleted_at ="
                               " CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)"
                               " WHERE id = ? AND deleted_at IS NULL",
                               "iu", generation, function),
                         e);
}

enum err_code store_function_undelete(struct store *st, struct uuid function, struct err *e)
{
    uint64_t generation;
    enum err_code rc = db_next_generation(st, &generation, e);
    if (rc)
        return rc;
    return query_run_one(query(st,
                               "UPDATE functions SET generation = ?, deleted_at = NULL"
                               " WHERE id = ? AND deleted_at IS NOT NULL",
                               "iu", generation, function),
                         e);
}

enum err_code store_version_promote(struct store *st, struct uuid function, struct uuid version,
                                    struct err *e)
{
    uint64_t generation;
    enum err_code rc = db_next_generation(st, &generation, e);
    if (rc == ERR_OK)
        rc = query_run_one(query(st,
                                 "UPDATE functions SET generation = ?, live_id = ?"
                                 " WHERE id = ? AND deleted_at IS NULL",
                                 "iuu", generation, version, function),
                           e);
    if (rc == ERR_OK)
        rc = query_run_one(
            query(st,
                  "UPDATE versions SET promoted_at ="
                  " CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)"
                  " WHERE id = ? AND function_id = ? AND disabled_at IS NULL",
                  "uu", version, function),
            e);
    if (rc == ERR_OK) /* it gets everything: a split is over */
        rc = query_run(query(st, "DELETE FROM traffic WHERE function_id = ?", "u", function), e);
    return rc;
}

/* ---- housekeeping ---- */

enum err_code store_function_dead(struct store *st, uint64_t before_ms, struct uuid *ret_function,
                                  struct err *e)
{
    struct query q = query(st,
                           "SELECT id FROM functions WHERE deleted_at IS NOT NULL"
                           " AND deleted_at < ? LIMIT 1",
                           "i", before_ms);
    if (query_row(&q))
        *ret_function = col_uuid(&q, 0);
    return query_end_least(&q, 1, e);
}

enum err_code store_function_purge(struct store *st, struct uuid function, uint32_t most,
                                   struct err *e)
{
    enum err_code rc =
        query_run(query(st,
                        "UPDATE projects SET log_bytes = max(0, log_bytes - (SELECT coalesce(sum("
                        " length(CAST(text AS BLOB)) + 64), 0) FROM (SELECT text FROM logs"
                        " WHERE function_id = ?1 ORDER BY id LIMIT ?2)))"
                        " WHERE id = (SELECT project_id FROM functions WHERE id = ?1)",
                        "ui", function, (uint64_t)most),
                  e);
    if (rc == ERR_OK)
        rc = query_run(query(st,
                             "DELETE FROM logs WHERE id IN (SELECT id FROM logs"
                             " WHERE function_id = ? ORDER BY id LIMIT ?)",
                             "ui", function, (uint64_t)most),
                       e);
    bool more = sqlite3_changes(st->db) > 0;
    if (rc == ERR_OK)
        rc = query_run(query(st,
                             "DELETE FROM runs WHERE id IN (SELECT id FROM runs"
                             " WHERE function_id = ? LIMIT ?)",
                             "ui", function, (uint64_t)most),
                       e);
    more |= sqlite3_changes(st->db) > 0;
    if (rc || more)
        return rc;
    return query_run(query(st, "DELETE FROM functions WHERE id = ?", "u", function), e);
}
