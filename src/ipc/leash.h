/* The leash: the socket between master and each role that it started.
 *
 * SOCK_SEQPACKET, one fixed-size message a packet, descriptors attached. It is
 * how a role asks master for what only master can do (start a process, hand
 * over a socket), how it shows that it is alive, and how it learns that master
 * is gone: then its loop stops and it ends. */
#pragma once

#include "base/err.h"
#include "loop/loop.h"

enum leash_type {
    /* role → master */
    LEASH_READY = 1,  /* the role can serve */
    LEASH_BEAT,       /* heartbeat, every LEASH_BEAT_US; a role silent for LEASH_HANG_US is killed */
    LEASH_WANT_EXEC,  /* edge: a blank exec, please. id: the edge's cookie; arg: enum engine_kind */
    LEASH_KILL_EXEC,  /* edge: exec `arg` overshot a limit; kill it */
    LEASH_COMPILE,    /* control: id: cookie; arg: enum engine_kind; text: unused
                         descriptors: module (read), image (write), result (a socket, write) */
    LEASH_FATAL,      /* the role can't go on and restarting won't help; text says why; arg: enum
                         err_code, which decides serve's exit status, or 0 */
    /* master → role */
    LEASH_EXEC,       /* id: cookie; arg: exec number; descriptors: its frame socket, egress's end of
                         its socket to egress, the read end of its standard error */
    LEASH_NO_EXEC,    /* id: cookie; text: why */
    LEASH_EXEC_ENDED, /* to the edge that owns exec `arg`; id: wait status */
    LEASH_EDGE,       /* to control: edge `arg` (the platform's is LEASH_PLATFORM_EDGE); a frame socket.
                         To egress: a functions edge; a frame socket */
    LEASH_EGRESS,     /* to a functions edge: a new egress; a frame socket */
    LEASH_CONTROL,    /* to an edge: a new control; a frame socket */
    LEASH_COMPILED,   /* to control: id: cookie; arg: wait status of the job */
    LEASH_OPTION,     /* option `arg` has a new value, of which `text` is the next piece; id: 1 with the
                         last one */
    LEASH_DRAIN,      /* finish what you have, take nothing new, then end */
};

enum {
    LEASH_PLATFORM_EDGE = 1000,
    LEASH_FDS = 4,
    LEASH_BEAT_US = 1000000,
    LEASH_HANG_US = 10000000,
};

struct leash_msg {
    uint32_t type;
    uint32_t arg;
    uint64_t id;
    char text[112]; /* NUL-terminated */
};

struct leash {
    struct loop *loop;
    struct loop_io io;
    struct loop_timer beat;
    /* `fds` has `n` descriptors, now the receiver's; close what is not wanted. */
    void (*on_msg)(struct leash *l, const struct leash_msg *m, const int *fds, int n);
    void (*on_closed)(struct leash *l); /* the other end is gone */
    void *owner;
};

/* Takes the non-blocking socket. `beat`: send LEASH_BEAT by itself (a role's end). */
enum err_code leash_init(struct leash *l, struct loop *loop, int fd, bool beat,
                         struct err *e) MUST_CHECK;
void leash_done(struct leash *l);

/* Sends now; descriptors are duplicated by the kernel, the caller closes its own. A full or
 * closed socket drops the message: the beat will tell. */
void leash_send(struct leash *l, enum leash_type type, uint32_t arg, uint64_t id, const char *text,
                const int *fds, int n);
