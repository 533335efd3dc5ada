#include "cli/capture_file.h"

#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_LINE "wasmcloud capture 1\n"

enum { NAME = 8, PARTS = 3, FILE_MOST = 256 << 20 };

static const char names[PARTS][NAME + 1] = {"tape", "module", "assets"};

static bool write_all(int fd, const void *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return false;
        p = (const char *)p + w;
        n -= (size_t)w;
    }
    return true;
}

static bool write_part(int fd, const char *name, struct slice bytes)
{
    char head[NAME + sizeof(uint64_t)] = {0};
    uint64_t n = bytes.n;
    memcpy(head, name, strlen(name));
    memcpy(head + NAME, &n, sizeof n);
    return write_all(fd, head, sizeof head) && write_all(fd, bytes.p, bytes.n);
}

enum err_code capture_file_write(const char *path, const struct capture_file *f, struct err *e)
{
    const struct slice parts[PARTS] = {f->tape, f->module, f->bundle};
    char *fresh;
    if (asprintf(&fresh, "%s.new", path) < 0)
        return err_set(e, ERR_MEMORY, "no memory for a file name");
    /* What a run got may be nobody else's business. */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, FIRST_LINE, sizeof FIRST_LINE - 1);
    for (int i = 0; i < PARTS && ok; i++)
        ok = !parts[i].n || write_part(fd, names[i], parts[i]);
    ok = fd >= 0 && close(fd) == 0 && ok && rename(fresh, path) == 0;
    enum err_code rc = ok ? ERR_OK : err_errno(e, "can't write \"%s\"", path);
    if (!ok && fd >= 0)
        unlink(fresh);
    free(fresh);
    return rc;
}

enum err_code capture_file_parts(struct slice bytes, struct capture_file *ret, struct err *e)
{
    struct slice got[PARTS] = {{0}};
    if (!slice_starts(bytes, SLICE(FIRST_LINE)))
        return err_set(e, ERR_DAMAGED, "this is no file of a captured run");
    bytes = slice_from(bytes, sizeof FIRST_LINE - 1);
    while (bytes.n) {
        uint64_t n;
        int part = 0;
        if (bytes.n < NAME + sizeof n)
            return err_set(e, ERR_DAMAGED, "the file of the captured run is not whole");
        while (part < PARTS && strncmp(bytes.p, names[part], NAME))
            part++;
        memcpy(&n, bytes.p + NAME, sizeof n);
        bytes = slice_from(bytes, NAME + sizeof n);
        if (part == PARTS || n > bytes.n || got[part].p)
            return err_set(e, ERR_DAMAGED, "the file of the captured run is not whole");
        got[part] = slice_make(bytes.p, (size_t)n);
        bytes = slice_from(bytes, (size_t)n);
    }
    if (!got[0].n || !got[1].n)
        return err_set(e, ERR_DAMAGED, "the file of the captured run has no module");
    ret->tape = got[0];
    ret->module = got[1];
    ret->bundle = got[2];
    return ERR_OK;
}

enum err_code capture_file_read(const char *path, struct capture_file *ret_file, struct err *e)
{
    struct capture_file f = {0};
    struct err why;
    buf_init(&f.bytes, FILE_MOST);
    enum err_code rc = file_read(path, &f.bytes, e);
    if (!rc && (rc = capture_file_parts(buf_slice(&f.bytes), &f, &why)))
        err_set(e, rc, "\"%s\": %s", path, why.text);
    if (rc)
        buf_done(&f.bytes);
    else
        *ret_file = f;
    return rc;
}

void capture_file_done(struct capture_file *f)
{
    buf_done(&f->bytes);
    *f = (struct capture_file){0};
}
