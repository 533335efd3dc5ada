/* What the files of this folder share: the store itself and a short way to run a statement.
 *
 *     struct query q = query(st, "SELECT name FROM users WHERE id = ?", "u", id);
 *     while (query_row(&q))
 *         col_text(&q, 0, name, sizeof name);
 *     return query_end(&q, e);
 *
 * The SQL is a literal: its address is the key under which the prepared
 * statement is kept. Slices that are bound must stay valid until query_end. */
#pragma once

#include "store/store.h"

#include <sqlite3.h>

enum { STATEMENTS = 256 };

struct store {
    sqlite3 *db;
    struct loop *loop;
    struct loop_task commit;
    struct list waits;
    bool open;             /* the turn's transaction was begun */
    unsigned pieces;       /* …that were kept in it */
    enum err_code failed;  /* …and SQLite has taken it back for this reason */
    enum err_code trouble; /* why the last COMMIT failed: logged once */
    uint64_t undone;       /* times that writes were taken back */
    void (*on_commit)(void *arg);
    void *on_commit_arg;
    struct {
        const char *sql;
        sqlite3_stmt *s;
    } statements[STATEMENTS];
};

struct query {
    struct store *st;
    sqlite3_stmt *s;
    int rc;    /* SQLite's */
    bool once; /* the kept statement was in use: this one is dropped at the end */
    uint64_t rows;
};

/* types, one letter a value: u struct uuid; U struct uuid, zero is NULL; i uint64_t or int64_t;
 * s struct slice as text; b struct slice as a blob; t const char *; d digest of 32 bytes;
 * D digest, zero is NULL */
struct query query(struct store *st, const char *sql, const char *types, ...);
bool query_row(struct query *q);
/* Ends it. `least` rows must have been read, or it is ERR_NOT_FOUND. */
enum err_code query_end_least(struct query *q, uint64_t least, struct err *e) MUST_CHECK;
static inline MUST_CHECK enum err_code query_end(struct query *q, struct err *e)
{
    return query_end_least(q, 0, e);
}
/* For a statement without rows: runs and ends it. */
enum err_code query_run(struct query q, struct err *e) MUST_CHECK;
/* The same; ERR_NOT_FOUND if no row was changed. */
enum err_code query_run_one(struct query q, struct err *e) MUST_CHECK;

/* Columns of the present row. Slices last until the next row or the end. */
struct uuid col_uuid(struct query *q, int i); /* zero if NULL */
uint64_t col_u64(struct query *q, int i);     /* 0 if NULL */
int64_t col_i64(struct query *q, int i);
struct slice col_slice(struct query *q, int i); /* text or blob; empty if NULL */
void col_text(struct query *q, int i, char *dst, size_t cap);
void col_digest(struct query *q, int i,
                uint8_t dst[DIGEST_BYTES]); /* zeros if it has another size */

/* SQLite's last error as ours. */
enum err_code db_error(struct store *st, int rc, struct err *e);
/* Plain SQL without parameters. */
enum err_code db_exec(struct store *st, const char *sql, struct err *e) MUST_CHECK;
/* Takes the next generation of the route table (functions.c). */
enum err_code db_next_generation(struct store *st, uint64_t *ret_generation,
                                 struct err *e) MUST_CHECK;
/* The name of the file layer that takes paths as they are. */
const char *db_vfs(void);
/* A bounded search looks at this many rows. */
enum { DB_SCAN = 20000 };
/* The last id of a table that was stored before `since_ms` (0: none), found by halving: created_at
 * grows with the id. `span` selects the least and the greatest id, `next` id and created_at of the
 * first row with an id of at least ?. */
enum err_code db_stored_before(struct store *st, const char *span, const char *next,
                               uint64_t since_ms, uint64_t *ret_id, struct err *e) MUST_CHECK;
/* Brings the schema up to date. */
enum err_code db_migrate(struct store *st, struct err *e) MUST_CHECK;
