/* Packing a folder of this machine as the archive that is uploaded.
 *
 * Entries are sorted, without times and owners, so that equal folders give equal archives. The
 * kernel resolves every path below the folder (openat2, RESOLVE_BENEATH): a symbolic link that
 * leads out of it is an error, not a leak of what the user didn't mean to publish. */
#include "module/bundle.h"

#include "module/module.h"
#include "module/tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct packing {
    int root;
    const char *folder; /* as the user named it, for messages */
    const struct limits *limits;
    struct buf *out;
    uint64_t files, bytes;
};

/* A folder on the way to where we are. */
struct above {
    const struct above *up;
    dev_t device;
    ino_t inode;
};

static enum err_code no_memory(struct err *e)
{
    return err_set(e, ERR_MEMORY, "no memory to pack the assets");
}

static int open_below(const struct packing *p, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, p->root, *path ? path : ".", &how, sizeof how);
}

static bool put_header(struct buf *out, char type, struct slice name, uint64_t size)
{
    char block[TAR_BLOCK];
    tar_head(block, type, type == '5' ? 0755 : 0644, name, size);
    return buf_add(out, block, sizeof block);
}

static bool put_fill(struct buf *out, uint64_t size)
{
    static const char zeros[TAR_BLOCK];
    return buf_add(out, zeros, tar_fill(size));
}

/* The header of an entry; a path that doesn't fit into it goes before it, as a pax record. */
static bool put_entry(struct buf *out, char type, struct slice path, uint64_t size)
{
    if (path.n > 100) {
        char record[BUNDLE_PATH + 16];
        size_t n = path.n + sizeof " path=\n" - 1, digits = n + 2 > 99 ? n + 3 > 999 ? 4 : 3 : 2;
        int length =
            snprintf(record, sizeof record, "%zu path=%.*s\n", n + digits, SLICE_ARG(path));
        if (!put_header(out, 'x', SLICE("path"), (uint64_t)length) ||
            !buf_add(out, record, (size_t)length) || !put_fill(out, (uint64_t)length))
            return false;
    }
    return put_header(out, type, path, size);
}

static enum err_code pack_file(struct packing *p, int fd, const char *path, const struct stat *st,
                               struct err *e)
{
    uint64_t size = (uint64_t)st->st_size, most = p->limits->v[LIMIT_ASSETS];
    p->bytes += size;
    if (p->bytes > most) {
        char allowed[32];
        limit_format(LIMIT_ASSETS, most, allowed);
        return err_set(e, ERR_TOO_LARGE,
                       "the files in %s are over the limit \"%s\": all together may have %s",
                       p->folder, limit_rows[LIMIT_ASSETS].name, allowed);
    }
    char *to =
        put_entry(p->out, '0', slice_str(path), size) ? buf_reserve(p->out, (size_t)size) : NULL;
    if (!to && size)
        return no_memory(e);
    for (uint64_t done = 0; done < size;) {
        ssize_t n = read(fd, to + done, (size_t)(size - done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "can't read %s/%s", p->folder, path);
        if (n == 0)
            return err_set(e, ERR_CONFLICT, "%s/%s became shorter while it was read", p->folder,
                           path);
        done += (uint64_t)n;
    }
    buf_commit(p->out, (size_t)size);
    return put_fill(p->out, size) ? ERR_OK : no_memory(e);
}

static enum err_code pack(struct packing *p, const char *path, const struct above *up,
                          struct err *e);

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int not_dots(const struct dirent *d)
{
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static enum err_code pack_folder(struct packing *p, int fd, const char *path, const struct stat *st,
                                 const struct above *up, struct err *e)
{
    struct above here = {up, st->st_dev, st->st_ino};
    struct dirent **names = NULL;
    enum err_code rc = ERR_OK;
    for (; up; up = up->up)
        if (up->device == here.device && up->inode == here.inode)
            return err_set(e, ERR_INVALID, "%s/%s is a symbolic link to a folder above it",
                           p->folder, path);
    if (*path) {
        char name[BUNDLE_PATH + 2];
        snprintf(name, sizeof name, "%s/", path);
        if (!put_entry(p->out, '5', slice_str(name), 0))
            return no_memory(e);
    }
    int n = scandirat(fd, ".", &names, not_dots, by_bytes);
    if (n < 0)
        return err_errno(e, "can't list %s/%s", p->folder, path);
    for (int i = 0; i < n && rc == ERR_OK; i++) {
        char below[BUNDLE_PATH + 1];
        int size =
            snprintf(below, sizeof below, "%s%s%s", path, *path ? "/" : "", names[i]->d_name);
        rc = size > BUNDLE_PATH ? err_set(e, ERR_INVALID, "%s/%s/%s: a path has more than %d bytes",
                                          p->folder, path, names[i]->d_name, BUNDLE_PATH)
                                : pack(p, below, &here, e);
    }
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return rc;
}

static enum err_code pack(struct packing *p, const char *path, const struct above *up,
                          struct err *e)
{
    struct stat st;
    enum err_code rc;
    if (*path && ++p->files > p->limits->v[LIMIT_ASSET_FILES])
        return err_set(e, ERR_TOO_LARGE,
                       "%s is over the limit \"%s\": allowed are %llu files and folders", p->folder,
                       limit_rows[LIMIT_ASSET_FILES].name,
                       (unsigned long long)p->limits->v[LIMIT_ASSET_FILES]);
    if (!utf8_valid(slice_str(path)))
        return err_set(e, ERR_INVALID, "%s/%s: the name is not UTF-8", p->folder,
                       quote(slice_str(path)).text);
    int fd = open_below(p, path);
    if (fd < 0 && errno == EXDEV)
        return err_set(e, ERR_INVALID, "%s/%s is a symbolic link that leads out of the folder",
                       p->folder, path);
    if (fd < 0 && errno == ENXIO) /* what opening a socket gives */
        return err_set(e, ERR_INVALID, "%s/%s is no file or folder", p->folder, path);
    if (fd < 0)
        return err_errno(e, "can't open %s/%s", p->folder, path);
    if (fstat(fd, &st) < 0)
        rc = err_errno(e, "can't look at %s/%s", p->folder, path);
    else if (S_ISDIR(st.st_mode))
        rc = pack_folder(p, fd, path, &st, up, e);
    else if (S_ISREG(st.st_mode))
        rc = pack_file(p, fd, path, &st, e);
    else
        rc = err_set(e, ERR_INVALID, "%s/%s is no file or folder", p->folder, path);
    close(fd);
    return rc;
}

enum err_code bundle_pack(const char *folder, const struct limits *limits, struct buf *out,
                          struct err *e)
{
    static const char end[2 * TAR_BLOCK];
    struct packing p = {.folder = folder, .limits = limits, .out = out};
    p.root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (p.root < 0)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "there is no folder %s", folder)
                               : err_errno(e, "can't open the folder %s", folder);
    enum err_code rc = pack(&p, "", NULL, e);
    close(p.root);
    if (rc == ERR_OK && !buf_add(out, end, sizeof end))
        rc = no_memory(e);
    return rc;
}

/* ---- a bundle's own ---- */

static bool unmake(const struct bundle *b, uint32_t folder, char path[BUNDLE_PATH + 1], size_t n,
                   struct buf *out)
{
    struct bundle_entry e;
    for (uint32_t i = 0; bundle_list(b, folder, i, &e); i++) {
        size_t slash = n ? 1 : 0;
        if (n + slash + e.name.n > BUNDLE_PATH)
            return false;
        path[n] = '/';
        memcpy(path + n + slash, e.name.p, e.name.n);
        size_t all = n + slash + e.name.n;
        bool fits =
            put_entry(out, e.folder ? '5' : '0', slice_make(path, all), e.folder ? 0 : e.content.n);
        if (fits && e.folder)
            fits = unmake(b, e.index, path, all, out);
        else if (fits)
            fits = buf_add(out, e.content.p, e.content.n) && put_fill(out, e.content.n);
        if (!fits)
            return false;
    }
    return true;
}

enum err_code bundle_unmake(const struct bundle *b, struct buf *out, struct err *e)
{
    static const char end[2 * TAR_BLOCK];
    char path[BUNDLE_PATH + 1];
    return unmake(b, 0, path, 0, out) && buf_add(out, end, sizeof end) ? ERR_OK : no_memory(e);
}
