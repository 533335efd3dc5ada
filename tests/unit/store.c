/* The store: migrations, triggers, group commit, sums, and what runs out of room. */
#include "store/sqlite/db.h"
#include "store/sqlite/migrations.h"
#include "store/store.h"
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct loop *loop;
static char folder[64];

static struct store *begin(void)
{
    struct store *st = NULL;
    struct err e = {0};
    strcpy(folder, "/tmp/store-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) < 0 || !(loop = loop_new(&e)))
        abort();
    if (store_open(loop, &st, &e)) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    return st;
}

static struct store *reopen(struct store *st)
{
    struct err e;
    store_close(st);
    if (store_open(loop, &st, &e))
        abort();
    return st;
}

static void end(struct store *st)
{
    static const char *const files[] = {"db.sqlite", "db.sqlite-wal", "db.sqlite-shm"};
    store_close(st);
    loop_free(loop);
    for (int i = 0; i < 3; i++)
        unlink(files[i]);
    if (chdir("/") < 0 || rmdir(folder) < 0)
        abort();
}

#define OK(call) CHECK((call) == ERR_OK)

static uint64_t number(struct store *st, const char *sql)
{
    sqlite3_stmt *s;
    uint64_t n = UINT64_MAX;
    if (sqlite3_prepare_v2(st->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
        n = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

/* A user, a project and a function. */
struct world {
    struct uuid user, project, function;
};
static struct world populate(struct store *st)
{
    struct world w = {uuid_new(), uuid_new(), uuid_new()};
    struct err e;
    OK(store_begin(st, &e));
    OK(store_user_put(st, w.user, SLICE("operator"), "operator", &e));
    OK(store_project_put(st, w.project, SLICE("default"), w.user, &e));
    OK(store_function_put(st, w.project, w.function, SLICE("hello"), 0, &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_flush(st, &e));
    return w;
}

/* ---- migrations ---- */

TEST(migrations)
{
    struct store *st = begin();
    uint64_t known = 0;
    while (migrations[known].name)
        known++;
    CHECK(number(st, "SELECT count(*) FROM schema_version") == known);
    st = reopen(st);
    CHECK(number(st, "SELECT count(*) FROM schema_version") == known);
    CHECK(number(st, "PRAGMA synchronous") == 2);
    CHECK(number(st, "SELECT 1 FROM pragma_journal_mode WHERE journal_mode = 'wal'") == 1);
    CHECK(number(st, "PRAGMA foreign_keys") == 1);
    end(st);
}

TEST(newer_database)
{
    struct store *st = begin();
    struct err e;
    OK(db_exec(st, "INSERT INTO schema_version (number, name) VALUES (999, 'later')", &e));
    store_close(st);
    st = NULL;
    CHECK(store_open(loop, &st, &e) == ERR_CONFLICT);
    CHECK(strstr(e.text, "newer") && strstr(e.text, "999"));
    end(NULL);
}

TEST(damaged_database)
{
    struct store *st = begin();
    struct err e;
    store_close(st);
    FILE *f = fopen("db.sqlite", "w");
    fputs("this is no database, whatever its name may say about it; not at all", f);
    fclose(f);
    st = NULL;
    CHECK(store_open(loop, &st, &e) != ERR_OK);
    end(NULL);
}

/* ---- created_at and updated_at ---- */

TEST(triggers)
{
    struct store *st = begin();
    struct err e;
    sqlite3_stmt *tables;
    int count = 0;
    /* One row in each table, whatever its columns need. */
    enum err_code rc = db_exec(
        st,
        "PRAGMA foreign_keys = OFF;"
        "INSERT INTO users (id, name, role) VALUES (x'01', 'u', 'user');"
        "INSERT INTO projects (id, name, owner_id) VALUES (x'01', 'p', x'01');"
        "INSERT INTO members (project_id, user_id, role) VALUES (x'01', x'01', 'owner');"
        "INSERT INTO tokens (id, user_id, name, scopes, expires_at)"
        " VALUES (x'01', x'01', 't', 1, 1);"
        "INSERT INTO functions (id, project_id, name, generation)"
        " VALUES (x'01', x'01', 'f', 1);"
        "INSERT INTO modules (project_id, digest, size) VALUES (x'01', x'01', 1);"
        "INSERT INTO images (engine, project_id, digest, kind, size, hash, memory_min)"
        " VALUES ('e', x'01', x'01', 0, 1, x'01', 1);"
        "INSERT INTO versions (id, function_id, number, digest, size, response, env, limits,"
        " check_request) VALUES (x'01', x'01', 1, x'01', 1, 0, x'', '{}', 'none');"
        "INSERT INTO runs VALUES (1, x'01', x'01', x'01', x'01', 1, '', '', '', 1, 'ok', 0, 0,"
        " 0, 0, 0, 0, 0, 0, 0, 0, 0, '{}', 0, 0, '', '[]', '{}', 1, 1);"
        "INSERT INTO assets (project_id, digest, size, files) VALUES (x'01', x'01', 1, 1);"
        "INSERT INTO connections (at, address, port, scheme, host, project_id, function_id,"
        " run_id, outcome, sent, received)"
        " VALUES (1, x'01', 1, '', '', x'01', x'01', x'01', '', 0, 0);"
        "INSERT INTO logs (project_id, function_id, run_id, at, level, source, text)"
        " VALUES (x'01', x'01', x'01', 1, 1, 1, '');"
        "INSERT INTO usage (function_id) VALUES (x'01');"
        "INSERT INTO spools (id, taken) VALUES (x'01', 1);"
        "INSERT INTO spool_sums (spool_id, function_id, counted) VALUES (x'01', x'01', x'');"
        "INSERT INTO audit (action, object, detail) VALUES ('a', 'o', 'd');"
        "INSERT INTO traffic (function_id, version_id, percent) VALUES (x'01', x'01', 100);"
        "INSERT INTO previews (version_id, function_id, until) VALUES (x'01', x'01', 1);"
        "INSERT INTO secrets (project_id, name, revision, value)"
        " VALUES (x'01', 'S', x'01', x'01');"
        "INSERT INTO captures (run_id, project_id, function_id, size, whole, bytes)"
        " VALUES (x'01', x'01', x'01', 1, 1, x'01');"
        "INSERT INTO usage_days (project_id, function_id, day, function_name)"
        " VALUES (x'01', x'01', 1, 'f');"
        "INSERT INTO idempotency (user_id, key, request, status, head, body)"
        " VALUES (x'01', 'k', x'01', 200, '', x'');"
        "INSERT OR REPLACE INTO settings (key, value) VALUES ('k', 'v')",
        &e);
    CHECK(rc == ERR_OK);
    CHECK(sqlite3_prepare_v2(st->db,
                             "SELECT name FROM sqlite_master WHERE type = 'table'"
                             " AND name NOT LIKE 'sqlite_%'",
                             -1, &tables, NULL) == SQLITE_OK);
    while (sqlite3_step(tables) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(tables, 0);
        char sql[256];
        count++;
        /* An update moves updated_at to now and leaves created_at, whatever it says itself. */
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE created_at > 0", name);
        CHECK(number(st, sql) >= 1);
        snprintf(sql, sizeof sql, "SELECT min(created_at) FROM %s", name);
        uint64_t born = number(st, sql);
        snprintf(sql, sizeof sql, "UPDATE %s SET created_at = 5, updated_at = 5", name);
        OK(db_exec(st, sql, &e));
        snprintf(sql, sizeof sql, "SELECT min(created_at) FROM %s", name);
        if (number(st, sql) != born)
            fprintf(stderr, "table %s\n", name);
        CHECK(number(st, sql) == born);
        snprintf(sql, sizeof sql, "SELECT min(updated_at) FROM %s", name);
        CHECK(number(st, sql) > 1700000000000u);
    }
    sqlite3_finalize(tables);
    CHECK(count == 24);
    /* What its functions log doesn't change a project; its owner does. */
    OK(db_exec(st,
               "INSERT INTO projects (id, name, owner_id, created_at, updated_at)"
               " VALUES (x'02', 'q', x'01', 7, 7);"
               "UPDATE projects SET log_bytes = 9 WHERE id = x'02'",
               &e));
    CHECK(number(st, "SELECT updated_at FROM projects WHERE id = x'02'") == 7);
    OK(db_exec(st, "UPDATE projects SET name = 'r' WHERE id = x'02'", &e));
    CHECK(number(st, "SELECT updated_at FROM projects WHERE id = x'02'") > 1700000000000u);
    CHECK(number(st, "SELECT created_at FROM projects WHERE id = x'02'") == 7);
    end(st);
}

/* ---- group commit ---- */

struct waiting {
    struct store_wait wait;
    int told;
    enum err_code rc;
    bool durable; /* the row was visible to another connection by then */
};

static uint64_t seen_outside(void)
{
    sqlite3 *other;
    sqlite3_stmt *s;
    uint64_t n = 0;
    if (sqlite3_open("db.sqlite", &other) == SQLITE_OK &&
        sqlite3_prepare_v2(other, "SELECT count(*) FROM settings WHERE key LIKE 't%'", -1, &s,
                           NULL) == SQLITE_OK) {
        if (sqlite3_step(s) == SQLITE_ROW)
            n = (uint64_t)sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
    }
    sqlite3_close(other);
    return n;
}

static void on_commit(struct store_wait *w, enum err_code rc)
{
    struct waiting *g = LIST_ITEM(w, struct waiting, wait);
    g->told++;
    g->rc = rc;
    g->durable = seen_outside() == 2;
}

static int commits;
static void count_commit(void *arg)
{
    (void)arg;
    commits++;
}

TEST(group_commit)
{
    struct store *st = begin();
    struct waiting a = {0}, b = {0}, c = {0};
    struct err e;
    char value[16];
    store_wait_init(&a.wait, on_commit);
    store_wait_init(&b.wait, on_commit);
    store_wait_init(&c.wait, on_commit);
    commits = 0;
    store_on_commit(st, count_commit, NULL);

    /* Two pieces are kept and one is taken back; all share one COMMIT at the turn's end. */
    OK(store_begin(st, &e));
    OK(store_setting_put(st, "t1", SLICE("1"), &e));
    OK(store_end(st, ERR_OK, &e));
    store_wait(st, &a.wait);
    OK(store_begin(st, &e));
    OK(store_setting_put(st, "t2", SLICE("2"), &e));
    err_set(&e, ERR_INVALID, "no");
    CHECK(store_end(st, ERR_INVALID, &e) == ERR_INVALID);
    OK(store_begin(st, &e));
    OK(store_setting_put(st, "t3", SLICE("3"), &e));
    OK(store_end(st, ERR_OK, &e));
    store_wait(st, &b.wait);
    CHECK(a.told == 0 && b.told == 0 && seen_outside() == 0);
    loop_turn(loop, 0);
    CHECK(a.told == 1 && a.rc == ERR_OK && a.durable);
    CHECK(b.told == 1 && b.rc == ERR_OK && b.durable);
    CHECK(commits == 1);
    OK(store_setting(st, "t2", value, sizeof value, &e));
    CHECK_STR(value, "");

    /* The first piece is taken back and the second kept; then one that was alone is taken back. */
    for (int kept = 1; kept >= 0; kept--) {
        store_wait_init(&c.wait, on_commit);
        OK(store_begin(st, &e));
        OK(store_setting_put(st, "t2", SLICE("2"), &e));
        store_wait(st, &c.wait);
        CHECK(store_end(st, ERR_INVALID, &e) == ERR_INVALID);
        if (kept) {
            OK(store_begin(st, &e));
            OK(store_setting_put(st, "t4", SLICE("4"), &e));
            OK(store_end(st, ERR_OK, &e));
        }
        CHECK(c.told == 1 - kept);
        loop_turn(loop, 0);
        CHECK(c.told == 2 - kept && c.rc == ERR_OK && commits == 2);
    }
    OK(store_setting(st, "t2", value, sizeof value, &e));
    CHECK_STR(value, "");
    OK(store_setting(st, "t4", value, sizeof value, &e));
    CHECK_STR(value, "4");

    /* Nothing is open: told at once. */
    struct waiting d = {0};
    store_wait_init(&d.wait, on_commit);
    store_wait(st, &d.wait);
    CHECK(d.told == 1 && d.rc == ERR_OK);
    end(st);
}

/* The count by which answers are kept: it grows with writes, however they end, not with reads. */
TEST(changes)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_function f;
    struct err e;
    uint64_t at = store_changes(st);
    OK(store_function(st, w.project, SLICE("hello"), &f, &e));
    OK(store_begin(st, &e)); /* a turn that writes nothing */
    OK(store_end(st, ERR_OK, &e));
    OK(store_flush(st, &e));
    CHECK(store_changes(st) == at);
    OK(store_begin(st, &e));
    OK(store_function_put(st, w.project, uuid_new(), SLICE("taken-back"), 0, &e));
    uint64_t within = store_changes(st);
    CHECK(within > at);
    CHECK(store_end(st, ERR_QUOTA, &e) == ERR_QUOTA);
    CHECK(store_changes(st) > within); /* what was read in between is no more */
    at = store_changes(st);
    OK(store_begin(st, &e));
    OK(store_function_delete(st, w.function, &e));
    OK(store_end(st, ERR_OK, &e));
    CHECK(store_changes(st) > at);
    OK(store_flush(st, &e));
    end(st);
}

/* After each COMMIT the files as they are now hold it, as they would after a kill: writes to the
 * log gather up to a size, and then go out. */
TEST(commits_are_in_the_files)
{
    struct store *st = begin();
    static const char *const files[] = {"db.sqlite", "db.sqlite-wal", "db.sqlite-shm"};
    static char value[300000];
    char copies[80], then[160];
    struct err e;
    sqlite3 *copy;
    memset(value, 'v', sizeof value);
    snprintf(copies, sizeof copies, "%s.copy", folder);
    for (size_t n = 1; n <= sizeof value; n *= 7) {
        OK(store_begin(st, &e));
        OK(store_setting_put(st, "large", slice_make(value, n), &e));
        OK(store_end(st, ERR_OK, &e));
        loop_turn(loop, 0);
        CHECK(mkdir(copies, 0700) == 0);
        for (int i = 0; i < 2; i++) {
            char command[256];
            snprintf(command, sizeof command, "cp %s %s/", files[i], copies);
            CHECK(system(command) == 0);
        }
        snprintf(then, sizeof then, "%s/%s", copies, files[0]);
        CHECK(sqlite3_open(then, &copy) == SQLITE_OK);
        sqlite3_stmt *s;
        CHECK(sqlite3_prepare_v2(copy, "SELECT length(value) FROM settings WHERE key = 'large'", -1,
                                 &s, NULL) == SQLITE_OK);
        CHECK(sqlite3_step(s) == SQLITE_ROW && (size_t)sqlite3_column_int64(s, 0) == n);
        sqlite3_finalize(s);
        sqlite3_close(copy);
        for (int i = 0; i < 3; i++) {
            snprintf(then, sizeof then, "%s/%s", copies, files[i]);
            unlink(then);
        }
        CHECK(rmdir(copies) == 0);
    }
    end(st);
}

TEST(no_space)
{
    struct store *st = begin();
    struct waiting a = {0}, b = {0};
    struct err e;
    char big[100000];
    store_wait_init(&a.wait, on_commit);
    store_wait_init(&b.wait, on_commit);
    memset(big, 'x', sizeof big);
    uint64_t pages = number(st, "PRAGMA page_count");
    char pragma[64];
    snprintf(pragma, sizeof pragma, "PRAGMA max_page_count = %llu", (unsigned long long)pages + 2);
    number(st, pragma);

    OK(store_begin(st, &e));
    OK(store_setting_put(st, "t1", SLICE("1"), &e));
    OK(store_end(st, ERR_OK, &e));
    store_wait(st, &a.wait);
    OK(store_begin(st, &e));
    enum err_code rc = store_setting_put(st, "t2", slice_make(big, sizeof big), &e);
    CHECK(rc == ERR_DISK_FULL);
    CHECK(store_end(st, rc, &e) == ERR_DISK_FULL);
    store_wait(st, &b.wait);
    loop_turn(loop, 0);
    CHECK(a.told == 1 && b.told == 1);
    CHECK(a.rc == b.rc); /* SQLite may take back one piece, or the whole turn */

    /* Room again: it works without more ado. */
    number(st, "PRAGMA max_page_count = 1000000");
    OK(store_begin(st, &e));
    OK(store_setting_put(st, "t2", slice_make(big, sizeof big), &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_flush(st, &e));
    end(st);
}

/* ---- functions, versions, generations ---- */

static enum err_code count_function(void *arg, const struct store_function *f, struct err *e)
{
    ++*(int *)arg;
    return ERR_OK;
}

static int changed_since(struct store *st, uint64_t generation)
{
    int n = 0;
    struct err e;
    OK(store_functions_since(st, generation, count_function, &n, &e));
    return n;
}

TEST(names)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_function f;
    struct err e;
    uint64_t generation, later;
    OK(store_generation(st, &generation, &e));
    OK(store_begin(st, &e));
    CHECK(store_function_put(st, w.project, uuid_new(), SLICE("hello"), 0, &e) == ERR_CONFLICT);
    OK(store_function_delete(st, w.function, &e));
    CHECK(store_function_delete(st, w.function, &e) == ERR_NOT_FOUND);
    CHECK(store_function_put(st, w.project, uuid_new(), SLICE("hello"), 0, &e) == ERR_CONFLICT);
    OK(store_function_undelete(st, w.function, &e));
    OK(store_function_delete(st, w.function, &e));
    /* long ago, as seen from the far future */
    struct uuid heir = uuid_new();
    OK(store_function_put(st, w.project, heir, SLICE("hello"), INT64_MAX, &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_function(st, w.project, SLICE("hello"), &f, &e));
    CHECK(uuid_eq(f.id, heir) && !f.deleted_ms && uuid_is_zero(f.live));
    CHECK_STR(f.project_name, "default");
    OK(store_generation(st, &later, &e));
    CHECK(later > generation);
    CHECK(changed_since(st, generation) == 1 && changed_since(st, later) == 0);
    CHECK(store_function(st, uuid_new(), SLICE("hello"), &f, &e) == ERR_NOT_FOUND);
    end(st);
}

static uint64_t numbers[16];
static int number_count;

static enum err_code keep_number(void *arg, const struct store_version *v, struct err *e)
{
    numbers[number_count++] = v->number;
    return ERR_OK;
}

TEST(versions)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_version v = {.function = w.function,
                              .env = SLICE("sealed"),
                              .limits = SLICE("{}"),
                              .check = SLICE("none")};
    struct store_function f;
    struct uuid first = uuid_new(), last;
    uint32_t got;
    struct err e;
    OK(store_begin(st, &e));
    for (uint32_t i = 1; i <= 6; i++) {
        last = v.id = i == 1 ? first : uuid_new();
        OK(store_version_put(st, &v, &got, &e));
        CHECK(got == i);
        if (i == 1 || i == 3)
            OK(store_version_promote(st, w.function, v.id, &e));
    }
    /* Four may stay: 2 and 4, never promoted, go before 1, which was. */
    OK(store_versions_trim(st, w.function, 4, last, &e));
    OK(store_end(st, ERR_OK, &e));
    number_count = 0;
    OK(store_versions(st, w.function, 0, 10, keep_number, NULL, &e));
    CHECK(number_count == 4 && numbers[0] == 6 && numbers[1] == 5 && numbers[2] == 3 &&
          numbers[3] == 1);
    OK(store_function(st, w.project, SLICE("hello"), &f, &e));
    CHECK(f.live_number == 3);

    /* The live one and the spared one stay, whatever the limit; numbers are not used again. */
    OK(store_begin(st, &e));
    OK(store_versions_trim(st, w.function, 0, last, &e));
    v.id = uuid_new();
    OK(store_version_put(st, &v, &got, &e));
    CHECK(got == 7);
    OK(store_end(st, ERR_OK, &e));
    number_count = 0;
    OK(store_versions(st, w.function, 7, 10, keep_number, NULL, &e));
    CHECK(number_count == 2 && numbers[0] == 6 && numbers[1] == 3);
    end(st);
}

static struct store_share shares[STORE_SHARES];
static uint32_t share_count;

/* "1=20 3=80" */
static const char *split_now(struct store *st, struct uuid function)
{
    static char text[64];
    struct err e;
    size_t n = 0;
    text[0] = '\0';
    OK(store_shares(st, function, shares, &share_count, &e));
    for (uint32_t i = 0; i < share_count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%u=%u", i ? " " : "", shares[i].number,
                              shares[i].percent);
    return text;
}

static enum err_code keep_preview(void *arg, const struct store_preview *p, struct err *e)
{
    uint64_t *sum = arg;
    *sum += p->number + (p->open ? 100 : 0) + p->until_ms;
    return ERR_OK;
}

static uint64_t previews_at(struct store *st, struct uuid function, uint64_t now_ms)
{
    uint64_t sum = 0;
    struct err e;
    OK(store_previews(st, function, now_ms, keep_preview, &sum, &e));
    return sum;
}

TEST(traffic)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct uuid ids[5], f = w.function;
    struct store_version v = {
        .function = f, .env = SLICE("x"), .limits = SLICE("{}"), .check = SLICE("none")};
    uint32_t got;
    uint64_t generation;
    struct err e;
    OK(store_begin(st, &e));
    CHECK_STR(split_now(st, f), "");
    for (int i = 1; i <= 4; i++) {
        ids[i] = v.id = uuid_new();
        v.number = i == 4 ? 9 : 0; /* an import says its number */
        v.preview = i == 2;
        OK(store_version_put(st, &v, &got, &e));
    }
    CHECK(got == 9);
    v.id = uuid_new();
    CHECK(store_version_put(st, &v, &got, &e) == ERR_CONFLICT);
    OK(store_version_promote(st, f, ids[3], &e));
    CHECK_STR(split_now(st, f), "3=100");
    const struct store_share three[] = {
        {.number = 1, .percent = 20}, {.number = 3, .percent = 50}, {.number = 9, .percent = 30}};
    OK(store_split(st, f, three, 3, &e));
    CHECK_STR(split_now(st, f), "1=20 3=50 9=30");
    /* What has a share is kept. */
    OK(store_versions_trim(st, f, 3, ids[3], &e));
    CHECK(number(st, "SELECT count(*) FROM versions WHERE number = 2") == 0);
    OK(store_versions_trim(st, f, 1, ids[3], &e));
    CHECK_STR(split_now(st, f), "1=20 3=50 9=30");
    /* A disabled one gives its share to the live version. */
    OK(store_generation(st, &generation, &e));
    OK(store_version_disable(st, f, ids[1], true, &e));
    CHECK(changed_since(st, generation) == 1);
    CHECK_STR(split_now(st, f), "3=70 9=30");
    OK(store_end(st, ERR_OK, &e));
    const struct store_share disabled[] = {{.number = 1, .percent = 40},
                                           {.number = 3, .percent = 60}};
    OK(store_begin(st, &e));
    CHECK(store_end(st, store_version_promote(st, f, ids[1], &e), &e) == ERR_NOT_FOUND);
    OK(store_begin(st, &e));
    CHECK(store_end(st, store_split(st, f, disabled, 2, &e), &e) == ERR_NOT_FOUND);
    CHECK_STR(split_now(st, f), "3=70 9=30");
    OK(store_begin(st, &e));
    OK(store_version_disable(st, f, ids[4], true, &e));
    CHECK_STR(split_now(st, f), "3=100");
    CHECK(number(st, "SELECT count(*) FROM traffic") == 0);
    OK(store_version_disable(st, f, ids[4], false, &e));
    OK(store_split(st, f, three + 1, 2, &e));
    CHECK_STR(split_now(st, f), "3=50 9=30");
    OK(store_split(st, f, NULL, 0, &e));
    CHECK_STR(split_now(st, f), "3=100");
    /* Back to the one before. */
    OK(store_version_promote(st, f, ids[4], &e));
    number_count = 0;
    OK(store_version_before(st, f, keep_number, NULL, &e));
    CHECK(number_count == 1 && numbers[0] == 3);
    OK(store_version_disable(st, f, ids[3], true, &e));
    CHECK(store_version_before(st, f, keep_number, NULL, &e) == ERR_NOT_FOUND);
    OK(store_end(st, ERR_OK, &e));
    end(st);
}

TEST(previews)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct uuid f = w.function, members = uuid_new(), open = uuid_new();
    struct store_version v = {
        .function = f, .env = SLICE("x"), .limits = SLICE("{}"), .check = SLICE("none")};
    uint32_t got;
    uint64_t generation;
    struct err e;
    OK(store_begin(st, &e));
    v.id = members;
    OK(store_version_put(st, &v, &got, &e));
    v.id = open;
    v.preview = 1;
    OK(store_version_put(st, &v, &got, &e));
    CHECK(previews_at(st, f, 5) == 102);
    OK(store_generation(st, &generation, &e));
    OK(store_preview_put(st, f, members, 1000, &e));
    OK(store_preview_put(st, f, members, 900, &e)); /* no earlier end */
    CHECK(changed_since(st, generation) == 1);
    CHECK(previews_at(st, f, 999) == 102 + 1001 && previews_at(st, f, 1000) == 102);
    CHECK(store_preview_over(st, 999, &e) == ERR_NOT_FOUND);
    OK(store_generation(st, &generation, &e));
    OK(store_preview_over(st, 1000, &e));
    CHECK(changed_since(st, generation) == 1);
    CHECK(store_preview_over(st, 1000, &e) == ERR_NOT_FOUND);
    OK(store_preview_put(st, f, members, 1000, &e));
    OK(store_version_disable(st, f, members, true, &e));
    OK(store_version_disable(st, f, open, true, &e));
    CHECK(previews_at(st, f, 5) == 0);
    OK(store_version_disable(st, f, members, false, &e));
    OK(store_version_disable(st, f, open, false, &e));
    CHECK(previews_at(st, f, 5) == 102); /* the link has to be asked for again */
    OK(store_end(st, ERR_OK, &e));
    end(st);
}

TEST(interfaces)
{
    struct store *st = begin();
    struct world w = populate(st);
    uint8_t digest[DIGEST_BYTES] = {1};
    struct buf out;
    struct err e;
    buf_init(&out, 1000);
    OK(store_begin(st, &e));
    OK(store_interface_put(st, w.project, digest, SLICE("{}"), &e));
    OK(store_interface(st, w.project, digest, &out, &e));
    CHECK(buf_size(&out) == 0);
    OK(store_module_put(st, w.project, digest, 8, &e));
    OK(store_interface(st, w.project, digest, &out, &e));
    CHECK(buf_size(&out) == 0);
    OK(store_interface_put(st, w.project, digest, SLICE("{\"imports\":[]}"), &e));
    OK(store_interface_put(st, w.project, digest, SLICE("{}"), &e)); /* it never changes */
    OK(store_interface(st, w.project, digest, &out, &e));
    CHECK(slice_eq(buf_slice(&out), SLICE("{\"imports\":[]}")));
    OK(store_end(st, ERR_OK, &e));
    buf_done(&out);
    end(st);
}

static enum err_code check_version(void *arg, const struct store_version *v, struct err *e)
{
    const struct store_version *want = arg;
    CHECK(uuid_eq(v->id, want->id) && slice_eq(v->policy, want->policy));
    CHECK(v->timing == want->timing && memcmp(v->assets, want->assets, sizeof v->assets) == 0);
    return ERR_OK;
}

TEST(versions_carry)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_version v = {.id = uuid_new(),
                              .function = w.function,
                              .env = SLICE("sealed"),
                              .limits = SLICE("{}"),
                              .check = SLICE("none"),
                              .policy = SLICE("{\"allow\":[\"https://a.example/\"]}"),
                              .assets = {7},
                              .timing = true};
    struct store_version plain = {.id = uuid_new(),
                                  .function = w.function,
                                  .env = SLICE("sealed"),
                                  .limits = SLICE("{}"),
                                  .check = SLICE("none")};
    struct uuid live = {{0}};
    uint32_t got;
    struct err e;
    OK(store_begin(st, &e));
    OK(store_version_put(st, &v, &got, &e));
    OK(store_version_put(st, &plain, &got, &e));
    CHECK(store_live_after(st, live, &live, &e) == ERR_NOT_FOUND);
    OK(store_version_promote(st, w.function, v.id, &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_version_numbered(st, w.function, 1, check_version, &v, &e));
    OK(store_version_numbered(st, w.function, 2, check_version, &plain, &e));
    CHECK(store_version_numbered(st, w.function, 3, check_version, &v, &e) == ERR_NOT_FOUND);
    CHECK(store_version_numbered(st, uuid_new(), 1, check_version, &v, &e) == ERR_NOT_FOUND);
    CHECK(number(st, "SELECT count(*) FROM versions WHERE assets IS NULL") == 1);
    /* The walk through live versions meets it once. */
    OK(store_live_after(st, live, &live, &e));
    CHECK(uuid_eq(live, v.id) && store_live_after(st, live, &live, &e) == ERR_NOT_FOUND);
    end(st);
}

/* ---- secrets ---- */

static char seen_secrets[256];

static enum err_code note_secret(void *arg, const struct store_secret *s, struct err *e)
{
    (void)arg, (void)e;
    size_t n = strlen(seen_secrets);
    snprintf(seen_secrets + n, sizeof seen_secrets - n, "%.*s=%.*s ", SLICE_ARG(s->name),
             SLICE_ARG(s->value));
    return ERR_OK;
}

static enum err_code note_use(void *arg, const struct store_secret_use *u, struct err *e)
{
    (void)arg, (void)e;
    size_t n = strlen(seen_secrets);
    snprintf(seen_secrets + n, sizeof seen_secrets - n, "%.*s:%.*s:%u:%d:%d:%d:%d:%d ",
             SLICE_ARG(u->secret), SLICE_ARG(u->function), u->number, u->live, (int)u->env,
             (int)u->named, (int)u->names, (int)u->values);
    return ERR_OK;
}

static const char *uses_of(struct store *st, struct uuid project, struct slice name)
{
    struct err e;
    seen_secrets[0] = '\0';
    OK(store_secret_uses(st, project, name, note_use, NULL, &e));
    return seen_secrets;
}

TEST(secrets)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_secret s = {
        .project = w.project, .name = SLICE("KEY"), .revision = uuid_new(), .value = SLICE("abc")};
    struct store_version v = {.id = uuid_new(),
                              .function = w.function,
                              .env = SLICE("sealed"),
                              .limits = SLICE("{}"),
                              .check = SLICE("none"),
                              .secrets = SLICE("[\"KEY\",\"NOT_SET\",\"OTHER\"]")};
    uint32_t number;
    uint64_t count = 0, before, after;
    struct err e;
    OK(store_begin(st, &e));
    OK(store_secret_put(st, &s, &e));
    s.value = SLICE("defg");
    OK(store_secret_put(st, &s, &e));
    s.name = SLICE("OTHER");
    OK(store_secret_put(st, &s, &e));
    OK(store_version_put(st, &v, &number, &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_secret_count(st, w.project, &count, &e));
    CHECK(count == 2);
    seen_secrets[0] = '\0';
    OK(store_secrets(st, w.project, SLICE(""), 10, note_secret, NULL, &e));
    OK(store_secrets(st, w.project, SLICE("KEY"), 10, note_secret, NULL, &e));
    CHECK_STR(seen_secrets, "KEY=defg OTHER=defg OTHER=defg ");
    CHECK(store_secret(st, w.user, SLICE("KEY"), note_secret, NULL, &e) == ERR_NOT_FOUND);

    /* A version that answers nowhere uses nothing. */
    CHECK_STR(uses_of(st, w.project, SLICE("KEY")), "");
    OK(store_begin(st, &e));
    OK(store_preview_put(st, w.function, v.id, INT64_MAX, &e));
    OK(store_end(st, ERR_OK, &e));
    CHECK_STR(uses_of(st, w.project, SLICE("KEY")), "KEY:hello:1:0:6:2:8:8 ");
    OK(store_begin(st, &e));
    OK(store_version_promote(st, w.function, v.id, &e));
    OK(store_end(st, ERR_OK, &e));
    CHECK_STR(uses_of(st, w.project, SLICE("")),
              "KEY:hello:1:1:6:2:8:8 NOT_SET:hello:1:1:6:2:8:8 OTHER:hello:1:1:6:2:8:8 ");
    CHECK_STR(uses_of(st, w.project, SLICE("NO")), "");
    CHECK_STR(uses_of(st, w.user, SLICE("KEY")), "");

    /* A change takes the function's row along, and no other's. */
    OK(store_generation(st, &before, &e));
    OK(store_begin(st, &e));
    OK(store_secret_touch(st, w.project, SLICE("KEY"), &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_generation(st, &after, &e));
    CHECK(after == before + 1 && changed_since(st, before) == 1);
    OK(store_begin(st, &e));
    OK(store_secret_touch(st, w.project, SLICE("NO"), &e));
    OK(store_secret_delete(st, w.project, SLICE("KEY"), &e));
    CHECK(store_secret_delete(st, w.project, SLICE("KEY"), &e) == ERR_NOT_FOUND);
    OK(store_end(st, ERR_OK, &e));
    CHECK(changed_since(st, after) == 0);
    end(st);
}

TEST(assets)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_assets a = {.project = w.project, .digest = {7}, .size = 1000, .files = 3}, got;
    struct store_version v = {.id = uuid_new(),
                              .function = w.function,
                              .env = SLICE("sealed"),
                              .limits = SLICE("{}"),
                              .check = SLICE("none"),
                              .assets = {7}};
    uint8_t module[DIGEST_BYTES] = {8}, digest[DIGEST_BYTES];
    struct uuid project, other = uuid_new();
    uint64_t stored = 0;
    uint32_t n;
    bool known, last;
    struct err e;
    OK(store_begin(st, &e));
    OK(store_project_put(st, other, SLICE("other"), w.user, &e));
    OK(store_module_put(st, w.project, module, 50, &e));
    OK(store_assets_put(st, &a, &e));
    OK(store_assets_put(st, &a, &e));
    OK(store_assets(st, w.project, a.digest, &got, &e));
    CHECK(got.size == 1000 && got.files == 3 && got.digest[0] == 7);
    CHECK(store_assets(st, other, a.digest, &got, &e) == ERR_NOT_FOUND);
    OK(store_stored(st, w.project, &stored, &e));
    CHECK(stored == 1050);
    OK(store_blob_known(st, a.digest, &known, &e));
    CHECK(known);
    OK(store_blob_known(st, module, &known, &e));
    CHECK(known);
    OK(store_blob_known(st, (const uint8_t[DIGEST_BYTES]){9}, &known, &e));
    CHECK(!known);

    /* Kept while a version names them, or while they are new. */
    OK(store_version_put(st, &v, &n, &e));
    uint64_t later = UINT64_MAX >> 1;
    CHECK(store_assets_unused(st, later, &project, digest, &e) == ERR_NOT_FOUND);
    OK(db_exec(st, "DELETE FROM versions", &e));
    CHECK(store_assets_unused(st, 1000, &project, digest, &e) == ERR_NOT_FOUND);
    OK(store_assets_unused(st, later, &project, digest, &e));
    CHECK(uuid_eq(project, w.project) && digest[0] == 7);

    /* The bytes go with the last who has them. */
    a.project = other;
    OK(store_assets_put(st, &a, &e));
    OK(store_assets_delete(st, w.project, a.digest, &last, &e));
    CHECK(!last);
    OK(store_assets_delete(st, other, a.digest, &last, &e));
    CHECK(last);
    OK(store_end(st, ERR_OK, &e));
    end(st);
}

TEST(images_of_kinds)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_image i = {.project = w.project, .digest = {5}, .size = 10}, at = {0}, got;
    struct err e;
    OK(store_begin(st, &e));
    OK(store_image_put(st, "engine", &i, &e));
    i.kind = ENGINE_FUEL;
    i.size = 12;
    OK(store_image_put(st, "engine", &i, &e));
    OK(store_image(st, "engine", w.project, i.digest, ENGINE_PLAIN, &got, &e));
    CHECK(got.size == 10);
    OK(store_image_after(st, "engine", &at, &at, &e));
    CHECK(at.kind == ENGINE_PLAIN);
    OK(store_image_after(st, "engine", &at, &at, &e));
    CHECK(at.kind == ENGINE_FUEL && at.size == 12);
    CHECK(store_image_after(st, "engine", &at, &at, &e) == ERR_NOT_FOUND);
    OK(store_image_delete(st, "engine", w.project, i.digest, ENGINE_FUEL, &e));
    OK(store_image(st, "engine", w.project, i.digest, ENGINE_PLAIN, &got, &e));
    OK(store_end(st, ERR_OK, &e));
    end(st);
}

/* ---- runs, logs, sums ---- */

static enum err_code count_run(void *arg, const struct store_run *r, struct err *e)
{
    CHECK(slice_eq(r->uses, SLICE("[]")) && slice_eq(r->sums, SLICE("{\"gas\":7}")));
    ++*(int *)arg;
    return ERR_OK;
}

TEST(runs)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_scan scan;
    struct err e;
    int n = 0;
    OK(store_begin(st, &e));
    for (int i = 0; i < 10; i++) {
        struct store_run r = {.id = uuid_new(),
                              .project = w.project,
                              .function = w.function,
                              .version = uuid_new(),
                              .started_ms = 1,
                              .method = SLICE("GET"),
                              .path = SLICE("/"),
                              .client = SLICE(""),
                              .cause = i % 2 ? SLICE("trap") : SLICE("ok"),
                              .host_calls = SLICE("{}"),
                              .uses = SLICE("[]"),
                              .sums = SLICE("{\"gas\":7}"),
                              .text = SLICE("")};
        OK(store_run_put(st, &r, &e));
        OK(store_run_put(st, &r, &e)); /* again: the same receipt, once */
        r.project = w.user;
        r.id = uuid_new();
        OK(store_run_put(st, &r, &e)); /* not this project's function: dropped */
    }
    OK(store_end(st, ERR_OK, &e));
    struct store_run_query q = {.project = w.project, .limit = 100};
    OK(store_runs(st, &q, count_run, &n, &scan, &e));
    CHECK(n == 10 && !scan.more);
    q.function = w.function, q.failed = true, n = 0;
    OK(store_runs(st, &q, count_run, &n, &scan, &e));
    CHECK(n == 5);
    OK(store_begin(st, &e));
    OK(store_runs_trim(st, w.function, 4, 4, 3, &e));
    OK(store_runs_trim(st, w.function, 4, 4, 100, &e));
    OK(store_end(st, ERR_OK, &e));
    q.failed = false, n = 0;
    OK(store_runs(st, &q, count_run, &n, &scan, &e));
    CHECK(n == 4);
    end(st);
}

/* The id of a run that began then. */
static struct uuid run_at(uint64_t ms, uint8_t last)
{
    struct uuid id = {{0}};
    for (int i = 0; i < 6; i++)
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    id.b[15] = last;
    return id;
}

static int searched(struct store *st, struct store_run_query q)
{
    struct store_scan scan;
    struct err e;
    int n = 0, stored = 0;
    OK(store_runs(st, &q, count_run, &n, &scan, &e));
    OK(store_runs_stored(st, &q, count_run, &stored, &scan, &e));
    CHECK(n == stored);
    return n;
}

/* Each filter alone, both orders, pages without a gap, and what follows from age. */
TEST(runs_search)
{
    enum { N = 40, HOUR = 3600000 };
    struct store *st = begin();
    struct world w = populate(st);
    struct uuid versions[2] = {uuid_new(), uuid_new()}, first = run_at(1000ull * HOUR, 0);
    struct store_scan scan;
    struct store_run_history history;
    struct err e;
    int n = 0;
    OK(store_begin(st, &e));
    for (int i = 0; i < N; i++) {
        struct store_run r = {.id = run_at((1000 + (uint64_t)i) * HOUR, 0),
                              .project = w.project,
                              .function = w.function,
                              .version = versions[i >= 30],
                              .started_ms = (1000 + (uint64_t)i) * HOUR,
                              .method = i % 2 ? SLICE("GET") : SLICE("POST"),
                              .path = i % 4 ? SLICE("/a/b") : SLICE("/c"),
                              .status = i % 10 ? 200 : 504,
                              .wall_us = (uint64_t)i * 1000,
                              .cause = i % 10 ? SLICE("ok") : SLICE("cpu_limit"),
                              .host_calls = SLICE("{}"),
                              .uses = SLICE("[]"),
                              .sums = SLICE("{\"gas\":7}")};
        OK(store_run_put(st, &r, &e));
    }
    OK(store_end(st, ERR_OK, &e));
    struct store_run_query all = {.project = w.project, .limit = 100}, q = all;
    CHECK(searched(st, q) == N);
    q.function = w.function;
    CHECK(searched(st, q) == N);
    q.function = w.user;
    CHECK(searched(st, q) == 0);
    q = all, q.project = w.user;
    CHECK(searched(st, q) == 0);
    q = all, q.cause = SLICE("cpu_limit");
    CHECK(searched(st, q) == 4);
    q = all, q.status_low = 500, q.status_high = 599;
    CHECK(searched(st, q) == 4);
    q = all, q.method = SLICE("GET");
    CHECK(searched(st, q) == 20);
    q = all, q.path = SLICE("/a");
    CHECK(searched(st, q) == 30);
    q = all, q.wall_us = 35000;
    CHECK(searched(st, q) == 5);
    q = all, q.since_ms = 1010ull * HOUR, q.until_ms = 1012ull * HOUR;
    CHECK(searched(st, q) == 2);

    q = all, q.limit = 7;
    int pages = 0;
    do {
        OK(store_runs(st, &q, count_run, &n, &scan, &e));
        q.before = scan.id;
    } while (scan.more && ++pages < 10);
    CHECK(n == N && pages == 5);
    n = 0, pages = 0;
    do {
        OK(store_runs_stored(st, &q, count_run, &n, &scan, &e));
        q.after = scan.at;
    } while (scan.more && ++pages < 10);
    CHECK(n == N && pages == 6);
    uint64_t serial;
    OK(store_runs_before(st, UINT64_MAX, &serial, &e));
    CHECK(serial == N);
    OK(store_runs_before(st, 1, &serial, &e));
    CHECK(serial == 0);

    struct store_run failed = {.id = run_at(1030ull * HOUR, 0),
                               .function = w.function,
                               .version = versions[1],
                               .started_ms = 1030ull * HOUR,
                               .cause = SLICE("cpu_limit")};
    OK(store_run_history(st, &failed, &history, &e));
    CHECK(history.similar == 0 && history.version_good == 9);
    CHECK(uuid_eq(history.good, versions[0]) && history.good_number == 0);
    failed.id = run_at(1030ull * HOUR, 1);
    OK(store_run_history(st, &failed, &history, &e));
    CHECK(history.similar == 1);

    OK(store_begin(st, &e));
    OK(store_runs_expire(st, 1010ull * HOUR, 6, &e));
    OK(store_runs_expire(st, 1010ull * HOUR, 6, &e));
    CHECK(store_runs_expire(st, 1010ull * HOUR, 6, &e) == ERR_NOT_FOUND);
    OK(store_end(st, ERR_OK, &e));
    CHECK(searched(st, all) == N - 10);
    CHECK(store_run(st, w.project, first, count_run, &n, &e) == ERR_NOT_FOUND);
    end(st);
}

static enum err_code check_uses(void *arg, const struct store_run *r, struct err *e)
{
    int n = ++*(int *)arg; /* newest first; even ones are large */
    bool lost = n > 2 && n % 2 == 0;
    CHECK(lost ? slice_eq(r->uses, SLICE("[]")) : r->uses.n == (n % 2 ? 4u : 3004u));
    CHECK(slice_eq(r->sums, lost ? SLICE("{\"uses_lost\":4}") : SLICE("{\"uses_lost\":3}")));
    return ERR_OK;
}

/* Old receipts stay, without the rows of what they opened if those are many. */
TEST(runs_uses)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct store_scan scan;
    struct err e;
    char large[3005];
    int n = 0;
    memset(large, 'u', sizeof large);
    memcpy(large, "[\"", 2);
    memcpy(large + 3002, "\"]", 3);
    OK(store_begin(st, &e));
    for (int i = 0; i < 6; i++) {
        struct store_run r = {.id = uuid_new(),
                              .project = w.project,
                              .function = w.function,
                              .version = uuid_new(),
                              .cause = SLICE("ok"),
                              .host_calls = SLICE("{}"),
                              .uses = i % 2 ? SLICE("[{}]") : slice_str(large),
                              .sums = SLICE("{\"uses_lost\":3}")};
        OK(store_run_put(st, &r, &e));
    }
    OK(store_runs_trim(st, w.function, 10, 2, 100, &e));
    OK(store_runs_trim(st, w.function, 10, 2, 100, &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_runs(
        st, &(struct store_run_query){.project = w.project, .function = w.function, .limit = 100},
        check_uses, &n, &scan, &e));
    CHECK(n == 6);
    end(st);
}

static enum err_code check_capture(void *arg, const struct store_capture *c, struct err *e)
{
    (void)e;
    CHECK(c->size == 1000 && c->whole && slice_eq(c->bytes, SLICE("sealed")));
    ++*(int *)arg;
    return ERR_OK;
}

TEST(captures)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct uuid runs[5];
    struct err e;
    int n = 0;
    OK(store_begin(st, &e));
    for (int i = 0; i < 5; i++) {
        struct store_capture c = {.run = runs[i] = uuid_new(),
                                  .project = w.project,
                                  .function = w.function,
                                  .size = 1000,
                                  .whole = true,
                                  .bytes = SLICE("sealed")};
        OK(store_capture_put(st, &c, &e));
        OK(store_capture_put(st, &c, &e)); /* again: once */
        c.run = uuid_new();
        c.project = w.user;
        OK(store_capture_put(st, &c, &e)); /* not this project's function: dropped */
    }
    OK(store_end(st, ERR_OK, &e));
    CHECK(number(st, "SELECT count(*) FROM captures") == 5);
    OK(store_capture(st, w.project, runs[0], check_capture, &n, &e));
    CHECK(n == 1);
    CHECK(store_capture(st, w.user, runs[0], check_capture, &n, &e) == ERR_NOT_FOUND);
    OK(store_begin(st, &e));
    OK(store_captures_trim(st, w.project, 3000, 0, 100, &e));
    OK(store_end(st, ERR_OK, &e));
    CHECK(store_capture(st, w.project, runs[1], check_capture, &n, &e) == ERR_NOT_FOUND);
    OK(store_capture(st, w.project, runs[2], check_capture, &n, &e)); /* the newest stay */
    OK(store_begin(st, &e));
    CHECK(store_captures_old(st, 1000, 100, &e) == ERR_NOT_FOUND);
    OK(store_captures_trim(st, w.project, 0, UINT64_MAX / 4, 2, &e));
    OK(store_captures_old(st, UINT64_MAX / 4, 100, &e));
    OK(store_end(st, ERR_OK, &e));
    CHECK(number(st, "SELECT count(*) FROM captures") == 0);
    end(st);
}

static enum err_code count_log(void *arg, const struct store_log *l, struct err *e)
{
    ++*(int *)arg;
    return ERR_OK;
}

TEST(logs)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct uuid run = uuid_new();
    struct store_project p;
    struct store_scan scan;
    struct err e;
    char text[1000];
    uint64_t bytes, sum = 0;
    int n = 0;
    memset(text, 'l', sizeof text);
    OK(store_begin(st, &e));
    for (int i = 0; i < 20; i++) {
        struct store_log l = {.project = w.project,
                              .function = w.function,
                              .run = i < 5 ? run : uuid_new(),
                              .at_ms = 100 + (uint64_t)i,
                              .level = i % 2 ? 1 : 6,
                              .text = slice_make(text, sizeof text)};
        OK(store_log_put(st, &l, &bytes, &e));
        CHECK(bytes == 1064);
        sum += bytes;
        l.project = w.user;
        OK(store_log_put(st, &l, &bytes, &e)); /* not this project's function: dropped */
        CHECK(bytes == 0);
    }
    OK(store_logs_grew(st, w.project, sum, &e));
    OK(store_end(st, ERR_OK, &e));
    struct store_log_query q = {
        .project = w.project, .function = w.function, .level = 6, .limit = 100};
    OK(store_logs(st, &q, count_log, &n, &scan, &e));
    CHECK(n == 20);
    CHECK(!scan.more);
    q.run = run, q.level = 1, n = 0;
    OK(store_logs(st, &q, count_log, &n, &scan, &e));
    CHECK(n == 2);
    q = (struct store_log_query){
        .project = w.project, .level = 6, .limit = 100, .since_ms = 110, .until_ms = 112};
    n = 0;
    OK(store_logs(st, &q, count_log, &n, &scan, &e));
    CHECK(n == 2);
    q = (struct store_log_query){.project = w.user, .run = run, .level = 6, .limit = 100};
    n = 0;
    OK(store_logs(st, &q, count_log, &n, &scan, &e));
    CHECK(n == 0); /* another project's run */
    q = (struct store_log_query){.project = w.project, .level = 6, .limit = 100};
    q.text = SLICE("lll"), n = 0;
    OK(store_logs(st, &q, count_log, &n, &scan, &e));
    CHECK(n == 20);
    q.text = SLICE("L"), n = 0;
    OK(store_logs(st, &q, count_log, &n, &scan, &e));
    CHECK(n == 0);
    q = (struct store_log_query){.project = w.project, .level = 6, .limit = 6, .newest = true};
    int pages = 0;
    do {
        OK(store_logs(st, &q, count_log, &n, &scan, &e));
        q.before = scan.at;
    } while (scan.more && ++pages < 10);
    CHECK(n == 20 && pages == 3);
    uint64_t last;
    OK(store_logs_last(st, &last, &e));
    CHECK(last >= 20); /* those that were dropped may have taken ids */

    OK(store_project(st, w.user, SLICE("default"), &p, &e));
    CHECK(p.log_bytes == 20 * (1000 + 64));
    OK(store_begin(st, &e));
    OK(store_logs_trim(st, w.project, 5 * 1064, 1000, &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_project(st, w.user, SLICE("default"), &p, &e));
    CHECK(p.log_bytes == 5 * 1064);
    CHECK(number(st, "SELECT count(*) FROM logs") == 5);

    OK(store_begin(st, &e));
    CHECK(store_logs_expire(st, 1, 3, &e) == ERR_NOT_FOUND);
    OK(store_logs_expire(st, UINT64_MAX >> 1, 3, &e));
    OK(store_logs_expire(st, UINT64_MAX >> 1, 3, &e));
    CHECK(store_logs_expire(st, UINT64_MAX >> 1, 3, &e) == ERR_NOT_FOUND);
    OK(store_end(st, ERR_OK, &e));
    OK(store_project(st, w.user, SLICE("default"), &p, &e));
    CHECK(p.log_bytes == 0);
    end(st);
}

static enum err_code last_line(void *arg, const struct store_log *l, struct err *e)
{
    *(uint64_t *)arg = l->id;
    return ERR_OK;
}

/* A search looks at a bounded number of lines, and goes on where it stopped; `since` is found by
 * the time of storing. */
TEST(logs_bounded)
{
    enum { N = 2 * DB_SCAN + 100 };
    struct store *st = begin();
    struct world w = populate(st);
    struct store_scan scan;
    struct err e;
    uint64_t bytes, found = 0;
    OK(store_begin(st, &e));
    for (int i = 0; i < N; i++)
        OK(store_log_put(st,
                         &(struct store_log){.project = w.project,
                                             .function = w.function,
                                             .at_ms = 1000 + (uint64_t)i,
                                             .level = 6,
                                             .text = i == 7 ? SLICE("needle") : SLICE("hay")},
                         &bytes, &e));
    OK(db_exec(st, "DROP TRIGGER logs_touch; UPDATE logs SET created_at = 1001 + id", &e));
    OK(store_end(st, ERR_OK, &e));
    struct store_log_query q = {.project = w.project,
                                .function = w.function,
                                .level = 6,
                                .text = SLICE("needle"),
                                .limit = 10,
                                .newest = true};
    int pages = 1;
    OK(store_logs(st, &q, last_line, &found, &scan, &e));
    while (scan.more && !found && pages < 10) {
        q.before = scan.at;
        pages++;
        OK(store_logs(st, &q, last_line, &found, &scan, &e));
    }
    CHECK(found == 8 && pages == 3);
    q.before = 0, q.newest = false, found = 0;
    OK(store_logs(st, &q, last_line, &found, &scan, &e));
    CHECK(found == 8 && scan.more && scan.at == DB_SCAN + 1);
    q.text = SLICE(""), q.since_ms = 1000 + N - 3, q.limit = 100, q.newest = true;
    OK(store_logs(st, &q, last_line, &found, &scan, &e));
    CHECK(found == N - 2 && !scan.more); /* all older ones were never looked at */
    end(st);
}

struct connections {
    int n;
    struct store_connection last;
    char project[STORE_NAME + 1], function[STORE_NAME + 1], outcome[32];
};
static void keep_connection(void *arg, const struct store_connection *c)
{
    struct connections *k = arg;
    k->n++;
    k->last = *c;
    slice_copy(c->project_name, k->project, sizeof k->project);
    slice_copy(c->function_name, k->function, sizeof k->function);
    slice_copy(c->outcome, k->outcome, sizeof k->outcome);
}

TEST(journal)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct connections got = {0};
    struct err e;
    OK(store_begin(st, &e));
    for (uint64_t i = 0; i < 20; i++) {
        struct store_connection c = {.at_ms = 1000 + i * 100,
                                     .address = {1, 2, 3, i % 2},
                                     .port = i % 4 < 2 ? 443 : 80,
                                     .scheme = SLICE("https"),
                                     .host = SLICE("api.example"),
                                     .outcome = i == 19 ? SLICE("timeout") : SLICE(""),
                                     .project = w.project,
                                     .function = i == 18 ? uuid_new() : w.function,
                                     .run = uuid_new(),
                                     .sent = i,
                                     .received = 2 * i};
        OK(store_connection_put(st, &c, &e));
    }
    OK(store_end(st, ERR_OK, &e));
    struct store_connection_query q = {
        .address = {1, 2, 3, 1}, .until_ms = UINT64_MAX, .limit = 100};
    OK(store_connections(st, &q, keep_connection, &got, &e));
    CHECK(got.n == 10 && got.last.at_ms == 1100 && got.last.address[3] == 1);
    CHECK_STR(got.function, "hello");
    CHECK_STR(got.project, "default");
    CHECK_STR(got.outcome, "");
    q.limit = 1;
    OK(store_connections(st, &q, keep_connection, &got, &e));
    CHECK(got.n == 11 && got.last.sent == 19 && got.last.received == 38 && got.last.port == 80);
    CHECK_STR(got.outcome, "timeout");
    q = (struct store_connection_query){.address = {1, 2, 3, 0},
                                        .port = 443,
                                        .since_ms = 1400,
                                        .until_ms = 2200,
                                        .before = got.last.id,
                                        .limit = 100};
    got.n = 0;
    OK(store_connections(st, &q, keep_connection, &got, &e));
    CHECK(got.n == 3); /* 4, 8, 12 */
    q = (struct store_connection_query){.address = {1, 2, 3}, .until_ms = UINT64_MAX, .limit = 1};
    OK(store_connections(st, &q, keep_connection, &got, &e));
    CHECK_STR(got.function, ""); /* it is gone; the row stays */
    OK(store_begin(st, &e));
    OK(store_connections_trim(st, 1500, 100, 3, &e));
    OK(store_connections_trim(st, 1500, 100, 3, &e));
    CHECK(store_connections_trim(st, 1500, 100, 3, &e) == ERR_NOT_FOUND);
    CHECK(number(st, "SELECT count(*) FROM connections") == 15);
    OK(store_connections_trim(st, 1500, 10, 3, &e));
    OK(store_connections_trim(st, 1500, 10, 3, &e));
    CHECK(store_connections_trim(st, 1500, 10, 3, &e) == ERR_NOT_FOUND);
    OK(store_end(st, ERR_OK, &e));
    CHECK(number(st, "SELECT count(*) FROM connections") == 10);
    CHECK(number(st, "SELECT min(at) FROM connections") == 2000);
    end(st);
}

struct days {
    int n;
    uint64_t runs;
    struct store_usage last;
    char name[STORE_NAME + 1];
};
static void keep_day(void *arg, const struct store_usage *u)
{
    struct days *d = arg;
    d->n++;
    d->runs += u->counters[STORE_RUNS];
    d->last = *u;
    slice_copy(u->function_name, d->name, sizeof d->name);
}

TEST(sums)
{
    struct store *st = begin();
    struct world w = populate(st);
    struct uuid spool = uuid_new();
    struct store_function f;
    uint64_t counted[STORE_COUNTERS], now[STORE_COUNTERS], taken = 1;
    struct err e;
    OK(store_begin(st, &e));
    OK(store_spool(st, spool, &taken, &e));
    CHECK(taken == 0);
    OK(store_counted(st, spool, w.function, counted, &e));
    CHECK(counted[STORE_RUNS] == 0);
    for (int i = 0; i < STORE_COUNTERS; i++)
        now[i] = 100 + (uint64_t)i;
    OK(store_count(st, spool, w.project, w.function, 20000, counted, now, &e));
    OK(store_spool_taken(st, spool, 4096, &e));
    OK(store_end(st, ERR_OK, &e));
    st = reopen(st);

    /* After a crash the ring says the same, and nothing is added twice. */
    OK(store_counted(st, spool, w.function, counted, &e));
    CHECK(memcmp(counted, now, sizeof now) == 0);
    now[STORE_RUNS] += 7;
    OK(store_begin(st, &e));
    OK(store_spool(st, spool, &taken, &e));
    CHECK(taken == 4096);
    OK(store_count(st, spool, w.project, w.function, 20001, counted, now, &e));
    OK(store_count(st, spool, w.user, w.function, 20001, counted, now, &e)); /* not its project */
    OK(store_end(st, ERR_OK, &e));
    OK(store_function(st, w.project, SLICE("hello"), &f, &e));
    CHECK(f.counters[STORE_RUNS] == 107 && f.counters[STORE_RECEIPTS_LOST] == 115);
    for (int i = 1; i < STORE_COUNTERS; i++)
        CHECK(f.counters[i] == 100 + (uint64_t)i);

    /* What an exec says of itself may be anything: a sum ends somewhere, and the ring goes on. */
    uint64_t much[STORE_COUNTERS];
    struct store_usage_query far = {.project = w.project, .from = 29999, .to = 30000, .limit = 9};
    OK(store_begin(st, &e));
    for (int i = 0; i < STORE_COUNTERS; i++)
        counted[i] = 0, much[i] = i % 2 ? UINT64_MAX : INT64_MAX;
    for (int i = 0; i < 600; i++)
        OK(store_count(st, spool, w.project, w.function, 30000, counted, much, &e));
    OK(store_end(st, ERR_OK, &e));
    OK(store_function(st, w.project, SLICE("hello"), &f, &e));
    OK(store_usage_total(st, &far, much, &e));
    for (int i = 0; i < STORE_COUNTERS; i++)
        CHECK(f.counters[i] == STORE_COUNTER_MOST && much[i] == STORE_DAY_MOST);

    /* The same by day, whatever becomes of the function. */
    struct store_usage_query q = {.project = w.project, .from = 20000, .to = 20001, .limit = 100};
    struct days days = {0};
    uint64_t total[STORE_COUNTERS];
    OK(store_begin(st, &e));
    OK(store_function_delete(st, w.function, &e));
    while (store_function_purge(st, w.function, 100, &e) == ERR_OK &&
           number(st, "SELECT count(*) FROM functions"))
        ;
    OK(store_end(st, ERR_OK, &e));
    OK(store_usage(st, &q, keep_day, &days, &e));
    CHECK(days.n == 2 && days.last.day == 20001 && days.runs == 107);
    CHECK(days.last.counters[STORE_RUNS] == 7 && days.last.counters[STORE_FAILED] == 0);
    OK(store_usage_total(st, &q, total, &e));
    CHECK(total[STORE_RUNS] == 107 && total[STORE_LOG_BYTES] == 118);
    q.to = 20000;
    OK(store_usage_total(st, &q, total, &e));
    CHECK(total[STORE_RUNS] == 100);
    q.to = 20001, q.by_function = true, days = (struct days){0};
    OK(store_usage(st, &q, keep_day, &days, &e));
    CHECK(days.n == 1 && uuid_eq(days.last.function, w.function) && days.last.deleted);
    CHECK(days.runs == 107 && strcmp(days.name, "hello") == 0);
    q.after = w.function, days = (struct days){0};
    OK(store_usage(st, &q, keep_day, &days, &e));
    CHECK(days.n == 0);
    end(st);
}

TEST_MAIN(CASE(migrations), CASE(newer_database), CASE(damaged_database), CASE(triggers),
          CASE(group_commit), CASE(changes), CASE(commits_are_in_the_files), CASE(no_space),
          CASE(names), CASE(versions), CASE(versions_carry), CASE(traffic), CASE(previews),
          CASE(interfaces), CASE(assets), CASE(secrets), CASE(images_of_kinds), CASE(runs),
          CASE(runs_uses), CASE(runs_search), CASE(captures), CASE(logs), CASE(logs_bounded),
          CASE(journal), CASE(sums))
