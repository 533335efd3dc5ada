/* The route table: which function answers a host, and with what.
 *
 * An LMDB file that control alone writes and edges read. It survives a dead
 * control and a dead database; 100,000 functions are rows on disk, not memory.
 * Rows are keyed by function name (function names are unique on a server; the
 * edge cuts the name out of Host or path). Each row carries a checksum, the
 * table a generation that grows with each publication. Environments are sealed
 * with the node key (XChaCha20-Poly1305, the function's uuid as associated
 * data). Readers copy rows out and hold no transaction afterwards. */
#pragma once

#include "ipc/spec.h"

enum {
    ROUTE_NAME = 40,     /* longest function name */
    ROUTE_VERSIONS = 4,  /* versions among which a row splits its traffic */
    ROUTE_KEY_BYTES = 32 /* the node key */
};

enum route_state { ROUTE_LIVE, ROUTE_NO_VERSION, ROUTE_SUSPENDED, ROUTE_CAPPED };

struct route_version {
    struct uuid id;
    uint32_t number; /* from 1 per function */
    uint32_t weight; /* of the traffic split; the sum over versions is not 0 */
    uint8_t response; /* enum response_kind */
    uint8_t timing;   /* Server-Timing on answers */
    struct version_load load;
};

struct route_row {
    char name[ROUTE_NAME + 1];
    struct uuid function, project;
    uint8_t state; /* enum route_state */
    uint32_t concurrency;         /* runs of this project at once on one edge */
    uint32_t version_count;       /* 0 unless ROUTE_LIVE */
    struct route_version versions[ROUTE_VERSIONS];
    void *memory; /* private: what the slices of `versions` point into */
};

/* Frees what route_get() or route_row_read() allocated; accepts a zeroed row. */
void route_row_done(struct route_row *row);

/* The encoding used in the table, and as the payload of an INJECT frame (there unsealed: key NULL). */
bool route_row_write(const struct route_row *row, const uint8_t *key, struct buf *out) MUST_CHECK;
enum err_code route_row_read(struct slice bytes, const uint8_t *key, struct route_row *ret_row,
                             struct err *e) MUST_CHECK;

struct route_table;

/* Opens `folder`/routes.mdb and its lock file through the folder's descriptor; `write` creates
 * them. One process writes. The key is copied. ERR_CONFLICT: damaged or of another format; the
 * writer then calls route_table_reset(). */
enum err_code route_table_open(int folder, bool write, const uint8_t key[ROUTE_KEY_BYTES],
                               struct route_table **ret_table, struct err *e) MUST_CHECK;
void route_table_close(struct route_table *t);

/* Removes both files, so that a writer can open an empty table. */
enum err_code route_table_reset(int folder, struct err *e) MUST_CHECK;

/* Reader. One short read transaction; no system call. */
uint64_t route_generation(struct route_table *t);
/* Copies the row of `name` out; ERR_NOT_FOUND if there is none, ERR_CONFLICT if it is damaged. */
enum err_code route_get(struct route_table *t, struct slice name, struct route_row *ret_row,
                        struct err *e) MUST_CHECK;

/* Writer. A publication is one transaction: begin, put and delete, commit with the generation
 * (durable when it returns). Commit without begin fails. */
enum err_code route_begin(struct route_table *t, struct err *e) MUST_CHECK;
enum err_code route_put(struct route_table *t, const struct route_row *row, struct err *e) MUST_CHECK;
enum err_code route_delete(struct route_table *t, struct slice name, struct err *e) MUST_CHECK;
enum err_code route_commit(struct route_table *t, uint64_t generation, struct err *e) MUST_CHECK;
void route_abort(struct route_table *t);
