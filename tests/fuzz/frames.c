/* What an exec may send: frames one after another, and the payloads that are structures. */
#include "fuzz.h"
#include "ipc/frame.h"
#include "ipc/ledger.h"
#include "ipc/spec.h"

static void ledger(struct slice payload)
{
    struct ledger l;
    if (ledger_read(payload, &l, NULL))
        return;
    MUST(memchr(l.text, 0, sizeof l.text));
    MUST(ledger_size(&l) <= payload.n); /* less if the text has a NUL */
}

static void load(struct slice payload)
{
    struct version_load v;
    struct buf out;
    if (version_load_read(payload, &v, NULL))
        return;
    buf_init(&out, FRAME_LOAD_MOST);
    MUST(version_load_write(&v, &out));
    MUST(slice_eq(buf_slice(&out), payload));
    buf_done(&out);
}

FUZZ(bytes)
{
    if (!bytes.n)
        return;
    enum frame_side from = bytes.p[0] & 1 ? FRAME_FRONT : FRAME_BACK;
    for (bytes = slice_from(bytes, 1);;) {
        struct frame f;
        size_t size = 0;
        if (frame_peek(bytes, from, &f, &size, NULL) || !size)
            break;
        MUST(size <= bytes.n && size == FRAME_HEAD + f.length);
        struct slice payload = slice_make(bytes.p + FRAME_HEAD, f.length);
        if (f.type == FRAME_END)
            ledger(payload);
        else if (f.type == FRAME_LOAD)
            load(payload);
        bytes = slice_from(bytes, size);
    }
    ledger(bytes);
    load(bytes);
}
