/* A deploy, state by state.
 *
 *   IMAGE    the module's image is made, or is there; its assets are put beside it
 *   VERSION  function, module and version are written; wait for the COMMIT
 *   CHECK    the version's check runs through an edge, as any request would
 *   PRICE    what it costs is measured, beside the version that is live
 *   PROMOTE  it becomes the one that answers; wait for the COMMIT, after which
 *            the route table is published
 *   DONE     the answer goes out: the address works
 *
 * Promoting a version that is there is the same without VERSION and PRICE; and
 * so is deploying what is there already: a version of the same content that is
 * live is left as it is, one that has not been live is checked and promoted.
 *
 * The blob is on disk before the first state. A client that goes away changes
 * nothing. A crash after a COMMIT leaves a version that is not promoted, or one
 * that is and whose row the next start publishes. */
#include "roles/control.h"

#include "api/guest.h"
#include "api/request.h"
#include "api/secrets.h"
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
    struct err e;
    if (rc) {
        err_set(&e, rc, "version %u was stored but could not be promoted: %s", d->number,
                err_title(rc));
        deploy_end(d, &e);
    } else {
        deploy_end(d, NULL);
    }
}

/* May it be promoted? Fills in why not. */
static void judge(struct deployment *d)
{
    const struct price *now = &d->price, *before = &d->before;
    uint64_t most = d->most_cpu_us;
    if (d->most_percent && before->runs)
        most = before->cpu_us * d->most_percent / 100;
    if (d->check.error) {
        d->held = HELD_CHECK;
        snprintf(d->why, sizeof d->why, "its check failed: %s", err_title(d->check.error));
    } else if (most && now->runs && now->cpu_us > most) {
        d->held = HELD_COST;
        snprintf(d->why, sizeof d->why, "its check took %llu \u00b5s of CPU, and %llu were allowed",
                 (unsigned long long)now->cpu_us, (unsigned long long)most);
    } else if (d->unpromoted) {
        d->held = HELD_UNASKED;
        snprintf(d->why, sizeof d->why, "it was not to be promoted");
    }
    d->promoted = !d->held;
}

static enum err_code keep_json(struct deployment *d, json_t *json,
                               enum err_code (*put)(struct store *, struct uuid, struct slice,
                                                    struct err *),
                               struct err *e)
{
    struct control *c = d->control;
    char *text = json_dumps(json, JSON_COMPACT);
    enum err_code rc = text ? put(c->api.store, d->version, slice_str(text), e)
                            : err_set(e, ERR_MEMORY, "no memory for a version's record");
    free(text);
    json_decref(json);
    return rc;
}

/* If it has to be: is the function what it was when the deploy was asked for? With `newest` no
 * version may have been made since, either. */
static enum err_code still(const struct deployment *d, bool newest, struct err *e)
{
    struct control *c = d->control;
    struct store_function f;
    char id[UUID_TEXT + 1];
    if (!d->matched)
        return ERR_OK;
    uuid_text(d->function, id);
    enum err_code rc = store_function(c->api.store, d->project, slice_str(id), &f, e);
    if (rc == ERR_OK &&
        (f.generation != d->generation || (newest && f.last_number != d->last_number)))
        rc = err_set(e, ERR_PRECONDITION,
                     "\"%s\" was changed meanwhile: read it again, then change that", d->name);
    return rc;
}

static void promote(struct deployment *d)
{
    struct control *c = d->control;
    struct store *st = c->api.store;
    struct err e;
    enum err_code rc = store_begin(st, &e);
    judge(d);
    if (rc == ERR_OK) {
        char number[16];
        snprintf(number, sizeof number, "%u", d->number);
        if (d->check.ran)
            rc = keep_json(d, shape_check(&d->check), store_version_checked, &e);
        if (rc == ERR_OK && d->price.runs)
            rc = keep_json(d, shape_price(&d->price, d->held == HELD_COST), store_version_priced,
                           &e);
        char field[128];
        if (rc == ERR_OK && d->promoted) /* a secret may have been unset meanwhile */
            rc = secrets_judge(&c->api, d->project, &d->settings, field, &e);
        if (rc == ERR_OK && d->promoted)
            rc = still(d, false, &e);
        if (rc == ERR_OK && d->promoted)
            rc = store_version_promote(st, d->function, d->version, &e);
        if (rc == ERR_OK && d->promoted)
            rc = store_audit(st, &d->who, d->project, d->action ? d->action : "version.promote",
                             slice_str(d->name), slice_str(number), &e);
        if (rc == ERR_NOT_FOUND)
            err_set(&e, rc, "version %u was disabled or deleted meanwhile", d->number);
        rc = store_end(st, rc, &e);
    }
    if (rc) {
        deploy_end(d, &e);
        return;
    }
    store_wait_init(&d->wait, on_promoted);
    store_wait(st, &d->wait);
}

/* ---- PRICE ---- */

static void on_priced(struct pricing *p)
{
    promote(LIST_ITEM(p, struct deployment, pricing));
}

static enum err_code note_live(void *arg, const struct store_version *v, struct err *e)
{
    struct deployment *d = arg;
    (void)e;
    d->live = v->id;
    d->before_number = v->number;
    if (slice_eq(v->check, slice_str(d->settings.check)))
        shape_price_read(v->price, &d->before);
    return ERR_OK;
}

/* The version that it is compared with, and what that cost when it was measured itself. */
static void find_live(struct deployment *d)
{
    struct control *c = d->control;
    struct store_function f;
    struct err e;
    char id[UUID_TEXT + 1];
    uuid_text(d->function, id);
    if (store_function(c->api.store, d->project, slice_str(id), &f, &e) == ERR_OK &&
        !uuid_is_zero(f.live) && !uuid_eq(f.live, d->version) &&
        store_version(c->api.store, f.live, note_live, d, &e))
        d->live = (struct uuid){{0}};
}

static void price(struct deployment *d)
{
    struct slice target = slice_str(d->settings.check), method = slice_split(&target, ' ');
    if (!d->check.ran || d->check.error) {
        promote(d);
        return;
    }
    find_live(d);
    if (!d->repeatable) {
        promote(d);
        return;
    }
    d->pricing = (struct pricing){.versions = {d->version, d->live},
                                  .prices = {&d->price, &d->before},
                                  .name = d->name,
                                  .method = method,
                                  .target = target,
                                  .on_done = on_priced};
    control_price(d->control, &d->pricing);
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
    struct slice target = slice_str(d->settings.check);
    if (!lost && error == ERR_OK)
        d->price = control_price_of(ledger);
    d->repeatable = !lost && control_price_repeatable(slice_split(&target, ' '), ledger);
    price(d);
}

static void check(struct deployment *d)
{
    struct control *c = d->control;
    struct slice target = slice_str(d->settings.check), method = slice_split(&target, ' ');
    struct buf vars;
    struct err e;
    d->check = (struct check_result){.ran = true};
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
    } else if (d->unchanged) {
        deploy_end(d, NULL);
    } else if (d->unchecked || strcmp(d->settings.check, "none") == 0) {
        promote(d);
    } else {
        check(d);
    }
}

/* What of a version decides whether it is this deploy's. */
struct same {
    const uint8_t *content;
    struct uuid version;
    uint32_t number;
    bool equal, promoted, disabled, alone;
};

static enum err_code note_same(void *arg, const struct store_version *v, struct err *e)
{
    struct same *s = arg;
    (void)e;
    s->version = v->id;
    s->number = v->number;
    s->equal = memcmp(v->content, s->content, sizeof v->content) == 0;
    s->promoted = v->promoted_ms != 0;
    s->disabled = v->disabled_ms != 0;
    s->alone = v->percent == 100;
    return ERR_OK;
}

/* Is there a version of this content that the deploy can do with: the live one, or the newest if it
 * was never promoted? Then it is d->version. */
static enum err_code find_same(struct deployment *d, const uint8_t content[DIGEST_BYTES],
                               struct err *e)
{
    struct control *c = d->control;
    struct store *st = c->api.store;
    struct same live = {.content = content}, newest = {.content = content};
    struct store_function f;
    char id[UUID_TEXT + 1];
    uuid_text(d->function, id);
    enum err_code rc = store_function(st, d->project, slice_str(id), &f, e);
    if (rc == ERR_OK && !uuid_is_zero(f.live))
        rc = store_version(st, f.live, note_same, &live, e);
    if (rc == ERR_OK && store_version_newest(st, d->function, note_same, &newest, e))
        newest.equal = false; /* there is none */
    if (rc)
        return rc;
    struct same *same = live.equal                                             ? &live
                        : newest.equal && !newest.promoted && !newest.disabled ? &newest
                                                                               : NULL;
    if (!same)
        return ERR_OK;
    d->version = same->version;
    d->number = same->number;
    if (same == &live && (live.alone || d->unpromoted)) {
        d->unchanged = d->promoted = true;
    } else if (d->unpromoted) {
        d->unchanged = true;
        d->held = HELD_UNASKED;
        snprintf(d->why, sizeof d->why, "it was not to be promoted");
    }
    return ERR_OK;
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
    uint8_t content[DIGEST_BYTES];
    if (rc == ERR_OK)
        rc = settings_content(&d->settings, d->digest, c->api.secrets, content, e);
    if (rc == ERR_OK && !d->number) /* who says a number wants a version of its own */
        rc = find_same(d, content, e);
    if (rc || !uuid_is_zero(d->version))
        return rc;
    d->made = true;
    d->version = uuid_new();
    if (!limits || !secrets || !settings_env(&d->settings, env) ||
        !seal(c->api.secrets, d->version, buf_slice(env), sealed))
        return err_set(e, ERR_MEMORY, "no memory for the version's settings");
    struct store_version v = {.id = d->version,
                              .function = d->function,
                              .number = d->number,
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
    memcpy(v.content, content, sizeof v.content);
    rc = store_module_put(st, d->project, d->digest, d->size, e);
    if (rc == ERR_OK && d->image.interface.n)
        rc = store_interface_put(st, d->project, d->digest, d->image.interface, e);
    if (rc == ERR_OK)
        rc = store_version_put(st, &v, &d->number, e);
    if (rc == ERR_OK)
        rc = store_versions_trim(st, d->function, c->options.limits.v[LIMIT_VERSIONS], d->version,
                                 e);
    /* A public preview begins to answer, or that of a version that made room ends. */
    if (rc == ERR_OK &&
        (d->settings.preview == PREVIEW_PUBLIC || d->number > c->options.limits.v[LIMIT_VERSIONS]))
        rc = store_function_changed(st, d->function, e);
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
    if (!uuid_is_zero(d->version)) { /* it is there */
        on_stored(&d->wait, ERR_OK);
        return;
    }
    buf_init_private(&env, ENV_ALL + 1);
    buf_init(&sealed, ENV_ALL + 1 + SEAL_EXTRA);
    char *limits = json_dumps(d->settings.limits, JSON_COMPACT);
    char *secrets = json_dumps(d->settings.secrets, JSON_COMPACT);
    enum err_code rc = store_begin(c->api.store, &e);
    if (rc == ERR_OK) {
        rc = still(d, true, &e);
        if (rc == ERR_OK)
            rc = write_version(d, &env, &sealed, limits, secrets, &e);
        rc = store_end(c->api.store, rc, &e);
    }
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
