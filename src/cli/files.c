#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 64 << 10 };

enum err_code file_open(const char *path, int *ret_fd, struct err *e)
{
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd >= 0)
        return ERR_OK;
    return errno == ENOENT || errno == ENOTDIR
               ? err_set(e, ERR_NOT_FOUND, "there is no file \"%s\"", path)
               : err_errno(e, "can't open \"%s\"", path);
}

/* False at the end, or with *rc set. */
static bool read_piece(int fd, const char *path, struct buf *out, enum err_code *rc, struct err *e)
{
    char over;
    size_t room = out->limit - buf_size(out), want = room < PIECE ? room : PIECE;
    char *to = want ? buf_reserve(out, want) : &over;
    if (!to) {
        *rc = err_set(e, ERR_MEMORY, "no memory to read \"%s\"", path);
        return false;
    }
    ssize_t n = read(fd, to, want ? want : 1);
    if (n < 0 && errno == EINTR)
        return true;
    if (n < 0 && errno == EISDIR)
        *rc = err_set(e, ERR_INVALID, "\"%s\" is a folder", path);
    else if (n < 0)
        *rc = err_errno(e, "can't read \"%s\"", path);
    else if (n > 0 && !want)
        *rc = err_set(e, ERR_TOO_LARGE, "\"%s\" has more than %zu bytes", path, out->limit);
    else if (n > 0)
        buf_commit(out, (size_t)n);
    return n > 0 && want;
}

enum err_code file_read(const char *path, struct buf *out, struct err *e)
{
    bool input = strcmp(path, "-") == 0;
    int fd = STDIN_FILENO;
    enum err_code rc = input ? ERR_OK : file_open(path, &fd, e);
    if (rc)
        return rc;
    while (read_piece(fd, input ? "standard input" : path, out, &rc, e))
        ;
    if (!input)
        close(fd);
    return rc;
}

enum err_code file_map(const char *path, const char *what, struct slice *ret_bytes, struct err *e)
{
    struct stat st;
    int fd;
    void *p = MAP_FAILED;
    enum err_code rc = file_open(path, &fd, e);
    if (rc)
        return rc;
    if (fstat(fd, &st) < 0)
        rc = err_errno(e, "can't read \"%s\"", path);
    else if (!S_ISREG(st.st_mode) || st.st_size == 0)
        rc = err_set(e, ERR_DAMAGED, "%s is not %s: it is %s", path, what,
                     S_ISDIR(st.st_mode)    ? "a folder"
                     : !S_ISREG(st.st_mode) ? "no file"
                                            : "empty");
    else if ((p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        rc = err_errno(e, "can't map \"%s\"", path);
    close(fd);
    if (rc == ERR_OK)
        *ret_bytes = slice_make(p, (size_t)st.st_size);
    return rc;
}

enum err_code file_of(struct slice bytes, int *ret_fd, struct err *e)
{
    int fd = memfd_create("upload", MFD_CLOEXEC);
    while (fd >= 0 && bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR)
            break;
        bytes = slice_from(bytes, n > 0 ? (size_t)n : 0);
    }
    if (fd < 0 || bytes.n || lseek(fd, 0, SEEK_SET) < 0) {
        enum err_code rc = err_errno(e, "no memory for an upload");
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_fd = fd;
    return ERR_OK;
}
