#include "cli/image_cache.h"

#include "base/brand.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "ipc/compile.h"
#include "ipc/role.h"
#include "roles/roles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PART_SECONDS = 3600, /* no compile job takes so long */
    PART_NAME = IMAGE_NAME + 16,
};

const struct uuid image_cache_project = {{0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}};

/* ---- folders ---- */

/* Opens the folder `name` in `at`, making it if it isn't there. `private`: it must be the user's,
 * and nobody else's to write to. Closes `at` in any case (AT_FDCWD is fine). */
static enum err_code enter(int at, const char *name, bool private, int *ret_fd, struct err *e)
{
    enum err_code rc = ERR_OK;
    struct stat st;
    int fd = -1;
    if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        rc = err_errno(e, "can't make the folder \"%s\" for compiled images", name);
    if (!rc) {
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (private ? O_NOFOLLOW : 0));
        if (fd < 0 || fstat(fd, &st) < 0)
            rc = err_errno(e, "can't open the folder \"%s\" of compiled images", name);
        else if (private && (st.st_uid != geteuid() || (st.st_mode & 022)))
            rc = err_set(e, ERR_FORBIDDEN,
                         "the folder \"%s\" of compiled images can be written by others: make it "
                         "yours and 0700, or set XDG_CACHE_HOME",
                         name);
    }
    if (at >= 0)
        close(at);
    if (rc && fd >= 0)
        close(fd);
    if (!rc)
        *ret_fd = fd;
    return rc;
}

static enum err_code enter_cache_home(int *ret_fd, struct err *e)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && *cache == '/')
        return enter(AT_FDCWD, cache, false, ret_fd, e);
    const struct passwd *user = home && *home == '/' ? NULL : getpwuid(geteuid());
    if (user)
        home = user->pw_dir;
    if (!home || *home != '/')
        return err_set(e, ERR_IO, "no folder for compiled images: set HOME or XDG_CACHE_HOME");
    int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "can't open \"%s\" (set XDG_CACHE_HOME for another place)", home);
    return enter(fd, ".cache", false, ret_fd, e);
}

static enum err_code open_cache(struct image_cache *ret_cache, struct err *e)
{
    char project[UUID_TEXT + 1];
    uuid_text(image_cache_project, project);
    struct image_cache c = {-1, -1};
    int fd;
    enum err_code rc = enter_cache_home(&fd, e);
    if (!rc)
        rc = enter(fd, BRAND_COMMAND, true, &fd, e);
    if (!rc)
        rc = enter(fd, "images", true, &fd, e);
    if (!rc)
        rc = enter(fd, engine_name(), true, &c.engine_fd, e);
    if (rc)
        return rc;
    fd = fcntl(c.engine_fd, F_DUPFD_CLOEXEC, 3);
    rc = enter(fd, project, true, &c.project_fd, e);
    if (rc)
        close(c.engine_fd);
    else
        *ret_cache = c;
    return rc;
}

void image_cache_close(struct image_cache *c)
{
    if (c->engine_fd >= 0)
        close(c->engine_fd);
    if (c->project_fd >= 0)
        close(c->project_fd);
    *c = (struct image_cache){-1, -1};
}

/* ---- images ---- */

/* Is it there? Then it counts as used now. */
static bool has(int folder, const char *name)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size == 0 || st.st_uid != geteuid() || (st.st_mode & 022))
        return false;
    utimensat(folder, name, NULL, AT_SYMLINK_NOFOLLOW);
    return true;
}

void image_cache_drop(const struct image_cache *c, const uint8_t digest[DIGEST_BYTES],
                      enum engine_kind kind)
{
    char name[IMAGE_NAME];
    image_name(digest, kind, name);
    unlinkat(c->project_fd, name, 0);
}

static bool older(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* Is it what image_name() makes? */
static bool is_image(struct slice name)
{
    uint8_t digest[DIGEST_BYTES];
    char again[IMAGE_NAME];
    if (name.n < DIGEST_TEXT || !digest_parse(slice_make(name.p, DIGEST_TEXT), digest))
        return false;
    image_name(digest, name.n > DIGEST_TEXT ? ENGINE_FUEL : ENGINE_PLAIN, again);
    return slice_eq(name, slice_str(again));
}

/* Looks through the folder once: removes what runs that were killed left of images, counts the
 * images and finds the one that was used longest ago. */
static int look(int folder, char oldest[IMAGE_NAME])
{
    int count = 0, fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct timespec when = {0};
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (struct dirent *d; (d = readdir(dir));) {
        struct stat st;
        if (fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (d->d_name[0] == '.' && st.st_mtim.tv_sec + PART_SECONDS < time(NULL)) {
            unlinkat(folder, d->d_name, 0);
        } else if (is_image(slice_str(d->d_name))) {
            if (count++ == 0 || older(st.st_mtim, when)) {
                slice_copy(slice_str(d->d_name), oldest, IMAGE_NAME);
                when = st.st_mtim;
            }
        }
    }
    closedir(dir);
    return count;
}

static void prune(int folder)
{
    char oldest[IMAGE_NAME];
    while (look(folder, oldest) > IMAGE_CACHE_KEPT && unlinkat(folder, oldest, 0) == 0)
        ;
}

/* ---- the compile job ---- */

const char **role_words(const char *const *words, const struct options *options)
{
    char **flags = options_as_flags(options);
    size_t n = 0, bytes = 0;
    for (size_t i = 0; words[i]; i++, n++)
        bytes += strlen(words[i]) + 1;
    for (size_t i = 0; flags[i]; i++, n++)
        bytes += strlen(flags[i]) + 1;
    const char **all = malloc((n + 1) * sizeof *all + bytes), **at = all;
    if (!all)
        abort();
    char *text = (char *)(all + n + 1);
    for (; *words; words++) {
        *at++ = text;
        text = stpcpy(text, *words) + 1;
    }
    for (size_t i = 0; flags[i]; i++) {
        *at++ = text;
        text = stpcpy(text, flags[i]) + 1;
    }
    *at = NULL;
    free(flags);
    return all;
}

static bool write_all(int fd, struct slice bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR)
            return false;
        bytes = slice_from(bytes, n > 0 ? (size_t)n : 0);
    }
    return true;
}

/* The job may read this copy only: nobody can change it meanwhile. */
static int sealed_copy(struct slice bytes, struct err *e)
{
    int fd = memfd_create("module", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || !write_all(fd, bytes) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        err_errno(e, "no memory for a copy of the module");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* Everything that comes through the pipe until it closes. Kills the job when `us` are over or it
 * says more than it should. */
static void collect(int fd, pid_t pid, uint64_t us, struct buf *out)
{
    uint64_t deadline = clock_mono_us() + us, now;
    while ((now = clock_mono_us()) < deadline) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)((deadline - now) / 1000 + 1)) <= 0)
            continue;
        char *to = buf_reserve(out, 1024);
        if (!to)
            break;
        ssize_t n = read(fd, to, 1024);
        if (n == 0)
            return;
        if (n > 0)
            buf_commit(out, (size_t)n);
    }
    kill(pid, SIGKILL);
}

enum err_code image_cache_compile(struct slice module, enum engine_kind kind, int image_fd,
                                  const struct options *options, struct err *e)
{
    struct buf result;
    struct compile_result described;
    int module_fd = -1, pipe_fds[2] = {-1, -1}, wait_status = 0;
    pid_t pid;
    const char **words =
        role_words((const char *[]){"compile", kind == ENGINE_FUEL ? "fuel" : NULL, NULL}, options);
    buf_init(&result, COMPILE_BYTES);
    enum err_code rc = ERR_IO;
    if ((module_fd = sealed_copy(module, e)) < 0)
        goto out;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0) {
        rc = err_errno(e, "no pipe for a compile job");
        goto out;
    }
    struct role_start start = {.words = words, .stderr_fd = -1};
    role_give(&start, module_fd, COMPILE_MODULE);
    role_give(&start, image_fd, COMPILE_IMAGE);
    role_give(&start, pipe_fds[1], COMPILE_RESULT);
    rc = role_start(&start, &pid, NULL, e);
    if (rc)
        goto out;
    close(pipe_fds[1]);
    pipe_fds[1] = -1;
    /* a second more than the job's own alarm */
    collect(pipe_fds[0], pid, options->limits.v[LIMIT_COMPILE_WALL] + 1000000, &result);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR)
        ;
    rc = compile_outcome(buf_slice(&result), wait_status, &options->limits, &described, e);
out:
    for (int i = 0; i < 2; i++)
        if (pipe_fds[i] >= 0)
            close(pipe_fds[i]);
    if (module_fd >= 0)
        close(module_fd);
    buf_done(&result);
    free(words);
    return rc;
}

/* A new file in the folder, which gets its name in keep(). -1: it could not be made. */
static int begin_file(int folder, const char *name, char part[PART_NAME], struct err *e)
{
    snprintf(part, PART_NAME, ".%s.%d", name, (int)getpid());
    unlinkat(folder, part, 0); /* of a run that was killed */
    int fd = openat(folder, part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        err_errno(e, "can't make a file for the compiled image");
    return fd;
}

/* Gives the file its name unless `rc` says that it failed. Closes it. */
static enum err_code keep_file(int folder, const char *name, const char *part, int fd,
                               enum err_code rc, struct err *e)
{
    /* on the disk before it has its name: a torn image would be run as it is */
    if (!rc &&
        (fchmod(fd, 0444) < 0 || fdatasync(fd) < 0 || renameat(folder, part, folder, name) < 0))
        rc = err_errno(e, "can't keep the compiled image");
    if (rc)
        unlinkat(folder, part, 0);
    else
        prune(folder);
    close(fd);
    return rc;
}

static enum err_code add(const struct image_cache *c, const char *name, struct slice module,
                         enum engine_kind kind, const struct options *options, struct err *e)
{
    char part[PART_NAME];
    int fd = begin_file(c->project_fd, name, part, e);
    if (fd < 0)
        return e->code;
    enum err_code rc = image_cache_compile(module, kind, fd, options, e);
    return keep_file(c->project_fd, name, part, fd, rc, e);
}

enum err_code image_cache_assets(const struct image_cache *c, struct slice bundle,
                                 uint8_t ret_digest[DIGEST_BYTES], struct err *e)
{
    uint8_t digest[DIGEST_BYTES];
    char name[DIGEST_TEXT + 1], part[PART_NAME];
    int folder = fcntl(c->project_fd, F_DUPFD_CLOEXEC, 3);
    enum err_code rc = enter(folder, "assets", true, &folder, e);
    if (rc)
        return rc;
    crypto_hash_sha256(digest, (const unsigned char *)bundle.p, bundle.n);
    digest_text(digest, name);
    if (!has(folder, name)) {
        int fd = begin_file(folder, name, part, e);
        rc = fd < 0 ? e->code : ERR_OK;
        if (!rc && !write_all(fd, bundle))
            rc = err_errno(e, "can't keep the assets");
        if (fd >= 0)
            rc = keep_file(folder, name, part, fd, rc, e);
    }
    close(folder);
    if (!rc)
        memcpy(ret_digest, digest, sizeof digest);
    return rc;
}

enum err_code image_cache_bundle(const struct image_cache *c, const uint8_t digest[DIGEST_BYTES],
                                 struct buf *out, struct err *e)
{
    char name[sizeof "assets/" + DIGEST_TEXT] = "assets/";
    struct stat st;
    digest_text(digest, name + strlen(name));
    int fd = openat(c->project_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *to = fd >= 0 && fstat(fd, &st) == 0 ? buf_reserve(out, (size_t)st.st_size) : NULL;
    bool ok = to && pread(fd, to, (size_t)st.st_size, 0) == st.st_size;
    enum err_code rc = ok ? ERR_OK : err_errno(e, "can't read the assets in the cache");
    if (ok)
        buf_commit(out, (size_t)st.st_size);
    if (fd >= 0)
        close(fd);
    return rc;
}

enum err_code image_cache_find(struct slice module, enum engine_kind kind,
                               const struct options *options, struct image_cache *ret_cache,
                               uint8_t ret_digest[DIGEST_BYTES], struct verdict *ret_verdict,
                               struct err *e)
{
    struct module m;
    struct image_cache c;
    uint8_t digest[DIGEST_BYTES];
    char name[IMAGE_NAME];
    enum err_code rc = module_parse(module, &options->limits, &m, e);
    if (rc)
        return rc;
    rc = module_judge(&m, &options->limits, ret_verdict, e);
    module_done(&m);
    if (!rc)
        rc = open_cache(&c, e);
    if (rc)
        return rc;
    crypto_hash_sha256(digest, (const unsigned char *)module.p, module.n);
    image_name(digest, kind, name);
    if (!has(c.project_fd, name))
        rc = add(&c, name, module, kind, options, e);
    if (rc) {
        image_cache_close(&c);
        return rc;
    }
    memcpy(ret_digest, digest, sizeof digest);
    *ret_cache = c;
    return ERR_OK;
}
