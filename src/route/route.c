#include "route/route.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Two LMDB databases in one file: "routes" (name → row) and "meta", whose key "head" holds the
 * format and the generation. The map is sparse: its size is address space, not disk. */

enum {
    ROW_MAGIC = 0x31525457, /* "WTR1" */
    ROW_LIMIT = 2 << 20,    /* bytes of one row: four versions of at most 200 KiB each */
    FORMAT_VERSION = 3,
    SEAL = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
};
#define MAP_BYTES (8ull << 30)

_Static_assert(ROUTE_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "one key size");

struct row_head {
    uint32_t magic, bytes; /* the whole row */
    uint8_t checksum[16];  /* BLAKE2b of everything after this struct and of the fields below */
    uint8_t state, sealed, open, silent;
    uint32_t version_count, concurrency;
    uint64_t until_ms;
    uint32_t preview, reserved;
    struct uuid function, project;
    char name[ROUTE_NAME + 8];
};

struct version_head {
    struct uuid id;
    uint32_t number, weight;
    uint8_t response, timing, reserved[2];
    uint32_t load_bytes; /* of the encoding that follows, sealed or not */
    uint8_t nonce[NONCE];
};

struct meta {
    uint32_t format, limit_count;
    uint64_t generation;
    uint8_t public_key[ROUTE_PUBLIC_BYTES];
};

struct route_table {
    MDB_env *env;
    MDB_dbi routes, meta;
    MDB_txn *reader; /* kept between reads, reset: renewing it costs no system call */
    MDB_txn *writer;
    uint8_t key[ROUTE_KEY_BYTES];
    uint8_t public_key[ROUTE_PUBLIC_BYTES]; /* of a writer */
};

/* ---- rows ---- */

void route_row_done(struct route_row *row)
{
    if (row->memory)
        sodium_memzero(row->memory, row->size);
    free(row->memory);
    row->memory = NULL;
    row->version_count = 0;
}

static void checksum(const char *row, uint32_t bytes, uint8_t out[16])
{
    size_t skip = offsetof(struct row_head, state);
    crypto_generichash(out, 16, (const uint8_t *)row + skip, bytes - skip, NULL, 0);
}

static bool put_version(const struct route_row *row, const struct route_version *v,
                        const uint8_t *key, struct buf *out)
{
    struct buf load;
    struct version_head h = {.id = v->id,
                             .number = v->number,
                             .weight = v->weight,
                             .response = v->response,
                             .timing = v->timing};
    buf_init(&load, ROW_LIMIT);
    bool ok = version_load_write(&v->load, &load);
    size_t n = buf_size(&load);
    h.load_bytes = (uint32_t)(key ? n + SEAL : n);
    if (key)
        randombytes_buf(h.nonce, sizeof h.nonce);
    ok = ok && buf_add(out, &h, sizeof h);
    char *at = ok ? buf_reserve(out, h.load_bytes) : NULL;
    if (at && key)
        crypto_aead_xchacha20poly1305_ietf_encrypt(
            (uint8_t *)at, NULL, (const uint8_t *)buf_data(&load), n, row->function.b,
            sizeof row->function.b, NULL, h.nonce, key);
    else if (at)
        memcpy(at, buf_data(&load), n);
    if (at)
        buf_commit(out, h.load_bytes);
    if (load.p)
        sodium_memzero(load.p, load.cap);
    buf_done(&load);
    return at != NULL;
}

bool route_row_write(const struct route_row *row, const uint8_t *key, struct buf *out)
{
    struct row_head h = {.magic = ROW_MAGIC,
                         .state = row->state,
                         .sealed = key != NULL,
                         .open = row->open,
                         .silent = row->silent,
                         .until_ms = row->until_ms,
                         .preview = row->preview,
                         .version_count = row->version_count,
                         .concurrency = row->concurrency,
                         .function = row->function,
                         .project = row->project};
    size_t start = buf_size(out);
    snprintf(h.name, sizeof h.name, "%s", row->name);
    if (!buf_add(out, &h, sizeof h))
        return false;
    for (uint32_t i = 0; i < row->version_count; i++)
        if (!put_version(row, &row->versions[i], key, out))
            return false;
    char *whole = buf_data(out) + start;
    h.bytes = (uint32_t)(buf_size(out) - start);
    checksum(whole, h.bytes, h.checksum);
    memcpy(whole, &h, sizeof h);
    return true;
}

static enum err_code damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_CONFLICT, "a row of the route table is damaged: %s", what);
}

enum err_code route_row_read(struct slice bytes, const uint8_t *key, struct route_row *ret_row,
                             struct err *e)
{
    struct row_head h;
    uint8_t sum[16];
    if (bytes.n < sizeof h)
        return damaged(e, "too short");
    memcpy(&h, bytes.p, sizeof h);
    if (h.magic != ROW_MAGIC || h.bytes != bytes.n || h.version_count > ROUTE_VERSIONS ||
        h.state > ROUTE_CAPPED || h.sealed != (key != NULL) || h.open > 1 || h.silent > 1 ||
        h.reserved || strnlen(h.name, sizeof h.name) > ROUTE_NAME)
        return damaged(e, "its head");
    checksum(bytes.p, h.bytes, sum);
    if (memcmp(sum, h.checksum, sizeof sum))
        return damaged(e, "its checksum");

    struct route_row row = {.function = h.function,
                            .project = h.project,
                            .state = h.state,
                            .concurrency = h.concurrency,
                            .version_count = h.version_count,
                            .preview = h.preview,
                            .open = h.open,
                            .silent = h.silent,
                            .until_ms = h.until_ms};
    memcpy(row.name, h.name, sizeof row.name);
    char *at = malloc(bytes.n); /* the loads, unsealed, one after another */
    if (!at)
        return err_set(e, ERR_MEMORY, "no memory for a row of the route table");
    row.memory = at;
    row.size = bytes.n;

    enum err_code rc = ERR_OK;
    struct slice rest = slice_from(bytes, sizeof h);
    for (uint32_t i = 0; i < h.version_count && rc == ERR_OK; i++) {
        struct version_head vh;
        if (rest.n < sizeof vh) {
            rc = damaged(e, "a version");
            break;
        }
        memcpy(&vh, rest.p, sizeof vh);
        rest = slice_from(rest, sizeof vh);
        if (vh.load_bytes > rest.n || (key && vh.load_bytes < SEAL)) {
            rc = damaged(e, "a version's length");
            break;
        }
        size_t n = vh.load_bytes;
        if (key) {
            n -= SEAL;
            if (crypto_aead_xchacha20poly1305_ietf_decrypt(
                    (uint8_t *)at, NULL, NULL, (const uint8_t *)rest.p, vh.load_bytes, h.function.b,
                    sizeof h.function.b, vh.nonce, key)) {
                rc = damaged(e, "a version's seal (another node key?)");
                break;
            }
        } else {
            memcpy(at, rest.p, n);
        }
        struct route_version *v = &row.versions[i];
        *v = (struct route_version){.id = vh.id,
                                    .number = vh.number,
                                    .weight = vh.weight,
                                    .response = vh.response,
                                    .timing = vh.timing};
        rc = version_load_read(slice_make(at, n), &v->load, e);
        at += n;
        rest = slice_from(rest, vh.load_bytes);
    }
    if (rc == ERR_OK && rest.n)
        rc = damaged(e, "bytes after its end");
    if (rc) {
        route_row_done(&row);
        return rc;
    }
    *ret_row = row;
    return ERR_OK;
}

/* ---- the table ---- */

static enum err_code lmdb_err(struct err *e, int rc, const char *what)
{
    enum err_code code = rc == ENOSPC || rc == MDB_MAP_FULL ? ERR_DISK_FULL
                         : rc == MDB_CORRUPTED || rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH ||
                                 rc == MDB_PAGE_NOTFOUND || rc == MDB_PANIC
                             ? ERR_CONFLICT
                             : ERR_IO;
    return err_set(e, code, "route table: %s: %s", what, mdb_strerror(rc));
}

static MDB_val val(struct slice s)
{
    return (MDB_val){.mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p};
}

static enum err_code read_meta(struct route_table *t, MDB_txn *txn, struct meta *ret_meta,
                               struct err *e)
{
    MDB_val k = val(SLICE("head")), v;
    int rc = mdb_get(txn, t->meta, &k, &v);
    if (rc)
        return lmdb_err(e, rc, "read");
    if (v.mv_size != sizeof *ret_meta)
        return err_set(e, ERR_CONFLICT, "the route table is of another format");
    memcpy(ret_meta, v.mv_data, sizeof *ret_meta);
    if (ret_meta->format != FORMAT_VERSION || ret_meta->limit_count != LIMIT_COUNT)
        return err_set(e, ERR_CONFLICT, "the route table is of another format");
    return ERR_OK;
}

static enum err_code write_meta(struct route_table *t, MDB_txn *txn, uint64_t generation,
                                struct err *e)
{
    struct meta m = {
        .format = FORMAT_VERSION, .limit_count = LIMIT_COUNT, .generation = generation};
    memcpy(m.public_key, t->public_key, sizeof m.public_key);
    MDB_val k = val(SLICE("head")), v = {.mv_size = sizeof m, .mv_data = &m};
    int rc = mdb_put(txn, t->meta, &k, &v, 0);
    return rc ? lmdb_err(e, rc, "write") : ERR_OK;
}

/* The two databases exist after this; a writer makes them. */
static enum err_code open_databases(struct route_table *t, bool write, struct err *e)
{
    MDB_txn *txn;
    struct meta m;
    unsigned create = write ? MDB_CREATE : 0;
    int rc = mdb_txn_begin(t->env, NULL, write ? 0 : MDB_RDONLY, &txn);
    if (rc)
        return lmdb_err(e, rc, "begin");
    rc = mdb_dbi_open(txn, "routes", create, &t->routes);
    if (!rc)
        rc = mdb_dbi_open(txn, "meta", create, &t->meta);
    enum err_code code = rc ? lmdb_err(e, rc, "open") : ERR_OK;
    MDB_val k = val(SLICE("head")), v;
    if (!code && write && mdb_get(txn, t->meta, &k, &v) == MDB_NOTFOUND)
        code = write_meta(t, txn, 0, e);
    if (!code)
        code = read_meta(t, txn, &m, e);
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    rc = mdb_txn_commit(txn);
    return rc ? lmdb_err(e, rc, "commit") : ERR_OK;
}

static int file_of(const struct route_table *t)
{
    int fd = -1;
    return mdb_env_get_fd(t->env, &fd) ? -1 : fd;
}

enum err_code route_table_open(int folder, bool write, const uint8_t key[ROUTE_KEY_BYTES],
                               struct route_table **ret_table, struct err *e)
{
    char path[64];
    struct route_table *t = calloc(1, sizeof *t);
    if (!t || sodium_init() < 0) {
        free(t);
        return err_set(e, ERR_MEMORY, "no memory for the route table");
    }
    memcpy(t->key, key, sizeof t->key);
    snprintf(path, sizeof path, "/proc/self/fd/%d/routes.mdb", folder);
    int rc = mdb_env_create(&t->env);
    if (!rc)
        rc = mdb_env_set_mapsize(t->env, MAP_BYTES);
    if (!rc)
        rc = mdb_env_set_maxdbs(t->env, 2);
    if (!rc)
        rc = mdb_env_set_maxreaders(t->env, 1024);
    if (!rc)
        rc = mdb_env_open(t->env, path,
                          MDB_NOSUBDIR | MDB_NOTLS | (write ? MDB_NOSYNC : MDB_RDONLY), 0640);
    enum err_code code = rc ? lmdb_err(e, rc, "open") : open_databases(t, write, e);
    if (!code && write && fchmod(file_of(t), 0640) < 0)
        code = err_errno(e, "route table: permissions");
    if (!code && !write) {
        rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &t->reader);
        if (rc)
            code = lmdb_err(e, rc, "begin");
        else
            mdb_txn_reset(t->reader);
    }
    if (code) {
        route_table_close(t);
        return code;
    }
    if (write) {
        int dead;
        mdb_reader_check(t->env, &dead); /* slots of edges that were killed */
    }
    *ret_table = t;
    return ERR_OK;
}

void route_table_close(struct route_table *t)
{
    if (!t)
        return;
    route_abort(t);
    if (t->reader)
        mdb_txn_abort(t->reader);
    if (t->env)
        mdb_env_close(t->env);
    sodium_memzero(t->key, sizeof t->key);
    free(t);
}

bool route_table_replaced(const struct route_table *t, int folder)
{
    struct stat ours, there;
    return fstat(file_of(t), &ours) < 0 ||
           fstatat(folder, "routes.mdb", &there, AT_SYMLINK_NOFOLLOW) < 0 ||
           ours.st_ino != there.st_ino || ours.st_dev != there.st_dev;
}

/* Pages beyond the file's end would be a signal, not an error. */
static enum err_code check_length(struct route_table *t, struct err *e)
{
    MDB_envinfo info;
    MDB_stat pages;
    struct stat st;
    if (mdb_env_info(t->env, &info) || mdb_env_stat(t->env, &pages) || fstat(file_of(t), &st) < 0)
        return err_set(e, ERR_CONFLICT, "the route table can't be looked at");
    return (uint64_t)st.st_size / pages.ms_psize > info.me_last_pgno
               ? ERR_OK
               : err_set(e, ERR_CONFLICT, "the route table was cut short");
}

static enum err_code check_row(struct slice row, struct err *e)
{
    struct row_head h;
    uint8_t sum[16];
    if (row.n < sizeof h)
        return damaged(e, "too short");
    memcpy(&h, row.p, sizeof h);
    if (h.magic != ROW_MAGIC || h.bytes != row.n)
        return damaged(e, "its head");
    checksum(row.p, h.bytes, sum);
    return memcmp(sum, h.checksum, sizeof sum) ? damaged(e, "its checksum") : ERR_OK;
}

enum err_code route_table_check(struct route_table *t, struct err *e)
{
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    MDB_stat tree;
    MDB_val k, v;
    struct meta m;
    size_t rows = 0;
    enum err_code code = check_length(t, e);
    if (code)
        return code;
    int rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return lmdb_err(e, rc, "begin");
    code = read_meta(t, txn, &m, e);
    if (!code)
        rc = mdb_stat(txn, t->routes, &tree);
    if (!code && !rc)
        rc = mdb_cursor_open(txn, t->routes, &cursor);
    while (!code && !rc && !(rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))) {
        rows++;
        code = check_row(slice_make(v.mv_data, v.mv_size), e);
    }
    if (!code && rc != MDB_NOTFOUND)
        code = err_set(e, ERR_CONFLICT, "route table: check: %s", mdb_strerror(rc));
    if (!code && rows != tree.ms_entries)
        code = err_set(e, ERR_CONFLICT, "the route table lacks rows");
    if (cursor)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return code;
}

enum err_code route_table_reset(int folder, struct err *e)
{
    static const char *const names[] = {"routes.mdb", "routes.mdb-lock"};
    for (int i = 0; i < 2; i++)
        if (unlinkat(folder, names[i], 0) < 0 && errno != ENOENT)
            return err_errno(e, "%s", names[i]);
    return ERR_OK;
}

/* Runs `fn`'s part of a read: a renewed snapshot, given back at once. A writer reads with a
 * transaction of its own. */
static MDB_txn *read_begin(struct route_table *t, int *ret_rc)
{
    MDB_txn *txn = t->reader;
    if (txn)
        *ret_rc = mdb_txn_renew(txn);
    else
        *ret_rc = mdb_txn_begin(t->env, NULL, MDB_RDONLY, &txn);
    return *ret_rc ? NULL : txn;
}

static void read_end(struct route_table *t, MDB_txn *txn)
{
    if (txn == t->reader)
        mdb_txn_reset(txn);
    else
        mdb_txn_abort(txn);
}

static struct meta meta_now(struct route_table *t)
{
    const struct meta unreadable = {.generation = UINT64_MAX};
    struct meta m = unreadable;
    int rc;
    MDB_txn *txn = read_begin(t, &rc);
    if (txn && read_meta(t, txn, &m, NULL))
        m = unreadable;
    if (txn)
        read_end(t, txn);
    return m;
}

uint64_t route_generation(struct route_table *t)
{
    return meta_now(t).generation;
}

void route_public_key(struct route_table *t, uint8_t ret_key[ROUTE_PUBLIC_BYTES])
{
    struct meta m = meta_now(t);
    memcpy(ret_key, m.public_key, sizeof m.public_key);
}

void route_public_key_set(struct route_table *t, const uint8_t key[ROUTE_PUBLIC_BYTES])
{
    memcpy(t->public_key, key, sizeof t->public_key);
}

void route_key_name(const char *name, uint32_t preview, char out[ROUTE_KEY_NAME + 1])
{
    snprintf(out, ROUTE_KEY_NAME + 1, preview ? "%.40s--%u" : "%.40s", name, preview);
}

enum err_code route_get(struct route_table *t, struct slice name, struct route_row *ret_row,
                        struct err *e)
{
    int rc;
    if (name.n == 0 || name.n > ROUTE_KEY_NAME)
        return err_set(e, ERR_NOT_FOUND, "no function has such a name");
    MDB_txn *txn = read_begin(t, &rc);
    if (!txn)
        return lmdb_err(e, rc, "begin");
    MDB_val k = val(name), v;
    rc = mdb_get(txn, t->routes, &k, &v);
    enum err_code code =
        rc == MDB_NOTFOUND
            ? err_set(e, ERR_NOT_FOUND, "there is no function \"%.*s\"", SLICE_ARG(name))
        : rc ? lmdb_err(e, rc, "read")
             : route_row_read(slice_make(v.mv_data, v.mv_size), t->key, ret_row, e);
    read_end(t, txn);
    return code;
}

enum err_code route_begin(struct route_table *t, struct err *e)
{
    if (t->writer)
        return err_set(e, ERR_INTERNAL, "route table: a publication is open already");
    int rc = mdb_txn_begin(t->env, NULL, 0, &t->writer);
    return rc ? lmdb_err(e, rc, "begin") : ERR_OK;
}

enum err_code route_put(struct route_table *t, const struct route_row *row, struct err *e)
{
    struct buf out;
    char name[ROUTE_KEY_NAME + 1];
    route_key_name(row->name, row->preview, name);
    buf_init(&out, ROW_LIMIT);
    if (!t->writer || !route_row_write(row, t->key, &out)) {
        buf_done(&out);
        return err_set(e, ERR_INTERNAL, "route table: the row of %s can't be written", row->name);
    }
    MDB_val k = val(slice_str(name)), v = {.mv_size = buf_size(&out), .mv_data = out.p};
    int rc = mdb_put(t->writer, t->routes, &k, &v, 0);
    buf_done(&out);
    return rc ? lmdb_err(e, rc, "write") : ERR_OK;
}

enum err_code route_delete(struct route_table *t, struct slice name, struct err *e)
{
    MDB_val k = val(name);
    if (!t->writer)
        return err_set(e, ERR_INTERNAL, "route table: no publication is open");
    int rc = mdb_del(t->writer, t->routes, &k, NULL);
    return rc && rc != MDB_NOTFOUND ? lmdb_err(e, rc, "delete") : ERR_OK;
}

enum err_code route_delete_previews(struct route_table *t, const char *name, struct err *e)
{
    char prefix[ROUTE_KEY_NAME + 1];
    MDB_cursor *at;
    if (!t->writer)
        return err_set(e, ERR_INTERNAL, "route table: no publication is open");
    int n = snprintf(prefix, sizeof prefix, "%.40s--", name);
    struct slice start = slice_make(prefix, (size_t)n);
    MDB_val k, v;
    int rc = mdb_cursor_open(t->writer, t->routes, &at);
    if (rc)
        return lmdb_err(e, rc, "delete");
    do {
        k = val(start);
        rc = mdb_cursor_get(at, &k, &v, MDB_SET_RANGE);
        if (!rc && !slice_starts(slice_make(k.mv_data, k.mv_size), start))
            rc = MDB_NOTFOUND;
        if (!rc)
            rc = mdb_cursor_del(at, 0);
    } while (!rc);
    mdb_cursor_close(at);
    return rc && rc != MDB_NOTFOUND ? lmdb_err(e, rc, "delete") : ERR_OK;
}

enum err_code route_commit(struct route_table *t, uint64_t generation, struct err *e)
{
    if (!t->writer)
        return err_set(e, ERR_INTERNAL, "route table: no publication is open");
    enum err_code code = write_meta(t, t->writer, generation, e);
    if (code) {
        route_abort(t);
        return code;
    }
    int rc = mdb_txn_commit(t->writer);
    t->writer = NULL;
    return rc ? lmdb_err(e, rc, "commit") : ERR_OK;
}

enum err_code route_sync(struct route_table *t, struct err *e)
{
    int rc = mdb_env_sync(t->env, 1);
    return rc ? lmdb_err(e, rc, "sync") : ERR_OK;
}

void route_abort(struct route_table *t)
{
    if (t->writer)
        mdb_txn_abort(t->writer);
    t->writer = NULL;
}
