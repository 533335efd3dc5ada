/* Versions that the edge loaded, and their images.
 *
 * A slot holds a version until it is unloaded or another is loaded there; the
 * runs of the old one finish with it. Of all versions the most recently used
 * have an open image, mapped from the project's folder, with the bundle of
 * assets beside it; the others open theirs again. */
#include "roles/exec.h"

#include "base/log.h"
#include "guest/host.h"
#include "ipc/lockdown.h"

#include <stdlib.h>
#include <string.h>

enum { IMAGES_OPEN = 16 };

static void image_close(struct exec *x, struct version *v)
{
    if (!v->image)
        return;
    list_remove(&v->node);
    x->images_open--;
    image_unref(v->image);
    v->image = NULL;
    bundle_close(v->assets);
    v->assets = NULL;
}

void exec_version_free(struct exec *x, struct version *v)
{
    image_close(x, v);
    policy_free(v->policy);
    explicit_bzero(v->bytes, v->size); /* it holds secrets, and perhaps ones that were replaced */
    free(v->bytes);
    free(v);
}

void exec_unload(struct exec *x, uint64_t slot)
{
    struct version *v = slot < EXEC_SLOTS ? x->versions[slot] : NULL;
    if (!v)
        return;
    x->versions[slot] = NULL;
    v->unloaded = true;
    if (!v->runs)
        exec_version_free(x, v);
}

/* Closes the image that was unused for the longest time, if one is not in use. */
static void make_room(struct exec *x)
{
    for (struct list *n = x->images.prev; n != &x->images; n = n->prev) {
        struct version *v = LIST_ITEM(n, struct version, node);
        if (!v->runs) {
            image_close(x, v);
            return;
        }
    }
}

/* Its project's folder may not have been there when BIND came. */
static enum err_code bind_project(struct exec *x, struct err *e)
{
    if (x->bound)
        return ERR_OK;
    enum err_code rc = lockdown_exec_bind(EXEC_IMAGES, x->project, x->relaxed, e);
    x->bound = rc == ERR_OK;
    if (rc && rc != ERR_NOT_FOUND)
        x->stop = true;
    return rc;
}

/* Named by its digest, beside the images. */
static enum err_code open_assets(struct version *v, struct err *e)
{
    static const uint8_t none[DIGEST_BYTES];
    char name[sizeof "assets/" + DIGEST_TEXT] = "assets/";
    if (memcmp(v->load.assets, none, sizeof none) == 0)
        return ERR_OK;
    digest_text(v->load.assets, name + strlen(name));
    return bundle_open(name, &v->assets, e);
}

static enum err_code open_image(struct exec *x, struct version *v, struct err *e)
{
    char name[IMAGE_NAME];
    enum err_code rc = bind_project(x, e);
    if (rc)
        return rc;
    if (v->load.kind != x->kind)
        return err_set(e, ERR_INTERNAL, "the version is for the other kind of engine");
    image_name(v->load.digest, x->kind, name);
    while (x->images_open >= IMAGES_OPEN) {
        unsigned before = x->images_open;
        make_room(x);
        if (x->images_open == before)
            break; /* all are in use: one more, for now */
    }
    rc = open_assets(v, e);
    if (rc)
        return rc;
    rc = image_open(x->engine, name, host_handlers, &v->image, e);
    if (rc) {
        bundle_close(v->assets);
        v->assets = NULL;
        return rc;
    }
    x->images_open++;
    list_push(&x->images, &v->node);
    return ERR_OK;
}

static void load_failed(struct exec *x, uint64_t slot, enum err_code rc, const struct err *e)
{
    char payload[2 + sizeof e->text];
    uint16_t code = (uint16_t)rc;
    size_t n = strlen(e->text);
    memcpy(payload, &code, sizeof code);
    memcpy(payload + 2, e->text, n);
    channel_send(&x->edge, FRAME_LOAD_FAILED, 0, slot, payload, 2 + n);
}

/* Opens the version's image unless it is open, and makes it the most recent one. */
enum err_code exec_use_image(struct exec *x, uint64_t slot, struct version *v)
{
    struct err e = {0};
    if (v->broken)
        return v->broken;
    if (!v->image) {
        v->broken = open_image(x, v, &e);
        if (v->broken) {
            load_failed(x, slot, v->broken, &e);
            return v->broken;
        }
    }
    if (x->images.next != &v->node) {
        list_remove(&v->node);
        list_push(x->images.next, &v->node); /* before the first */
    }
    return ERR_OK;
}

void exec_on_bind(struct exec *x, struct slice payload)
{
    struct uuid id;
    struct err e;
    if (x->has_project) {
        exec_malformed(x, "a second project");
        return;
    }
    memcpy(&id, payload.p, sizeof id);
    uuid_text(id, x->project);
    x->has_project = true;
    enum err_code rc = bind_project(x, &e);
    if (rc && rc != ERR_NOT_FOUND)
        log_line(LOG_ERROR, "exec_bind", "project=%s error=\"%s\"", x->project, e.text);
}

void exec_on_load(struct exec *x, const struct frame *f, struct slice payload)
{
    struct err e;
    if (!x->has_project || f->id >= EXEC_SLOTS ||
        (buf_size(&x->loading) && f->id != x->loading_slot) ||
        !buf_add(&x->loading, payload.p, payload.n)) {
        exec_malformed(x, "LOAD out of place");
        return;
    }
    explicit_bzero((char *)payload.p, payload.n); /* our own channel's, which is private */
    x->loading_slot = f->id;
    if (f->flags & FRAME_MORE)
        return;
    struct version *v = calloc(1, sizeof *v);
    size_t n = buf_size(&x->loading);
    char *bytes = malloc(n);
    if (!v || !bytes)
        abort();
    memcpy(bytes, buf_data(&x->loading), n);
    buf_done(&x->loading);
    v->bytes = bytes;
    v->size = n;
    list_init(&v->node);
    if (version_load_read(slice_make(bytes, n), &v->load, &e) ||
        !strings_read(v->load.env, true, &v->env) || !strings_read(v->load.args, false, &v->args)) {
        exec_malformed(x, "a LOAD that can't be read");
        exec_version_free(x, v);
        return;
    }
    exec_unload(x, f->id);
    x->versions[f->id] = v;
    if (v->load.policy.n)
        v->broken = policy_parse(v->load.policy, POLICY_YAML, NULL, NULL, &v->policy, &e);
    if (v->broken)
        load_failed(x, f->id, v->broken, &e);
    else
        (void)exec_use_image(x, f->id, v);
}
