/* A deploy, state by state.
 *
 *   IMAGE    the module's image is made, or is there; its assets are put beside it
 *   VERSION  function, module and version are written; wait for the COMMIT
 *   CHECK    the version's check runs through an edge, as any request would
 *   PROMOTE  it becomes the one that answers; wait for the COMMIT, after which
 *            the route table is published
 *   DONE     the answer goes out: the address works
 *
 * The blob is on disk before the first state. A client that goes away changes
 * nothing. A crash after a COMMIT leaves a version that is not promoted, or one
 * that is and whose row the next start publishes. */
#include "roles/control.h"

#include "api/guest.h"
#include "api/request.h"
#include "auth/seal.h"
#include "base/log.h"
#include "engine/engine.h"
#include "module/module.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CHECK_US = 120000000,    /* for the whole check: the wall limit ends it long before */
    CHECK_TAIL_US = 2000000, /* once its head is there: an endless answer passes as well */
};

static void deploy_end(struct deployment *d, const struct err *failure)
{
    struct control *c = d->control;
    loop_timer_stop(c->loop, &d->deadline);
    list_remove(&d->node);
    if (d->answer) {
        guest_answer_done(d->answer);
        free(d->answer);
    }
    d->on_done(d, failure);
}

/* ---- PROMOTE ---- */

static void on_promoted(struct store_wait *w, enum err_code rc)
{
    struct deployment *d = LIST_ITEM(w, struct deployment, wait);
    struct control *c = d->control;
    struct err e;
    if (rc) {
        err_set(&e, rc, "version %u was stored but could not be promoted: %s", d->number,
                err_title(rc));
        deploy_end(d, &e);
    } else if (d->promoted && c->behind) {
        err_set(&e, ERR_DISK_FULL,
                "version %u is promoted and will answer as soon as the route table can be written",
                d->number);
        deploy_end(d, &e);
    } else {
        deploy_end(d, NULL);
    }
}

static void promote(struct deployment *d)
{
    struct control *c = d->control;
    struct store *st = c->api.store;
    struct err e;
    enum err_code rc = store_begin(st, &e);
    d->promoted = d->check.error == ERR_OK;
    if (rc == ERR_OK) {
        char number[16];
        snprintf(number, sizeof number, "%u", d->number);
        if (d->check.ran) {
            json_t *result = shape_check(&d->check);
            char *text = json_dumps(result, JSON_COMPACT);
            rc = store_version_checked(st, d->version, slice_str(text ? text : "{}"), &e);
            json_decref(result);
            free(text);
        }
        if (rc == ERR_OK && d->promoted)
            rc = store_version_promote(st, d->function, d->version, &e);
        if (rc == ERR_OK && d->promoted)
            rc = store_audit(st, &d->who, d->project, "version.promote", slice_str(d->name),
                             slice_str(number), &e);
        rc = store_end(st, rc, &e);
    }
    if (rc) {
        deploy_end(d, &e);
        return;
    }
    store_wait_init(&d->wait, on_promoted);
    store_wait(st, &d->wait);
}

/* ---- CHECK ---- */

static void on_run(struct injection *i, struct uuid run)
{
    LIST_ITEM(i, struct deployment, injection)->check.run = run;
}

static void on_check_deadline(struct loop_timer *t)
{
    struct deployment *d = LIST_ITEM(t, struct deployment, deadline);
    control_inject_cancel(&d->injection, d->answer->ready ? ERR_CANCELLED : ERR_WALL_LIMIT);
}

static void on_output(struct injection *i, struct slice bytes)
{
    struct deployment *d = LIST_ITEM(i, struct deployment, injection);
    struct control *c = d->control;
    bool was_ready = d->answer->ready;
    uint32_t n = (uint32_t)bytes.n;
    guest_answer_feed(d->answer, &bytes);
    if (d->answer->ready && !was_ready)
        loop_timer_start(c->loop, &d->deadline, loop_now(c->loop) + CHECK_TAIL_US,
                         on_check_deadline);
    control_inject_credit(i, n);
}

static void on_credit(struct injection *i, uint32_t n)
{
    (void)i, (void)n; /* a check has no body */
}

static void on_check_end(struct injection *i, const struct ledger *ledger, const struct err *lost)
{
    struct deployment *d = LIST_ITEM(i, struct deployment, injection);
    struct control *c = d->control;
    loop_timer_stop(c->loop, &d->deadline);
    enum err_code error = guest_answer_end(d->answer, ledger, lost);
    if (error == ERR_CANCELLED && d->answer->ready)
        error = ERR_OK; /* we cut it */
    d->check.status = d->answer->ready ? (uint16_t)d->answer->status : 0;
    d->check.error = error;
    if (error)
        snprintf(d->check.text, sizeof d->check.text, "%s",
                 d->answer->why[0] ? d->answer->why : err_title(error));
    promote(d);
}

static void check(struct deployment *d)
{
    struct control *c = d->control;
    struct slice target = slice_str(d->settings.check), method = slice_split(&target, ' ');
    struct buf vars;
    struct err e;
    d->check.ran = true;
    buf_init(&vars, GUEST_VARS);
    d->answer = malloc(sizeof *d->answer);
    enum err_code rc = ERR_OK;
    if (!d->answer || !guest_vars(&c->api, d->name, method, target, SLICE(""), UINT64_MAX, &vars))
        rc = err_set(&e, ERR_MEMORY, "no memory for the check");
    if (d->answer)
        guest_answer_init(d->answer, d->settings.response, &c->options.limits);
    d->injection = (struct injection){
        .on_run = on_run, .on_output = on_output, .on_credit = on_credit, .on_end = on_check_end};
    list_init(&d->injection.node);
    if (rc == ERR_OK) {
        loop_timer_start(c->loop, &d->deadline, loop_now(c->loop) + CHECK_US, on_check_deadline);
        rc = control_inject(&c->api, &d->injection, d->version, buf_slice(&vars), false, &e);
    }
    buf_done(&vars);
    if (rc) {
        loop_timer_stop(c->loop, &d->deadline);
        d->check.error = rc;
        snprintf(d->check.text, sizeof d->check.text, "%s", e.text);
        promote(d);
    }
}

/* ---- VERSION ---- */

static void on_stored(struct store_wait *w, enum err_code rc)
{
    struct deployment *d = LIST_ITEM(w, struct deployment, wait);
    struct err e;
    if (rc) {
        err_set(&e, rc, "nothing was changed: %s", err_title(rc));
        deploy_end(d, &e);
    } else if (strcmp(d->settings.check, "none") == 0) {
        promote(d);
    } else {
        check(d);
    }
}

/* The function by this name, made if there is none: two first deploys may race. */
static enum err_code find_function(struct deployment *d, struct err *e)
{
    struct control *c = d->control;
    struct store *st = c->api.store;
    struct store_function f;
    if (!uuid_is_zero(d->function))
        return ERR_OK;
    enum err_code rc = store_function(st, d->project, slice_str(d->name), &f, e);
    if (rc == ERR_OK && !f.deleted_ms) {
        d->function = f.id;
        return ERR_OK;
    }
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    struct uuid id = uuid_new();
    rc = store_function_put(st, d->project, id, slice_str(d->name), functions_kept_since(), e);
    if (rc == ERR_OK)
        rc = store_audit(st, &d->who, d->project, "function.create", slice_str(d->name), SLICE(""),
                         e);
    if (rc == ERR_OK)
        d->function = id;
    return rc;
}

static enum err_code write_version(struct deployment *d, struct buf *env, struct buf *sealed,
                                   const char *limits, const char *secrets, struct err *e)
{
    struct control *c = d->control;
    struct store *st = c->api.store;
    enum err_code rc = blob_check(c->api.blobs, d->digest, e);
    if (rc == ERR_OK)
        rc = find_function(d, e);
    if (rc)
        return rc;
    d->version = uuid_new();
    if (!limits || !secrets || !settings_env(&d->settings, env) ||
        !seal(c->api.secrets, d->version, buf_slice(env), sealed))
        return err_set(e, ERR_MEMORY, "no memory for the version's settings");
    struct store_version v = {.id = d->version,
                              .function = d->function,
                              .size = d->size,
                              .response = d->settings.response,
                              .env = buf_slice(sealed),
                              .limits = slice_str(limits),
                              .check = slice_str(d->settings.check),
                              .policy = settings_policy(&d->settings),
                              .timing = d->settings.timing,
                              .secrets = slice_str(secrets),
                              .preview = d->settings.preview,
                              .capture = d->settings.capture};
    memcpy(v.digest, d->digest, sizeof v.digest);
    memcpy(v.assets, d->settings.assets, sizeof v.assets);
    rc = store_module_put(st, d->project, d->digest, d->size, e);
    if (rc == ERR_OK)
        rc = store_version_put(st, &v, &d->number, e);
    if (rc == ERR_OK)
        rc = store_versions_trim(st, d->function, c->options.limits.v[LIMIT_VERSIONS], d->version,
                                 e);
    char number[16];
    snprintf(number, sizeof number, "%u", d->number);
    if (rc == ERR_OK)
        rc = store_audit(st, &d->who, d->project, "version.create", slice_str(d->name),
                         slice_str(number), e);
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "the function was deleted meanwhile") : rc;
}

/* The compile job judged the module's memory by the hard maximum; a version has its own limit. */
static enum err_code check_memory(struct deployment *d, struct err *e)
{
    struct control *c = d->control;
    struct store_image image;
    struct limits limits;
    enum err_code rc =
        store_image(c->api.store, engine_name(), d->project, d->digest, d->image.kind, &image, e);
    settings_limits(&d->settings, &c->options.limits, &limits);
    return rc ? rc : module_check_memory(image.memory_min, limits.v[LIMIT_MEMORY], e);
}

static void on_image(struct image_want *w, const struct err *failure)
{
    struct deployment *d = LIST_ITEM(w, struct deployment, image);
    struct control *c = d->control;
    struct buf env, sealed;
    struct err e;
    if (!failure &&
        (check_memory(d, &e) || control_assets_place(c, d->project, d->settings.assets, false, &e)))
        failure = &e;
    if (failure) {
        control_discard(&c->api, d->project, d->digest);
        deploy_end(d, failure);
        return;
    }
    buf_init(&env, ENV_ALL + 1);
    buf_init(&sealed, ENV_ALL + 1 + SEAL_EXTRA);
    char *limits = json_dumps(d->settings.limits, JSON_COMPACT);
    char *secrets = json_dumps(d->settings.secrets, JSON_COMPACT);
    enum err_code rc = store_begin(c->api.store, &e);
    if (rc == ERR_OK)
        rc = store_end(c->api.store, write_version(d, &env, &sealed, limits, secrets, &e), &e);
    free(limits);
    free(secrets);
    buf_done(&env);
    buf_done(&sealed);
    if (rc) {
        control_discard(&c->api, d->project, d->digest);
        deploy_end(d, &e);
        return;
    }
    store_wait_init(&d->wait, on_stored);
    store_wait(c->api.store, &d->wait);
}

/* ---- IMAGE ---- */

void control_deploy(struct api *api, struct deployment *d)
{
    struct control *c = control_of(api);
    d->control = c;
    list_init(&d->node);
    list_push(&c->deploys, &d->node);
    d->image.project = d->project;
    memcpy(d->image.digest, d->digest, sizeof d->image.digest);
    d->image.kind = (uint8_t)settings_kind(&d->settings, &c->options.limits);
    d->image.on_done = on_image;
    control_image_want(api, &d->image);
}

void control_deploy_init(struct control *c)
{
    list_init(&c->deploys);
}
