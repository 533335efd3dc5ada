/* Channels: a frame socket on an event loop.
 *
 * Reads as much as there is, hands out whole frames one by one, collects what
 * is sent during a turn and writes it with one send() at the turn's end. It
 * always reads; the credit of the streams bounds what can be waiting. When the
 * peer closes, breaks the rules or does not take what we send (the bound below
 * is reached), on_closed is called once with the reason and the channel is
 * dead: sending to it does nothing. */
#pragma once

#include "ipc/frame.h"
#include "loop/loop.h"

struct channel {
    struct loop *loop;
    enum frame_side peer; /* what the other side may send */
    struct loop_io io;
    struct loop_task flush;
    struct buf in, out;
    bool dead;
    struct frame last; /* private: queued last and still whole in `out`; type 0: none */
    bool *deleted;     /* private: tells the reader that channel_done() ran inside a callback */
    struct channel_fd *fds; /* private: descriptors queued in `out`, in order */
    unsigned fd_count;
    int came; /* private: the descriptor of the frame that `in` begins with; -1: none */

    /* One frame; `payload` is valid during the call. May call channel_done(). */
    void (*on_frame)(struct channel *c, const struct frame *f, struct slice payload);
    /* Once, at the end of a turn or inside channel's own event; may call channel_done(). */
    void (*on_closed)(struct channel *c, const struct err *why);
    void *owner; /* the user's */
    /* If set when the channel is made, what comes is not left in memory: on_frame wipes payloads
     * that have secrets, and there are no other copies. */
    bool private;

    /* If set when the channel is made, descriptors may come: called before on_frame of the frame
     * that one came with, at most one a frame. The descriptor is the receiver's. May call
     * channel_done(). Unset: the kernel closes what comes. */
    void (*on_fd)(struct channel *c, const struct frame *f, int fd);
};

enum {
    CHANNEL_IN = 1 << 20,   /* bytes read ahead at most */
    CHANNEL_OUT = 64 << 20, /* bytes not taken by the peer at most; over it the peer is dead */
    CHANNEL_FDS = 256,      /* descriptors not taken by it at most; the same */
};

/* Takes ownership of the non-blocking stream socket `fd`. Set the callbacks and owner first or
 * right after, before the loop turns. */
enum err_code channel_init(struct channel *c, struct loop *loop, int fd, enum frame_side peer,
                           struct err *e) MUST_CHECK;
/* Closes the socket, frees the buffers; no callback follows. Accepts a zeroed or done channel. */
void channel_done(struct channel *c);

/* Queues a frame for the end of this turn. To a dead channel: nothing. */
void channel_send(struct channel *c, enum frame_type type, uint16_t flags, uint64_t id,
                  const void *payload, size_t n);

/* As channel_send, with a descriptor, which is the channel's from here on: closed when it is sent
 * or the channel dies. */
void channel_send_fd(struct channel *c, enum frame_type type, uint64_t id, const void *payload,
                     size_t n, int fd);

/* As channel_send with room for `n` bytes of payload to be written in place: returns where, NULL
 * if the channel is dead. Valid until the next call on this channel. */
void *channel_place(struct channel *c, enum frame_type type, uint16_t flags, uint64_t id, size_t n);

/* As channel_send for a payload of any size, in pieces that say MORE but the last. */
void channel_send_pieces(struct channel *c, enum frame_type type, uint64_t id,
                         struct slice payload);

/* As channel_send for bytes of a stream, any number of them: joins them to the frame queued last
 * where that has the same type and id and room, so that many small writes become one frame. */
void channel_append(struct channel *c, enum frame_type type, uint64_t id, const void *payload,
                    size_t n);

/* Sends what is queued now (also done at each turn's end). */
void channel_flush(struct channel *c);
