#include "ipc/tape.h"

#include <stdio.h>

#define TAPE_MAGIC "wctape1\n"

enum { MAGIC = sizeof TAPE_MAGIC - 1, SLUG = 32, VARINT = 10, RECORD_HEAD = 1 + 4 * VARINT };

struct tape_head {
    char magic[MAGIC];
    uint8_t module[DIGEST_BYTES], assets[DIGEST_BYTES], policy_digest[DIGEST_BYTES];
    uint8_t output[DIGEST_BYTES];
    uint64_t output_bytes, started_us;
    char reason[SLUG]; /* padded with NULs */
    int32_t status;
    uint8_t kind, whole;
    uint16_t reserved;
    /* bytes of the parts, in this order */
    uint32_t limits, meta, env, secrets, args, policy, records;
    uint32_t count;
};
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "heads are written as they lie in memory");

/* ---- records ---- */

static size_t put_varint(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return n;
}

static bool take_varint(struct slice *rest, uint64_t *ret_value)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && rest->n; shift += 7) {
        uint8_t b = (uint8_t)*rest->p;
        *rest = slice_from(*rest, 1);
        if (shift == 63 && b > 1)
            return false;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *ret_value = v;
            return true;
        }
    }
    return false;
}

/* Small numbers of either sign take few bytes. */
static uint64_t zigzag(int32_t v)
{
    return ((uint32_t)v << 1) ^ (uint32_t)(v >> 31);
}

bool tape_put(struct buf *out, const struct tape_record *r)
{
    uint8_t head[RECORD_HEAD] = {(uint8_t)r->kind};
    size_t n = 1;
    n += put_varint(head + n, r->fd);
    n += put_varint(head + n, zigzag(r->result));
    n += put_varint(head + n, r->value);
    n += put_varint(head + n, r->bytes.n);
    char *at = buf_reserve(out, n + r->bytes.n);
    if (!at)
        return false;
    memcpy(at, head, n);
    if (r->bytes.n)
        memcpy(at + n, r->bytes.p, r->bytes.n);
    buf_commit(out, n + r->bytes.n);
    return true;
}

bool tape_next(struct slice *rest, struct tape_record *ret_record)
{
    struct slice at = *rest;
    uint64_t fd, result, value, n;
    if (!at.n || at.p[0] < TAPE_REAL || at.p[0] >= TAPE_KINDS)
        return false;
    enum tape_kind kind = (enum tape_kind)at.p[0];
    at = slice_from(at, 1);
    if (!take_varint(&at, &fd) || !take_varint(&at, &result) || !take_varint(&at, &value) ||
        !take_varint(&at, &n) || fd > UINT32_MAX || result > UINT32_MAX || n > at.n)
        return false;
    *ret_record = (struct tape_record){
        .kind = kind,
        .fd = (uint32_t)fd,
        .result = (int32_t)((uint32_t)(result >> 1) ^ (0u - (uint32_t)(result & 1))),
        .value = value,
        .bytes = slice_make(at.p, (size_t)n)};
    *rest = slice_from(at, (size_t)n);
    return true;
}

void tape_say(const struct tape_record *r, char *out, size_t size)
{
    static const char *const names[TAPE_KINDS] = {
        [TAPE_REAL] = "the time",       [TAPE_MONO] = "the monotonic time",
        [TAPE_RANDOM] = "random bytes", [TAPE_OPEN] = "an open of",
        [TAPE_READ] = "a read",         [TAPE_WRITE] = "a write",
        [TAPE_FLUSH] = "a flush",       [TAPE_READY] = "a poll",
        [TAPE_SLEPT] = "a sleep",       [TAPE_FATAL] = "an end"};
    const char *name = names[r->kind];
    switch (r->kind) {
    case TAPE_RANDOM:
        snprintf(out, size, "%zu %s", r->bytes.n, name);
        return;
    case TAPE_OPEN:
        snprintf(out, size, "%s %.*s", name, r->bytes.n < 200 ? (int)r->bytes.n : 200, r->bytes.p);
        return;
    case TAPE_READ:
    case TAPE_WRITE:
    case TAPE_FLUSH:
        snprintf(out, size, "%s of descriptor %u", name, r->fd);
        return;
    case TAPE_REAL:
    case TAPE_MONO:
    case TAPE_READY:
    case TAPE_SLEPT:
    case TAPE_FATAL:
    case TAPE_KINDS:
        snprintf(out, size, "%s", name);
        return;
    }
}

/* ---- the whole ---- */

bool tape_secrets(struct tape *t, unsigned count, struct buf *names)
{
    size_t pairs = 0, at = 0;
    bool ok = true;
    for (size_t i = 0, ends = 0; i < t->env.n; i++)
        pairs += !t->env.p[i] && ++ends % 2 == 0;
    if (pairs < count)
        return false;
    struct slice rest = t->env;
    for (size_t i = 0; i < pairs && ok; i++) {
        struct slice name = slice_split(&rest, '\0'), value = slice_split(&rest, '\0');
        if (i < pairs - count)
            at += name.n + 1 + value.n + 1;
        else
            ok = buf_add(names, name.p, name.n + 1);
    }
    t->env.n = at;
    t->secrets = buf_slice(names);
    return ok;
}

/* Those that a version may set, by name. */
static bool put_limits(const struct limits *l, struct buf *out)
{
    bool ok = true;
    for (int i = 0; i < LIMIT_COUNT && ok; i++) {
        const char *name = limit_rows[i].name;
        if (limit_rows[i].who == LIMIT_WHO_FUNCTION)
            ok = buf_add(out, name, strlen(name) + 1) && buf_add(out, &l->v[i], sizeof l->v[i]);
    }
    return ok;
}

static bool take_limits(struct slice part, struct limits *l)
{
    limits_init(l, false);
    while (part.n) {
        enum limit_id id;
        uint64_t v;
        size_t n = strnlen(part.p, part.n);
        if (part.n < n + 1 + sizeof v)
            return false;
        struct slice name = slice_make(part.p, n);
        memcpy(&v, part.p + n + 1, sizeof v);
        part = slice_from(part, n + 1 + sizeof v);
        if (!limit_find(name, &id))
            continue; /* of an older or a newer build */
        uint64_t most = limit_rows[id].maximum;
        if (limit_rows[id].who != LIMIT_WHO_FUNCTION || (most && v > most))
            return false;
        l->v[id] = v;
    }
    return true;
}

bool tape_write(const struct tape *t, struct buf *out)
{
    struct tape_head h = {.magic = TAPE_MAGIC,
                          .output_bytes = t->output_bytes,
                          .started_us = t->started_us,
                          .status = t->status,
                          .kind = t->kind,
                          .whole = t->whole,
                          .meta = (uint32_t)t->meta.n,
                          .env = (uint32_t)t->env.n,
                          .secrets = (uint32_t)t->secrets.n,
                          .args = (uint32_t)t->args.n,
                          .policy = (uint32_t)t->policy.n,
                          .records = (uint32_t)t->records.n,
                          .count = t->count};
    const struct slice parts[] = {t->meta, t->env, t->secrets, t->args, t->policy, t->records};
    size_t begin = buf_size(out);
    memcpy(h.module, t->module, sizeof h.module);
    memcpy(h.assets, t->assets, sizeof h.assets);
    memcpy(h.policy_digest, t->policy_digest, sizeof h.policy_digest);
    memcpy(h.output, t->output, sizeof h.output);
    bool ok = slice_copy(slice_str(err_slug(t->reason)), h.reason, sizeof h.reason) &&
              buf_add(out, &h, sizeof h) && put_limits(&t->limits, out);
    if (!ok)
        return false;
    h.limits = (uint32_t)(buf_size(out) - begin - sizeof h);
    memcpy(buf_data(out) + begin, &h, sizeof h);
    for (size_t i = 0; i < sizeof parts / sizeof *parts && ok; i++)
        ok = buf_add(out, parts[i].p, parts[i].n);
    return ok;
}

/* Strings that all end; pairs of them if `pairs`. */
static bool are_strings(struct slice s, bool pairs)
{
    size_t ends = 0;
    for (size_t i = 0; i < s.n; i++)
        ends += !s.p[i];
    return !s.n || (!s.p[s.n - 1] && !(pairs && ends % 2));
}

static bool are_records(struct slice rest, uint32_t count)
{
    struct tape_record r;
    uint32_t n = 0;
    while (rest.n && tape_next(&rest, &r))
        n++;
    return !rest.n && n == count;
}

static enum err_code damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DAMAGED, "the capture of the run is damaged: %s", what);
}

enum err_code tape_read(struct slice bytes, struct tape *ret_tape, struct err *e)
{
    struct tape_head h;
    struct tape t = {0};
    if (bytes.n >= MAGIC && slice_starts(bytes, SLICE("wctape")) &&
        !slice_starts(bytes, SLICE(TAPE_MAGIC)))
        return err_set(
            e, ERR_NOT_IMPLEMENTED,
            "the run was captured by another release, in a form that this one can't read");
    if (bytes.n < sizeof h || !slice_starts(bytes, SLICE(TAPE_MAGIC)))
        return err_set(e, ERR_DAMAGED, "this is no capture of a run");
    memcpy(&h, bytes.p, sizeof h);
    bytes = slice_from(bytes, sizeof h);
    const uint32_t sizes[] = {h.limits, h.meta, h.env, h.secrets, h.args, h.policy, h.records};
    struct slice limits, *const parts[] = {&limits, &t.meta,   &t.env,    &t.secrets,
                                           &t.args, &t.policy, &t.records};
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        sum += sizes[i];
    if (sum != bytes.n || sum - h.records > TAPE_PARTS)
        return damaged(e, "its parts don't add up");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        *parts[i] = slice_make(bytes.p, sizes[i]);
        bytes = slice_from(bytes, sizes[i]);
    }
    if (h.kind >= ENGINE_KINDS || h.whole > 1 || h.reserved)
        return damaged(e, "its head");
    struct slice reason = slice_make(h.reason, strnlen(h.reason, sizeof h.reason));
    if (!err_from_slug(reason, &t.reason))
        return damaged(e, "the cause of its end");
    if (!take_limits(limits, &t.limits))
        return damaged(e, "its limits");
    if (!are_strings(t.meta, true) || !are_strings(t.env, true) || !are_strings(t.secrets, false) ||
        !are_strings(t.args, false))
        return damaged(e, "its strings");
    if (!are_records(t.records, h.count))
        return damaged(e, "its records");
    memcpy(t.module, h.module, sizeof t.module);
    memcpy(t.assets, h.assets, sizeof t.assets);
    memcpy(t.policy_digest, h.policy_digest, sizeof t.policy_digest);
    memcpy(t.output, h.output, sizeof t.output);
    t.output_bytes = h.output_bytes;
    t.started_us = h.started_us;
    t.status = h.status;
    t.kind = h.kind;
    t.whole = h.whole;
    t.count = h.count;
    *ret_tape = t;
    return ERR_OK;
}
