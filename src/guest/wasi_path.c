/* WASI: paths (place.h says what they name) and folders. One folder is open when a guest starts:
 * descriptor 3, the root "/". Nothing can be made or changed. */
#include "guest/place.h"
#include "guest/wasi.h"

enum { OPEN_CREATE = 1, OPEN_FOLDER = 2, OPEN_EXCLUSIVE = 4, OPEN_TRUNCATE = 8 };
enum { FLAG_NONBLOCK = 4 };

/* The folder that argument `fd` names and the path of the arguments `at`, `at` + 1; an errno. */
static int path_argument(struct engine_call *c, int fd, int at, struct descriptor **ret_folder,
                         struct slice *ret_path)
{
    struct descriptor *d = guest_descriptor(guest_of(c), engine_u32(c, fd));
    const char *p = engine_span(c, engine_u32(c, at), engine_u32(c, at + 1));
    if (!d)
        return WASI_EBADF;
    if (!d->scheme->folder)
        return WASI_ENOTDIR;
    if (!p)
        return WASI_EFAULT;
    if (engine_u32(c, at + 1) >= PLACE_PATH)
        return WASI_ENAMETOOLONG;
    *ret_folder = d;
    *ret_path = slice_make(p, engine_u32(c, at + 1));
    if (memchr(p, '\0', ret_path->n))
        return WASI_EINVAL;
    return utf8_valid(*ret_path) ? WASI_OK : WASI_EILSEQ;
}

/* The errno of a path where nothing lies: that nothing can be made there, if only that is missing.
 */
static int not_there(const struct guest *g, const struct descriptor *folder, struct slice path)
{
    char text[PLACE_TEXT];
    struct place above;
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    while (path.n && path.p[path.n - 1] != '/')
        path.n--;
    int error = path.n ? place_find(g, folder, path, text, &above) : WASI_OK;
    return error ? error : WASI_EROFS;
}

/* Opens the file or folder; an errno. */
static int open_place(struct guest *g, const struct place *place, uint32_t flags, bool to_write,
                      uint32_t *ret_fd)
{
    bool folder = place->kind == PLACE_FOLDER;
    if (flags & OPEN_EXCLUSIVE && flags & OPEN_CREATE)
        return WASI_EEXIST;
    if (folder && (to_write || flags & (OPEN_CREATE | OPEN_TRUNCATE)))
        return WASI_EISDIR;
    if (!folder && flags & OPEN_FOLDER)
        return WASI_ENOTDIR;
    if (to_write || flags & OPEN_TRUNCATE)
        return WASI_EROFS;
    struct descriptor *d = guest_place(g, ret_fd);
    if (!d)
        return WASI_EMFILE;
    return place_open(d, place) ? WASI_OK : WASI_ENOMEM;
}

/* path_open(folder, lookup flags, path, length, flags, rights, rights to inherit, fd flags, *fd) */
enum engine_verdict preview1_path_open(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct descriptor *folder;
    struct slice path;
    struct place place;
    char text[PLACE_TEXT];
    uint32_t fd = 0, flags = engine_u32(c, 4);
    void *out = engine_span(c, engine_u32(c, 8), 4);
    int error = path_argument(c, 0, 2, &folder, &path);
    if (!error && !out)
        error = WASI_EFAULT;
    if (!error && (flags & ~15u || engine_u32(c, 7) & ~31u))
        error = WASI_EINVAL;
    if (!error)
        error = place_find(g, folder, path, text, &place);
    if (error == WASI_ENOENT && flags & OPEN_CREATE)
        error = not_there(g, folder, path);
    if (!error && place.kind == PLACE_RESOURCE) {
        if (flags & OPEN_EXCLUSIVE && flags & OPEN_CREATE)
            return guest_return(c, WASI_EEXIST);
        if (flags & OPEN_FOLDER)
            return guest_return(c, WASI_ENOTDIR);
        int32_t rc = resource_open(g, place.url, &c->progress[0]);
        enum engine_verdict v = resource_verdict(rc);
        if (v != ENGINE_DONE)
            return v;
        fd = (uint32_t)rc;
        error = rc < 0 ? wasi_errno(rc) : WASI_OK;
    } else if (!error) {
        error = open_place(g, &place, flags, c->arg[5] & WASI_RIGHT_WRITE, &fd);
    }
    if (error)
        return guest_return(c, error);
    g->descriptors[fd].nonblocking = engine_u32(c, 7) & FLAG_NONBLOCK;
    wasi_put32(out, 0, fd);
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_path_filestat_get(struct engine_call *c)
{
    struct descriptor *folder;
    struct slice path;
    struct place place;
    char text[PLACE_TEXT];
    void *out = engine_span(c, engine_u32(c, 4), c->alias ? 56 : 64);
    int error = path_argument(c, 0, 2, &folder, &path);
    if (!error && !out)
        error = WASI_EFAULT;
    if (!error)
        error = place_find(guest_of(c), folder, path, text, &place);
    if (error)
        return guest_return(c, error);
    wasi_put_filestat(out, &place, c->alias);
    return guest_return(c, WASI_OK);
}

/* What there is is not a link. */
enum engine_verdict preview1_path_readlink(struct engine_call *c)
{
    struct descriptor *folder;
    struct slice path;
    struct place place;
    char text[PLACE_TEXT];
    int error = path_argument(c, 0, 1, &folder, &path);
    if (!error && (!engine_span(c, engine_u32(c, 3), engine_u32(c, 4)) ||
                   !engine_span(c, engine_u32(c, 5), 4)))
        error = WASI_EFAULT;
    if (!error)
        error = place_find(guest_of(c), folder, path, text, &place);
    return guest_return(c, error ? error : WASI_EINVAL);
}

/* Whatever would make or change something at the path in these arguments. */
static enum engine_verdict change(struct engine_call *c, int fd, int at)
{
    struct descriptor *folder;
    struct slice path;
    int error = path_argument(c, fd, at, &folder, &path);
    return guest_return(c, error ? error : WASI_EROFS);
}

enum engine_verdict preview1_path_change(struct engine_call *c)
{
    return change(c, 0, 1);
}

/* It has lookup flags before the path. */
enum engine_verdict preview1_path_filestat_set_times(struct engine_call *c)
{
    return change(c, 0, 2);
}

/* The link's content is before its folder. */
enum engine_verdict preview1_path_symlink(struct engine_call *c)
{
    return engine_span(c, engine_u32(c, 0), engine_u32(c, 1)) ? change(c, 2, 3)
                                                              : guest_return(c, WASI_EFAULT);
}

/* Two folders and paths each. */
static enum engine_verdict change_two(struct engine_call *c, int from, int to)
{
    struct descriptor *folder;
    struct slice path;
    int error = path_argument(c, 0, from, &folder, &path);
    return error ? guest_return(c, error) : change(c, to, to + 1);
}

enum engine_verdict preview1_path_link(struct engine_call *c)
{
    return change_two(c, 2, 4);
}

enum engine_verdict preview1_path_rename(struct engine_call *c)
{
    return change_two(c, 1, 3);
}

/* Is argument 0 the folder that is open from the start? Others were opened by the guest itself. */
static bool is_preopen(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    return engine_u32(c, 0) == GUEST_ROOT && d && d->scheme == &scheme_root && !d->state;
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

/* fd_readdir(folder, buffer, length, cookie, *used): an entry is 24 bytes and its name; the last
 * may be cut, which tells that there is more. A large folder takes several tries: progress[0] is
 * the next entry (and one, so that 0 is the first try), [1] the bytes used. */
enum engine_verdict preview1_fd_readdir(struct engine_call *c)
{
    enum { HEAD = 24, TURN = 1000 /* entries */ };
    const struct guest *g = guest_of(c);
    struct descriptor *d = wasi_descriptor(c);
    uint64_t size = engine_u32(c, 2), cookie = c->arg[3];
    char *out = engine_span(c, engine_u32(c, 1), size);
    void *ret_used = engine_span(c, engine_u32(c, 4), 4);
    if (!d || !d->scheme->folder)
        return guest_return(c, d ? WASI_ENOTDIR : WASI_EBADF);
    if (!out || !ret_used)
        return guest_return(c, WASI_EFAULT);
    uint32_t at = c->progress[0] ? (uint32_t)(c->progress[0] - 1) : (uint32_t)cookie, next;
    uint64_t used = c->progress[1];
    struct slice name;
    struct place place;
    for (int i = 0; used < size && cookie < UINT32_MAX; i++, at = next) {
        if (i == TURN) {
            c->progress[0] = at + UINT64_C(1);
            c->progress[1] = used;
            return ENGINE_YIELD;
        }
        if (!place_list(g, d, at, &name, &place, &next))
            break;
        uint8_t head[HEAD] = {[20] = wasi_filetype(&place)};
        wasi_put64(head, 0, next);
        wasi_put64(head, 8, place.inode);
        wasi_put32(head, 16, (uint32_t)name.n);
        uint64_t n = size - used < HEAD ? size - used : HEAD;
        memcpy(out + used, head, n);
        used += n;
        n = size - used < name.n ? size - used : name.n;
        memcpy(out + used, name.p, n);
        used += n;
    }
    wasi_put32(ret_used, 0, (uint32_t)used);
    return guest_return(c, WASI_OK);
}
