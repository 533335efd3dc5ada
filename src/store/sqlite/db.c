/* The connection: opening, group commit, and running statements.
 *
 * WAL with synchronous=FULL: a COMMIT that returned is on disk. Since an fsync
 * costs milliseconds, all writes of one loop turn share one transaction; each
 * piece of work has a savepoint in it, so that one request's failure takes back
 * only its own writes. Rejected: a writer thread with a queue, which would make
 * every handler a state machine and save nothing, as the fsync is the cost.
 *
 * SQLite may take back the whole transaction by itself (no space, no memory).
 * `failed` remembers why until the turn's end, when everyone who waits hears it. */
#include "store/sqlite/db.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- errors ---- */

enum err_code db_error(struct store *st, int rc, struct err *e)
{
    int os = sqlite3_system_errno(st->db);
    enum err_code code = ERR_INTERNAL;
    if (rc == SQLITE_FULL || ((rc & 0xff) == SQLITE_IOERR && (os == ENOSPC || os == EDQUOT)))
        code = ERR_DISK_FULL;
    else if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
        code = ERR_UNAVAILABLE;
    else if ((rc & 0xff) == SQLITE_NOMEM)
        code = ERR_MEMORY;
    else if ((rc & 0xff) == SQLITE_CONSTRAINT)
        code = ERR_CONFLICT;
    else if ((rc & 0xff) == SQLITE_IOERR)
        code = ERR_IO;
    err_set(e, code, "database: %s", sqlite3_errmsg(st->db));
    if (st->open && !st->failed && sqlite3_get_autocommit(st->db))
        st->failed = code;
    return code;
}

enum err_code db_exec(struct store *st, const char *sql, struct err *e)
{
    int rc = sqlite3_exec(st->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : db_error(st, rc, e);
}

/* ---- statements ---- */

static sqlite3_stmt *statement(struct store *st, const char *sql, bool *ret_once, int *ret_rc)
{
    size_t at = ((uintptr_t)sql >> 3) % STATEMENTS, probes = 0;
    while (st->statements[at].sql && st->statements[at].sql != sql && ++probes < STATEMENTS)
        at = (at + 1) % STATEMENTS;
    assert(probes < STATEMENTS);
    sqlite3_stmt *s = st->statements[at].s;
    *ret_once = s && sqlite3_stmt_busy(s);
    if (s && !*ret_once)
        return s;
    *ret_rc =
        sqlite3_prepare_v3(st->db, sql, -1, *ret_once ? 0 : SQLITE_PREPARE_PERSISTENT, &s, NULL);
    if (*ret_rc != SQLITE_OK)
        return NULL;
    if (!*ret_once) {
        st->statements[at].sql = sql;
        st->statements[at].s = s;
    }
    return s;
}

struct query query(struct store *st, const char *sql, const char *types, ...)
{
    struct query q = {.st = st, .rc = SQLITE_OK};
    q.s = statement(st, sql, &q.once, &q.rc);
    if (!q.s)
        return q;
    va_list ap;
    va_start(ap, types);
    for (int i = 1; *types && q.rc == SQLITE_OK; types++, i++) {
        static const uint8_t none[DIGEST_BYTES];
        const uint8_t *digest;
        struct uuid id;
        struct slice s;
        switch (*types) {
        case 'u':
        case 'U':
            id = va_arg(ap, struct uuid);
            q.rc = *types == 'U' && uuid_is_zero(id)
                       ? sqlite3_bind_null(q.s, i)
                       : sqlite3_bind_blob(q.s, i, id.b, sizeof id.b, SQLITE_TRANSIENT);
            break;
        case 'i':
            q.rc = sqlite3_bind_int64(q.s, i, (sqlite3_int64)va_arg(ap, uint64_t));
            break;
        case 's':
            s = va_arg(ap, struct slice);
            q.rc = sqlite3_bind_text64(q.s, i, s.p ? s.p : "", s.n, SQLITE_STATIC, SQLITE_UTF8);
            break;
        case 'b':
            s = va_arg(ap, struct slice);
            q.rc = sqlite3_bind_blob64(q.s, i, s.p ? s.p : "", s.n, SQLITE_STATIC);
            break;
        case 't':
            q.rc = sqlite3_bind_text(q.s, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
            break;
        case 'd':
        case 'D':
            digest = va_arg(ap, const uint8_t *);
            q.rc = *types == 'D' && memcmp(digest, none, sizeof none) == 0
                       ? sqlite3_bind_null(q.s, i)
                       : sqlite3_bind_blob(q.s, i, digest, DIGEST_BYTES, SQLITE_STATIC);
            break;
        default:
            assert(!"a letter that query() does not know");
        }
    }
    va_end(ap);
    return q;
}

bool query_row(struct query *q)
{
    if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW)
        return false;
    q->rc = sqlite3_step(q->s);
    q->rows += q->rc == SQLITE_ROW;
    return q->rc == SQLITE_ROW;
}

enum err_code query_end_least(struct query *q, uint64_t least, struct err *e)
{
    enum err_code rc = ERR_OK;
    if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW && q->rc != SQLITE_DONE)
        rc = db_error(q->st, q->rc, e);
    else if (q->rows < least)
        rc = err_set(e, ERR_NOT_FOUND, "there is nothing by this name");
    if (q->once) {
        sqlite3_finalize(q->s);
    } else if (q->s) {
        sqlite3_reset(q->s);
        sqlite3_clear_bindings(q->s);
    }
    return rc;
}

enum err_code query_run(struct query q, struct err *e)
{
    while (query_row(&q))
        ;
    return query_end(&q, e);
}

enum err_code query_run_one(struct query q, struct err *e)
{
    enum err_code rc = query_run(q, e);
    if (rc == ERR_OK && sqlite3_changes(q.st->db) == 0)
        return err_set(e, ERR_NOT_FOUND, "there is nothing by this name");
    return rc;
}

struct uuid col_uuid(struct query *q, int i)
{
    struct uuid id = {{0}};
    if (sqlite3_column_bytes(q->s, i) == sizeof id.b)
        memcpy(id.b, sqlite3_column_blob(q->s, i), sizeof id.b);
    return id;
}

uint64_t col_u64(struct query *q, int i)
{
    return (uint64_t)sqlite3_column_int64(q->s, i);
}

int64_t col_i64(struct query *q, int i)
{
    return sqlite3_column_int64(q->s, i);
}

struct slice col_slice(struct query *q, int i)
{
    const void *p = sqlite3_column_blob(q->s, i); /* of text: its bytes */
    return slice_make(p ? p : "", p ? (size_t)sqlite3_column_bytes(q->s, i) : 0);
}

void col_text(struct query *q, int i, char *dst, size_t cap)
{
    slice_copy(col_slice(q, i), dst, cap);
}

void col_digest(struct query *q, int i, uint8_t dst[DIGEST_BYTES])
{
    struct slice s = col_slice(q, i);
    memset(dst, 0, DIGEST_BYTES);
    if (s.n == DIGEST_BYTES)
        memcpy(dst, s.p, s.n);
}

enum err_code db_stored_before(struct store *st, const char *span, const char *next,
                               uint64_t since_ms, uint64_t *ret_id, struct err *e)
{
    struct query q = query(st, span, "");
    uint64_t low = 1, high = 0;
    if (query_row(&q)) {
        low = col_u64(&q, 0);
        high = col_u64(&q, 1) + 1; /* no row from here on was stored before */
    }
    enum err_code rc = query_end(&q, e);
    while (rc == ERR_OK && low < high) {
        uint64_t middle = low + (high - low) / 2, id = high, at = UINT64_MAX;
        q = query(st, next, "i", middle);
        if (query_row(&q)) {
            id = col_u64(&q, 0);
            at = col_u64(&q, 1);
        }
        rc = query_end(&q, e);
        if (at < since_ms)
            low = id + 1;
        else
            high = middle;
    }
    *ret_id = low - 1;
    return rc;
}

/* ---- group commit ---- */

enum err_code store_begin(struct store *st, struct err *e)
{
    if (st->failed)
        return err_set(e, st->failed, "database: the writes of this turn were taken back");
    if (!st->open) {
        enum err_code rc = query_run(query(st, "BEGIN IMMEDIATE", ""), e);
        if (rc)
            return rc;
        st->open = true;
        st->pieces = 0;
        loop_task_add(st->loop, &st->commit);
    }
    return st->pieces ? query_run(query(st, "SAVEPOINT piece", ""), e) : ERR_OK;
}

/* The first piece of a transaction has no savepoint, for which SQLite would copy each page that is
 * changed: what takes that piece back takes everything back. */
static enum err_code undo(struct store *st, struct err *e)
{
    if (st->pieces)
        return db_exec(st, "ROLLBACK TO piece; RELEASE piece", e);
    st->open = false;
    return query_run(query(st, "ROLLBACK", ""), e);
}

enum err_code store_end(struct store *st, enum err_code rc, struct err *e)
{
    if (st->failed)
        return rc ? rc : err_set(e, st->failed, "database: %s", err_title(st->failed));
    if (rc == ERR_OK)
        return st->pieces++ ? query_run(query(st, "RELEASE piece", ""), e) : ERR_OK;
    struct err lost;
    st->undone++;
    if (undo(st, &lost))
        log_line(LOG_ERROR, "store_rollback", "error=%s", lost.text);
    return rc;
}

static enum err_code commit_now(struct store *st)
{
    struct err e = {0};
    enum err_code rc = st->failed;
    if (rc == ERR_OK) {
        rc = query_run(query(st, "COMMIT", ""), &e);
        if (rc == ERR_OK && st->trouble)
            log_line(LOG_INFO, "store_recovered", "after=%s", err_slug(st->trouble));
        if (rc == ERR_OK) {
            st->trouble = ERR_OK;
            return ERR_OK;
        }
    }
    st->undone++;
    if (!sqlite3_get_autocommit(st->db) &&
        sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK)
        rc = ERR_IO;
    if (rc != st->trouble)
        log_line(LOG_ERROR, "store_commit", "code=%s error=\"%s\"", err_slug(rc), e.text);
    st->trouble = rc;
    if (rc != ERR_DISK_FULL && rc != ERR_UNAVAILABLE && rc != ERR_MEMORY)
        _exit(1); /* what is on disk is unknown: recovery reads the log */
    return rc;
}

static enum err_code commit(struct store *st)
{
    bool open = st->open;
    enum err_code rc = open ? commit_now(st) : ERR_OK;
    st->open = false;
    st->failed = ERR_OK;
    if (open && rc == ERR_OK && st->on_commit)
        st->on_commit(st->on_commit_arg);

    /* Those who wait may write again: that is the next turn's transaction. */
    struct list told;
    list_init(&told);
    while (!list_empty(&st->waits))
        list_push(&told, list_pop(&st->waits));
    while (!list_empty(&told)) {
        struct store_wait *w = LIST_ITEM(list_pop(&told), struct store_wait, node);
        w->on_commit(w, rc);
    }
    return rc;
}

static void commit_turn(struct loop_task *t)
{
    (void)commit(LIST_ITEM(t, struct store, commit));
}

uint64_t store_changes(struct store *st)
{
    return (uint64_t)sqlite3_total_changes64(st->db) + st->undone;
}

enum err_code store_flush(struct store *st, struct err *e)
{
    loop_task_cancel(&st->commit);
    enum err_code rc = commit(st);
    return rc ? err_set(e, rc, "database: %s", err_title(rc)) : ERR_OK;
}

enum err_code store_trouble(const struct store *st)
{
    return st->trouble;
}

void store_wait(struct store *st, struct store_wait *w)
{
    if (st->open)
        list_push(&st->waits, &w->node);
    else
        w->on_commit(w, ERR_OK);
}

void store_on_commit(struct store *st, void (*on_commit)(void *arg), void *arg)
{
    st->on_commit = on_commit;
    st->on_commit_arg = arg;
}

/* ---- opening ---- */

enum err_code store_open(struct loop *loop, struct store **ret_store, struct err *e)
{
    struct store *st = calloc(1, sizeof *st);
    if (!st)
        return err_set(e, ERR_MEMORY, "no memory for the database");
    /* One thread, and nobody asks what SQLite has allocated: no locks around its memory. (They are
     * refused when it runs already: the second store of a process.) */
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    st->loop = loop;
    loop_task_init(&st->commit, commit_turn);
    list_init(&st->waits);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int rc = sqlite3_open_v2("db.sqlite", &st->db, flags, db_vfs());
    enum err_code code;
    if (rc != SQLITE_OK) {
        code = db_error(st, rc, e);
        goto out;
    }
    sqlite3_extended_result_codes(st->db, 1);
    /* There is one owner; an operator's shell that holds a lock is waited for a moment. */
    sqlite3_busy_timeout(st->db, 2000);
    code = db_exec(st,
                   "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                   "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;"
                   "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF",
                   e);
    if (code == ERR_OK)
        code = db_migrate(st, e);
out:
    if (code) {
        store_close(st);
        return code;
    }
    *ret_store = st;
    return ERR_OK;
}

void store_close(struct store *st)
{
    if (!st)
        return;
    loop_task_cancel(&st->commit);
    (void)commit(st);
    for (size_t i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(st->statements[i].s);
    sqlite3_close(st->db);
    free(st);
}
