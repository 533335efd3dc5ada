/* WASI: paths. One folder is open when a guest starts: descriptor 3, the root "/".
 *
 * It holds no files. /dev/null, zero, random and urandom and /net/SCHEME/REST
 * open the resource SCHEME://REST, so that a program in any language with plain
 * file I/O can use every resource. Nothing can be made or changed. */
#include "guest/resource.h"
#include "guest/wasi.h"

enum { PATH_MOST = 4096, PATH_URL = PATH_MOST + 8 };
enum { OPEN_CREATE = 1, OPEN_FOLDER = 2, OPEN_EXCLUSIVE = 4, OPEN_TRUNCATE = 8 };
enum { FLAG_NONBLOCK = 4 };

const struct scheme scheme_root = {.folder = true};

/* What a path names. */
enum place { PLACE_ROOT, PLACE_FOLDER, PLACE_RESOURCE, PLACE_NOTHING, PLACE_OUTSIDE };

static const struct {
    const char *path, *url;
} devices[] = {{"dev/null", "null://"},
               {"dev/zero", "zero://"},
               {"dev/random", "random://"},
               {"dev/urandom", "random://"}};

/* Without empty and "." components, ".." taken back; false if it leaves the root. */
static bool normalise(struct slice path, char out[PATH_MOST], struct slice *ret_path)
{
    size_t n = 0;
    while (path.p) {
        struct slice part = slice_split(&path, '/');
        if (!part.n || slice_eq(part, SLICE(".")))
            continue;
        if (slice_eq(part, SLICE(".."))) {
            if (!n)
                return false;
            while (n && out[--n] != '/')
                ;
            continue;
        }
        if (n)
            out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    *ret_path = slice_make(out, n);
    return true;
}

/* `path` is relative to the root and shorter than PATH_MOST; `url` is filled for a resource. */
static enum place find_place(struct slice path, char url[PATH_URL], struct slice *ret_url)
{
    char buf[PATH_MOST];
    struct slice plain;
    while (path.n && (slice_starts(path, SLICE("/")) || slice_starts(path, SLICE("./"))))
        path = slice_from(path, 1);
    /* REST is taken as it is: "//" and ".." mean something else in URLs. */
    if (slice_starts(path, SLICE("net/"))) {
        struct slice rest = slice_from(path, 4), scheme = slice_split(&rest, '/');
        if (scheme.n && rest.p) {
            memcpy(url, scheme.p, scheme.n);
            memcpy(url + scheme.n, "://", 3);
            memcpy(url + scheme.n + 3, rest.p, rest.n);
            *ret_url = slice_make(url, scheme.n + 3 + rest.n);
            return PLACE_RESOURCE;
        }
    }
    if (!normalise(path, buf, &plain))
        return PLACE_OUTSIDE;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (slice_eq(plain, slice_str(devices[i].path))) {
            *ret_url = slice_str(devices[i].url);
            return PLACE_RESOURCE;
        }
    if (!plain.n)
        return PLACE_ROOT;
    return slice_eq(plain, SLICE("dev")) || slice_eq(plain, SLICE("net")) ? PLACE_FOLDER
                                                                          : PLACE_NOTHING;
}

/* The folder that argument `fd` names and the path of the arguments `at`, `at` + 1; an errno. */
static int path_argument(struct engine_call *c, int fd, int at, struct slice *ret_path)
{
    struct descriptor *d = guest_descriptor(guest_of(c), engine_u32(c, fd));
    const char *p = engine_span(c, engine_u32(c, at), engine_u32(c, at + 1));
    if (!d)
        return WASI_EBADF;
    if (!d->scheme->folder)
        return WASI_ENOTDIR;
    if (!p)
        return WASI_EFAULT;
    if (engine_u32(c, at + 1) >= PATH_MOST)
        return WASI_ENAMETOOLONG;
    *ret_path = slice_make(p, engine_u32(c, at + 1));
    return memchr(p, '\0', ret_path->n) ? WASI_EINVAL : WASI_OK;
}

/* The descriptor of what the path names; its number in *ret_fd, or an errno, or RESOURCE_WAIT or
 * RESOURCE_FATAL. */
static int open_path(struct guest *g, struct slice path, uint32_t flags, uint64_t *progress,
                     uint32_t *ret_fd)
{
    char buf[PATH_URL];
    struct slice url;
    enum place place = find_place(path, buf, &url);
    if (place == PLACE_OUTSIDE)
        return WASI_ENOTCAPABLE;
    if (place == PLACE_NOTHING)
        return flags & OPEN_CREATE ? WASI_EROFS : WASI_ENOENT;
    if (flags & OPEN_EXCLUSIVE)
        return WASI_EEXIST;
    if (place == PLACE_RESOURCE) {
        if (flags & OPEN_FOLDER)
            return WASI_ENOTDIR;
        int32_t fd = resource_open(g, url, progress);
        *ret_fd = (uint32_t)fd;
        if (resource_verdict(fd) != ENGINE_DONE)
            return fd;
        return fd < 0 ? wasi_errno(fd) : WASI_OK;
    }
    if (flags & (OPEN_CREATE | OPEN_TRUNCATE))
        return WASI_EISDIR;
    struct descriptor *d = guest_place(g, ret_fd);
    if (!d)
        return WASI_EMFILE;
    d->scheme = &scheme_root;
    return WASI_OK;
}

/* path_open(folder, lookup flags, path, length, flags, rights, rights to inherit, fd flags, *fd) */
enum engine_verdict preview1_path_open(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct slice path;
    uint32_t fd;
    void *out = engine_span(c, engine_u32(c, 8), 4);
    int error = path_argument(c, 0, 2, &path);
    if (!error && !out)
        error = WASI_EFAULT;
    if (!error)
        error = open_path(g, path, engine_u32(c, 4), &c->progress[0], &fd);
    if (error < 0)
        return resource_verdict(error);
    if (error)
        return guest_return(c, error);
    g->descriptors[fd].nonblocking = engine_u32(c, 7) & FLAG_NONBLOCK;
    wasi_put32(out, 0, fd);
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_path_filestat_get(struct engine_call *c)
{
    char buf[PATH_URL];
    struct slice path, url;
    void *out = engine_span(c, engine_u32(c, 4), c->alias ? 56 : 64);
    int error = path_argument(c, 0, 2, &path);
    if (!error && !out)
        error = WASI_EFAULT;
    if (error)
        return guest_return(c, error);
    enum place place = find_place(path, buf, &url);
    if (place == PLACE_OUTSIDE || place == PLACE_NOTHING)
        return guest_return(c, place == PLACE_OUTSIDE ? WASI_ENOTCAPABLE : WASI_ENOENT);
    wasi_put_filestat(out, place == PLACE_RESOURCE ? WASI_FILETYPE_CHARACTER : WASI_FILETYPE_FOLDER,
                      c->alias);
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_path_readlink(struct engine_call *c)
{
    struct slice path;
    int error = path_argument(c, 0, 1, &path);
    return guest_return(c, error ? error : WASI_EINVAL); /* what there is is not a link */
}

/* Whatever would make or change something: the folder is argument 0. */
enum engine_verdict preview1_path_change(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    return guest_return(c, !d ? WASI_EBADF : d->scheme->folder ? WASI_EROFS : WASI_ENOTDIR);
}

/* path_symlink has its folder in argument 2. */
enum engine_verdict preview1_path_symlink(struct engine_call *c)
{
    struct slice path;
    int error = path_argument(c, 2, 3, &path);
    return guest_return(c, error ? error : WASI_EROFS);
}

/* Is argument 0 the folder that is open from the start? Others were opened by the guest itself. */
static bool is_preopen(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    return engine_u32(c, 0) == GUEST_ROOT && d && d->scheme == &scheme_root;
}

enum engine_verdict preview1_fd_prestat_get(struct engine_call *c)
{
    void *out = engine_span(c, engine_u32(c, 1), 8);
    if (!is_preopen(c))
        return guest_return(c, WASI_EBADF);
    if (!out)
        return guest_return(c, WASI_EFAULT);
    wasi_put32(out, 0, 0); /* a folder */
    wasi_put32(out, 4, 1); /* bytes of its name */
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_fd_prestat_dir_name(struct engine_call *c)
{
    char *out = engine_span(c, engine_u32(c, 1), engine_u32(c, 2));
    if (!is_preopen(c))
        return guest_return(c, WASI_EBADF);
    if (!out)
        return guest_return(c, WASI_EFAULT);
    if (engine_u32(c, 2) < 1)
        return guest_return(c, WASI_ENAMETOOLONG);
    out[0] = '/';
    return guest_return(c, WASI_OK);
}

/* fd_readdir(folder, buffer, length, cookie, *used): nothing lies in it. */
enum engine_verdict preview1_fd_readdir(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    void *used = engine_span(c, engine_u32(c, 4), 4);
    if (!d || !d->scheme->folder)
        return guest_return(c, d ? WASI_ENOTDIR : WASI_EBADF);
    if (!used)
        return guest_return(c, WASI_EFAULT);
    wasi_put32(used, 0, 0);
    return guest_return(c, WASI_OK);
}
