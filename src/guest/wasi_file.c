/* WASI: what only files have: a position, and places to read at. Streams answer ESPIPE, folders
 * EBADF. Files are assets, so they never change and what would change them is refused. */
#include "guest/wasi.h"

/* The file that argument 0 names; an errno: the one for streams, unless it is something else. */
static int file_argument(struct engine_call *c, int for_stream, struct file **ret_file)
{
    struct descriptor *d = wasi_descriptor(c);
    if (!d || d->scheme->folder)
        return WASI_EBADF;
    *ret_file = file_of(d);
    return *ret_file ? WASI_OK : for_stream;
}

static enum engine_verdict give_position(struct engine_call *c, int arg, struct file *f,
                                         uint64_t at)
{
    void *out = engine_span(c, engine_u32(c, arg), 8);
    if (!out)
        return guest_return(c, WASI_EFAULT);
    f->at = at;
    wasi_put64(out, 0, at);
    return guest_return(c, WASI_OK);
}

/* fd_seek(file, offset, whence, *position): the old module counts whence in another order. */
enum engine_verdict preview1_fd_seek(struct engine_call *c)
{
    enum whence { SET, CURRENT, END };
    static const uint8_t old[] = {CURRENT, END, SET};
    struct file *f;
    int64_t offset = (int64_t)c->arg[1], to;
    uint32_t whence = engine_u32(c, 2);
    int error = file_argument(c, WASI_ESPIPE, &f);
    if (error)
        return guest_return(c, error);
    if (whence > END)
        return guest_return(c, WASI_EINVAL);
    if (c->alias)
        whence = old[whence];
    uint64_t from = whence == CURRENT ? f->at : whence == END ? f->entry.content.n : 0;
    if (__builtin_add_overflow((int64_t)from, offset, &to) || to < 0)
        return guest_return(c, WASI_EINVAL);
    return give_position(c, 3, f, (uint64_t)to);
}

enum engine_verdict preview1_fd_tell(struct engine_call *c)
{
    struct file *f;
    int error = file_argument(c, WASI_ESPIPE, &f);
    return error ? guest_return(c, error) : give_position(c, 1, f, f->at);
}

/* fd_pread(file, spans, count, offset, *read): less than the spans hold, as every read. */
enum engine_verdict preview1_fd_pread(struct engine_call *c)
{
    const uint8_t *spans;
    struct file *f;
    uint64_t done = 0, at = c->arg[3];
    int error = file_argument(c, WASI_ESPIPE, &f);
    if (!error)
        error = wasi_spans(c, 4, &spans);
    if (error)
        return guest_return(c, error);
    struct slice rest = slice_from(f->entry.content, at < f->entry.content.n ? at : SIZE_MAX);
    for (uint32_t i = 0; i < engine_u32(c, 2) && done < RESOURCE_MOST; i++) {
        uint64_t n = wasi_get32(spans, i * WASI_IOV_BYTES + 4);
        if (n > RESOURCE_MOST - done)
            n = RESOURCE_MOST - done;
        if (n > rest.n)
            n = rest.n;
        void *to = engine_span(c, wasi_get32(spans, i * WASI_IOV_BYTES), n);
        if (!to) /* what was read went over the spans themselves */
            break;
        memcpy(to, rest.p, n);
        rest = slice_from(rest, n);
        done += n;
    }
    wasi_put32(engine_span(c, engine_u32(c, 4), 4), 0, (uint32_t)done);
    return guest_return(c, WASI_OK);
}

/* fd_advise(file, offset, length, advice) */
enum engine_verdict preview1_fd_advise(struct engine_call *c)
{
    enum { ADVICE_MOST = 5 };
    struct file *f;
    int error = file_argument(c, WASI_ESPIPE, &f);
    if (!error && engine_u32(c, 3) > ADVICE_MOST)
        error = WASI_EINVAL;
    return guest_return(c, error);
}

/* Files are open for reading only. */

enum engine_verdict preview1_fd_pwrite(struct engine_call *c)
{
    struct file *f;
    int error = file_argument(c, WASI_ESPIPE, &f);
    return guest_return(c, error ? error : WASI_EBADF);
}

/* fd_filestat_set_size too. */
enum engine_verdict preview1_fd_allocate(struct engine_call *c)
{
    struct file *f;
    int error = file_argument(c, WASI_ENOTSUP, &f);
    return guest_return(c, error ? error : WASI_EBADF);
}

enum engine_verdict preview1_fd_filestat_set_times(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    if (!d)
        return guest_return(c, WASI_EBADF);
    return guest_return(c, d->scheme->folder || file_of(d) ? WASI_EROFS : WASI_ENOTSUP);
}
