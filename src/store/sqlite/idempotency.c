/* Answers of writes that had an Idempotency-Key, kept for a day. */
#include "store/sqlite/db.h"

enum err_code store_once(struct store *st, struct uuid user, struct slice key, uint64_t since_ms,
                         enum err_code (*each)(void *arg, const struct store_once *o,
                                               struct err *e),
                         void *arg, struct err *e)
{
    struct query q = query(st,
                           "SELECT request, status, head, body FROM idempotency"
                           " WHERE user_id = ? AND key = ? AND created_at >= ?",
                           "usi", user, key, since_ms);
    enum err_code rc = ERR_OK;
    if (query_row(&q)) {
        struct store_once o = {.user = user, .key = key};
        col_digest(&q, 0, o.request);
        o.status = col_u64(&q, 1);
        o.head = col_slice(&q, 2);
        o.body = col_slice(&q, 3);
        rc = each(arg, &o, e);
    }
    struct err ended;
    enum err_code end = query_end_least(&q, 1, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_once_put(struct store *st, const struct store_once *o, struct err *e)
{
    return query_run(query(st,
                           "INSERT OR REPLACE INTO idempotency"
                           " (user_id, key, request, status, head, body)"
                           " VALUES (?, ?, ?, ?, ?, ?)",
                           "usdisb", o->user, o->key, o->request, o->status, o->head, o->body),
                     e);
}

enum err_code store_once_count(struct store *st, struct uuid user, uint64_t *ret_count,
                               struct err *e)
{
    struct query q = query(st, "SELECT count(*) FROM idempotency WHERE user_id = ?", "u", user);
    if (query_row(&q))
        *ret_count = col_u64(&q, 0);
    return query_end(&q, e);
}

enum err_code store_once_trim(struct store *st, uint64_t before_ms, uint32_t most, struct err *e)
{
    return query_run_one(query(st,
                               "DELETE FROM idempotency WHERE rowid IN (SELECT rowid"
                               " FROM idempotency WHERE created_at < ? LIMIT ?)",
                               "ii", before_ms, (uint64_t)most),
                         e);
}
