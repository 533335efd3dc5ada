/* Images: compiled modules in images/ENGINE/PROJECT/DIGEST, and DIGEST.fuel for those that count
 * gas.
 *
 * Whoever needs one says so with image_want(). If it is not there, the module
 * and an empty file go to master for a compile job; what the job leaves is
 * hashed, made read-only and renamed into place, and its row remembers the
 * hash. Several who want the same wait for one job. In the background every
 * image is hashed once after a start, and live versions without an image of
 * this engine get one. */
#include "roles/control.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine.h"
#include "ipc/compile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    JOBS = 128,        /* at work or waiting */
    PROJECT_JOBS = 16, /* of one project */
    PROJECT_WORK = 2,  /* …at work at once */
    VERIFY_US = 50000,
    VERSIONS = 64, /* looked at in a tick */
};

struct job {
    struct list node;
    struct uuid project;
    uint8_t digest[DIGEST_BYTES];
    enum engine_kind kind;
    struct list wants;
    uint64_t cookie;
    int folder; /* the project's */
    int image;  /* the file that the job fills */
    int result; /* read end of the pipe; -1: the job waits for its project's others */
    bool again; /* its second start */
    char name[40];
};

/* ---- files ---- */

/* Other users (exec) may enter it. */
enum err_code control_images_folder(struct control *c, struct uuid project, int *ret_fd,
                                    struct err *e)
{
    char name[UUID_TEXT + 1];
    uuid_text(project, name);
    bool made = mkdirat(c->images, name, 0755) == 0;
    int fd = openat(c->images, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(e, "the folder of images of project %s", name);
    if (made && (fchmod(fd, 0755) < 0 || fsync(c->images) < 0)) {
        enum err_code rc = err_errno(e, "the folder of images of project %s", name);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return ERR_OK;
}

enum { PATH = UUID_TEXT + 1 + IMAGE_NAME };

/* Below the folder of images. */
static void image_path(struct uuid project, const uint8_t digest[DIGEST_BYTES],
                       enum engine_kind kind, char out[PATH])
{
    uuid_text(project, out);
    out[UUID_TEXT] = '/';
    image_name(digest, kind, out + UUID_TEXT + 1);
}

/* Is the image there and, if `hashed`, the one that was made? */
static bool is_sound(struct control *c, const struct store_image *i, bool hashed)
{
    struct stat st;
    uint8_t hash[DIGEST_BYTES];
    uint64_t size;
    struct err e;
    char path[PATH];
    image_path(i->project, i->digest, i->kind, path);
    int fd = openat(c->images, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool sound = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == i->size;
    if (sound && hashed)
        sound = blob_hash(fd, hash, &size, &e) == ERR_OK && memcmp(hash, i->hash, sizeof hash) == 0;
    close(fd);
    return sound;
}

static void unlink_image(struct control *c, struct uuid project, const uint8_t digest[DIGEST_BYTES],
                         enum engine_kind kind)
{
    char path[PATH];
    image_path(project, digest, kind, path);
    if (unlinkat(c->images, path, 0) < 0 && errno != ENOENT)
        log_line(LOG_WARNING, "image_unlink", "image=%s error=%s", path, strerror(errno));
}

void control_images_unlink(struct control *c, struct uuid project,
                           const uint8_t digest[DIGEST_BYTES])
{
    unlink_image(c, project, digest, ENGINE_PLAIN);
    unlink_image(c, project, digest, ENGINE_FUEL);
}

static enum err_code forget_images(struct store *st, struct uuid project,
                                   const uint8_t digest[DIGEST_BYTES], struct err *e)
{
    enum err_code rc = store_image_delete(st, engine_name(), project, digest, ENGINE_PLAIN, e);
    return rc ? rc : store_image_delete(st, engine_name(), project, digest, ENGINE_FUEL, e);
}

void control_discard(struct api *api, struct uuid project, const uint8_t digest[DIGEST_BYTES])
{
    struct control *c = control_of(api);
    uint64_t size;
    bool known = true;
    struct err e;
    enum err_code rc = store_module(api->store, project, digest, &size, &e);
    if (rc == ERR_NOT_FOUND) {
        control_images_unlink(c, project, digest);
        rc = store_begin(api->store, &e);
        if (rc == ERR_OK)
            rc = store_end(api->store, forget_images(api->store, project, digest, &e), &e);
        if (rc == ERR_OK)
            rc = store_blob_known(api->store, digest, &known, &e);
        if (rc == ERR_OK && !known)
            rc = blob_delete(api->blobs, digest, &e);
    }
    if (rc)
        log_line(LOG_WARNING, "module_discard", "error=\"%s\"", e.text);
}

/* ---- jobs ---- */

/* Lets go of what it worked with: it is one that waits. */
static void job_stop(struct job *j)
{
    if (j->name[0])
        unlinkat(j->folder, j->name, 0);
    j->name[0] = '\0';
    int *const held[] = {&j->folder, &j->image, &j->result};
    for (size_t i = 0; i < sizeof held / sizeof *held; i++) {
        if (*held[i] >= 0)
            close(*held[i]);
        *held[i] = -1;
    }
}

static void job_free(struct job *j)
{
    job_stop(j);
    list_remove(&j->node);
    free(j);
}

static void start_next(struct control *c, struct uuid project);

/* `interface`: of a module that was just compiled, as JSON; may be empty. */
static void job_end(struct control *c, struct job *j, struct slice interface,
                    const struct err *failure)
{
    struct list wants;
    struct uuid project = j->project;
    list_init(&wants);
    while (!list_empty(&j->wants))
        list_push(&wants, list_pop(&j->wants));
    job_free(j);
    start_next(c, project);
    for (struct list *n; (n = list_pop(&wants));) {
        struct image_want *w = LIST_ITEM(n, struct image_want, node);
        w->interface = interface;
        w->on_done(w, failure);
    }
}

static enum err_code job_start(struct control *c, struct job *j, struct err *e)
{
    int module, pipe_fds[2];
    enum err_code rc = control_images_folder(c, j->project, &j->folder, e);
    if (rc == ERR_OK)
        rc = blob_open(c->api.blobs, j->digest, &module, e);
    if (rc)
        return rc;
    snprintf(j->name, sizeof j->name, "tmp-%llu", (unsigned long long)j->cookie);
    j->image = openat(j->folder, j->name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (j->image < 0) {
        rc = err_errno(e, "the file of an image");
        j->name[0] = '\0';
    } else if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        rc = err_errno(e, "no pipe for a compile job");
    } else {
        int fds[] = {module, j->image, pipe_fds[1]};
        leash_send(&c->leash, LEASH_COMPILE, j->kind, j->cookie, NULL, fds, 3);
        j->result = pipe_fds[0];
        close(pipe_fds[1]);
    }
    close(module);
    return rc;
}

/* Starts jobs of the project that wait, as many as may work at once. */
static void start_next(struct control *c, struct uuid project)
{
    unsigned working = 0;
    struct job *waits = NULL;
    struct err e;
    LIST_EACH(n, &c->jobs)
    {
        struct job *j = LIST_ITEM(n, struct job, node);
        if (!uuid_eq(j->project, project))
            continue;
        working += j->result >= 0;
        if (j->result < 0 && !waits)
            waits = j;
    }
    if (waits && working < PROJECT_WORK && job_start(c, waits, &e))
        job_end(c, waits, SLICE(""), &e); /* which goes on to the next */
}

static struct job *find(struct control *c, const struct image_want *w, unsigned *ret_all,
                        unsigned *ret_of_project)
{
    *ret_all = *ret_of_project = 0;
    LIST_EACH(n, &c->jobs)
    {
        struct job *j = LIST_ITEM(n, struct job, node);
        bool same = uuid_eq(j->project, w->project);
        if (same && j->kind == w->kind && memcmp(j->digest, w->digest, DIGEST_BYTES) == 0)
            return j;
        ++*ret_all;
        *ret_of_project += same;
    }
    return NULL;
}

void control_image_want(struct api *api, struct image_want *w)
{
    struct control *c = control_of(api);
    struct store_image image;
    struct err e;
    unsigned all, of_project;
    list_init(&w->node);
    struct job *j = find(c, w, &all, &of_project);
    if (j) {
        list_push(&j->wants, &w->node);
        return;
    }
    enum err_code rc =
        store_image(api->store, engine_name(), w->project, w->digest, w->kind, &image, &e);
    if (rc == ERR_OK && is_sound(c, &image, false)) {
        w->on_done(w, NULL);
        return;
    }
    if (all >= JOBS || of_project >= PROJECT_JOBS) {
        err_set(&e, ERR_RATE, "too many modules are being compiled: try again in a moment");
        w->on_done(w, &e);
        return;
    }
    j = calloc(1, sizeof *j);
    if (!j) {
        err_set(&e, ERR_MEMORY, "no memory for a compile job");
        w->on_done(w, &e);
        return;
    }
    *j = (struct job){.project = w->project,
                      .kind = (enum engine_kind)w->kind,
                      .cookie = ++c->cookies,
                      .folder = -1,
                      .image = -1,
                      .result = -1};
    memcpy(j->digest, w->digest, sizeof j->digest);
    list_init(&j->wants);
    list_push(&j->wants, &w->node);
    list_push(&c->jobs, &j->node);
    start_next(c, j->project);
}

/* What the job left, into its place: hashed, synced, renamed, and its row written. */
static enum err_code keep_image(struct control *c, struct job *j, uint64_t memory_min,
                                struct slice interface, struct err *e)
{
    struct store_image image = {
        .project = j->project, .kind = (uint8_t)j->kind, .memory_min = memory_min};
    char name[IMAGE_NAME];
    memcpy(image.digest, j->digest, sizeof image.digest);
    image_name(j->digest, j->kind, name);
    enum err_code rc = blob_hash(j->image, image.hash, &image.size, e);
    if (rc)
        return rc;
    if (fchmod(j->image, 0444) < 0 || fsync(j->image) < 0 ||
        renameat(j->folder, j->name, j->folder, name) < 0)
        return err_errno(e, "keeping an image");
    j->name[0] = '\0';
    if (fsync(j->folder) < 0)
        return err_errno(e, "keeping an image");
    rc = store_begin(c->api.store, e);
    if (rc)
        return rc;
    rc = store_image_put(c->api.store, engine_name(), &image, e);
    if (rc == ERR_OK && interface.n)
        rc = store_interface_put(c->api.store, j->project, j->digest, interface, e);
    return store_end(c->api.store, rc, e);
}

static bool are_texts(const json_t *list)
{
    json_t *v;
    size_t i;
    json_array_foreach(list, i, v) if (!json_is_string(v)) return false;
    return json_is_array(list);
}

/* What a job says of its module, which may have taken the job over: NULL unless it is two lists of
 * texts. The caller's. */
static char *judge_interface(struct slice text)
{
    json_t *o = text.n ? json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    char *judged = NULL;
    if (json_object_size(o) == 2 && are_texts(json_object_get(o, "imports")) &&
        are_texts(json_object_get(o, "exports")))
        judged = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return judged;
}

/* Is the stored module what was once uploaded? */
static bool is_whole(struct control *c, const struct job *j)
{
    uint8_t hash[DIGEST_BYTES];
    uint64_t size;
    struct err e;
    int fd;
    if (blob_open(c->api.blobs, j->digest, &fd, &e))
        return true; /* deleted meanwhile */
    bool same = blob_hash(fd, hash, &size, &e) || memcmp(hash, j->digest, sizeof hash) == 0;
    close(fd);
    return same;
}

/* Did the job read what was once uploaded? One that died couldn't say. */
static bool is_module(struct control *c, const struct job *j, const struct compile_result *r)
{
    return r->magic ? memcmp(r->digest, j->digest, sizeof j->digest) == 0 : is_whole(c, j);
}

bool control_image_compiled(struct control *c, uint64_t cookie, int wait_status)
{
    struct job *j = NULL;
    LIST_EACH(n, &c->jobs)
    if (LIST_ITEM(n, struct job, node)->cookie == cookie)
        j = LIST_ITEM(n, struct job, node);
    if (!j)
        return false;
    struct compile_result result = {0};
    struct err e;
    char bytes[COMPILE_BYTES];
    ssize_t n = read(j->result, bytes, sizeof bytes);
    struct slice said = slice_make(bytes, n > 0 ? (size_t)n : 0);
    enum err_code rc = compile_outcome(said, wait_status, &c->options.limits, &result, &e);
    bool damaged = !is_module(c, j, &result);
    if (damaged && !j->again && is_whole(c, j)) {
        /* It was uploaded again while the job read it; who uploaded it waits for the job, too. */
        job_stop(j);
        j->again = true;
        j->cookie = ++c->cookies;
        start_next(c, j->project);
        return true;
    }
    char *interface = rc ? NULL : judge_interface(compile_interface(said));
    if (damaged)
        rc = err_set(&e, ERR_IO, "the stored module is damaged: upload it again");
    if (rc == ERR_OK)
        rc = keep_image(c, j, result.memory_min, slice_str(interface ? interface : ""), &e);
    c->api.counts.compiled += rc == ERR_OK;
    c->api.counts.compile_failed += rc != ERR_OK;
    if (rc)
        log_line(LOG_INFO, "compile_failed", "code=%s text=\"%s\"", err_slug(rc), e.text);
    job_end(c, j, slice_str(interface ? interface : ""), rc ? &e : NULL);
    free(interface);
    return true;
}

/* ---- images that should be there ---- */

struct missing {
    struct image_want want;
    struct control *control;
};

static void on_missing_done(struct image_want *w, const struct err *failure)
{
    struct missing *m = LIST_ITEM(w, struct missing, want);
    if (!failure)
        control_edges_tell(m->control);
    free(m);
}

/* What a version needs. */
struct needs {
    struct control *control;
    struct image_want *image;
    uint8_t assets[DIGEST_BYTES];
};

static enum err_code note_version(void *arg, const struct store_version *v, struct err *e)
{
    struct needs *n = arg;
    struct version_settings s;
    enum err_code rc = settings_read(&s, v, n->control->api.secrets, e);
    if (rc)
        return rc;
    n->image->project = v->project;
    n->image->kind = (uint8_t)settings_kind(&s, &n->control->options.limits);
    memcpy(n->image->digest, v->digest, sizeof v->digest);
    memcpy(n->assets, v->assets, sizeof v->assets);
    settings_done(&s);
    return ERR_OK;
}

/* Forgets a row whose file is not what it says; the next who wants the image gets a new one. */
static void discard(struct control *c, const struct store_image *i)
{
    struct err e;
    log_line(LOG_WARNING, "image_unsound", "size=%llu", (unsigned long long)i->size);
    unlink_image(c, i->project, i->digest, (enum engine_kind)i->kind);
    if (store_begin(c->api.store, &e) ||
        store_end(
            c->api.store,
            store_image_delete(c->api.store, engine_name(), i->project, i->digest, i->kind, &e),
            &e))
        log_line(LOG_ERROR, "image_discard", "error=%s", e.text);
}

void control_image_missing(struct control *c, struct uuid version)
{
    struct store_image image;
    struct err e;
    struct missing *m = calloc(1, sizeof *m);
    struct needs needs = {.control = c, .image = m ? &m->want : NULL};
    if (!m || store_version(c->api.store, version, note_version, &needs, &e)) {
        free(m);
        return;
    }
    m->control = c;
    m->want.on_done = on_missing_done;
    if (control_assets_place(c, m->want.project, needs.assets, true, &e))
        log_line(LOG_ERROR, "assets_repair", "error=\"%s\"", e.text);
    if (store_image(c->api.store, engine_name(), m->want.project, m->want.digest, m->want.kind,
                    &image, &e) == ERR_OK &&
        !is_sound(c, &image, true))
        discard(c, &image);
    control_image_want(&c->api, &m->want);
}

static void on_verify(struct loop_timer *t);

static void verify_soon(struct control *c)
{
    loop_timer_start(c->loop, &c->verify, loop_now(c->loop) + VERIFY_US, on_verify);
}

static void on_repaired(struct image_want *w, const struct err *failure)
{
    struct control *c = LIST_ITEM(w, struct control, repair);
    if (failure)
        log_line(LOG_ERROR, "image_repair", "error=\"%s\"", failure->text);
    else
        control_edges_tell(c);
    verify_soon(c);
}

enum { FOLDERS = 2 /* a project's, and its assets' */ };

/* Removes the files at most `depth` folders below whose names begin so; with an empty prefix the
 * folders, too (not otherwise: running execs hold them open). */
static void remove_images(int at, const char *name, int depth, struct slice prefix)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *f; (f = readdir(d));) {
        if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
            continue;
        if (depth && f->d_type != DT_REG) /* a folder, or the file system doesn't say */
            remove_images(fd, f->d_name, depth - 1, prefix);
        if (slice_starts(slice_str(f->d_name), prefix))
            unlinkat(fd, f->d_name, 0);
    }
    closedir(d);
    if (!prefix.n)
        unlinkat(at, name, AT_REMOVEDIR);
}

/* Does the database know of the image that the file of this name in the project's folder is? Names
 * that we don't give are nobody's. */
static bool is_known(struct control *c, struct uuid project, struct slice name)
{
    struct store_image image;
    uint8_t digest[DIGEST_BYTES];
    char again[IMAGE_NAME];
    struct err e;
    if (name.n < DIGEST_TEXT || !digest_parse(slice_make(name.p, DIGEST_TEXT), digest))
        return false;
    enum engine_kind kind = name.n > DIGEST_TEXT ? ENGINE_FUEL : ENGINE_PLAIN;
    image_name(digest, kind, again);
    return slice_eq(name, slice_str(again)) &&
           store_image(c->api.store, engine_name(), project, digest, kind, &image, &e) !=
               ERR_NOT_FOUND;
}

/* A crash between the renaming of an image and the COMMIT of its row leaves a file that is made
 * again when it is wanted, and that nobody would remove. */
static void remove_orphans(struct control *c, struct uuid project, const char *folder)
{
    int fd = openat(c->images, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *f; (f = readdir(d));)
        if (f->d_name[0] != '.' && f->d_type != DT_DIR &&
            !is_known(c, project, slice_str(f->d_name)))
            unlinkat(fd, f->d_name, 0); /* not a folder, where the file system doesn't say */
    closedir(d);
}

static void remove_all_orphans(struct control *c)
{
    struct uuid project;
    int fd = openat(c->images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *f; (f = readdir(d));)
        if (uuid_parse(slice_str(f->d_name), &project))
            remove_orphans(c, project, f->d_name);
    closedir(d);
}

/* All live versions have an image of this engine: those of earlier ones have had their time. */
static void forget_other_engines(struct control *c)
{
    struct err e;
    int fd = openat(c->data, "images", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (store_begin(c->api.store, &e) ||
        store_end(c->api.store, store_images_of_others(c->api.store, engine_name(), &e), &e))
        log_line(LOG_WARNING, "images_of_others", "error=\"%s\"", e.text);
    for (struct dirent *f; (f = readdir(d));)
        if (f->d_name[0] != '.' && strcmp(f->d_name, engine_name()) != 0) {
            log_line(LOG_INFO, "images_removed", "engine=%s", f->d_name);
            remove_images(fd, f->d_name, FOLDERS, SLICE(""));
        }
    closedir(d);
}

/* Puts back the assets of the next live version; true if it has no image, which c->repair is. */
static bool lacks_image(struct control *c)
{
    struct needs needs = {.control = c, .image = &c->repair};
    struct store_image image;
    struct err e;
    enum err_code rc = store_version(c->api.store, c->repaired, note_version, &needs, &e);
    if (rc == ERR_OK)
        rc = control_assets_place(c, c->repair.project, needs.assets, false, &e);
    if (rc)
        log_line(LOG_ERROR, "version_repair", "error=\"%s\"", e.text);
    return rc == ERR_OK && store_image(c->api.store, engine_name(), c->repair.project,
                                       c->repair.digest, c->repair.kind, &image, &e);
}

/* One image a tick, then live versions, until one of them lacks its image. */
static void on_verify(struct loop_timer *t)
{
    struct control *c = LIST_ITEM(t, struct control, verify);
    struct store_image next;
    struct err e;
    enum err_code rc = store_image_after(c->api.store, engine_name(), &c->verified, &next, &e);
    if (rc == ERR_OK) {
        c->verified = next;
        if (!is_sound(c, &next, true))
            discard(c, &next);
        verify_soon(c);
        return;
    }
    for (int i = 0; i < VERSIONS; i++) {
        rc = store_live_after(c->api.store, c->repaired, &c->repaired, &e);
        if (rc == ERR_NOT_FOUND)
            forget_other_engines(c);
        if (rc)
            return;
        if (lacks_image(c)) {
            c->repair.on_done = on_repaired;
            control_image_want(&c->api, &c->repair);
            return;
        }
    }
    verify_soon(c);
}

enum err_code control_images_open(struct control *c, struct err *e)
{
    list_init(&c->jobs);
    c->cookies = clock_mono_us(); /* an answer meant for a control before us fits no job */
    if (mkdirat(c->data, "images", 0755) < 0 && errno != EEXIST)
        return err_errno(e, "making the folder images");
    int all = openat(c->data, "images", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (all < 0)
        return err_errno(e, "opening the folder images");
    if (mkdirat(all, engine_name(), 0755) < 0 && errno != EEXIST) {
        close(all);
        return err_errno(e, "making the folder images/%s", engine_name());
    }
    remove_images(all, engine_name(), FOLDERS, SLICE("tmp-")); /* what a crash left half-made */
    c->images = openat(all, engine_name(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    close(all);
    if (c->images < 0)
        return err_errno(e, "opening the folder images/%s", engine_name());
    remove_all_orphans(c);
    verify_soon(c);
    return ERR_OK;
}

void control_images_done(struct control *c)
{
    loop_timer_stop(c->loop, &c->verify);
    LIST_EACH(n, &c->jobs) job_free(LIST_ITEM(n, struct job, node));
    close(c->images);
}
