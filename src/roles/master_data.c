/* The data folder, its lock and its keys; and the small file by which the command line finds us. */
#include "roles/master.h"

#include "base/brand.h"
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 32 };

static enum err_code make_folder(int at, const char *name, mode_t mode, int *ret_fd, struct err *e)
{
    if (mkdirat(at, name, mode) < 0 && errno != EEXIST)
        return err_errno(e, "can't make the folder %s in the data folder", name);
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "can't open the folder %s in the data folder", name);
    *ret_fd = fd;
    return ERR_OK;
}

/* One server a folder. The lock ends with the process, however it ends. */
static enum err_code take_lock(struct master_data *d, struct err *e)
{
    char pid[16] = "";
    d->lock = openat(d->folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (d->lock < 0)
        return err_errno(e, "can't write to the data folder %s", d->path);
    if (flock(d->lock, LOCK_EX | LOCK_NB) < 0) {
        ssize_t n = pread(d->lock, pid, sizeof pid - 1, 0);
        pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
        return err_set(e, ERR_CONFLICT,
                       "another server (pid %s) uses the data folder %s; stop it, or choose "
                       "another folder with --data",
                       pid[0] ? pid : "unknown", d->path);
    }
    int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(d->lock, 0) < 0 || pwrite(d->lock, pid, (size_t)n, 0) != n)
        return err_errno(e, "can't write to the data folder %s", d->path);
    return ERR_OK;
}

/* A key is made once: written under another name, on disk before it has its own. */
static enum err_code make_key(int keys, const char *name, struct err *e)
{
    uint8_t key[KEY_BYTES];
    char part[32];
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
        return err_errno(e, "no randomness for the key %s", name);
    snprintf(part, sizeof part, ".%s", name);
    int fd = openat(keys, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool done = fd >= 0 && write(fd, key, sizeof key) == (ssize_t)sizeof key && fsync(fd) == 0 &&
                renameat(keys, part, keys, name) == 0 && fsync(keys) == 0;
    explicit_bzero(key, sizeof key);
    enum err_code rc = done ? ERR_OK : err_errno(e, "can't write the key %s", name);
    if (fd >= 0)
        close(fd);
    return rc;
}

static enum err_code open_key(int keys, const char *name, int *ret_fd, struct err *e)
{
    struct stat st;
    int fd = openat(keys, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        enum err_code rc = make_key(keys, name, e);
        if (rc)
            return rc;
        fd = openat(keys, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0)
        return err_errno(e, "can't open the key %s in the data folder", name);
    if (fstat(fd, &st) < 0 || st.st_size != KEY_BYTES || (st.st_mode & 077)) {
        close(fd);
        return err_set(e, ERR_INVALID,
                       "the key keys/%s in the data folder must be a file of %d bytes that only "
                       "its owner can read; restore it from a backup",
                       name, KEY_BYTES);
    }
    *ret_fd = fd;
    return ERR_OK;
}

/* What root wrote into another user's folder, that user's server could not read afterwards. */
static enum err_code check_owner(const struct master_data *d, struct err *e)
{
    struct stat st;
    if (fstat(d->folder, &st) < 0)
        return err_errno(e, "can't look at the data folder %s", d->path);
    if (st.st_uid == geteuid())
        return ERR_OK;
    return err_set(
        e, ERR_CONFLICT,
        "the data folder %s belongs to user %u, and this is user %u: start the server as "
        "that user, choose another folder with --data, or give this one away with chown -R",
        d->path, (unsigned)st.st_uid, (unsigned)geteuid());
}

enum err_code master_data_open(struct master_data *d, const char *path, struct err *e)
{
    int keys = -1, images = -1, blobs = -1;
    *d = (struct master_data){.lock = -1,
                              .folder = -1,
                              .images = -1,
                              .routes = -1,
                              .spool = -1,
                              .signing = -1,
                              .secrets = -1,
                              .node = -1};
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_errno(e, "can't make the data folder %s; choose another with --data", path);
    d->path = realpath(path, NULL);
    d->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!d->path || d->folder < 0)
        return err_errno(e, "can't open the data folder %s; choose another with --data", path);

    enum err_code rc = check_owner(d, e);
    if (rc == ERR_OK)
        rc = take_lock(d, e);
    if (rc == ERR_OK)
        rc = make_folder(d->folder, "keys", 0700, &keys, e);
    if (rc == ERR_OK)
        rc = make_folder(d->folder, "blobs", 0700, &blobs, e);
    /* Execs, which may be other users, get descriptors of what is below; the data folder itself
     * stays closed to them. */
    if (rc == ERR_OK)
        rc = make_folder(d->folder, "images", 0755, &images, e);
    if (rc == ERR_OK)
        rc = make_folder(images, engine_name(), 0755, &d->images, e);
    if (rc == ERR_OK)
        rc = make_folder(d->folder, "routes", 0700, &d->routes, e);
    if (rc == ERR_OK)
        rc = make_folder(d->folder, "spool", 0700, &d->spool, e);
    if (rc == ERR_OK)
        rc = open_key(keys, "signing", &d->signing, e);
    if (rc == ERR_OK)
        rc = open_key(keys, "secrets", &d->secrets, e);
    if (rc == ERR_OK)
        rc = open_key(keys, "node", &d->node, e);
    int temporary[] = {keys, images, blobs};
    for (size_t i = 0; i < 3; i++)
        if (temporary[i] >= 0)
            close(temporary[i]);
    return rc;
}

void master_data_close(struct master_data *d)
{
    int all[] = {d->images,  d->routes, d->spool,  d->signing,
                 d->secrets, d->node,   d->folder, d->lock};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0)
            close(all[i]);
    free(d->path);
    d->path = NULL;
}

enum err_code master_open_policy(const struct options *o, int *ret_fd, struct err *e)
{
    const char *path = option_text(o, OPTION_POLICY);
    struct stat st;
    *ret_fd = -1;
    if (!path[0])
        return ERR_OK;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "can't open the operator's policy %s (option policy)", path);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, ERR_INVALID, "the operator's policy %s (option policy) is not a file",
                       path);
    }
    *ret_fd = fd;
    return ERR_OK;
}

/* local.json */

static bool local_path(char *out, size_t cap)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = state && state[0] == '/' ? snprintf(out, cap, "%s", state)
            : home && home[0] == '/' ? snprintf(out, cap, "%s/.local/state", home)
                                     : -1;
    if (n < 0 || (size_t)n + sizeof "/" BRAND_COMMAND "/local.json.part" > cap)
        return false;
    for (char *p = out + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            mkdir(out, 0700);
            *p = '/';
        }
    mkdir(out, 0700);
    n += snprintf(out + n, cap - (size_t)n, "/" BRAND_COMMAND);
    mkdir(out, 0700);
    snprintf(out + n, cap - (size_t)n, "/local.json");
    return true;
}

/* Owned by the caller; NULL without memory. */
static char *local_text(const struct master *m)
{
    json_t *all = json_pack("{s:s, s:s, s:s}", "url", m->platform_url, "functions",
                            m->functions_url, "token_file", m->token_file);
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return text;
}

void master_local_write(const struct master *m)
{
    char path[4200], part[4210], *text = local_text(m);
    if (text && local_path(path, sizeof path)) {
        ssize_t n = (ssize_t)strlen(text);
        snprintf(part, sizeof part, "%s.part", path);
        int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0 && (write(fd, text, (size_t)n) != n || rename(part, path) < 0))
            unlink(part);
        if (fd >= 0)
            close(fd);
    }
    free(text);
}

/* Unless somebody has started another server since. */
void master_local_remove(const struct master *m)
{
    char path[4200], now[5000], *text = local_text(m);
    int fd = text && local_path(path, sizeof path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t n = read(fd, now, sizeof now);
        if (n == (ssize_t)strlen(text) && memcmp(now, text, (size_t)n) == 0)
            unlink(path);
        close(fd);
    }
    free(text);
}
