/* Secrets of projects, sealed by whoever puts them here, and the versions that name them. */
#include "store/sqlite/db.h"

typedef enum err_code each_secret(void *arg, const struct store_secret *s, struct err *e);

enum err_code store_secret_put(struct store *st, const struct store_secret *s, struct err *e)
{
    return query_run(query(st,
                           "INSERT INTO secrets (project_id, name, revision, value)"
                           " VALUES (?, ?, ?, ?) ON CONFLICT (project_id, name) DO UPDATE"
                           " SET revision = excluded.revision, value = excluded.value",
                           "usub", s->project, s->name, s->revision, s->value),
                     e);
}

enum err_code store_secret_delete(struct store *st, struct uuid project, struct slice name,
                                  struct err *e)
{
    return query_run_one(
        query(st, "DELETE FROM secrets WHERE project_id = ? AND name = ?", "us", project, name), e);
}

enum err_code store_secret_count(struct store *st, struct uuid project, uint64_t *ret_count,
                                 struct err *e)
{
    struct query q = query(st, "SELECT count(*) FROM secrets WHERE project_id = ?", "u", project);
    if (query_row(&q))
        *ret_count = col_u64(&q, 0);
    return query_end(&q, e);
}

static enum err_code read_secrets(struct query q, uint64_t least, each_secret *each, void *arg,
                                  struct err *e)
{
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && query_row(&q)) {
        struct store_secret s = {.project = col_uuid(&q, 0),
                                 .name = col_slice(&q, 1),
                                 .revision = col_uuid(&q, 2),
                                 .value = col_slice(&q, 3),
                                 .created_ms = col_u64(&q, 4),
                                 .updated_ms = col_u64(&q, 5)};
        rc = each(arg, &s, e);
    }
    struct err ended;
    enum err_code end = query_end_least(&q, least, rc ? &ended : e);
    return rc ? rc : end;
}

#define SECRET "SELECT project_id, name, revision, value, created_at, updated_at FROM secrets "

enum err_code store_secret(struct store *st, struct uuid project, struct slice name,
                           each_secret *each, void *arg, struct err *e)
{
    return read_secrets(query(st, SECRET "WHERE project_id = ? AND name = ?", "us", project, name),
                        1, each, arg, e);
}

enum err_code store_secrets(struct store *st, struct uuid project, struct slice after,
                            uint32_t limit, each_secret *each, void *arg, struct err *e)
{
    return read_secrets(query(st, SECRET "WHERE project_id = ? AND name > ? ORDER BY name LIMIT ?",
                              "usi", project, after, (uint64_t)limit),
                        0, each, arg, e);
}

/* ---- who uses them ---- */

/* Live, in a split, or previewed: f is the function, v the version. */
#define SHARES "(v.id = f.live_id OR EXISTS (SELECT 1 FROM traffic t WHERE t.version_id = v.id))"
#define ANSWERS                                                                                    \
    "FROM functions f JOIN versions v ON v.function_id = f.id AND v.secrets != '[]'"               \
    " JOIN json_each(v.secrets) used"                                                              \
    " WHERE f.project_id = ?1 AND f.deleted_at IS NULL AND (" SHARES                               \
    " OR (v.disabled_at IS NULL AND (v.preview != 0"                                               \
    " OR EXISTS (SELECT 1 FROM previews p WHERE p.version_id = v.id))))"
#define NAMED                                                                                      \
    " FROM secrets s WHERE s.project_id = ?1 AND s.name IN (SELECT value FROM"                     \
    " json_each(v.secrets))"

enum err_code store_secret_uses(struct store *st, struct uuid project, struct slice name,
                                enum err_code (*each)(void *arg, const struct store_secret_use *u,
                                                      struct err *e),
                                void *arg, struct err *e)
{
    struct query q = query(st,
                           "SELECT used.value, f.name, v.number, " SHARES ", length(v.env),"
                           " (SELECT count(*)" NAMED "), (SELECT sum(length(s.name))" NAMED "),"
                           " (SELECT sum(length(s.value))" NAMED ") " ANSWERS
                           " AND (?2 = '' OR used.value = ?2) ORDER BY 1, 2, 3",
                           "us", project, name);
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && query_row(&q)) {
        struct store_secret_use u = {.secret = col_slice(&q, 0),
                                     .function = col_slice(&q, 1),
                                     .number = (uint32_t)col_u64(&q, 2),
                                     .live = col_u64(&q, 3) != 0,
                                     .env = col_u64(&q, 4),
                                     .named = col_u64(&q, 5),
                                     .names = col_u64(&q, 6),
                                     .values = col_u64(&q, 7)};
        rc = each(arg, &u, e);
    }
    struct err ended;
    enum err_code end = query_end(&q, rc ? &ended : e);
    return rc ? rc : end;
}

enum err_code store_secret_touch(struct store *st, struct uuid project, struct slice name,
                                 struct err *e)
{
    uint64_t generation;
    enum err_code rc = db_next_generation(st, &generation, e);
    if (rc)
        return rc;
    return query_run(query(st,
                           "UPDATE functions SET generation = ?3 WHERE id IN (SELECT f.id " ANSWERS
                           " AND used.value = ?2)",
                           "usi", project, name, generation),
                     e);
}
