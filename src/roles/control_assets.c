/* Assets: bundles of read-only files that versions carry.
 *
 * An archive becomes a bundle in a compile job: it is hostile bytes like any
 * module. The bundle is a blob, which lasts; exec reads a copy of it in its
 * project's folder of images, images/ENGINE/PROJECT/assets/DIGEST, the only
 * folder that it can open. A copy that is missing or damaged is made again:
 * before a deploy, in the walk after a start, and when an exec found none. */
#include "roles/control.h"

#include "base/log.h"
#include "ipc/compile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    JOBS = 32,        /* at once */
    PROJECT_JOBS = 2, /* of one project */
};

struct job {
    struct list node;
    struct assets_want *want;
    struct blob_writer *bundle; /* what the job fills */
    uint64_t cookie;
    int result; /* read end of the pipe */
};

/* ---- making ---- */

static void job_free(struct job *j)
{
    blob_abort(j->bundle);
    if (j->result >= 0)
        close(j->result);
    list_remove(&j->node);
    free(j);
}

static enum err_code job_start(struct control *c, struct job *j, struct err *e)
{
    int pipe_fds[2];
    enum err_code rc = blob_begin(c->api.blobs, &j->bundle, e);
    if (rc)
        return rc;
    if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(e, "no pipe for a compile job");
    int fds[] = {blob_file(j->want->archive), blob_file(j->bundle), pipe_fds[1]};
    leash_send(&c->leash, LEASH_COMPILE, COMPILE_ASSETS, j->cookie, NULL, fds, 3);
    j->result = pipe_fds[0];
    close(pipe_fds[1]);
    return ERR_OK;
}

void control_assets_want(struct api *api, struct assets_want *w)
{
    struct control *c = control_of(api);
    unsigned all = 0, of_project = 0;
    struct err e;
    LIST_EACH(n, &c->bundling)
    {
        all++;
        of_project += uuid_eq(LIST_ITEM(n, struct job, node)->want->project, w->project);
    }
    struct job *j = all < JOBS && of_project < PROJECT_JOBS ? calloc(1, sizeof *j) : NULL;
    if (!j) {
        err_set(&e, ERR_RATE, "too many assets are being judged: try again in a moment");
        w->on_done(w, &e);
        return;
    }
    *j = (struct job){.want = w, .cookie = ++c->cookies, .result = -1};
    list_push(&c->bundling, &j->node);
    if (job_start(c, j, &e)) {
        job_free(j);
        w->on_done(w, &e);
    }
}

void control_assets_compiled(struct control *c, uint64_t cookie, int wait_status)
{
    struct job *j = NULL;
    LIST_EACH(n, &c->bundling)
    if (LIST_ITEM(n, struct job, node)->cookie == cookie)
        j = LIST_ITEM(n, struct job, node);
    if (!j)
        return;
    struct assets_want *w = j->want;
    struct compile_result result;
    struct err e;
    char bytes[COMPILE_BYTES];
    ssize_t n = read(j->result, bytes, sizeof bytes);
    enum err_code rc = compile_outcome(slice_make(bytes, n > 0 ? (size_t)n : 0), wait_status,
                                       &c->options.limits, &result, &e);
    if (rc == ERR_OK) {
        w->files = result.files;
        rc = blob_adopt(j->bundle, w->digest, &w->size, &e);
        j->bundle = NULL;
    }
    c->api.counts.compiled += rc == ERR_OK;
    c->api.counts.compile_failed += rc != ERR_OK;
    if (rc)
        log_line(LOG_INFO, "assets_failed", "code=%s text=\"%s\"", err_slug(rc), e.text);
    job_free(j);
    w->on_done(w, rc ? &e : NULL);
}

/* ---- placing ---- */

/* The folder of a project's assets, made if need be. */
static enum err_code assets_folder(struct control *c, struct uuid project, int *ret_fd,
                                   struct err *e)
{
    int at;
    enum err_code rc = control_images_folder(c, project, &at, e);
    if (rc)
        return rc;
    bool made = mkdirat(at, "assets", 0755) == 0;
    int fd = openat(at, "assets", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || (made && (fchmod(fd, 0755) < 0 || fsync(at) < 0))) {
        rc = err_errno(e, "the folder of a project's assets");
        if (fd >= 0)
            close(fd);
    } else {
        *ret_fd = fd;
    }
    close(at);
    return rc;
}

static bool is_sound(int folder, const char *name, const struct store_assets *a, bool hashed)
{
    struct stat st;
    uint8_t hash[DIGEST_BYTES];
    uint64_t size;
    struct err e;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool sound = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == a->size;
    if (sound && hashed)
        sound =
            blob_hash(fd, hash, &size, &e) == ERR_OK && memcmp(hash, a->digest, sizeof hash) == 0;
    close(fd);
    return sound;
}

/* Fills `to` with the blob; where the file system can, they share their blocks. */
static enum err_code copy_blob(int from, int to, uint64_t size, struct err *e)
{
    while (size) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? err_errno(e, "copying assets")
                         : err_set(e, ERR_IO, "the stored assets are too short");
        size -= (uint64_t)n;
    }
    if (fchmod(to, 0444) < 0 || fsync(to) < 0)
        return err_errno(e, "copying assets");
    return ERR_OK;
}

static enum err_code place(struct control *c, int folder, const char *name,
                           const struct store_assets *a, struct err *e)
{
    char temporary[40];
    int from;
    enum err_code rc = blob_open(c->api.blobs, a->digest, &from, e);
    if (rc)
        return rc;
    snprintf(temporary, sizeof temporary, "tmp-%llu", (unsigned long long)++c->cookies);
    int to = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) {
        rc = err_errno(e, "copying assets");
        close(from);
        return rc;
    }
    rc = copy_blob(from, to, a->size, e);
    close(from);
    close(to);
    if (rc == ERR_OK && (renameat(folder, temporary, folder, name) < 0 || fsync(folder) < 0))
        rc = err_errno(e, "copying assets");
    if (rc)
        unlinkat(folder, temporary, 0);
    return rc;
}

enum err_code control_assets_place(struct control *c, struct uuid project,
                                   const uint8_t digest[DIGEST_BYTES], bool hashed, struct err *e)
{
    static const uint8_t none[DIGEST_BYTES];
    struct store_assets a;
    char name[DIGEST_TEXT + 1];
    int folder = -1;
    if (memcmp(digest, none, sizeof none) == 0)
        return ERR_OK;
    digest_text(digest, name);
    enum err_code rc = store_assets(c->api.store, project, digest, &a, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, rc, "the project has no assets %s", name);
    if (rc == ERR_OK)
        rc = assets_folder(c, project, &folder, e);
    if (rc)
        return rc;
    if (!is_sound(folder, name, &a, hashed)) {
        rc = place(c, folder, name, &a, e);
        if (rc == ERR_OK && !is_sound(folder, name, &a, true)) {
            unlinkat(folder, name, 0);
            rc = err_set(e, ERR_IO, "the stored assets are damaged: upload them again");
        }
    }
    close(folder);
    return rc;
}

void control_assets_unlink(struct control *c, struct uuid project,
                           const uint8_t digest[DIGEST_BYTES])
{
    static const char assets[] = "/assets/";
    char path[UUID_TEXT + sizeof assets + DIGEST_TEXT];
    uuid_text(project, path);
    memcpy(path + UUID_TEXT, assets, sizeof assets - 1);
    digest_text(digest, path + UUID_TEXT + sizeof assets - 1);
    if (unlinkat(c->images, path, 0) < 0 && errno != ENOENT)
        log_line(LOG_WARNING, "assets_unlink", "assets=%s error=%s", path, strerror(errno));
}

void control_assets_init(struct control *c)
{
    list_init(&c->bundling);
}

void control_assets_done(struct control *c)
{
    LIST_EACH(n, &c->bundling) job_free(LIST_ITEM(n, struct job, node));
}
