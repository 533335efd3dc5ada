/* The route table: which function answers a host, and with what.
 *
 * An LMDB file that control alone writes and edges read. It survives a dead
 * control and a dead database; 100,000 functions are rows on disk, not memory.
 * Rows are keyed by function name (function names are unique on a server; the
 * edge cuts the name out of Host or path). Each row carries a checksum, the
 * table a generation that grows with each publication. Environments are sealed
 * with the node key (XChaCha20-Poly1305, the function's uuid as associated
 * data). Readers copy rows out and hold no transaction afterwards.
 *
 * A version that can be seen before it is promoted has a row of its own, with
 * the key NAME--NUMBER: no name holds --, so a function's previews lie next to
 * each other. The table also carries the public half of the server's signing
 * key, by which an edge judges the links to previews. */
#pragma once

#include "ipc/spec.h"

enum {
    ROUTE_NAME = 40,     /* longest function name */
    ROUTE_VERSIONS = 4,  /* versions among which a row splits its traffic */
    ROUTE_KEY_BYTES = 32, /* the node key */
    ROUTE_PUBLIC_BYTES = 32, /* the public key */
    ROUTE_KEY_NAME = ROUTE_NAME + 12, /* longest key of a row: NAME--NUMBER */
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
    uint32_t preview;             /* number of the version that it previews; 0: it is no preview */
    bool open;                    /* of a preview: for everybody */
    uint64_t until_ms;            /* of a preview for members: its end, Unix time */
    bool silent; /* of an injected row: the run is the platform's own, and neither counted nor kept */
    struct route_version versions[ROUTE_VERSIONS];
    void *memory; /* private: what the slices of `versions` point into */
    size_t size;  /* of that */
};

/* Frees what route_get() or route_row_read() allocated; accepts a zeroed row. */
void route_row_done(struct route_row *row);

/* The encoding used in the table, and as the payload of an INJECT frame (there unsealed: key NULL). */
bool route_row_write(const struct route_row *row, const uint8_t *key, struct buf *out) MUST_CHECK;
enum err_code route_row_read(struct slice bytes, const uint8_t *key, struct route_row *ret_row,
                             struct err *e) MUST_CHECK;

/* "NAME", or "NAME--NUMBER" of a preview. */
void route_key_name(const char *name, uint32_t preview, char out[ROUTE_KEY_NAME + 1]);

struct route_table;

/* Opens `folder`/routes.mdb and its lock file through the folder's descriptor; `write` creates
 * them. One process writes. The key is copied. ERR_CONFLICT: damaged or of another format; the
 * writer then calls route_table_reset(). */
enum err_code route_table_open(int folder, bool write, const uint8_t key[ROUTE_KEY_BYTES],
                               struct route_table **ret_table, struct err *e) MUST_CHECK;
void route_table_close(struct route_table *t);

/* Is the file in the folder another one than the table's, or gone? */
bool route_table_replaced(const struct route_table *t, int folder);
/* Looks at every row: ERR_CONFLICT if one is damaged or the file is too short. Where a page of the
 * tree itself is damaged, this may end the process. */
enum err_code route_table_check(struct route_table *t, struct err *e) MUST_CHECK;

/* Removes both files, so that a writer can open an empty table. */
enum err_code route_table_reset(int folder, struct err *e) MUST_CHECK;

/* Reader. One short read transaction; no system call. UINT64_MAX: it can't be read. */
uint64_t route_generation(struct route_table *t);
/* The key that the last commit left there; zeros if none did. */
void route_public_key(struct route_table *t, uint8_t ret_key[ROUTE_PUBLIC_BYTES]);
/* Copies the row of `name` (a key as of route_key_name) out; ERR_NOT_FOUND if there is none,
 * ERR_CONFLICT if it is damaged. */
enum err_code route_get(struct route_table *t, struct slice name, struct route_row *ret_row,
                        struct err *e) MUST_CHECK;

/* Writer. A publication is one transaction: begin, put and delete, commit with the generation
 * (which a death of the process doesn't undo, but one of the machine may spoil the whole table
 * until route_sync). Commit without begin fails. */
enum err_code route_begin(struct route_table *t, struct err *e) MUST_CHECK;
enum err_code route_put(struct route_table *t, const struct route_row *row, struct err *e) MUST_CHECK;
enum err_code route_delete(struct route_table *t, struct slice name, struct err *e) MUST_CHECK;
/* All previews of this function. */
enum err_code route_delete_previews(struct route_table *t, const char *name,
                                    struct err *e) MUST_CHECK;
/* What commits write from now on. */
void route_public_key_set(struct route_table *t, const uint8_t key[ROUTE_PUBLIC_BYTES]);
enum err_code route_commit(struct route_table *t, uint64_t generation, struct err *e) MUST_CHECK;
/* Puts on the disk what was committed. */
enum err_code route_sync(struct route_table *t, struct err *e) MUST_CHECK;
void route_abort(struct route_table *t);
