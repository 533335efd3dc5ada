/* The route table, as its only writer.
 *
 * The database says which functions changed at which generation; after each
 * COMMIT those newer than the table are written to it in one transaction. The
 * same loop replays what a crash left unpublished, and rebuilds the table when
 * it is missing, damaged, ahead of the database (which was then restored from a
 * backup), or was made under other limits or another key. */
#include "roles/control.h"

#include "api/secrets.h"
#include "base/clock.h"
#include "base/log.h"
#include "policy/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AGAIN_US = 1000000, BOOT_ID = CONTROL_BOOT_ID };

static enum err_code before_commit(struct control *c, struct err *e) MUST_CHECK;
static unsigned begin_touch(struct control *c);
static void end_touch(struct control *c);

/* What a version of a row points into. */
struct texts {
    struct buf env, policy;
};

struct making {
    struct control *control;
    struct route_row *row;
    struct buf args;
    struct texts texts[ROUTE_VERSIONS]; /* of row->versions */
    uint32_t weight;                    /* of the next version */
};

static void making_init(struct making *m, struct control *c, struct route_row *row)
{
    m->control = c;
    m->row = row;
    m->weight = 1;
    buf_init(&m->args, STORE_NAME + 1);
    for (int i = 0; i < ROUTE_VERSIONS; i++) {
        buf_init_private(&m->texts[i].env, ENV_ALL + 1);
        buf_init(&m->texts[i].policy, POLICY_TEXT + 1);
    }
}

static void making_done(struct making *m)
{
    buf_done(&m->args);
    for (int i = 0; i < ROUTE_VERSIONS; i++) {
        buf_done(&m->texts[i].env);
        buf_done(&m->texts[i].policy);
    }
}

/* A row without versions; its arguments are the name. */
static enum err_code begin_row(struct making *m, const struct store_function *f, struct err *e)
{
    *m->row = (struct route_row){
        .function = f->id,
        .project = f->project,
        .state = ROUTE_NO_VERSION,
        .concurrency = (uint32_t)m->control->options.limits.v[LIMIT_PROJECT_CONCURRENCY]};
    memcpy(m->row->name, f->name, sizeof m->row->name);
    buf_clear(&m->args);
    return buf_add(&m->args, f->name, strlen(f->name) + 1)
               ? ERR_OK
               : err_set(e, ERR_MEMORY, "no memory for a route");
}

/* Everything that goes into a version's load and must outlive the settings. */
static enum err_code add_texts(struct making *m, const struct version_settings *s, struct texts *t,
                               struct version_load *load, struct err *e)
{
    struct slice policy = settings_policy(s);
    buf_clear(&t->env);
    buf_clear(&t->policy);
    if (!settings_env(s, &t->env) || !buf_add(&t->policy, policy.p, policy.n))
        return err_set(e, ERR_MEMORY, "no memory for a route");
    enum err_code rc = secrets_add(&m->control->api, m->row->project, s->secrets, &t->env,
                                   &load->secrets, &load->revision, e);
    if (rc)
        return rc;
    load->env = buf_slice(&t->env);
    load->policy = buf_slice(&t->policy);
    if (policy.n) /* what is stored is the canonical form, and so what the digest is of */
        crypto_hash_sha256(load->policy_digest, (const unsigned char *)policy.p, policy.n);
    return ERR_OK;
}

/* Adds it to the row, with m->weight. */
static enum err_code add_version(void *arg, const struct store_version *v, struct err *e)
{
    struct making *m = arg;
    struct control *c = m->control;
    struct route_row *row = m->row;
    struct version_settings s;
    if (row->version_count == ROUTE_VERSIONS)
        return err_set(e, ERR_INTERNAL, "more than %d versions in a route", ROUTE_VERSIONS);
    enum err_code rc = settings_read(&s, v, c->api.secrets, e);
    if (rc)
        return rc;
    struct route_version *rv = &row->versions[row->version_count];
    *rv = (struct route_version){.id = v->id,
                                 .number = v->number,
                                 .weight = m->weight,
                                 .response = v->response,
                                 .timing = v->timing,
                                 .load = {.kind = (uint8_t)settings_kind(&s, &c->options.limits),
                                          .capture = v->capture,
                                          .id = v->id,
                                          .function = v->function,
                                          .args = buf_slice(&m->args)}};
    memcpy(rv->load.digest, v->digest, sizeof rv->load.digest);
    memcpy(rv->load.assets, v->assets, sizeof rv->load.assets);
    settings_limits(&s, &c->options.limits, &rv->load.limits);
    rc = add_texts(m, &s, &m->texts[row->version_count], &rv->load, e);
    settings_done(&s);
    if (rc)
        return rc;
    row->state = ROUTE_LIVE;
    row->version_count++;
    return ERR_OK;
}

/* ---- publishing ---- */

struct publishing {
    struct making *making;
    const struct store_function *function;
};

static enum err_code publish_preview(void *arg, const struct store_preview *p, struct err *e)
{
    struct publishing *of = arg;
    struct making *m = of->making;
    struct err why;
    m->weight = 1;
    enum err_code rc = begin_row(m, of->function, &why);
    if (rc == ERR_OK)
        rc = store_version(m->control->api.store, p->version, add_version, m, &why);
    if (rc) { /* the others go on; this one is not found */
        log_line(LOG_ERROR, "route_preview", "function=%s version=%u error=\"%s\"",
                 of->function->name, p->number, why.text);
        return ERR_OK;
    }
    m->row->preview = p->number;
    m->row->open = p->open;
    m->row->until_ms = p->open ? 0 : p->until_ms;
    return route_put(m->control->routes, m->row, e);
}

/* The function's own row, with all versions that share its requests. */
static enum err_code publish_live(struct making *m, const struct store_function *f, struct err *e)
{
    struct control *c = m->control;
    struct store_share shares[STORE_SHARES];
    struct err why;
    uint32_t n = 0;
    enum err_code rc = begin_row(m, f, e);
    if (rc == ERR_OK)
        rc = store_shares(c->api.store, f->id, shares, &n, e);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < n; i++) {
        m->weight = shares[i].percent;
        if (store_version(c->api.store, shares[i].version, add_version, m, &why))
            /* The others go on; without any the function answers that it has no version. */
            log_line(LOG_ERROR, "route_version", "function=%s version=%u error=\"%s\"", f->name,
                     shares[i].number, why.text);
    }
    return route_put(c->routes, m->row, e);
}

static enum err_code publish_one(void *arg, const struct store_function *f, struct err *e)
{
    struct making *m = arg;
    struct control *c = m->control;
    enum err_code rc = route_delete_previews(c->routes, f->name, e);
    if (rc == ERR_OK && f->deleted_ms)
        return route_delete(c->routes, slice_str(f->name), e);
    if (rc == ERR_OK)
        rc = publish_live(m, f, e);
    struct publishing of = {.making = m, .function = f};
    return rc ? rc
              : store_previews(c->api.store, f->id, clock_real_us() / 1000, publish_preview, &of,
                               e);
}

static enum err_code publish(struct control *c, uint64_t since, uint64_t generation, struct err *e)
{
    struct route_row row;
    struct making m;
    making_init(&m, c, &row);
    enum err_code rc = before_commit(c, e);
    if (rc == ERR_OK)
        rc = route_begin(c->routes, e);
    if (rc == ERR_OK) {
        rc = store_functions_since(c->api.store, since, publish_one, &m, e);
        if (rc == ERR_OK)
            rc = route_commit(c->routes, generation, e);
        else
            route_abort(c->routes);
    }
    making_done(&m);
    return rc;
}

static void on_again(struct loop_timer *t)
{
    control_routes_publish(LIST_ITEM(t, struct control, publish_again));
}

void control_routes_publish(void *control)
{
    struct control *c = control;
    uint64_t generation;
    struct err e;
    enum err_code rc = store_generation(c->api.store, &generation, &e);
    if (rc == ERR_OK && generation != c->published) {
        (void)begin_touch(c);
        rc = publish(c, c->published, generation, &e);
        end_touch(c);
    }
    if (rc == ERR_CONFLICT || rc == ERR_IO) { /* damaged? then everything is published anew */
        c->checked_us = 0;
        control_routes_check(c);
        if (c->published == generation)
            rc = ERR_OK;
    }
    c->behind = rc;
    if (rc) {
        log_line(LOG_ERROR, "routes_publish", "error=\"%s\"", e.text);
        loop_timer_start(c->loop, &c->publish_again, loop_now(c->loop) + AGAIN_US, on_again);
        return;
    }
    if (generation != c->published) {
        c->published = generation;
        control_edges_tell(c);
    }
}

static enum err_code row_of_version(void *arg, const struct store_version *v, struct err *e)
{
    struct making *m = arg;
    struct store_function f;
    char id[UUID_TEXT + 1];
    uuid_text(v->function, id);
    enum err_code rc = store_function(m->control->api.store, v->project, slice_str(id), &f, e);
    if (rc == ERR_OK)
        rc = begin_row(m, &f, e);
    return rc ? rc : add_version(m, v, e);
}

enum err_code control_routes_version(struct control *c, struct uuid version, bool silent,
                                     struct buf *out, struct err *e)
{
    struct route_row row;
    struct making m;
    making_init(&m, c, &row);
    enum err_code rc = store_version(c->api.store, version, row_of_version, &m, e);
    row.silent = silent;
    if (rc == ERR_OK && !route_row_write(&row, NULL, out))
        rc = err_set(e, ERR_MEMORY, "no memory for a route");
    making_done(&m);
    return rc;
}

/* What every row depends on beside its function: the node's limits and the key that seals; and
 * the key that links to previews are judged by. */
static void made_with(const struct control *c, char out[DIGEST_TEXT + 1])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const unsigned char *)&c->options.limits,
                              sizeof c->options.limits);
    crypto_hash_sha256_update(&state, c->node_key, sizeof c->node_key);
    crypto_hash_sha256_update(&state, c->api.keys.public_key, sizeof c->api.keys.public_key);
    crypto_hash_sha256_final(&state, hash);
    digest_text(hash, out);
}

/* ---- on the disk ---- */

/* A commit of the table is not synced: that would be two syncs for each change, and the database
 * has everything. Instead a file beside the table says, before the first commit that isn't on the
 * disk, which start of the machine it was made in; a moment later the table is synced and the file
 * goes. A start that finds the file of another start of the machine begins a new table. */
static const char unsynced[] = "unsynced";

static void on_sync(struct loop_timer *t)
{
    struct control *c = LIST_ITEM(t, struct control, sync);
    struct err e;
    if (route_sync(c->routes, &e)) {
        log_line(LOG_WARNING, "routes_sync", "error=\"%s\"", e.text);
        loop_timer_start(c->loop, t, loop_now(c->loop) + AGAIN_US, on_sync);
        return;
    }
    unlinkat(c->routes_folder, unsynced, 0);
    c->unsynced = false;
}

static void read_boot(char out[BOOT_ID])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, BOOT_ID - 1);
    out[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
}

static enum err_code before_commit(struct control *c, struct err *e)
{
    if (c->unsynced)
        return ERR_OK;
    int fd = openat(c->routes_folder, unsynced, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t n = strlen(c->boot);
    bool written = fd >= 0 && write(fd, c->boot, n) == (ssize_t)n && fsync(fd) == 0 &&
                   fsync(c->routes_folder) == 0;
    enum err_code rc = written ? ERR_OK : err_errno(e, "the route table's folder");
    if (fd >= 0)
        close(fd);
    if (rc)
        return rc;
    c->unsynced = true;
    loop_timer_start(c->loop, &c->sync, loop_now(c->loop) + AGAIN_US, on_sync);
    return ERR_OK;
}

/* Did the machine stop before the table was on its disk? */
static bool was_lost(struct control *c)
{
    char then[BOOT_ID] = "";
    int fd = openat(c->routes_folder, unsynced, O_RDONLY | O_CLOEXEC);
    read_boot(c->boot);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, then, sizeof then - 1);
    then[n > 0 ? n : 0] = '\0';
    close(fd);
    if (!c->boot[0] || strcmp(then, c->boot) != 0)
        return true;
    c->unsynced = true; /* control alone has died: what it wrote is in the page cache */
    loop_timer_start(c->loop, &c->sync, loop_now(c->loop) + AGAIN_US, on_sync);
    return false;
}

/* ---- damage ---- */

/* LMDB trusts its file: a page of rubbish may end the process that follows it. So whoever begins to
 * touch the table adds one to the byte in a file beside it, and who has come through sets it to
 * zero; a start that finds two has seen two processes die of the table, and begins a new one. One
 * may have been killed for any reason. The file stays open: every change of a function comes along
 * here. */
static unsigned begin_touch(struct control *c)
{
    uint8_t before = 0;
    if (c->touching <= 0)
        c->touching = openat(c->routes_folder, "touching", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->touching < 0)
        return 0; /* the disk is full: it is only not counted */
    if (pread(c->touching, &before, 1, 0) != 1)
        before = 0;
    uint8_t now = before < UINT8_MAX ? (uint8_t)(before + 1) : before;
    if (pwrite(c->touching, &now, 1, 0) != 1)
        log_line(LOG_DEBUG, "routes_touching", "error=%s", strerror(errno));
    return before;
}

static void end_touch(struct control *c)
{
    if (c->touching > 0 && pwrite(c->touching, "", 1, 0) != 1)
        log_line(LOG_DEBUG, "routes_touching", "error=%s", strerror(errno));
}

static enum err_code open_table(struct control *c, uint64_t generation, unsigned died,
                                struct err *e)
{
    bool lost = !c->unsynced && was_lost(c);
    struct err why = {.text = "processes died that touched it"};
    enum err_code rc = ERR_CONFLICT;
    if (died < 2 && lost)
        err_set(&why, rc, "the machine stopped before it was on the disk");
    else if (died < 2)
        rc = route_table_open(c->routes_folder, true, c->node_key, &c->routes, &why);
    if (rc == ERR_OK)
        rc = route_table_check(c->routes, &why);
    if (rc == ERR_OK && route_generation(c->routes) > generation)
        rc = err_set(&why, ERR_CONFLICT, "the table is ahead of the database");
    if (rc == ERR_DISK_FULL || rc == ERR_MEMORY) {
        *e = why;
        return rc;
    }
    if (rc == ERR_OK)
        return rc;
    log_line(LOG_WARNING, "routes_rebuild", "why=\"%s\"", why.text);
    route_table_close(c->routes);
    c->routes = NULL;
    rc = route_table_reset(c->routes_folder, e);
    return rc ? rc : route_table_open(c->routes_folder, true, c->node_key, &c->routes, e);
}

/* Opens the table, or begins a new one, and writes to it what it lacks of the database; `all`:
 * everything. */
static enum err_code bring_up(struct control *c, bool all, struct err *e)
{
    uint64_t generation;
    enum err_code rc = store_generation(c->api.store, &generation, e);
    if (rc)
        return rc;
    rc = open_table(c, generation, begin_touch(c), e);
    if (rc)
        return rc;
    c->published = route_generation(c->routes);
    route_public_key_set(c->routes, c->api.keys.public_key);
    if (all || generation != c->published)
        rc = publish(c, all ? 0 : c->published, generation, e);
    if (rc)
        return rc;
    end_touch(c);
    c->published = generation;
    return ERR_OK;
}

void control_routes_check(struct control *c)
{
    uint64_t now = loop_now(c->loop);
    struct err e;
    if (c->draining || (c->checked_us && now < c->checked_us + AGAIN_US))
        return;
    c->checked_us = now;
    (void)begin_touch(c);
    enum err_code rc = ERR_CONFLICT;
    if (!route_table_replaced(c->routes, c->routes_folder))
        rc = route_table_check(c->routes, &e);
    else
        err_set(&e, rc, "the file of the route table is gone");
    end_touch(c);
    if (rc) {
        log_line(LOG_WARNING, "routes_damaged", "why=\"%s\"", e.text);
        route_table_close(c->routes);
        c->routes = NULL;
        if (bring_up(c, false, &e)) {
            log_line(LOG_ERROR, "routes_rebuild", "error=\"%s\"", e.text);
            _exit(1); /* the next start tries again */
        }
    }
    control_edges_tell(c);
}

enum err_code control_routes_open(struct control *c, struct err *e)
{
    char now[DIGEST_TEXT + 1], then[DIGEST_TEXT + 1];
    if (mkdirat(c->data, "routes", 0755) < 0 && errno != EEXIST)
        return err_errno(e, "making the folder routes");
    c->routes_folder = openat(c->data, "routes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->routes_folder < 0)
        return err_errno(e, "opening the folder routes");
    enum err_code rc = store_setting(c->api.store, "routes_made_with", then, sizeof then, e);
    made_with(c, now);
    bool all = rc == ERR_OK && strcmp(now, then) != 0;
    if (rc == ERR_OK)
        rc = bring_up(c, all, e);
    if (rc)
        return rc;
    if (all) {
        rc = store_begin(c->api.store, e);
        if (rc == ERR_OK)
            rc = store_end(c->api.store,
                           store_setting_put(c->api.store, "routes_made_with", slice_str(now), e),
                           e);
    }
    store_on_commit(c->api.store, control_routes_publish, c);
    return rc;
}

void control_routes_done(struct control *c)
{
    loop_timer_stop(c->loop, &c->sync);
    if (c->unsynced && c->routes)
        on_sync(&c->sync);
    loop_timer_stop(c->loop, &c->sync);
    route_table_close(c->routes);
    if (c->routes_folder >= 0)
        close(c->routes_folder);
}
