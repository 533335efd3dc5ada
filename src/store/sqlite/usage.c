/* Sums per function, and what of each edge's ring is already in them.
 *
 * A ring's counters only grow. The difference to what was counted before is
 * added to usage in the transaction that remembers the new counters, so a crash
 * at any moment counts nothing twice and loses nothing. */
#include "store/sqlite/db.h"

enum err_code store_spool(struct store *st, struct uuid spool, uint64_t *ret_taken, struct err *e)
{
    enum err_code rc =
        query_run(query(st, "INSERT INTO spools (id, taken) VALUES (?, 0) ON CONFLICT DO NOTHING",
                        "u", spool),
                  e);
    if (rc)
        return rc;
    struct query q = query(st, "SELECT taken FROM spools WHERE id = ?", "u", spool);
    if (query_row(&q))
        *ret_taken = col_u64(&q, 0);
    return query_end_least(&q, 1, e);
}

enum err_code store_spool_taken(struct store *st, struct uuid spool, uint64_t taken, struct err *e)
{
    return query_run_one(query(st, "UPDATE spools SET taken = ? WHERE id = ?", "iu", taken, spool),
                         e);
}

enum err_code store_counted(struct store *st, struct uuid spool, struct uuid function,
                            uint64_t ret_counted[STORE_COUNTERS], struct err *e)
{
    size_t size = STORE_COUNTERS * sizeof *ret_counted;
    struct query q =
        query(st, "SELECT counted FROM spool_sums WHERE spool_id = ? AND function_id = ?", "uu",
              spool, function);
    memset(ret_counted, 0, size);
    if (query_row(&q)) {
        struct slice s = col_slice(&q, 0);
        memcpy(ret_counted, s.p, s.n < size ? s.n : size);
    }
    return query_end(&q, e);
}

enum err_code store_count(struct store *st, struct uuid spool, struct uuid project,
                          struct uuid function, const uint64_t counted[STORE_COUNTERS],
                          const uint64_t counters[STORE_COUNTERS], struct err *e)
{
    uint64_t d[STORE_COUNTERS];
    for (int i = 0; i < STORE_COUNTERS; i++)
        d[i] = counters[i] - counted[i];
    enum err_code rc = query_run(
        query(st,
              "UPDATE usage SET runs = runs + ?, failed = failed + ?, status_1xx = status_1xx + ?,"
              " status_2xx = status_2xx + ?, status_3xx = status_3xx + ?,"
              " status_4xx = status_4xx + ?, status_5xx = status_5xx + ?, cpu_us = cpu_us + ?,"
              " wall_us = wall_us + ?, memory_us = memory_us + ?, bytes_in = bytes_in + ?,"
              " bytes_out = bytes_out + ?, calls = calls + ?, log_lines = log_lines + ?,"
              " log_lost = log_lost + ?, receipts_lost = receipts_lost + ?,"
              " egress_in = egress_in + ?, egress_out = egress_out + ?,"
              " log_bytes = log_bytes + ? WHERE function_id ="
              " (SELECT id FROM functions WHERE id = ? AND project_id = ?)",
              "iiiiiiiiiiiiiiiiiiiuu", d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9],
              d[10], d[11], d[12], d[13], d[14], d[15], d[16], d[17], d[18], function, project),
        e);
    _Static_assert(STORE_COUNTERS == 19, "the statement above names each of them");
    if (rc)
        return rc;
    return query_run(query(st,
                           "INSERT INTO spool_sums (spool_id, function_id, counted)"
                           " VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET counted = excluded.counted",
                           "uub", spool, function,
                           slice_make(counters, STORE_COUNTERS * sizeof *counters)),
                     e);
}
