/* A database file that no server uses: which schema it has, whether it is sound, copies,
 * migrations.
 *
 * For the operator's commands. Each call opens the file for itself; the caller
 * holds the data folder's lock or has made the file. */
#include "store/sqlite/db.h"
#include "store/sqlite/migrations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err_code fail(sqlite3 *db, const char *path, int rc, struct err *e)
{
    int os = db ? sqlite3_system_errno(db) : 0, kind = rc & 0xff;
    enum err_code code = kind == SQLITE_NOTADB || kind == SQLITE_CORRUPT     ? ERR_DAMAGED
                         : kind == SQLITE_FULL || os == ENOSPC               ? ERR_DISK_FULL
                         : kind == SQLITE_BUSY || kind == SQLITE_LOCKED      ? ERR_CONFLICT
                         : kind == SQLITE_CANTOPEN && access(path, F_OK) < 0 ? ERR_NOT_FOUND
                                                                             : ERR_IO;
    return err_set(e, code, "the database %s: %s", path,
                   db ? sqlite3_errmsg(db) : sqlite3_errstr(rc));
}

static enum err_code open_file(const char *path, sqlite3 **ret_db, struct err *e)
{
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) /* of a file from elsewhere: its schema calls no functions of ours */
        rc = sqlite3_exec(db, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON", NULL,
                          NULL, NULL);
    if (rc != SQLITE_OK) {
        enum err_code code = fail(db, path, rc, e);
        sqlite3_close(db);
        return code;
    }
    *ret_db = db;
    return ERR_OK;
}

/* Runs a query and hands each row to `row`; an error of it ends the query. */
static enum err_code each_row(sqlite3 *db, const char *path, const char *sql,
                              enum err_code (*row)(void *arg, sqlite3_stmt *s, struct err *e),
                              void *arg, struct err *e)
{
    sqlite3_stmt *s = NULL;
    enum err_code code = ERR_OK;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    while (rc == SQLITE_OK && code == ERR_OK) {
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW) {
            rc = SQLITE_OK;
            code = row(arg, s, e);
        }
    }
    if (code == ERR_OK && rc != SQLITE_DONE)
        code = fail(db, path, rc, e);
    sqlite3_finalize(s);
    return code;
}

static enum err_code take_number(void *arg, sqlite3_stmt *s, struct err *e)
{
    *(uint32_t *)arg = (uint32_t)sqlite3_column_int64(s, 0);
    return ERR_OK;
}

static uint32_t known_schema(void)
{
    uint32_t known = 0;
    while (migrations[known].name)
        known++;
    return known;
}

static enum err_code schema_of(sqlite3 *db, const char *path, uint32_t *ret_have, struct err *e)
{
    uint32_t tables = 0;
    enum err_code rc =
        each_row(db, path, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'",
                 take_number, &tables, e);
    if (rc == ERR_OK && !tables)
        rc = err_set(e, ERR_DAMAGED, "%s is a database, but none of a server", path);
    return rc ? rc
              : each_row(db, path, "SELECT coalesce(max(number), 0) FROM schema_version",
                         take_number, ret_have, e);
}

enum err_code store_schema(const char *path, uint32_t *ret_have, uint32_t *ret_known, struct err *e)
{
    sqlite3 *db;
    enum err_code rc = open_file(path, &db, e);
    if (rc)
        return rc;
    rc = schema_of(db, path, ret_have, e);
    *ret_known = known_schema();
    sqlite3_close(db);
    return rc;
}

/* ---- judging ---- */

static enum err_code judge_page(void *arg, sqlite3_stmt *s, struct err *e)
{
    const char *text = (const char *)sqlite3_column_text(s, 0);
    return text && strcmp(text, "ok") == 0
               ? ERR_OK
               : err_set(e, ERR_DAMAGED, "the database is damaged: %s", text ? text : "no memory");
}

static enum err_code judge_reference(void *arg, sqlite3_stmt *s, struct err *e)
{
    const char *table = (const char *)sqlite3_column_text(s, 0);
    return err_set(e, ERR_DAMAGED, "a row of the database's table %s names one that is not there",
                   table ? table : "?");
}

struct visit {
    enum err_code (*each)(void *arg, const uint8_t digest[DIGEST_BYTES], struct err *e);
    void *arg;
};

static enum err_code visit_blob(void *arg, sqlite3_stmt *s, struct err *e)
{
    struct visit *v = arg;
    if (sqlite3_column_bytes(s, 0) != DIGEST_BYTES)
        return err_set(e, ERR_DAMAGED,
                       "the database names a module by something else than a digest");
    return v->each(v->arg, sqlite3_column_blob(s, 0), e);
}

enum err_code store_verify(const char *path,
                           enum err_code (*each)(void *arg, const uint8_t digest[DIGEST_BYTES],
                                                 struct err *e),
                           void *arg, struct err *e)
{
    struct visit visit = {each, arg};
    uint32_t assets = 0;
    sqlite3 *db;
    enum err_code rc = open_file(path, &db, e);
    if (rc)
        return rc;
    rc = each_row(db, path, "PRAGMA integrity_check(1)", judge_page, NULL, e);
    if (rc == ERR_OK)
        rc = each_row(db, path, "PRAGMA foreign_key_check", judge_reference, NULL, e);
    if (rc == ERR_OK) /* before schema 2 there were no assets */
        rc = each_row(db, path, "SELECT count(*) FROM sqlite_schema WHERE name = 'assets'",
                      take_number, &assets, e);
    if (rc == ERR_OK)
        rc = each_row(db, path,
                      assets ? "SELECT digest FROM modules UNION SELECT digest FROM assets"
                             : "SELECT DISTINCT digest FROM modules",
                      visit_blob, &visit, e);
    sqlite3_close(db);
    return rc;
}

/* ---- changing ---- */

static enum err_code sync_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool done = fd >= 0 && fchmod(fd, 0600) == 0 && fsync(fd) == 0;
    enum err_code rc = done ? ERR_OK : err_errno(e, "writing %s", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

enum err_code store_save(const char *path, const char *copy, struct err *e)
{
    sqlite3 *db;
    sqlite3_stmt *s = NULL;
    enum err_code rc = open_file(path, &db, e);
    if (rc)
        return rc;
    int sq = sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &s, NULL);
    if (sq == SQLITE_OK)
        sq = sqlite3_bind_text(s, 1, copy, -1, SQLITE_STATIC);
    if (sq == SQLITE_OK)
        sq = sqlite3_step(s);
    if (sq != SQLITE_DONE)
        rc = fail(db, path, sq, e);
    sqlite3_finalize(s);
    sqlite3_close(db);
    if (rc == ERR_OK)
        rc = sync_file(copy, e);
    if (rc)
        unlink(copy);
    return rc;
}

enum err_code store_migrate(const char *path, struct err *e)
{
    struct store *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_MEMORY, "no memory for the database");
    enum err_code rc = open_file(path, &st->db, e);
    if (rc == ERR_OK)
        rc = db_exec(st, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", e);
    if (rc == ERR_OK)
        rc = db_migrate(st, e);
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(st->statements[i].s);
    sqlite3_close(st->db);
    free(st);
    return rc;
}
