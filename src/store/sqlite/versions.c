/* Versions: immutable, but for the result of their check and the time of their promotion. */
#include "store/sqlite/db.h"

typedef enum err_code each_version(void *arg, const struct store_version *v, struct err *e);

#define VERSION                                                                                    \
    "SELECT v.id, v.function_id, f.project_id, v.number, v.digest, v.size, v.response, v.env,"     \
    " v.limits, v.check_request, v.check_result, v.created_at, v.updated_at, v.promoted_at,"       \
    " v.policy, v.assets, v.timing, v.secrets, v.preview, v.capture, v.content, v.price,"          \
    " v.disabled_at, f.live_id IS v.id, coalesce((SELECT t.percent FROM traffic t"                 \
    " WHERE t.version_id = v.id), CASE WHEN f.live_id IS v.id AND NOT EXISTS (SELECT 1"            \
    " FROM traffic t WHERE t.function_id = f.id) THEN 100 ELSE 0 END)"                             \
    " FROM versions v JOIN functions f ON f.id = v.function_id "

/* Hands every row out; at least `least` must come. */
static enum err_code read_versions(struct query q, uint64_t least, each_version *each, void *arg,
                                   struct err *e)
{
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && query_row(&q)) {
        struct store_version v = {
            .id = col_uuid(&q, 0),
            .function = col_uuid(&q, 1),
            .project = col_uuid(&q, 2),
            .number = (uint32_t)col_u64(&q, 3),
            .size = col_u64(&q, 5),
            .response = (uint8_t)col_u64(&q, 6),
            .env = col_slice(&q, 7),
            .limits = col_slice(&q, 8),
            .check = col_slice(&q, 9),
            .result = col_slice(&q, 10),
            .created_ms = col_u64(&q, 11),
            .updated_ms = col_u64(&q, 12),
            .promoted_ms = col_u64(&q, 13),
            .policy = col_slice(&q, 14),
            .timing = col_u64(&q, 16) != 0,
            .secrets = col_slice(&q, 17),
            .preview = (uint8_t)col_u64(&q, 18),
            .capture = (uint8_t)col_u64(&q, 19),
            .price = col_slice(&q, 21),
            .disabled_ms = col_u64(&q, 22),
            .live = col_u64(&q, 23) != 0,
            .percent = (uint32_t)col_u64(&q, 24),
        };
        col_digest(&q, 4, v.digest);
        col_digest(&q, 15, v.assets);
        col_digest(&q, 20, v.content);
        rc = each(arg, &v, e);
    }
    struct err ended;
    enum err_code end = query_end_least(&q, least, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_version_put(struct store *st, const struct store_version *v,
                                uint32_t *ret_number, struct err *e)
{
    uint64_t last = 0;
    struct query of =
        query(st, "SELECT last_number FROM functions WHERE id = ? AND deleted_at IS NULL", "u",
              v->function);
    if (query_row(&of))
        last = col_u64(&of, 0);
    enum err_code rc = query_end_least(&of, 1, e);
    if (rc == ERR_OK && v->number && v->number <= last)
        rc = err_set(e, ERR_CONFLICT, "version %u is not after the last one, %llu", v->number,
                     (unsigned long long)last);
    if (rc == ERR_OK)
        rc = query_run(query(st, "UPDATE functions SET last_number = ? WHERE id = ?", "iu",
                             v->number ? (uint64_t)v->number : last + 1, v->function),
                       e);
    if (rc)
        return rc;
    struct query q =
        query(st,
              "INSERT INTO versions (id, function_id, number, digest, size, response,"
              " env, limits, check_request, policy, assets, timing, secrets, preview, capture,"
              " content)"
              " SELECT ?, id, last_number, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
              " FROM functions WHERE id = ? RETURNING number",
              "udiibsssDisiiDu", v->id, v->digest, v->size, (uint64_t)v->response, v->env,
              v->limits, v->check, v->policy, v->assets, (uint64_t)v->timing,
              v->secrets.n ? v->secrets : SLICE("[]"), (uint64_t)v->preview, (uint64_t)v->capture,
              v->content, v->function);
    while (query_row(&q))
        *ret_number = (uint32_t)col_u64(&q, 0);
    return query_end_least(&q, 1, e);
}

enum err_code store_version_checked(struct store *st, struct uuid version, struct slice result,
                                    struct err *e)
{
    return query_run_one(
        query(st, "UPDATE versions SET check_result = ? WHERE id = ?", "su", result, version), e);
}

enum err_code store_version_priced(struct store *st, struct uuid version, struct slice price,
                                   struct err *e)
{
    return query_run_one(
        query(st, "UPDATE versions SET price = ? WHERE id = ?", "su", price, version), e);
}

enum err_code store_version(struct store *st, struct uuid version, each_version *each, void *arg,
                            struct err *e)
{
    return read_versions(query(st, VERSION "WHERE v.id = ?", "u", version), 1, each, arg, e);
}

enum err_code store_version_newest(struct store *st, struct uuid function, each_version *each,
                                   void *arg, struct err *e)
{
    return read_versions(
        query(st, VERSION "WHERE v.function_id = ? ORDER BY v.number DESC LIMIT 1", "u", function),
        1, each, arg, e);
}

enum err_code store_version_numbered(struct store *st, struct uuid function, uint64_t number,
                                     each_version *each, void *arg, struct err *e)
{
    return read_versions(
        query(st, VERSION "WHERE v.function_id = ? AND v.number = ?", "ui", function, number), 1,
        each, arg, e);
}

enum err_code store_version_before(struct store *st, struct uuid function, each_version *each,
                                   void *arg, struct err *e)
{
    return read_versions(query(st,
                               VERSION "WHERE v.function_id = ? AND v.promoted_at IS NOT NULL"
                                       " AND v.disabled_at IS NULL AND v.id IS NOT f.live_id"
                                       " ORDER BY v.promoted_at DESC, v.number DESC LIMIT 1",
                               "u", function),
                         1, each, arg, e);
}

enum err_code store_versions(struct store *st, struct uuid function, uint64_t before,
                             uint32_t limit, each_version *each, void *arg, struct err *e)
{
    return read_versions(query(st,
                               VERSION "WHERE v.function_id = ? AND v.number < ?"
                                       " ORDER BY v.number DESC LIMIT ?",
                               "uii", function, before ? before : (uint64_t)INT64_MAX,
                               (uint64_t)limit),
                         0, each, arg, e);
}

enum err_code store_versions_trim(struct store *st, struct uuid function, uint64_t keep,
                                  struct uuid spare, struct err *e)
{
    return query_run(
        query(st,
              "DELETE FROM versions WHERE id IN (SELECT v.id FROM versions v JOIN functions f"
              " ON f.id = v.function_id WHERE f.id = ?1 AND v.id IS NOT f.live_id AND v.id != ?3"
              " AND v.id NOT IN (SELECT version_id FROM traffic WHERE function_id = ?1)"
              " ORDER BY v.promoted_at IS NOT NULL, v.number LIMIT max(0, (SELECT count(*)"
              " FROM versions WHERE function_id = ?1) - ?2))",
              "uiu", function, keep, spare),
        e);
}

enum err_code store_deploys_since(struct store *st, struct uuid project, uint64_t since_ms,
                                  uint64_t *ret_count, struct err *e)
{
    struct query q = query(st,
                           "SELECT count(*) FROM functions f JOIN versions v"
                           " ON v.function_id = f.id WHERE f.project_id = ? AND v.created_at >= ?",
                           "ui", project, since_ms);
    if (query_row(&q))
        *ret_count = col_u64(&q, 0);
    return query_end(&q, e);
}
