/* Egress's journal: who reached which address, and when.
 *
 * Rows name project, function and run by id alone: they outlive them, for a report of abuse may
 * come after the function was deleted. */
#include "store/sqlite/db.h"

enum err_code store_connection_put(struct store *st, const struct store_connection *c,
                                   struct err *e)
{
    return query_run(query(st,
                           "INSERT INTO connections (at, address, port, scheme, host, project_id,"
                           " function_id, run_id, outcome, sent, received)"
                           " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           "ibissuuusii", c->at_ms, slice_make(c->address, sizeof c->address),
                           c->port, c->scheme, c->host, c->project, c->function, c->run, c->outcome,
                           c->sent, c->received),
                     e);
}

enum err_code store_connections(struct store *st, const struct store_connection_query *w,
                                void (*each)(void *arg, const struct store_connection *c),
                                void *arg, struct err *e)
{
    struct query q = query(
        st,
        "SELECT c.id, c.at, c.address, c.port, c.scheme, c.host, c.outcome, c.project_id,"
        " c.function_id, c.run_id, p.name, f.name, c.sent, c.received FROM connections c"
        " LEFT JOIN projects p ON p.id = c.project_id LEFT JOIN functions f ON f.id = c.function_id"
        " WHERE c.address = ?1 AND c.at >= ?2 AND c.at <= ?3 AND c.id < ?4"
        " AND (?5 = 0 OR c.port = ?5) ORDER BY c.id DESC LIMIT ?6",
        "biiiii", slice_make(w->address, sizeof w->address), w->since_ms,
        w->until_ms < INT64_MAX ? w->until_ms : INT64_MAX, w->before ? w->before : INT64_MAX,
        w->port, (uint64_t)w->limit);
    while (query_row(&q)) {
        struct store_connection c = {
            .id = col_u64(&q, 0),
            .at_ms = col_u64(&q, 1),
            .port = col_u64(&q, 3),
            .scheme = col_slice(&q, 4),
            .host = col_slice(&q, 5),
            .outcome = col_slice(&q, 6),
            .project = col_uuid(&q, 7),
            .function = col_uuid(&q, 8),
            .run = col_uuid(&q, 9),
            .project_name = col_slice(&q, 10),
            .function_name = col_slice(&q, 11),
            .sent = col_u64(&q, 12),
            .received = col_u64(&q, 13),
        };
        struct slice address = col_slice(&q, 2);
        if (address.n == sizeof c.address)
            memcpy(c.address, address.p, sizeof c.address);
        each(arg, &c);
    }
    return query_end(&q, e);
}

enum err_code store_connections_trim(struct store *st, uint64_t before_ms, uint64_t keep,
                                     uint32_t most, struct err *e)
{
    enum err_code rc =
        query_run_one(query(st,
                            "DELETE FROM connections WHERE id IN"
                            " (SELECT id FROM connections WHERE at < ? ORDER BY at LIMIT ?)",
                            "ii", before_ms, (uint64_t)most),
                      e);
    if (rc != ERR_NOT_FOUND)
        return rc;
    /* Ids are given in turn, and only the oldest rows go: their difference is their number. */
    return query_run_one(
        query(st,
              "DELETE FROM connections WHERE id IN (SELECT id FROM connections WHERE id <="
              " (SELECT max(id) FROM connections) - ? ORDER BY id LIMIT ?)",
              "ii", keep, (uint64_t)most),
        e);
}
