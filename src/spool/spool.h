/* The spool: receipts and log lines on their way from an edge to the database.
 *
 * One file an edge, mapped shared by exactly two processes: the edge appends,
 * control takes. Killing either loses nothing: the bytes are in the page cache
 * and the positions in the file. When the ring is full, log lines and receipts
 * of successes are dropped and counted, while failures still use the last
 * tenth. The counters of the functions lie in the same file and only ever grow;
 * control stores in the database what it has added up of each (one
 * transaction), so sums stay exact across any crash. */
#pragma once

#include "base/uuid.h"
#include "ipc/ledger.h"

enum spool_type { SPOOL_RECEIPT = 1, SPOOL_LOG = 2, SPOOL_CONNECTION = 3, SPOOL_CAPTURE = 4 };

/* What a receipt says beside the ledger. Times are Unix microseconds. */
struct spool_receipt {
    struct uuid run, function, project, version;
    uint64_t started_us;
    uint16_t status;   /* HTTP status sent; 0: none */
    uint16_t cause;    /* enum err_code: ERR_OK, or why the platform says the run failed */
    uint8_t injected;  /* by control: check, invoke */
    uint8_t sampled;   /* others like it were not kept */
    char method[16];   /* NUL-terminated, cut if longer */
    char path[256];    /* without the query, NUL-terminated, cut if longer */
    char client[46];   /* address cut to /24 or /48, NUL-terminated */
    uint64_t request_bytes;  /* of the body, as it came */
    uint64_t response_bytes; /* that the guest wrote and the edge took, its CGI head included */
};

struct spool_log {
    struct uuid run, function, project;
    uint64_t at_us;
    uint8_t level; /* 1 error, 3 warning, 6 info (the guest's numbers) */
    uint8_t source; /* 0: the guest's standard error, 1: log_write and log://, 2: the platform,
                       3: a trace of host calls, of local runs only */
};

/* A connection that egress made, or was about to make and refused, for its journal. */
struct spool_connection {
    struct uuid run, function, project;
    uint64_t at_us;
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint16_t port;
    uint16_t outcome;         /* enum err_code: ERR_OK, or why nothing came of it */
    uint64_t sent, received;  /* bytes of bodies */
    char host[254];           /* the name that was resolved, NUL-terminated */
    char scheme[10];
};

/* A piece of a captured run's tape (ipc/tape.h). The pieces follow each other. */
struct spool_capture {
    struct uuid run, function, project;
    uint32_t at, bytes; /* where the piece lies in the tape; of the whole tape */
    uint8_t whole;      /* nothing was cut from the tape */
    uint8_t reserved[7];
};

enum spool_counter {
    SPOOL_RUNS, SPOOL_FAILED, SPOOL_1XX, SPOOL_2XX, SPOOL_3XX, SPOOL_4XX, SPOOL_5XX,
    SPOOL_CPU_US, SPOOL_WALL_US, SPOOL_MEMORY_US, /* MiB × µs, rounded a run */
    SPOOL_BYTES_IN, SPOOL_BYTES_OUT, SPOOL_CALLS, SPOOL_LOG_LINES, SPOOL_LOG_LOST,
    SPOOL_RECEIPTS_LOST,
    SPOOL_EGRESS_IN, SPOOL_EGRESS_OUT, /* bytes of what was opened beyond the machine */
    SPOOL_LOG_BYTES,                   /* of the lines that were kept */
    SPOOL_COUNTERS
};

/* A function's counters in the file. */
struct spool_sums {
    struct uuid function;
    struct uuid project;
    uint64_t v[SPOOL_COUNTERS]; /* read and written with relaxed atomics; only the edge writes */
};

enum { SPOOL_TYPES = SPOOL_CAPTURE }; /* how many there are: they count from 1 */

struct spool;

/* Opens (creates at `ring_bytes`) `folder`/NAME. The edge opens it with `write`, control without;
 * each kind at most once at a time. A damaged file is renamed to NAME.damaged and begun anew,
 * with a log line. */
enum err_code spool_open(int folder, const char *name, size_t ring_bytes, bool write,
                         struct spool **ret_spool, struct err *e) MUST_CHECK;
void spool_close(struct spool *s);
/* Random, made with the file: control keys what it has added up by it. */
struct uuid spool_id(const struct spool *s);

/* Edge. False: dropped for lack of room (already counted). Never blocks. */
bool spool_receipt(struct spool *s, const struct spool_receipt *r, const struct ledger *l);
bool spool_log(struct spool *s, const struct spool_log *head, struct slice line);
/* Egress, in its own ring. May use the last tenth, as failures do. */
bool spool_connection(struct spool *s, const struct spool_connection *c);
/* All pieces or none; head->at and bytes are not read. Takes no more than half of the ring. */
bool spool_capture(struct spool *s, const struct spool_capture *head, struct slice tape);
/* The sums of a function, for adding with spool_add(); NULL only when 65,536 functions have
 * used this file, or the disk is full and 256 new ones came since it was. */
struct spool_sums *spool_sums(struct spool *s, struct uuid function, struct uuid project);
void spool_add(struct spool_sums *sums, enum spool_counter c, uint64_t n);
/* Bytes waiting. The edge nudges control (frame SPOOLED) when they pass a quarter of the ring
 * or a second went by. */
size_t spool_waiting(const struct spool *s);

/* Edge: how many exec processes it has, for whoever looks. */
void spool_set_execs(struct spool *s, uint32_t count);

/* Control. The next record from `*at` (start with spool_tail()), without taking it: type, the
 * head, and the ledger bytes or the line, borrowed until spool_take(). false: nothing more.
 * Every length is checked: an edge is not believed. */
struct spool_record {
    enum spool_type type;
    struct spool_receipt receipt;
    struct ledger ledger;
    struct spool_log log;
    struct slice line;
    struct spool_connection connection;
    struct spool_capture capture;
    struct slice piece; /* of it */
};
uint64_t spool_tail(const struct spool *s);
bool spool_next(struct spool *s, uint64_t *at, struct spool_record *ret_record);
/* Everything before `at` is in the database: the room is free again. */
void spool_take(struct spool *s, uint64_t at);
/* Visits the sums in use: start with *at = 0; NULL at the end. */
const struct spool_sums *spool_sums_next(const struct spool *s, size_t *at);
/* Records of a type dropped for lack of room since the file was made. */
uint64_t spool_dropped(const struct spool *s, enum spool_type type);
uint32_t spool_execs(const struct spool *s);
