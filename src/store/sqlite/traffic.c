/* Who gets a function's requests: splits of its traffic, previews of its versions, and versions
 * that get none any more. Each change takes the next generation of the route table. */
#include "store/sqlite/db.h"

enum err_code store_function_changed(struct store *st, struct uuid function, struct err *e)
{
    uint64_t generation;
    enum err_code rc = db_next_generation(st, &generation, e);
    return rc ? rc
              : query_run_one(query(st, "UPDATE functions SET generation = ? WHERE id = ?", "iu",
                                    generation, function),
                              e);
}

/* ---- splits ---- */

enum err_code store_split(struct store *st, struct uuid function, const struct store_share *shares,
                          uint32_t n, struct err *e)
{
    enum err_code rc =
        query_run(query(st, "DELETE FROM traffic WHERE function_id = ?", "u", function), e);
    for (uint32_t i = 0; i < n && rc == ERR_OK; i++)
        rc = query_run_one(query(st,
                                 "INSERT INTO traffic (function_id, version_id, percent)"
                                 " SELECT function_id, id, ? FROM versions"
                                 " WHERE function_id = ? AND number = ? AND disabled_at IS NULL",
                                 "iui", (uint64_t)shares[i].percent, function,
                                 (uint64_t)shares[i].number),
                           e);
    return rc ? rc : store_function_changed(st, function, e);
}

enum err_code store_shares(struct store *st, struct uuid function,
                           struct store_share ret_shares[STORE_SHARES], uint32_t *ret_n,
                           struct err *e)
{
    struct query q =
        query(st,
              "SELECT v.id, v.number, t.percent FROM traffic t JOIN versions v"
              " ON v.id = t.version_id WHERE t.function_id = ?1 AND v.disabled_at IS NULL"
              " UNION ALL SELECT v.id, v.number, 100 FROM functions f JOIN versions v"
              " ON v.id = f.live_id WHERE f.id = ?1"
              " AND NOT EXISTS (SELECT 1 FROM traffic WHERE function_id = ?1)"
              " ORDER BY 2 LIMIT ?2",
              "ui", function, (uint64_t)STORE_SHARES);
    uint32_t n = 0;
    while (query_row(&q))
        ret_shares[n++] = (struct store_share){.version = col_uuid(&q, 0),
                                               .number = (uint32_t)col_u64(&q, 1),
                                               .percent = (uint32_t)col_u64(&q, 2)};
    enum err_code rc = query_end(&q, e);
    if (rc == ERR_OK)
        *ret_n = n;
    return rc;
}

/* ---- disabling ---- */

enum err_code store_version_disable(struct store *st, struct uuid function, struct uuid version,
                                    bool disabled, struct err *e)
{
    enum err_code rc = query_run_one(
        query(st,
              "UPDATE versions SET disabled_at = CASE WHEN ?3 THEN"
              " CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) END"
              " WHERE id = ?2 AND function_id = ?1",
              "uui", function, version, (uint64_t)disabled),
        e);
    if (rc == ERR_OK)
        rc = query_run(query(st, "DELETE FROM previews WHERE version_id = ?", "u", version), e);
    /* Its share goes to the live version; when that has all, the split is over. */
    if (rc == ERR_OK && disabled)
        rc = query_run(query(st,
                             "UPDATE traffic SET percent = percent + coalesce((SELECT percent"
                             " FROM traffic WHERE version_id = ?2), 0) WHERE function_id = ?1"
                             " AND version_id = (SELECT live_id FROM functions WHERE id = ?1)",
                             "uu", function, version),
                       e);
    if (rc == ERR_OK && disabled)
        rc = query_run(query(st,
                             "DELETE FROM traffic WHERE version_id = ?2"
                             " OR (function_id = ?1 AND percent = 100)",
                             "uu", function, version),
                       e);
    return rc ? rc : store_function_changed(st, function, e);
}

/* ---- previews ---- */

enum err_code store_preview_put(struct store *st, struct uuid function, struct uuid version,
                                uint64_t until_ms, struct err *e)
{
    enum err_code rc =
        query_run(query(st,
                        "INSERT INTO previews (version_id, function_id, until) VALUES (?, ?, ?)"
                        " ON CONFLICT DO UPDATE SET until = max(until, excluded.until)",
                        "uui", version, function, until_ms),
                  e);
    return rc ? rc : store_function_changed(st, function, e);
}

enum err_code store_previews(struct store *st, struct uuid function, uint64_t now_ms,
                             enum err_code (*each)(void *arg, const struct store_preview *p,
                                                   struct err *e),
                             void *arg, struct err *e)
{
    struct query q = query(st,
                           "SELECT v.id, v.number, v.preview, coalesce(p.until, 0) FROM versions v"
                           " LEFT JOIN previews p ON p.version_id = v.id AND p.until > ?2"
                           " WHERE v.function_id = ?1 AND v.disabled_at IS NULL"
                           " AND (v.preview != 0 OR p.until IS NOT NULL)",
                           "ui", function, now_ms);
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && query_row(&q)) {
        struct store_preview p = {.version = col_uuid(&q, 0),
                                  .number = (uint32_t)col_u64(&q, 1),
                                  .open = col_u64(&q, 2) != 0,
                                  .until_ms = col_u64(&q, 3)};
        rc = each(arg, &p, e);
    }
    struct err ended;
    enum err_code end = query_end(&q, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_preview_over(struct store *st, uint64_t now_ms, struct err *e)
{
    struct uuid function = {{0}};
    struct query q =
        query(st, "SELECT function_id FROM previews WHERE until <= ? ORDER BY until LIMIT 1", "i",
              now_ms);
    if (query_row(&q))
        function = col_uuid(&q, 0);
    enum err_code rc = query_end_least(&q, 1, e);
    if (rc == ERR_OK)
        rc = query_run(query(st, "DELETE FROM previews WHERE function_id = ? AND until <= ?", "ui",
                             function, now_ms),
                       e);
    return rc ? rc : store_function_changed(st, function, e);
}
