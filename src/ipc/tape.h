/* Tapes: everything that a run got from outside, so that it can be run again.
 *
 * A program computes the same from the same: its module, its settings, and what
 * the host told it. The first two are in the tape's head, the third is a list of
 * records in the order in which the program asked: what the clocks said, random
 * bytes, each read of standard input and of a remote descriptor, what became of
 * opens, writes and flushes, what was ready at a poll. guest/tape.h records and
 * plays them.
 *
 * What went out is not on it but for the length and digest of standard output.
 * Of secrets it has the names only. A tape that was cut at the limit `capture`
 * says so and plays up to there.
 *
 * In a file and in frames a tape is TAPE_MAGIC, a head of fixed size, then its
 * parts; numbers are little-endian. Names stand where numbers change between
 * builds: of limits, and of the cause of the end. */
#pragma once

#include "base/buf.h"
#include "base/limits.h"
#include "ipc/frame.h"
#include "ipc/spec.h"

enum {
    TAPE_PARTS = FRAME_LOAD_MOST + (128 << 10), /* bytes of all parts but the records, at most */
    TAPE_MOST = (16 << 20) + TAPE_PARTS + 4096, /* … with the most records of the limit `capture` */
};

enum tape_kind {
    TAPE_REAL = 1, /* the real-time clock: value is µs */
    TAPE_MONO,     /* the monotonic clock: value is µs */
    TAPE_RANDOM,   /* bytes */
    TAPE_OPEN,     /* fd, result; bytes: the URL without its query */
    TAPE_READ,     /* fd, result; bytes: what was read */
    TAPE_WRITE,    /* fd, result; value: how many bytes were offered */
    TAPE_FLUSH,    /* fd, result */
    TAPE_READY,    /* fd: the place in the list of a poll; result 1: at its end; value: bytes */
    TAPE_SLEPT,    /* value: ms; a sleep that came to its end */
    TAPE_FATAL,    /* the result before ended the run: bytes are the cause's slug, NUL, a text */
    TAPE_KINDS
};

struct tape_record {
    enum tape_kind kind;
    uint32_t fd;
    int32_t result;
    uint64_t value;
    struct slice bytes;
};

struct tape {
    uint8_t module[DIGEST_BYTES], assets[DIGEST_BYTES], policy_digest[DIGEST_BYTES];
    uint8_t output[DIGEST_BYTES]; /* SHA-256 of standard output */
    uint64_t output_bytes;
    uint64_t started_us;  /* Unix time */
    uint8_t kind;         /* enum engine_kind */
    bool whole;           /* nothing was cut */
    enum err_code reason; /* how the run ended */
    int32_t status;
    struct limits limits; /* of the version; those of the node are the defaults */
    struct slice meta;    /* meta-variables: `NAME\0value\0` pairs */
    struct slice env;     /* pairs, without the secrets */
    struct slice secrets; /* their names: `NAME\0` each */
    struct slice args;    /* `arg\0` each */
    struct slice policy;  /* canonical; may be empty */
    uint32_t count;       /* of records */
    struct slice records;
};

/* Appends the encoding; false if the buffer is at its limit. */
bool tape_write(const struct tape *t, struct buf *out) MUST_CHECK;
/* The slices borrow `bytes`. Checks every length, that strings end in NUL and pairs are pairs,
 * and that each record is one. ERR_DAMAGED: it is no tape, or not whole; ERR_NOT_IMPLEMENTED: of
 * another build of another age. */
enum err_code tape_read(struct slice bytes, struct tape *ret_tape, struct err *e) MUST_CHECK;

/* Takes the last `count` pairs out of t->env: they are secrets, of which the names go to `names`
 * and so to t->secrets. false: there aren't so many, or no memory. */
bool tape_secrets(struct tape *t, unsigned count, struct buf *names) MUST_CHECK;

/* One record; false if the buffer is at its limit: then nothing was appended. */
bool tape_put(struct buf *out, const struct tape_record *r) MUST_CHECK;
/* Takes the next record off *rest; false: there is none, or it is damaged. */
bool tape_next(struct slice *rest, struct tape_record *ret_record) MUST_CHECK;

/* What a record tells, in words: "read of descriptor 4: 120 bytes". */
void tape_say(const struct tape_record *r, char *out, size_t size);
