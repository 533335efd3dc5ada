/* WASI: descriptors of every kind. What only files have, a position, is in wasi_file.c. */
#include "guest/resource.h"
#include "guest/tape.h"
#include "guest/transfer.h"
#include "guest/wasi.h"

enum {
    IOV_MOST = 1024, /* as Linux's IOV_MAX */
    FLAG_APPEND = 1,
    FLAG_NONBLOCK = 4,
};
/* Rights as the witx files number them. Folders have those of changing things too: C libraries take
 * a folder without them for something else. Using them gives EROFS. */
enum {
    RIGHT_DATASYNC = 1 << 0,
    RIGHT_READ = 1 << 1,
    RIGHT_SEEK = 1 << 2,
    RIGHT_SET_FLAGS = 1 << 3,
    RIGHT_SYNC = 1 << 4,
    RIGHT_TELL = 1 << 5,
    RIGHT_ADVISE = 1 << 7,
    RIGHT_FILESTAT = 1 << 21,
    RIGHT_SET_TIMES = 1 << 23,
    RIGHT_POLL = 1 << 27,
    RIGHT_ALL = (1 << 29) - 1,
    /* bits 9 to 18 and 20: paths and lists; 24 to 26: symlink, remove, unlink */
    RIGHTS_FOLDER = 0x3ff << 9 | 1 << 20 | RIGHT_SET_TIMES | 7 << 24,
};

int wasi_errno(int64_t code)
{
    switch (code) {
    case RESOURCE_INVALID:
        return WASI_EINVAL;
    case RESOURCE_DENIED:
        return WASI_EACCES;
    case RESOURCE_NOT_FOUND:
        return WASI_ENOENT;
    default:
        return code < 0 ? WASI_EIO : WASI_OK;
    }
}

uint8_t wasi_filetype(const struct place *place)
{
    enum { CHARACTER = 2, FOLDER = 3, REGULAR = 4 };
    return place->kind == PLACE_FOLDER ? FOLDER : place->kind == PLACE_FILE ? REGULAR : CHARACTER;
}

void wasi_put_filestat(uint8_t *out, const struct place *place, bool old)
{
    memset(out, 0, old ? 56 : 64); /* the old one counts links in four bytes */
    wasi_put64(out, 8, place->inode);
    out[16] = wasi_filetype(place);
    out[old ? 20 : 24] = 1; /* one link */
    wasi_put64(out, old ? 24 : 32, place->kind == PLACE_FILE ? place->entry.content.n : 0);
}

enum engine_verdict preview1_fd_close(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    if (!d)
        return guest_return(c, WASI_EBADF);
    guest_close(guest_of(c), d);
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_fd_sync(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    if (!d)
        return guest_return(c, WASI_EBADF);
    int32_t rc = resource_flush(guest_of(c), d);
    enum engine_verdict v = resource_verdict(rc);
    return v == ENGINE_DONE ? guest_return(c, wasi_errno(rc)) : v;
}

/* A character device without a position is what C libraries take for a terminal: output leaves at
 * each line, which is what someone who watches a stream wants. */
enum engine_verdict preview1_fd_fdstat_get(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    uint8_t *out = engine_span(c, engine_u32(c, 1), 24);
    if (!d)
        return guest_return(c, WASI_EBADF);
    if (!out)
        return guest_return(c, WASI_EFAULT);
    struct place place = place_of(guest_of(c), d);
    uint64_t rights = RIGHT_SET_FLAGS | RIGHT_FILESTAT | RIGHT_POLL;
    if (d->scheme->read)
        rights |= RIGHT_READ;
    if (d->scheme->write)
        rights |= WASI_RIGHT_WRITE | RIGHT_SYNC | RIGHT_DATASYNC;
    if (d->scheme->folder)
        rights |= RIGHTS_FOLDER;
    if (place.kind == PLACE_FILE)
        rights |= RIGHT_SEEK | RIGHT_TELL | RIGHT_ADVISE;
    memset(out, 0, 24);
    out[0] = wasi_filetype(&place);
    out[2] = d->nonblocking ? FLAG_NONBLOCK : 0;
    wasi_put64(out, 8, rights);
    wasi_put64(out, 16, d->scheme->folder ? RIGHT_ALL : 0);
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_fd_fdstat_set_flags(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    uint32_t flags = engine_u32(c, 1);
    if (!d)
        return guest_return(c, WASI_EBADF);
    if (flags & ~(uint32_t)(FLAG_APPEND | FLAG_NONBLOCK))
        return guest_return(c, WASI_ENOTSUP);
    d->nonblocking = flags & FLAG_NONBLOCK;
    return guest_return(c, WASI_OK);
}

enum engine_verdict preview1_fd_filestat_get(struct engine_call *c)
{
    struct descriptor *d = wasi_descriptor(c);
    uint8_t *out = engine_span(c, engine_u32(c, 1), c->alias ? 56 : 64);
    if (!d)
        return guest_return(c, WASI_EBADF);
    if (!out)
        return guest_return(c, WASI_EFAULT);
    struct place place = place_of(guest_of(c), d);
    wasi_put_filestat(out, &place, c->alias);
    return guest_return(c, WASI_OK);
}

int wasi_spans(struct engine_call *c, int ret_count, const uint8_t **ret_spans)
{
    uint32_t count = engine_u32(c, 2);
    const uint8_t *spans = engine_span(c, engine_u32(c, 1), (uint64_t)count * WASI_IOV_BYTES);
    if (count > IOV_MOST)
        return WASI_EINVAL;
    if (!spans || !engine_span(c, engine_u32(c, ret_count), 4))
        return WASI_EFAULT;
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = wasi_get32(spans, i * WASI_IOV_BYTES + 4);
        if (!engine_span(c, wasi_get32(spans, i * WASI_IOV_BYTES), size))
            return WASI_EFAULT;
        total += size;
    }
    if (total > INT32_MAX)
        return WASI_EINVAL;
    *ret_spans = spans;
    return WASI_OK;
}

/* What fd_read and fd_write begin with; an errno. */
static int transfer_begin(struct engine_call *c, struct descriptor **ret_descriptor,
                          const uint8_t **ret_vectors)
{
    *ret_descriptor = wasi_descriptor(c);
    return *ret_descriptor ? wasi_spans(c, 3, ret_vectors) : WASI_EBADF;
}

/* Stores the count at argument 3, which is checked before anything moves. */
static enum engine_verdict give_count(struct engine_call *c, uint64_t count)
{
    wasi_put32(engine_span(c, engine_u32(c, 3), 4), 0, (uint32_t)count);
    return guest_return(c, WASI_OK);
}

/* All of it, across waits: progress[0] is the vector, [1] how much of it is written. What the
 * vectors before it hold was written, so the sum need not be kept. */
enum engine_verdict preview1_fd_write(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct descriptor *d;
    const uint8_t *vectors;
    uint64_t done = 0;
    int error = transfer_begin(c, &d, &vectors);
    if (error)
        return guest_return(c, error);
    if (!d->scheme->write)
        return guest_return(c, WASI_EBADF);
    uint32_t count = engine_u32(c, 2);
    for (uint64_t i = 0; i < c->progress[0]; i++)
        done += wasi_get32(vectors, i * WASI_IOV_BYTES + 4);
    for (; c->progress[0] < count; c->progress[0]++, c->progress[1] = 0) {
        const uint8_t *v = vectors + c->progress[0] * WASI_IOV_BYTES;
        uint32_t size = wasi_get32(v, 4);
        int64_t written = 0;
        if (!size)
            continue;
        enum engine_verdict verdict = transfer_write(g, d, engine_span(c, wasi_get32(v, 0), size),
                                                     size, &c->progress[1], &written);
        if (verdict == ENGINE_WAIT && d->nonblocking && !tape_waits(g))
            return done + c->progress[1] ? give_count(c, done + c->progress[1])
                                         : guest_return(c, WASI_EAGAIN);
        if (verdict != ENGINE_DONE)
            return verdict;
        if (written < 0)
            return done ? give_count(c, done) : guest_return(c, wasi_errno(written));
        done += (uint64_t)written;
        if ((uint64_t)written < size)
            break;
    }
    return give_count(c, done);
}

/* What there is, at least a byte: later vectors are filled only with what is there already. */
enum engine_verdict preview1_fd_read(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct descriptor *d;
    const uint8_t *vectors;
    uint64_t done = 0;
    int error = transfer_begin(c, &d, &vectors);
    if (error)
        return guest_return(c, error);
    if (!d->scheme->read)
        return guest_return(c, WASI_EBADF);
    for (uint32_t i = 0, count = engine_u32(c, 2); i < count; i++) {
        uint32_t size = wasi_get32(vectors, i * WASI_IOV_BYTES + 4);
        void *to = engine_span(c, wasi_get32(vectors, i * WASI_IOV_BYTES), size);
        int64_t got = 0;
        if (!to) /* what was read went over the vectors themselves */
            return done ? give_count(c, done) : guest_return(c, WASI_EFAULT);
        if (!size)
            continue;
        enum engine_verdict v = transfer_read(g, d, to, size, &got);
        if (v == ENGINE_WAIT) {
            if (done) {
                if (g->tape && !d->nonblocking)
                    tape_waited(g, d);
                break;
            }
            return d->nonblocking ? guest_return(c, WASI_EAGAIN) : v;
        }
        if (v != ENGINE_DONE)
            return v;
        if (got == RESOURCE_END)
            break;
        if (got < 0)
            return done ? give_count(c, done) : guest_return(c, wasi_errno(got));
        done += (uint64_t)got;
        if ((uint64_t)got < size || done >= RESOURCE_MOST)
            break;
    }
    return give_count(c, done);
}

enum engine_verdict preview1_fd_renumber(struct engine_call *c)
{
    struct guest *g = guest_of(c);
    struct descriptor *from = wasi_descriptor(c), *to = guest_descriptor(g, engine_u32(c, 1));
    if (!from || !to)
        return guest_return(c, WASI_EBADF);
    if (from != to) {
        guest_close(g, to);
        *to = *from;
        from->scheme = NULL;
    }
    return guest_return(c, WASI_OK);
}

/* Rights are what a descriptor can do; they are not kept apart from that. */
enum engine_verdict preview1_fd_fdstat_set_rights(struct engine_call *c)
{
    return guest_return(c, wasi_descriptor(c) ? WASI_ENOTSUP : WASI_EBADF);
}

enum engine_verdict preview1_fd_no_socket(struct engine_call *c)
{
    return guest_return(c, wasi_descriptor(c) ? WASI_ENOTSOCK : WASI_EBADF);
}
