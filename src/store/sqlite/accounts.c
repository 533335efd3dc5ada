/* Users, tokens, projects with their members, settings and the audit trail. */
#include "store/sqlite/db.h"

/* ---- settings and audit ---- */

enum err_code store_setting(struct store *st, const char *key, char *value, size_t cap,
                            struct err *e)
{
    struct query q = query(st, "SELECT value FROM settings WHERE key = ?", "t", key);
    value[0] = '\0';
    if (query_row(&q))
        col_text(&q, 0, value, cap);
    return query_end(&q, e);
}

enum err_code store_setting_put(struct store *st, const char *key, struct slice value,
                                struct err *e)
{
    return query_run(query(st,
                           "INSERT INTO settings (key, value) VALUES (?, ?)"
                           " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                           "ts", key, value),
                     e);
}

enum err_code store_audit(struct store *st, const struct store_actor *who, struct uuid project,
                          const char *action, struct slice object, struct slice detail,
                          struct err *e)
{
    return query_run(query(st,
                           "INSERT INTO audit (user_id, token_id, project_id, action, object,"
                           " detail) VALUES (?, ?, ?, ?, ?, ?)",
                           "UUUtss", who->user, who->token, project, action, object, detail),
                     e);
}

/* ---- users ---- */

#define USER "SELECT id, name, role, created_at, updated_at FROM users "

static void read_user(struct query *q, struct store_user *u)
{
    u->id = col_uuid(q, 0);
    col_text(q, 1, u->name, sizeof u->name);
    col_text(q, 2, u->role, sizeof u->role);
    u->created_ms = col_u64(q, 3);
    u->updated_ms = col_u64(q, 4);
}

enum err_code store_user_put(struct store *st, struct uuid id, struct slice name, const char *role,
                             struct err *e)
{
    return query_run(
        query(st, "INSERT INTO users (id, name, role) VALUES (?, ?, ?)", "ust", id, name, role), e);
}

enum err_code store_user(struct store *st, struct uuid id, struct store_user *ret_user,
                         struct err *e)
{
    struct query q = query(st, USER "WHERE id = ?", "u", id);
    if (query_row(&q))
        read_user(&q, ret_user);
    return query_end_least(&q, 1, e);
}

enum err_code store_operator(struct store *st, struct store_user *ret_user, struct err *e)
{
    struct query q = query(st, USER "WHERE role = 'operator' ORDER BY id LIMIT 1", "");
    if (query_row(&q))
        read_user(&q, ret_user);
    return query_end_least(&q, 1, e);
}

/* ---- tokens ---- */

#define TOKEN                                                                                      \
    "SELECT id, user_id, project_id, name, scopes, expires_at, revoked_at, created_at, updated_at" \
    " FROM tokens "

static void read_token(struct query *q, struct store_token *t)
{
    t->id = col_uuid(q, 0);
    t->user = col_uuid(q, 1);
    t->project = col_uuid(q, 2);
    col_text(q, 3, t->name, sizeof t->name);
    t->scopes = (uint32_t)col_u64(q, 4);
    t->expires_ms = col_u64(q, 5);
    t->revoked_ms = col_u64(q, 6);
    t->created_ms = col_u64(q, 7);
    t->updated_ms = col_u64(q, 8);
}

enum err_code store_token_put(struct store *st, const struct store_token *t, struct err *e)
{
    return query_run(query(st,
                           "INSERT INTO tokens (id, user_id, project_id, name, scopes, expires_at)"
                           " VALUES (?, ?, ?, ?, ?, ?)",
                           "uuUtii", t->id, t->user, t->project, t->name, (uint64_t)t->scopes,
                           t->expires_ms),
                     e);
}

enum err_code store_token(struct store *st, struct uuid id, struct store_token *ret_token,
                          struct err *e)
{
    struct query q = query(st, TOKEN "WHERE id = ?", "u", id);
    if (query_row(&q))
        read_token(&q, ret_token);
    return query_end_least(&q, 1, e);
}

enum err_code store_token_revoke(struct store *st, struct uuid user, struct uuid id, struct err *e)
{
    return query_run_one(query(st,
                               "UPDATE tokens SET revoked_at ="
                               " CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER)"
                               " WHERE id = ? AND user_id = ? AND revoked_at IS NULL",
                               "uu", id, user),
                         e);
}

enum err_code store_token_count(struct store *st, struct uuid user, uint64_t *ret_count,
                                struct err *e)
{
    struct query q = query(
        st, "SELECT count(*) FROM tokens WHERE user_id = ? AND revoked_at IS NULL", "u", user);
    if (query_row(&q))
        *ret_count = col_u64(&q, 0);
    return query_end(&q, e);
}

enum err_code store_tokens(struct store *st, struct uuid user, struct uuid after, uint32_t limit,
                           void (*each)(void *arg, const struct store_token *t), void *arg,
                           struct err *e)
{
    struct query q = query(st,
                           TOKEN "WHERE user_id = ? AND id > ? AND revoked_at IS NULL"
                                 " ORDER BY id LIMIT ?",
                           "uui", user, after, (uint64_t)limit);
    while (query_row(&q)) {
        struct store_token t;
        read_token(&q, &t);
        each(arg, &t);
    }
    return query_end(&q, e);
}

/* ---- projects ---- */

#define PROJECT                                                                                    \
    "SELECT p.id, p.owner_id, p.name, p.log_bytes, p.created_at, p.updated_at"                     \
    " FROM projects p JOIN members m ON m.project_id = p.id "

static void read_project(struct query *q, struct store_project *p)
{
    p->id = col_uuid(q, 0);
    p->owner = col_uuid(q, 1);
    col_text(q, 2, p->name, sizeof p->name);
    p->log_bytes = col_u64(q, 3);
    p->created_ms = col_u64(q, 4);
    p->updated_ms = col_u64(q, 5);
}

enum err_code store_project_put(struct store *st, struct uuid id, struct slice name,
                                struct uuid owner, struct err *e)
{
    enum err_code rc =
        query_run(query(st, "INSERT INTO projects (id, name, owner_id) VALUES (?, ?, ?)", "usu", id,
                        name, owner),
                  e);
    if (rc == ERR_CONFLICT)
        return err_set(e, rc, "the project name \"%.*s\" is taken", SLICE_ARG(name));
    if (rc)
        return rc;
    return query_run(query(st,
                           "INSERT INTO members (project_id, user_id, role)"
                           " VALUES (?, ?, 'owner')",
                           "uu", id, owner),
                     e);
}

enum err_code store_project(struct store *st, struct uuid user, struct slice name_or_id,
                            struct store_project *ret_project, struct err *e)
{
    struct uuid id;
    struct query q =
        uuid_parse(name_or_id, &id)
            ? query(st, PROJECT "WHERE m.user_id = ? AND p.id = ?", "uu", user, id)
            : query(st, PROJECT "WHERE m.user_id = ? AND p.name = ?", "us", user, name_or_id);
    if (query_row(&q))
        read_project(&q, ret_project);
    return query_end_least(&q, 1, e);
}

enum err_code store_projects(struct store *st, struct uuid user, struct slice after, uint32_t limit,
                             void (*each)(void *arg, const struct store_project *p), void *arg,
                             struct err *e)
{
    struct query q = query(st, PROJECT "WHERE m.user_id = ? AND p.name > ? ORDER BY p.name LIMIT ?",
                           "usi", user, after, (uint64_t)limit);
    while (query_row(&q)) {
        struct store_project p;
        read_project(&q, &p);
        each(arg, &p);
    }
    return query_end(&q, e);
}
