/* Modules and bundles of assets that projects have uploaded, and compiled images of modules. */
#include "store/sqlite/db.h"

enum err_code store_module_put(struct store *st, struct uuid project,
                               const uint8_t digest[DIGEST_BYTES], uint64_t size, struct err *e)
{
    return query_run(query(st,
                           "INSERT INTO modules (project_id, digest, size) VALUES (?, ?, ?)"
                           " ON CONFLICT DO NOTHING",
                           "udi", project, digest, size),
                     e);
}

enum err_code store_module(struct store *st, struct uuid project,
                           const uint8_t digest[DIGEST_BYTES], uint64_t *ret_size, struct err *e)
{
    struct query q = query(st, "SELECT size FROM modules WHERE project_id = ? AND digest = ?", "ud",
                           project, digest);
    if (query_row(&q))
        *ret_size = col_u64(&q, 0);
    return query_end_least(&q, 1, e);
}

enum err_code store_interface_put(struct store *st, struct uuid project,
                                  const uint8_t digest[DIGEST_BYTES], struct slice interface,
                                  struct err *e)
{
    return query_run(query(st,
                           "UPDATE modules SET interface = ? WHERE project_id = ? AND digest = ?"
                           " AND interface IS NULL",
                           "sud", interface, project, digest),
                     e);
}

enum err_code store_interface(struct store *st, struct uuid project,
                              const uint8_t digest[DIGEST_BYTES], struct buf *out, struct err *e)
{
    struct query q = query(st, "SELECT interface FROM modules WHERE project_id = ? AND digest = ?",
                           "ud", project, digest);
    bool fits = true;
    if (query_row(&q))
        fits = buf_add(out, col_slice(&q, 0).p, col_slice(&q, 0).n);
    enum err_code rc = query_end(&q, e);
    return rc || fits ? rc : err_set(e, ERR_MEMORY, "no memory for a module's interface");
}

enum err_code store_stored(struct store *st, struct uuid project, uint64_t *ret_bytes,
                           struct err *e)
{
    struct query q = query(st,
                           "SELECT (SELECT coalesce(sum(size), 0) FROM modules"
                           " WHERE project_id = ?1) + (SELECT coalesce(sum(size), 0) FROM images"
                           " WHERE project_id = ?1) + (SELECT coalesce(sum(size), 0) FROM assets"
                           " WHERE project_id = ?1)",
                           "u", project);
    if (query_row(&q))
        *ret_bytes = col_u64(&q, 0);
    return query_end(&q, e);
}

#define IMAGE "SELECT project_id, digest, kind, size, hash, memory_min FROM images "

static void read_image(struct query *q, struct store_image *i)
{
    i->project = col_uuid(q, 0);
    col_digest(q, 1, i->digest);
    i->kind = (uint8_t)col_u64(q, 2);
    i->size = col_u64(q, 3);
    col_digest(q, 4, i->hash);
    i->memory_min = col_u64(q, 5);
}

enum err_code store_image_put(struct store *st, const char *engine, const struct store_image *i,
                              struct err *e)
{
    return query_run(query(st,
                           "INSERT INTO images (engine, project_id, digest, kind, size, hash,"
                           " memory_min) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                           " SET size = excluded.size, hash = excluded.hash,"
                           " memory_min = excluded.memory_min",
                           "tudiidi", engine, i->project, i->digest, (uint64_t)i->kind, i->size,
                           i->hash, i->memory_min),
                     e);
}

enum err_code store_image(struct store *st, const char *engine, struct uuid project,
                          const uint8_t digest[DIGEST_BYTES], uint8_t kind,
                          struct store_image *ret_image, struct err *e)
{
    struct query q = query(st,
                           IMAGE "WHERE engine = ? AND project_id = ? AND digest = ?"
                                 " AND kind = ?",
                           "tudi", engine, project, digest, (uint64_t)kind);
    if (query_row(&q))
        read_image(&q, ret_image);
    return query_end_least(&q, 1, e);
}

enum err_code store_image_delete(struct store *st, const char *engine, struct uuid project,
                                 const uint8_t digest[DIGEST_BYTES], uint8_t kind, struct err *e)
{
    return query_run(query(st,
                           "DELETE FROM images WHERE engine = ? AND project_id = ?"
                           " AND digest = ? AND kind = ?",
                           "tudi", engine, project, digest, (uint64_t)kind),
                     e);
}

enum err_code store_images_of_others(struct store *st, const char *engine, struct err *e)
{
    return query_run(query(st, "DELETE FROM images WHERE engine != ?", "t", engine), e);
}

enum err_code store_image_after(struct store *st, const char *engine,
                                const struct store_image *after, struct store_image *ret_image,
                                struct err *e)
{
    struct query q = query(st,
                           IMAGE "WHERE engine = ? AND (project_id, digest, kind) > (?, ?, ?)"
                                 " ORDER BY project_id, digest, kind LIMIT 1",
                           "tudi", engine, after->project, after->digest, (uint64_t)after->kind);
    if (query_row(&q))
        read_image(&q, ret_image);
    return query_end_least(&q, 1, e);
}

enum err_code store_live_after(struct store *st, struct uuid after, struct uuid *ret_version,
                               struct err *e)
{
    struct query q = query(st,
                           "SELECT v.id FROM versions v CROSS JOIN functions f"
                           " ON f.id = v.function_id WHERE v.id > ? AND (f.live_id = v.id"
                           " OR v.id IN (SELECT version_id FROM traffic))"
                           " AND f.deleted_at IS NULL ORDER BY v.id LIMIT 1",
                           "u", after); /* CROSS: in the order of versions, without sorting */
    if (query_row(&q))
        *ret_version = col_uuid(&q, 0);
    return query_end_least(&q, 1, e);
}

enum err_code store_blob_known(struct store *st, const uint8_t digest[DIGEST_BYTES],
                               bool *ret_known, struct err *e)
{
    struct query q = query(st,
                           "SELECT 1 WHERE EXISTS (SELECT 1 FROM modules WHERE digest = ?1)"
                           " OR EXISTS (SELECT 1 FROM assets WHERE digest = ?1)",
                           "d", digest);
    bool known = query_row(&q);
    enum err_code rc = query_end(&q, e);
    if (rc == ERR_OK)
        *ret_known = known;
    return rc;
}

enum err_code store_module_unused(struct store *st, uint64_t before_ms, struct uuid *ret_project,
                                  uint8_t ret_digest[DIGEST_BYTES], struct err *e)
{
    struct query q = query(st,
                           "SELECT m.project_id, m.digest FROM modules m WHERE m.updated_at < ?"
                           " AND NOT EXISTS (SELECT 1 FROM versions v JOIN functions f"
                           " ON f.id = v.function_id WHERE v.digest = m.digest"
                           " AND f.project_id = m.project_id) LIMIT 1",
                           "i", before_ms);
    if (query_row(&q)) {
        *ret_project = col_uuid(&q, 0);
        col_digest(&q, 1, ret_digest);
    }
    return query_end_least(&q, 1, e);
}

static enum err_code still_known(struct store *st, const uint8_t digest[DIGEST_BYTES],
                                 bool *ret_last, struct err *e)
{
    bool known;
    enum err_code rc = store_blob_known(st, digest, &known, e);
    if (rc == ERR_OK)
        *ret_last = !known;
    return rc;
}

enum err_code store_module_delete(struct store *st, struct uuid project,
                                  const uint8_t digest[DIGEST_BYTES], bool *ret_last, struct err *e)
{
    enum err_code rc = query_run(
        query(st, "DELETE FROM images WHERE project_id = ? AND digest = ?", "ud", project, digest),
        e);
    if (rc == ERR_OK)
        rc = query_run(query(st, "DELETE FROM modules WHERE project_id = ? AND digest = ?", "ud",
                             project, digest),
                       e);
    if (rc)
        return rc;
    return still_known(st, digest, ret_last, e);
}

/* ---- assets ---- */

enum err_code store_assets_put(struct store *st, const struct store_assets *a, struct err *e)
{
    return query_run(query(st,
                           "INSERT INTO assets (project_id, digest, size, files)"
                           " VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET files = excluded.files",
                           "udii", a->project, a->digest, a->size, (uint64_t)a->files),
                     e);
}

enum err_code store_assets(struct store *st, struct uuid project,
                           const uint8_t digest[DIGEST_BYTES], struct store_assets *ret_assets,
                           struct err *e)
{
    struct query q = query(st, "SELECT size, files FROM assets WHERE project_id = ? AND digest = ?",
                           "ud", project, digest);
    if (query_row(&q)) {
        *ret_assets = (struct store_assets){
            .project = project, .size = col_u64(&q, 0), .files = (uint32_t)col_u64(&q, 1)};
        memcpy(ret_assets->digest, digest, DIGEST_BYTES);
    }
    return query_end_least(&q, 1, e);
}

enum err_code store_assets_unused(struct store *st, uint64_t before_ms, struct uuid *ret_project,
                                  uint8_t ret_digest[DIGEST_BYTES], struct err *e)
{
    struct query q = query(st,
                           "SELECT a.project_id, a.digest FROM assets a WHERE a.updated_at < ?"
                           " AND NOT EXISTS (SELECT 1 FROM functions f JOIN versions v"
                           " ON v.function_id = f.id WHERE f.project_id = a.project_id"
                           " AND v.assets = a.digest) LIMIT 1",
                           "i", before_ms);
    if (query_row(&q)) {
        *ret_project = col_uuid(&q, 0);
        col_digest(&q, 1, ret_digest);
    }
    return query_end_least(&q, 1, e);
}

enum err_code store_assets_delete(struct store *st, struct uuid project,
                                  const uint8_t digest[DIGEST_BYTES], bool *ret_last, struct err *e)
{
    enum err_code rc = query_run(
        query(st, "DELETE FROM assets WHERE project_id = ? AND digest = ?", "ud", project, digest),
        e);
    return rc ? rc : still_known(st, digest, ret_last, e);
}

/* ---- both ---- */

enum err_code store_unused(struct store *st, uint64_t before_ms, uint64_t dead_ms,
                           struct store_unused *ret_unused, struct err *e)
{
    struct store_unused u = {0};
    struct query q = query(st,
                           "SELECT count(*), coalesce(sum(m.size + coalesce((SELECT sum(i.size)"
                           " FROM images i WHERE i.project_id = m.project_id"
                           " AND i.digest = m.digest), 0)), 0) FROM modules m"
                           " WHERE m.updated_at < ? AND NOT EXISTS (SELECT 1 FROM versions v"
                           " JOIN functions f ON f.id = v.function_id WHERE v.digest = m.digest"
                           " AND f.project_id = m.project_id)",
                           "i", before_ms);
    if (query_row(&q)) {
        u.modules = col_u64(&q, 0);
        u.module_bytes = col_u64(&q, 1);
    }
    enum err_code rc = query_end(&q, e);
    if (rc)
        return rc;
    q = query(st,
              "SELECT count(*), coalesce(sum(a.size), 0) FROM assets a WHERE a.updated_at < ?"
              " AND NOT EXISTS (SELECT 1 FROM functions f JOIN versions v ON v.function_id = f.id"
              " WHERE f.project_id = a.project_id AND v.assets = a.digest)",
              "i", before_ms);
    if (query_row(&q)) {
        u.assets = col_u64(&q, 0);
        u.asset_bytes = col_u64(&q, 1);
    }
    rc = query_end(&q, e);
    if (rc)
        return rc;
    q = query(st, "SELECT count(*) FROM functions WHERE deleted_at < ?", "i", dead_ms);
    if (query_row(&q))
        u.functions = col_u64(&q, 0);
    rc = query_end(&q, e);
    if (rc == ERR_OK)
        *ret_unused = u;
    return rc;
}
