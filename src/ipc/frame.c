#include "ipc/frame.h"

static const struct frame_row {
    const char *name;
    uint8_t from;
    uint32_t least, most;
} rows[] = {
#define FRAME(name_, number, from_, least_, most_, bounded)                                        \
    [number] = {.name = #name_, .from = FRAME_##from_, .least = least_, .most = most_},
#include "tables/frames.def"
#undef FRAME
};

enum { ROWS = sizeof rows / sizeof *rows };

const char *frame_name(uint16_t type)
{
    return type < ROWS && rows[type].name ? rows[type].name : "?";
}

enum err_code frame_peek(struct slice bytes, enum frame_side from, struct frame *ret_frame,
                         size_t *ret_size, struct err *e)
{
    struct frame f;
    if (bytes.n < FRAME_HEAD) {
        *ret_size = 0;
        return ERR_OK;
    }
    memcpy(&f, bytes.p, sizeof f);
    const struct frame_row *row = f.type < ROWS && rows[f.type].name ? &rows[f.type] : NULL;
    if (!row || !(row->from & from))
        return err_set(e, ERR_PROTOCOL, "a frame of type %u may not come from here", f.type);
    if (f.length < row->least || f.length > row->most)
        return err_set(e, ERR_PROTOCOL, "a %s frame of %u bytes", row->name, f.length);
    if (f.flags & ~(FRAME_MORE | FRAME_LAST | (f.type == FRAME_BEGIN ? FRAME_KEEP : 0)))
        return err_set(e, ERR_PROTOCOL, "a %s frame with flags %x", row->name, f.flags);
    *ret_frame = f;
    *ret_size = bytes.n - FRAME_HEAD < f.length ? 0 : FRAME_HEAD + f.length;
    return ERR_OK;
}

bool frame_put(struct buf *out, enum frame_type type, uint16_t flags, uint64_t id,
               const void *payload, size_t n)
{
    struct frame f = {.length = (uint32_t)n, .type = (uint16_t)type, .flags = flags, .id = id};
    char *at = n <= FRAME_MOST ? buf_reserve(out, FRAME_HEAD + n) : NULL;
    if (!at)
        return false;
    memcpy(at, &f, sizeof f);
    if (n)
        memcpy(at + FRAME_HEAD, payload, n);
    buf_commit(out, FRAME_HEAD + n);
    return true;
}
