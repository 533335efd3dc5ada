/* Recording a run and playing it again: the guest's side of a tape (ipc/tape.h).
 *
 * Handlers take what comes from outside (time, random bytes, what was ready)
 * through the functions here; reads, writes and opens pass resource.c, which
 * notes them here. While a tape plays, standard input and everything remote have
 * other operations, which take their results off it; all else, the policy's
 * word too, is done as ever by the same code.
 *
 * Only what a guest can see is recorded: not that a call waited, unless the
 * descriptor doesn't. What a guest sends is taken as it comes when playing, so a
 * changed program may be tried with a tape as long as it asks for the same
 * things in the same order. Where it asks for something else, the run ends
 * as `diverged` and says where.
 *
 * A guest without a tape pays one branch a call. */
#pragma once

#include "guest/guest.h"
#include "guest/resource.h"
#include "ipc/tape.h"

#include <sodium.h>

struct guest_tape {
    bool playing;       /* else it records */
    struct tape played; /* its slices are the owner's */
    struct slice rest;  /* records that were not played yet */
    uint32_t at;        /* records played */
    struct slice held;  /* of a read that was asked for in smaller pieces */
    uint32_t held_fd;
    uint32_t left; /* bytes that a write which may not wait still takes */
    bool real;     /* … and the last RESOURCE_WAIT was not the tape's */
    /* recording */
    struct buf records;
    uint32_t count;
    bool cut;
    crypto_hash_sha256_state output;
};

/* Begins to record at most `most` bytes. */
void tape_record(struct guest_tape *t, uint64_t most);
/* Ends it: fills the members of *ret that follow from what was recorded; the slices borrow. */
void tape_recorded(struct guest_tape *t, const struct guest *g, struct tape *ret);
/* Begins to play; what `tape` borrows from stays until the run is over. */
void tape_play(struct guest_tape *t, const struct tape *tape);
/* Frees what it holds. Accepts a zeroed one. */
void tape_done(struct guest_tape *t);

/* For handlers and resource.c. */

static inline bool tape_plays(const struct guest *g)
{
    return g->tape && g->tape->playing;
}

/* false: the tape says something else; the guest ends. */
bool guest_time(struct guest *g, bool monotonic, uint64_t *ret_us) MUST_CHECK;
bool guest_random(struct guest *g, void *p, size_t n) MUST_CHECK;
/* A sleep is over; for who plays it is over at once, if it ever was. */
bool guest_slept(struct guest *g, uint32_t ms) MUST_CHECK;

/* What these descriptors and this scheme are while the guest runs: their own, or the tape's. */
const struct scheme *tape_stdio(const struct guest *g, unsigned fd);
const struct scheme *tape_scheme(const struct guest *g, const struct scheme *scheme);

/* Notes, unless a tape plays, what became of an operation: a read into `p`, a write of `n` bytes,
 * a flush. */
void tape_note(struct guest *g, enum tape_kind kind, const struct descriptor *d, int32_t result,
               const void *p, size_t n);
/* … of opening something remote at `fd`. */
void tape_opened(struct guest *g, uint32_t fd, struct slice url, int32_t result);
/* … of a read that gave up because there was nothing more now. */
void tape_waited(struct guest *g, const struct descriptor *d);
/* Bytes of standard output that the host has taken. */
void tape_output(struct guest *g, const void *p, size_t n);

/* A poll: notes that its `i`th subscription is ready. */
void tape_ready(struct guest *g, uint32_t i, uint64_t bytes, bool end);
/* Playing: is it? */
bool tape_was_ready(struct guest *g, uint32_t i, uint64_t *ret_bytes, bool *ret_end);
/* Playing a poll of which nothing was ready: the guest ends. */
enum engine_verdict tape_not_ready(struct guest *g);
/* Playing a write that may not wait: was the RESOURCE_WAIT that it got a real one, to wait for? */
bool tape_waits(const struct guest *g);
