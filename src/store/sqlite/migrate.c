/* Migrations: the numbered files of ../migrations/, applied in order.
 *
 * Each runs in a transaction of its own together with the row that says so, so
 * a crash leaves the schema of one version or the next, never between. A
 * database from a newer program is refused: an older one would misread it. */
#include "store/sqlite/db.h"
#include "store/sqlite/migrations.h"

#include "base/brand.h"
#include "base/log.h"

#define NOW_MS "(CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER))"

static const char *const version_table =
    "CREATE TABLE IF NOT EXISTS schema_version ("
    "    number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    "    created_at INTEGER NOT NULL DEFAULT " NOW_MS ","
    "    updated_at INTEGER NOT NULL DEFAULT " NOW_MS ") STRICT;"
    "CREATE TRIGGER IF NOT EXISTS schema_version_touch AFTER UPDATE ON schema_version BEGIN"
    "    UPDATE schema_version SET created_at = OLD.created_at, updated_at = " NOW_MS
    "        WHERE number = NEW.number;"
    "END";

static enum err_code apply(struct store *st, uint64_t number, const struct migration *m,
                           struct err *e)
{
    enum err_code rc = db_exec(st, "BEGIN IMMEDIATE", e);
    if (rc)
        return rc;
    rc = db_exec(st, m->sql, e);
    if (rc == ERR_OK)
        rc = query_run(query(st, "INSERT INTO schema_version (number, name) VALUES (?, ?)", "it",
                             number, m->name),
                       e);
    if (rc == ERR_OK)
        rc = db_exec(st, "COMMIT", e);
    if (rc) {
        sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
        return rc;
    }
    log_line(LOG_INFO, "store_migrated", "to=%s", m->name);
    return ERR_OK;
}

enum err_code db_migrate(struct store *st, struct err *e)
{
    enum err_code rc = db_exec(st, version_table, e);
    if (rc)
        return rc;
    struct query q = query(st, "SELECT coalesce(max(number), 0) FROM schema_version", "");
    uint64_t have = query_row(&q) ? col_u64(&q, 0) : 0, known = 0;
    rc = query_end(&q, e);
    if (rc)
        return rc;
    while (migrations[known].name)
        known++;
    if (have > known)
        return err_set(e, ERR_CONFLICT,
                       "the database is of a newer " BRAND_COMMAND " (schema %llu, this one knows "
                       "%llu): start that one, or restore a backup",
                       (unsigned long long)have, (unsigned long long)known);
    for (; have < known && rc == ERR_OK; have++)
        rc = apply(st, have + 1, &migrations[have], e);
    return rc;
}
