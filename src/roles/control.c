/* Control: the only process that holds the database and the keys.
 *
 * It answers the API (as a CGI program behind the platform edge), runs deploys,
 * and moves what edges spooled into the database. It never parses a module,
 * runs no guest and opens no socket. It may be killed at any time: functions
 * answer without it, and its next start finds everything on disk. */
#include "roles/control.h"
#include "roles/reload.h"
#include "roles/roles.h"

#include "base/brand.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct api_state control_state(struct api *api)
{
    struct control *c = control_of(api);
    struct api_state state = {
        .edges = control_edges_count(c), .routes_behind = c->behind, .published = c->published};
    LIST_EACH(n, &c->jobs)
    state.jobs++;
    LIST_EACH(n, &c->bundling)
    state.jobs++;
    return state;
}

static const struct api_backend backend = {
    .image_want = control_image_want,
    .assets_want = control_assets_want,
    .discard = control_discard,
    .deploy = control_deploy,
    .inject = control_inject,
    .inject_body = control_inject_body,
    .inject_credit = control_inject_credit,
    .inject_cancel = control_inject_cancel,
    .drain = control_drain,
    .sweep = control_sweep,
    .gc = control_gc,
    .state = control_state,
    .rings = control_rings,
};

static void on_leash(struct leash *l, const struct leash_msg *m, const int *fds, int n)
{
    struct control *c = l->owner;
    if (m->type == LEASH_EDGE && n == 1) {
        control_edge_add(c, m->arg, fds[0]);
        return;
    }
    for (int i = 0; i < n; i++)
        close(fds[i]);
    if (m->type == LEASH_COMPILED) {
        if (!control_image_compiled(c, m->id, (int)m->arg))
            control_assets_compiled(c, m->id, (int)m->arg);
    } else if (m->type == LEASH_OPTION) {
        enum option_id id; /* who uses one asks for it each time */
        (void)reload_take(&c->options, m, &id);
    } else if (m->type == LEASH_DRAIN) {
        struct err e;
        c->draining = true;
        if (control_drain(&c->api, &e))
            log_line(LOG_WARNING, "last_drain", "error=%s", e.text);
        loop_stop(c->loop);
    }
}

static void on_leash_closed(struct leash *l)
{
    struct control *c = l->owner;
    c->status = 1;
    loop_stop(c->loop); /* master is gone: so are we */
}

/* The same descriptor serves every start of this role: read from its beginning. */
static enum err_code read_key(int fd, uint8_t key[32], struct err *e)
{
    if (pread(fd, key, 32, 0) != 32)
        return err_set(e, ERR_IO, "a key of the data folder is not readable");
    close(fd);
    return ERR_OK;
}

static enum err_code open_all(struct control *c, struct err *e)
{
    uint8_t seed[TOKEN_SEED];
    if (sodium_init() < 0)
        return err_set(e, ERR_INTERNAL, "libsodium does not start");
    json_object_seed(0);
    if (fchdir(c->data) < 0)
        return err_errno(e, "entering the data folder");
    enum err_code rc = read_key(CONTROL_SIGNING, seed, e);
    if (rc == ERR_OK)
        rc = read_key(CONTROL_SECRETS, c->api.secrets, e);
    if (rc == ERR_OK)
        rc = read_key(CONTROL_NODE, c->node_key, e);
    token_keys_make(&c->api.keys, seed);
    backup_clean_up();
    sodium_memzero(seed, sizeof seed);
    if (rc == ERR_OK)
        rc = store_open(c->loop, &c->api.store, e);
    if (rc == ERR_OK)
        rc = blobs_open(c->data, "blobs", &c->api.blobs, e);
    if (rc == ERR_OK)
        rc = control_keep_orphans(c, e);
    if (rc == ERR_OK)
        rc = control_first(c, e);
    if (rc == ERR_OK)
        rc = control_images_open(c, e);
    if (rc == ERR_OK)
        rc = control_routes_open(c, e);
    if (rc == ERR_OK)
        rc = control_spools_open(c, e);
    return rc == ERR_OK ? lockdown_control(c->data, e) : rc;
}

static void close_all(struct control *c)
{
    api_done(&c->api);
    control_edges_done(c);
    control_images_done(c);
    control_assets_done(c);
    store_close(c->api.store); /* commits: those who wait for it are still there */
    control_spools_done(c);
    control_routes_done(c);
    blobs_close(c->api.blobs);
    sodium_memzero(&c->api.keys, sizeof c->api.keys);
    sodium_memzero(c->api.secrets, sizeof c->api.secrets);
    sodium_memzero(c->node_key, sizeof c->node_key);
}

static int refuse(const struct err *e)
{
    log_line(LOG_ERROR, "control_start", "code=%s error=\"%s\"", err_slug(e->code), e->text);
    return err_cli(e->code);
}

int role_control(int argc, char **argv)
{
    static struct control c = {
        .data = CONTROL_DATA, .images = -1, .spool_folder = -1, .routes_folder = -1};
    struct err e;
    int at = 1;
    umask(077);
    log_init("control", LOG_INFO);
    options_init(&c.options);
    enum err_code rc = options_flags(&c.options, argc, argv, &at, &e);
    if (rc == ERR_OK)
        rc = options_finish(&c.options, &e);
    if (rc)
        return refuse(&e);
    options_log(&c.options, "control");
    c.loop = loop_new(&e);
    if (!c.loop)
        return refuse(&e);
    c.api.loop = c.loop;
    c.api.options = &c.options;
    c.api.backend = &backend;
    c.api.control = &c;
    c.api.started_us = clock_real_us();
    api_init(&c.api);
    control_edges_init(&c);
    control_deploy_init(&c);
    control_assets_init(&c);
    c.leash.on_msg = on_leash;
    c.leash.on_closed = on_leash_closed;
    c.leash.owner = &c;
    rc = leash_init(&c.leash, c.loop, ROLE_LEASH, true, &e);
    if (rc)
        return refuse(&e);
    rc = open_all(&c, &e);
    if (rc) {
        leash_send(&c.leash, LEASH_FATAL, e.code, 0, e.text, NULL, 0);
        return refuse(&e);
    }
    control_keep_start(&c);
    leash_send(&c.leash, LEASH_READY, 0, 0, NULL, NULL, 0);
    loop_run(c.loop);
    close_all(&c);
    leash_done(&c.leash);
    loop_free(c.loop);
    options_done(&c.options);
    return c.status;
}
