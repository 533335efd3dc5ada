/* A consistent copy of the database while it is written to: SQLite's online backup, some pages at
 * a time, so that nobody waits long.
 *
 * The copy is made through the connection that writes, which therefore brings
 * every page that changes meanwhile into the copy, too: it never begins anew,
 * and when its last page is there it is the database as it is then. The copy
 * needs no journal (half a copy is worth nothing) and is a plain single file:
 * whoever opens it as a server's database makes its log again. */
#include "store/sqlite/db.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { STEP_PAGES = 512 /* 2 MiB */ };

struct store_copy {
    struct store *st;
    sqlite3 *db;
    sqlite3_backup *backup; /* NULL: it is whole */
    sqlite3_stmt *blobs;
    char path[64];
};

static enum err_code copy_error(struct store_copy *c, int rc, struct err *e)
{
    int os = sqlite3_system_errno(c->db);
    bool full = rc == SQLITE_FULL || os == ENOSPC || os == EDQUOT;
    return err_set(e, full ? ERR_DISK_FULL : ERR_IO, "copying the database: %s",
                   sqlite3_errstr(rc));
}

enum err_code store_copy_begin(struct store *st, const char *path, struct store_copy **ret_copy,
                               struct err *e)
{
    struct store_copy *c = calloc(1, sizeof *c);
    if (!c)
        return err_set(e, ERR_MEMORY, "no memory for a copy of the database");
    c->st = st;
    slice_copy(slice_str(path), c->path, sizeof c->path);
    unlink(c->path);
    int rc =
        sqlite3_open_v2(c->path, &c->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, db_vfs());
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->db,
                          "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                          "PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY",
                          NULL, NULL, NULL);
    if (rc == SQLITE_OK) {
        c->backup = sqlite3_backup_init(c->db, "main", st->db, "main");
        rc = c->backup ? SQLITE_OK : sqlite3_errcode(c->db);
    }
    if (rc != SQLITE_OK) {
        enum err_code code = copy_error(c, rc, e);
        store_copy_end(c);
        return code;
    }
    *ret_copy = c;
    return ERR_OK;
}

enum err_code store_copy_step(struct store_copy *c, bool *ret_done, struct err *e)
{
    int rc = sqlite3_backup_step(c->backup, STEP_PAGES);
    *ret_done = rc == SQLITE_DONE;
    /* LOCKED: this turn's transaction is open; its COMMIT comes with the turn's end. */
    if (rc == SQLITE_OK || rc == SQLITE_LOCKED || rc == SQLITE_BUSY)
        return ERR_OK;
    if (rc != SQLITE_DONE)
        return copy_error(c, rc, e);
    rc = sqlite3_backup_finish(c->backup);
    c->backup = NULL;
    if (rc == SQLITE_OK) /* its first page says "WAL", as the original's does */
        rc = sqlite3_exec(c->db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(c->db,
                                "SELECT digest FROM (SELECT digest FROM modules UNION"
                                " SELECT digest FROM assets) ORDER BY digest",
                                -1, &c->blobs, NULL);
    return rc == SQLITE_OK ? ERR_OK : copy_error(c, rc, e);
}

enum err_code store_copy_blob(struct store_copy *c, uint8_t ret_digest[DIGEST_BYTES], struct err *e)
{
    int rc = sqlite3_step(c->blobs);
    if (rc == SQLITE_DONE)
        return err_set(e, ERR_NOT_FOUND, "there are no more");
    if (rc != SQLITE_ROW || sqlite3_column_bytes(c->blobs, 0) != DIGEST_BYTES)
        return copy_error(c, rc == SQLITE_ROW ? SQLITE_CORRUPT : rc, e);
    memcpy(ret_digest, sqlite3_column_blob(c->blobs, 0), DIGEST_BYTES);
    return ERR_OK;
}

void store_copy_end(struct store_copy *c)
{
    if (!c)
        return;
    if (c->backup)
        sqlite3_backup_finish(c->backup);
    sqlite3_finalize(c->blobs);
    sqlite3_close(c->db);
    unlink(c->path);
    free(c);
}
