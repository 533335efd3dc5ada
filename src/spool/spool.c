#include "spool/spool.h"

#include "base/log.h"
#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file: a page of head, the sums in the order in which functions first ran (sparse: only those
 * take disk; the edge finds them through a map of its own), the ring. `head` and `tail` count bytes
 * since the file was made; a record lies at its count modulo the ring's size, whole: where it would
 * wrap, a filler takes the rest of the ring. */

enum {
    MAGIC = 0x31505357, /* "WSP1" */
    FORMAT = 4,
    PAGE = 4096,
    SUMS = 65536,
    SUMS_STEP = 256, /* places whose disk blocks are allocated together */
    FILLER = 0xffff,
    RECORD_MOST = 80 << 10,
    PIECE = 64 << 10, /* of a capture */
    TYPES = SPOOL_TYPES,
};

struct file_head {
    uint32_t magic, format;
    /* Sizes of the structs: another build, another format. */
    uint32_t receipt_bytes, log_bytes, connection_bytes, capture_bytes;
    uint64_t ring_bytes;
    struct uuid id;
    _Alignas(64) _Atomic uint64_t head; /* written by the edge */
    _Atomic uint64_t dropped[TYPES];
    _Atomic uint32_t sums_used, execs;
    _Alignas(64) _Atomic uint64_t tail; /* written by control */
};

struct record_head {
    uint32_t bytes; /* of the record with this head, a multiple of 8 */
    uint16_t type;  /* enum spool_type, or FILLER */
    uint16_t reserved;
    uint32_t tail_bytes; /* of the ledger or the line after the struct */
    uint32_t reserved2;
};

struct spool {
    bool write;
    int fd; /* edge: for allocating; else -1 */
    size_t file_bytes, ring_bytes;
    struct file_head *file;
    struct spool_sums *sums;
    struct map by_function; /* edge: uuid → struct spool_sums */
    char *ring;
    char name[64];
};

static size_t ring_offset(void)
{
    return PAGE + sizeof(struct spool_sums) * (size_t)SUMS;
}

/* The disk blocks of the next places for sums: like the ring's they are there before they are
 * written to. */
static int allocate_sums(int fd, uint32_t first)
{
    return posix_fallocate(fd, (off_t)(PAGE + first * sizeof(struct spool_sums)),
                           (off_t)(SUMS_STEP * sizeof(struct spool_sums)));
}

static enum err_code make(int fd, size_t ring_bytes, struct err *e)
{
    struct file_head h = {.magic = MAGIC,
                          .format = FORMAT,
                          .receipt_bytes = sizeof(struct spool_receipt),
                          .log_bytes = sizeof(struct spool_log),
                          .connection_bytes = sizeof(struct spool_connection),
                          .capture_bytes = sizeof(struct spool_capture),
                          .ring_bytes = ring_bytes,
                          .id = uuid_new()};
    off_t whole = (off_t)(ring_offset() + ring_bytes);
    /* The ring is allocated now: a full disk must not turn into SIGBUS later. */
    if (ftruncate(fd, whole) < 0)
        return err_errno(e, "spool: ftruncate");
    int rc = posix_fallocate(fd, (off_t)ring_offset(), (off_t)ring_bytes);
    if (!rc)
        rc = allocate_sums(fd, 0);
    if (rc) {
        errno = rc;
        return err_errno(e, "spool: %zu bytes", ring_bytes);
    }
    if (pwrite(fd, &h, sizeof h, 0) != sizeof h)
        return err_errno(e, "spool: write");
    return ERR_OK;
}

static bool sound(const struct file_head *h, off_t size)
{
    uint64_t head = atomic_load(&h->head), tail = atomic_load(&h->tail);
    return h->magic == MAGIC && h->format == FORMAT &&
           h->receipt_bytes == sizeof(struct spool_receipt) &&
           h->log_bytes == sizeof(struct spool_log) &&
           h->connection_bytes == sizeof(struct spool_connection) &&
           h->capture_bytes == sizeof(struct spool_capture) && h->ring_bytes >= PAGE &&
           h->ring_bytes % 8 == 0 && (uint64_t)size == ring_offset() + h->ring_bytes &&
           atomic_load(&h->sums_used) <= SUMS && tail <= head && head - tail <= h->ring_bytes &&
           head % 8 == 0 && tail % 8 == 0;
}

static enum err_code open_file(int folder, const char *name, size_t ring_bytes, bool write,
                               int *ret_fd, struct err *e)
{
    int fd = openat(folder, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT && write) {
        /* Made under another name and renamed: whoever opens it sees it whole. */
        char part[80];
        snprintf(part, sizeof part, "%s.new", name);
        fd = openat(folder, part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0660);
        if (fd < 0)
            return err_errno(e, "spool: %s", part);
        enum err_code rc = make(fd, ring_bytes, e);
        if (!rc && renameat(folder, part, folder, name) < 0)
            rc = err_errno(e, "spool: rename %s", part);
        if (rc) {
            unlinkat(folder, part, 0);
            close(fd);
            return rc;
        }
    }
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "spool: there is no %s yet", name)
                               : err_errno(e, "spool: %s", name);
    *ret_fd = fd;
    return ERR_OK;
}

static struct slice sums_key(const struct spool_sums *sums)
{
    return slice_make(sums->function.b, sizeof sums->function.b);
}

enum err_code spool_open(int folder, const char *name, size_t ring_bytes, bool write,
                         struct spool **ret_spool, struct err *e)
{
    ring_bytes = (ring_bytes < 1 << 20 ? 1 << 20 : ring_bytes) / PAGE * PAGE;
    struct spool *s = calloc(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_MEMORY, "no memory for the spool");
    for (int attempt = 0;; attempt++) {
        int fd = -1;
        struct stat st;
        struct file_head h;
        enum err_code rc = open_file(folder, name, ring_bytes, write, &fd, e);
        if (rc) {
            free(s);
            return rc;
        }
        if (fstat(fd, &st) == 0 && pread(fd, &h, sizeof h, 0) == sizeof h &&
            sound(&h, st.st_size)) {
            s->ring_bytes = h.ring_bytes;
            s->file_bytes = (size_t)st.st_size;
            s->file = mmap(NULL, s->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            s->fd = write ? fd : -1;
            if (!write)
                close(fd);
            if (s->file == MAP_FAILED) {
                rc = err_errno(e, "spool: mmap");
                if (write)
                    close(fd);
                free(s);
                return rc;
            }
            break;
        }
        close(fd);
        char damaged[80];
        snprintf(damaged, sizeof damaged, "%s.damaged", name);
        if (!write || attempt || renameat(folder, name, folder, damaged) < 0) {
            free(s);
            return err_set(e, ERR_CONFLICT, "spool: %s is damaged", name);
        }
        log_line(LOG_ERROR, "spool_damaged", "file=%s kept_as=%s", name, damaged);
    }
    s->write = write;
    s->sums = (struct spool_sums *)((char *)s->file + PAGE);
    s->ring = (char *)s->file + ring_offset();
    snprintf(s->name, sizeof s->name, "%s", name);
    size_t at = 0;
    for (const struct spool_sums *sums; write && (sums = spool_sums_next(s, &at));)
        if (!map_put(&s->by_function, sums_key(sums), (void *)(uintptr_t)sums)) {
            spool_close(s);
            return err_set(e, ERR_MEMORY, "no memory for the spool");
        }
    *ret_spool = s;
    return ERR_OK;
}

void spool_close(struct spool *s)
{
    if (!s)
        return;
    map_done(&s->by_function);
    munmap(s->file, s->file_bytes);
    if (s->fd >= 0)
        close(s->fd);
    free(s);
}

struct uuid spool_id(const struct spool *s)
{
    return s->file->id;
}

size_t spool_waiting(const struct spool *s)
{
    return (size_t)(atomic_load_explicit(&s->file->head, memory_order_relaxed) -
                    atomic_load_explicit(&s->file->tail, memory_order_relaxed));
}

/* ---- the edge's side ---- */

/* Appends one record: a head, a struct, then `tail_bytes` that `fill` or a copy writes. Returns
 * where the tail goes, NULL when there is no room; publish() makes it visible. */
static char *append(struct spool *s, enum spool_type type, const void *body, size_t body_bytes,
                    size_t tail_bytes, bool last_tenth, uint64_t *ret_head)
{
    size_t need = (sizeof(struct record_head) + body_bytes + tail_bytes + 7) & ~(size_t)7;
    uint64_t head = atomic_load_explicit(&s->file->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&s->file->tail, memory_order_acquire);
    size_t room = tail <= head && head - tail <= s->ring_bytes
                      ? s->ring_bytes - (size_t)(head - tail)
                      : 0; /* a tail that can't be: control is broken, nothing fits */
    size_t at = (size_t)(head % s->ring_bytes), to_end = s->ring_bytes - at;
    size_t filler = need > to_end ? to_end : 0;
    size_t kept_back = last_tenth ? 0 : s->ring_bytes / 10;
    if (need > RECORD_MOST || room < need + filler + kept_back) {
        atomic_fetch_add_explicit(&s->file->dropped[type - 1], 1, memory_order_relaxed);
        return NULL;
    }
    if (filler) {
        /* At least 8 bytes are left, for positions are multiples of 8; a head may not fit. */
        uint32_t mark[2] = {(uint32_t)filler, FILLER};
        memcpy(s->ring + at, mark, sizeof mark);
        head += filler;
        at = 0;
    }
    struct record_head h = {
        .bytes = (uint32_t)need, .type = (uint16_t)type, .tail_bytes = (uint32_t)tail_bytes};
    memcpy(s->ring + at, &h, sizeof h);
    memcpy(s->ring + at + sizeof h, body, body_bytes);
    *ret_head = head + need;
    return s->ring + at + sizeof h + body_bytes;
}

static void publish(struct spool *s, uint64_t head)
{
    atomic_store_explicit(&s->file->head, head, memory_order_release);
}

bool spool_receipt(struct spool *s, const struct spool_receipt *r, const struct ledger *l)
{
    uint64_t head;
    char *at = append(s, SPOOL_RECEIPT, r, sizeof *r, ledger_size(l), r->cause != ERR_OK, &head);
    if (!at)
        return false;
    ledger_write(l, at);
    publish(s, head);
    return true;
}

bool spool_log(struct spool *s, const struct spool_log *log, struct slice line)
{
    uint64_t head;
    char *at = append(s, SPOOL_LOG, log, sizeof *log, line.n, false, &head);
    if (!at)
        return false;
    if (line.n)
        memcpy(at, line.p, line.n);
    publish(s, head);
    return true;
}

bool spool_connection(struct spool *s, const struct spool_connection *c)
{
    uint64_t head;
    if (!append(s, SPOOL_CONNECTION, c, sizeof *c, 0, true, &head))
        return false;
    publish(s, head);
    return true;
}

bool spool_capture(struct spool *s, const struct spool_capture *head, struct slice tape)
{
    struct spool_capture piece = *head;
    uint64_t next;
    if (spool_waiting(s) + tape.n > s->ring_bytes / 2) {
        atomic_fetch_add_explicit(&s->file->dropped[SPOOL_CAPTURE - 1], 1, memory_order_relaxed);
        return false;
    }
    piece.bytes = (uint32_t)tape.n;
    for (size_t n; piece.at < tape.n; piece.at += (uint32_t)n) {
        n = tape.n - piece.at < PIECE ? tape.n - piece.at : PIECE;
        char *at = append(s, SPOOL_CAPTURE, &piece, sizeof piece, n, true, &next);
        if (!at)
            return false; /* can't be, with half of the ring free; a part of one is not taken */
        memcpy(at, tape.p + piece.at, n);
        publish(s, next);
    }
    return true;
}

struct spool_sums *spool_sums(struct spool *s, struct uuid function, struct uuid project)
{
    struct spool_sums *sums = map_get(&s->by_function, slice_make(function.b, sizeof function.b));
    if (sums)
        return sums;
    uint32_t used = atomic_load_explicit(&s->file->sums_used, memory_order_relaxed);
    if (used >= SUMS || (used && used % SUMS_STEP == 0 && allocate_sums(s->fd, used)))
        return NULL;
    sums = &s->sums[used];
    sums->function = function;
    sums->project = project;
    if (!map_put(&s->by_function, sums_key(sums), sums))
        return NULL;
    atomic_store_explicit(&s->file->sums_used, used + 1, memory_order_release);
    return sums;
}

void spool_add(struct spool_sums *sums, enum spool_counter c, uint64_t n)
{
    /* One writer: a relaxed store of the sum is enough and costs no locked instruction. */
    _Atomic uint64_t *v = (_Atomic uint64_t *)&sums->v[c];
    atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* ---- control's side: nothing that lies in the file is believed ---- */

uint64_t spool_tail(const struct spool *s)
{
    return atomic_load_explicit(&s->file->tail, memory_order_relaxed);
}

static size_t body_bytes(uint16_t type)
{
    switch (type) {
    case SPOOL_RECEIPT:
        return sizeof(struct spool_receipt);
    case SPOOL_LOG:
        return sizeof(struct spool_log);
    case SPOOL_CONNECTION:
        return sizeof(struct spool_connection);
    case SPOOL_CAPTURE:
        return sizeof(struct spool_capture);
    default:
        return 0;
    }
}

/* Takes the record of a known type apart. */
static bool read_body(uint16_t type, const char *p, struct slice tail, struct spool_record *r)
{
    struct err e;
    switch (type) {
    case SPOOL_RECEIPT:
        memcpy(&r->receipt, p, sizeof r->receipt);
        r->receipt.method[sizeof r->receipt.method - 1] = '\0';
        r->receipt.path[sizeof r->receipt.path - 1] = '\0';
        r->receipt.client[sizeof r->receipt.client - 1] = '\0';
        return r->receipt.cause < ERR_COUNT && ledger_read(tail, &r->ledger, &e) == ERR_OK;
    case SPOOL_LOG:
        memcpy(&r->log, p, sizeof r->log);
        r->line = tail;
        return true;
    case SPOOL_CAPTURE:
        memcpy(&r->capture, p, sizeof r->capture);
        r->piece = tail;
        return tail.n && r->capture.at <= r->capture.bytes &&
               tail.n <= r->capture.bytes - r->capture.at;
    default:
        memcpy(&r->connection, p, sizeof r->connection);
        r->connection.host[sizeof r->connection.host - 1] = '\0';
        r->connection.scheme[sizeof r->connection.scheme - 1] = '\0';
        return r->connection.outcome < ERR_COUNT;
    }
}

static void skip_all(struct spool *s, uint64_t head)
{
    log_line(LOG_ERROR, "spool_malformed", "file=%s skipped_bytes=%llu", s->name,
             (unsigned long long)(head - spool_tail(s)));
    atomic_store_explicit(&s->file->tail, head, memory_order_release);
}

bool spool_next(struct spool *s, uint64_t *at, struct spool_record *ret_record)
{
    uint64_t head = atomic_load_explicit(&s->file->head, memory_order_acquire);
    if (*at == head)
        return false;
    if (*at > head || head - *at > s->ring_bytes || *at % 8) {
        skip_all(s, head);
        *at = head;
        return false;
    }
    size_t place = (size_t)(*at % s->ring_bytes), to_end = s->ring_bytes - place;
    uint32_t mark[2];
    memcpy(mark, s->ring + place, sizeof mark);
    if ((uint16_t)mark[1] == FILLER && mark[0] == to_end && to_end <= head - *at) {
        *at += to_end;
        return spool_next(s, at, ret_record);
    }

    struct record_head h;
    size_t body = 0;
    bool ok = to_end >= sizeof h;
    if (ok) {
        memcpy(&h, s->ring + place, sizeof h);
        body = body_bytes(h.type);
        ok = body && h.bytes % 8 == 0 && h.bytes <= to_end && h.bytes <= head - *at &&
             h.bytes <= RECORD_MOST && h.bytes >= sizeof h + body &&
             h.tail_bytes <= h.bytes - sizeof h - body;
    }
    const char *p = s->ring + place + sizeof h;
    if (!ok || !read_body(h.type, p, slice_make(p + body, h.tail_bytes), ret_record)) {
        skip_all(s, head);
        *at = head;
        return false;
    }
    ret_record->type = (enum spool_type)h.type;
    *at += h.bytes;
    return true;
}

void spool_take(struct spool *s, uint64_t at)
{
    atomic_store_explicit(&s->file->tail, at, memory_order_release);
}

const struct spool_sums *spool_sums_next(const struct spool *s, size_t *at)
{
    uint32_t used = atomic_load_explicit(&s->file->sums_used, memory_order_acquire);
    return *at < used && *at < SUMS ? &s->sums[(*at)++] : NULL;
}

uint64_t spool_dropped(const struct spool *s, enum spool_type type)
{
    return atomic_load_explicit(&s->file->dropped[type - 1], memory_order_relaxed);
}

void spool_set_execs(struct spool *s, uint32_t count)
{
    atomic_store_explicit(&s->file->execs, count, memory_order_relaxed);
}

uint32_t spool_execs(const struct spool *s)
{
    return atomic_load_explicit(&s->file->execs, memory_order_relaxed);
}
