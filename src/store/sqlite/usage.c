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

/* The counters' columns, in the order of enum store_counter. */
#define COLUMNS                                                                                    \
    "runs, failed, status_1xx, status_2xx, status_3xx, status_4xx, status_5xx, cpu_us, wall_us,"   \
    " memory_us, bytes_in, bytes_out, calls, log_lines, log_lost, receipts_lost, egress_in,"       \
    " egress_out, log_bytes"
/* A sum that would grow beyond `most` stays there: an overflow would be an error, at which the
 * whole ring would stop. */
#define ADD(c, most) c " = min(" c " + excluded." c ", " most ")"
/* clang-format off */
#define ADD_ALL(most)                                                                              \
    ADD("runs", most) \
    ", " ADD("failed", most) \
    ", " ADD("status_1xx", most) \
    ", " ADD("status_2xx", most) \
    ", " ADD("status_3xx", most) \
    ", " ADD("status_4xx", most) \
    ", " ADD("status_5xx", most) \
    ", " ADD("cpu_us", most) \
    ", " ADD("wall_us", most) \
    ", " ADD("memory_us", most) \
    ", " ADD("bytes_in", most) \
    ", " ADD("bytes_out", most) \
    ", " ADD("calls", most) \
    ", " ADD("log_lines", most) \
    ", " ADD("log_lost", most) \
    ", " ADD("receipts_lost", most) \
    ", " ADD("egress_in", most) \
    ", " ADD("egress_out", most) \
    ", " ADD("log_bytes", most)
/* clang-format on */
#define SUM_MOST "4611686018427387903" /* STORE_COUNTER_MOST */
#define DAY_MOST "9007199254740991"    /* STORE_DAY_MOST: so that many days can be summed up */
_Static_assert(STORE_COUNTER_MOST == 4611686018427387903 && STORE_DAY_MOST == 9007199254740991,
               "as above");
#define DELTAS                                                                                     \
    d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13], d[14], \
        d[15], d[16], d[17], d[18]
_Static_assert(STORE_COUNTERS == 19, "the columns above are all of them");

enum err_code store_count(struct store *st, struct uuid spool, struct uuid project,
                          struct uuid function, uint64_t day,
                          const uint64_t counted[STORE_COUNTERS],
                          const uint64_t counters[STORE_COUNTERS], struct err *e)
{
    uint64_t d[STORE_COUNTERS];
    for (int i = 0; i < STORE_COUNTERS; i++)
        d[i] = store_grown(counted[i], counters[i]);
    enum err_code rc = query_run(
        query(st,
              "INSERT INTO usage (function_id, " COLUMNS ") SELECT id, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
              " ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21 FROM functions"
              " WHERE id = ?1 AND project_id = ?2 ON CONFLICT DO UPDATE SET " ADD_ALL(SUM_MOST),
              "uuiiiiiiiiiiiiiiiiiii", function, project, DELTAS),
        e);
    if (rc)
        return rc;
    rc = query_run(
        query(st,
              "INSERT INTO usage_days (function_id, project_id, day, function_name, " COLUMNS
              ") SELECT id, project_id, ?22, name, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
              " ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21 FROM functions"
              " WHERE id = ?1 AND project_id = ?2 ON CONFLICT DO UPDATE SET " ADD_ALL(DAY_MOST),
              "uuiiiiiiiiiiiiiiiiiiii", function, project, DELTAS, day),
        e);
    if (rc)
        return rc;
    return query_run(query(st,
                           "INSERT INTO spool_sums (spool_id, function_id, counted)"
                           " VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET counted = excluded.counted",
                           "uub", spool, function,
                           slice_make(counters, STORE_COUNTERS * sizeof *counters)),
                     e);
}

/* ---- by day ---- */

#define SUM(c) ", sum(" c ")"
#define SUMS                                                                                       \
    SUM("d.runs")                                                                                  \
    SUM("d.failed")                                                                                \
    SUM("d.status_1xx")                                                                            \
    SUM("d.status_2xx")                                                                            \
    SUM("d.status_3xx")                                                                            \
    SUM("d.status_4xx")                                                                            \
    SUM("d.status_5xx")                                                                            \
    SUM("d.cpu_us")                                                                                \
    SUM("d.wall_us")                                                                               \
    SUM("d.memory_us")                                                                             \
    SUM("d.bytes_in")                                                                              \
    SUM("d.bytes_out")                                                                             \
    SUM("d.calls")                                                                                 \
    SUM("d.log_lines")                                                                             \
    SUM("d.log_lost")                                                                              \
    SUM("d.receipts_lost") SUM("d.egress_in") SUM("d.egress_out") SUM("d.log_bytes")

#define SPAN                                                                                       \
    " FROM usage_days d WHERE d.project_id = ?1 AND d.day >= ?2 AND d.day <= ?3"                   \
    " AND (?4 IS NULL OR d.function_id = ?4)"

enum err_code store_usage(struct store *st, const struct store_usage_query *u,
                          void (*each)(void *arg, const struct store_usage *u), void *arg,
                          struct err *e)
{
    /* A function's name is the one it has now, or had last. */
    struct query q =
        u->by_function
            ? query(st,
                    "SELECT max(d.day), d.function_id, coalesce((SELECT name FROM functions"
                    " WHERE id = d.function_id), d.function_name), NOT EXISTS (SELECT 1 FROM"
                    " functions WHERE id = d.function_id AND deleted_at IS NULL)" SUMS SPAN
                    " AND d.function_id > ?5 GROUP BY d.function_id ORDER BY d.function_id"
                    " LIMIT ?6",
                    "uiiUui", u->project, u->from, u->to, u->function, u->after, (uint64_t)u->limit)
            : query(st,
                    "SELECT d.day, NULL, NULL, 0" SUMS SPAN
                    " GROUP BY d.day ORDER BY d.day LIMIT ?5",
                    "uiiUi", u->project, u->from, u->to, u->function, (uint64_t)u->limit);
    while (query_row(&q)) {
        struct store_usage sum = {.day = col_u64(&q, 0),
                                  .function = col_uuid(&q, 1),
                                  .function_name = col_slice(&q, 2),
                                  .deleted = col_u64(&q, 3) != 0};
        for (int i = 0; i < STORE_COUNTERS; i++)
            sum.counters[i] = col_u64(&q, 4 + i);
        each(arg, &sum);
    }
    return query_end(&q, e);
}

enum err_code store_usage_total(struct store *st, const struct store_usage_query *u,
                                uint64_t ret_counters[STORE_COUNTERS], struct err *e)
{
    struct query q =
        query(st, "SELECT 0" SUMS SPAN, "uiiU", u->project, u->from, u->to, u->function);
    memset(ret_counters, 0, STORE_COUNTERS * sizeof *ret_counters);
    if (query_row(&q))
        for (int i = 0; i < STORE_COUNTERS; i++)
            ret_counters[i] = col_u64(&q, 1 + i);
    return query_end(&q, e);
}
