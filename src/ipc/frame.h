/* Frames: what the roles say to each other over stream sockets.
 *
 * A frame is a 16-byte header in host byte order and at most 64 KiB of
 * payload. All frames of one loop turn leave in one send(). Who the other side
 * is follows from the socket, never from a field. Credit is kept per stream: a
 * receiver grants bytes as it consumes them, so nobody ever has to stop
 * reading an internal socket, and memory is bounded by not granting. Both sides
 * check every frame against tables/frames.def; a malformed one ends the peer.
 *
 * Payloads:
 *   BEGIN   u32 slot, then `NAME\0value\0` pairs: the CGI meta-variables (RFC 3875 4.1), in any
 *           order. Flag LAST: the request has no body.
 *   BODY    bytes; flag LAST on the last one, which may be empty. `end-of-body` is that flag.
 *   LOAD    struct version_load (ipc/spec.h); flag MORE on all but the last piece, 1 MiB in all.
 *   CAPTURE, TAPE  struct tape (ipc/tape.h); flag MORE on all but the last piece, flag LAST on
 *           that of a CAPTURE from which nothing was cut.
 *   INJECT  struct route_row (route/route.h); in pieces as LOAD, with nothing else between them.
 *   END     struct ledger (ipc/ledger.h). */
#pragma once

#include "base/buf.h"

enum frame_type {
#define FRAME(name, number, ...) FRAME_##name = number,
#include "tables/frames.def"
#undef FRAME
};

enum frame_flags {
    FRAME_MORE = 1, /* the payload goes on in the next frame of this type and id */
    FRAME_LAST = 2, /* nothing more comes in this direction of the stream */
    FRAME_KEEP = 4, /* of BEGIN: the run is captured, its tape comes before its END */
};

/* The first byte of a LOG frame: level (1 error, 3 warning, 6 info) in the low half, source (0
 * standard error, 1 log_write and log://, 3 a trace) in the high one, as spool/spool.h has them. */
#define FRAME_LOG_HEAD(level, source) ((uint8_t)((level) | (source) << 4))
#define FRAME_LOG_LEVEL(head) ((head)&15)
#define FRAME_LOG_SOURCE(head) ((head) >> 4)

enum frame_side { FRAME_FRONT = 1, FRAME_BACK = 2, FRAME_BOTH = 3 };

enum {
    FRAME_HEAD = 16,
    FRAME_MOST = 65536,           /* bytes of payload */
    FRAME_CREDIT_INITIAL = 65536, /* of each direction of a stream, known to both sides */
    FRAME_LOAD_MOST = 1 << 20,    /* a LOAD with all its pieces */
};

struct frame {
    uint32_t length; /* of the payload */
    uint16_t type;
    uint16_t flags;
    uint64_t id; /* invocation, or slot for LOAD, UNLOAD and LOAD_FAILED */
};
_Static_assert(sizeof(struct frame) == FRAME_HEAD, "the header is the struct");

/* Is there a frame at the start of `bytes`? ERR_OK and *ret_size = whole size if one is
 * complete, 0 if more bytes are needed; ERR_PROTOCOL if the header is not one that `from` may
 * send (type, direction, length, flags). *ret_frame is set when at least the header is there. */
enum err_code frame_peek(struct slice bytes, enum frame_side from, struct frame *ret_frame,
                         size_t *ret_size, struct err *e) MUST_CHECK;

/* Appends a frame; false if the buffer is at its limit. */
bool frame_put(struct buf *out, enum frame_type type, uint16_t flags, uint64_t id,
               const void *payload, size_t n) MUST_CHECK;

const char *frame_name(uint16_t type); /* "BEGIN", or "?" */
