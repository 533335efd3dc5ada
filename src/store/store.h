/* The store: the database behind typed functions; no SQL outside this folder.
 *
 * One process owns it, on its loop's thread. Commits are grouped: all writes of
 * one loop turn share a transaction that is committed when the turn ends, with
 * a savepoint for each piece of work, and whatever was answered on their
 * strength waits for that COMMIT (store_wait). A COMMIT that fails for lack of
 * space takes the turn's writes back and tells everyone who waits; one that
 * fails otherwise (a failed fsync) ends the process, and the next start
 * recovers from the log. Times are Unix milliseconds.
 *
 * Every row that changes by hand changes with a row of audit in the same
 * savepoint (store_audit).
 *
 * Slices in shapes handed to a callback are borrowed for the call. Reads that
 * fill a caller's struct copy into it. All calls: ERR_NOT_FOUND when there is
 * no such row, ERR_DISK_FULL, ERR_UNAVAILABLE, ERR_INTERNAL. */
#pragma once

#include "base/uuid.h"
#include "ipc/spec.h"
#include "loop/loop.h"

struct store;

enum {
    STORE_NAME = 40,  /* longest name of a project or function */
    STORE_TEXT = 64,  /* longest name of a user or token */
    STORE_CHECK = 256 /* longest check: method, space, path with query */
};

/* Opens (creates, migrates) db.sqlite in the current folder: the caller has changed into the data
 * folder. ERR_CONFLICT: it was made by a newer program. ERR_IO: damaged or unreadable. */
enum err_code store_open(struct loop *loop, struct store **ret_store, struct err *e) MUST_CHECK;
/* Commits what is open, checkpoints and closes; accepts NULL. */
void store_close(struct store *st);

/* ---- writing ---- */

/* Starts a piece of work; the turn's transaction is begun if this is its first. Pieces don't
 * nest. Between begin and end every write function below may be called. */
enum err_code store_begin(struct store *st, struct err *e) MUST_CHECK;
/* Ends it: keeps the writes if `rc` is ERR_OK, takes them back otherwise. Returns `rc`, or why the
 * writes could not be kept. */
enum err_code store_end(struct store *st, enum err_code rc, struct err *e) MUST_CHECK;

/* Commits now what is open, for those who can't wait for the turn's end (startup). */
enum err_code store_flush(struct store *st, struct err *e) MUST_CHECK;

/* Why the last COMMIT failed; ERR_OK: it didn't. */
enum err_code store_trouble(const struct store *st);

struct store_wait {
    void (*on_commit)(struct store_wait *w, enum err_code rc); /* ERR_OK: it is on disk */
    struct list node;
};
/* Calls back after the COMMIT of this turn's writes; at once if there are none. Waiters are told
 * in the order in which they asked. One at rest is in no list: initialise with store_wait_init. */
void store_wait(struct store *st, struct store_wait *w);
static inline void store_wait_init(struct store_wait *w,
                                   void (*on_commit)(struct store_wait *, enum err_code))
{
    w->on_commit = on_commit;
    list_init(&w->node);
}
static inline void store_wait_cancel(struct store_wait *w)
{
    list_remove(&w->node);
}
/* Grows whenever anything that can be read may have changed: as long as it is the same, the same
 * question has the same answer. */
uint64_t store_changes(struct store *st);
/* Called after each COMMIT, before those who wait. */
void store_on_commit(struct store *st, void (*on_commit)(void *arg), void *arg);

struct store_actor { /* who changes something; all zero: the server itself */
    struct uuid user, token;
};
enum err_code store_audit(struct store *st, const struct store_actor *who, struct uuid project,
                          const char *action, struct slice object, struct slice detail,
                          struct err *e) MUST_CHECK;

/* ---- settings ---- */

/* "" if it was never set. `value` has `cap` bytes. */
enum err_code store_setting(struct store *st, const char *key, char *value, size_t cap,
                            struct err *e) MUST_CHECK;
enum err_code store_setting_put(struct store *st, const char *key, struct slice value,
                                struct err *e) MUST_CHECK;

/* ---- users and tokens ---- */

struct store_user {
    struct uuid id;
    char name[STORE_TEXT + 1];
    char role[16];
    uint64_t created_ms, updated_ms;
};
enum err_code store_user_put(struct store *st, struct uuid id, struct slice name, const char *role,
                             struct err *e) MUST_CHECK;
enum err_code store_user(struct store *st, struct uuid id, struct store_user *ret_user,
                         struct err *e) MUST_CHECK;
enum err_code store_operator(struct store *st, struct store_user *ret_user,
                             struct err *e) MUST_CHECK;

struct store_token {
    struct uuid id, user;
    struct uuid project; /* zero: all projects of the user */
    char name[STORE_TEXT + 1];
    uint32_t scopes; /* bits of enum scope (auth/token.h) */
    uint64_t expires_ms, revoked_ms /* 0: not */, created_ms, updated_ms;
};
enum err_code store_token_put(struct store *st, const struct store_token *t,
                              struct err *e) MUST_CHECK;
enum err_code store_token(struct store *st, struct uuid id, struct store_token *ret_token,
                          struct err *e) MUST_CHECK;
/* ERR_NOT_FOUND if it is not this user's or already revoked. */
enum err_code store_token_revoke(struct store *st, struct uuid user, struct uuid id,
                                 struct err *e) MUST_CHECK;
enum err_code store_token_count(struct store *st, struct uuid user, uint64_t *ret_count,
                                struct err *e) MUST_CHECK;
/* Those not revoked, by id, after `after` (zero: from the start), at most `limit`. */
enum err_code store_tokens(struct store *st, struct uuid user, struct uuid after, uint32_t limit,
                           void (*each)(void *arg, const struct store_token *t), void *arg,
                           struct err *e) MUST_CHECK;

/* ---- projects ---- */

struct store_project {
    struct uuid id, owner;
    char name[STORE_NAME + 1];
    uint64_t log_bytes;
    uint64_t created_ms, updated_ms;
};
/* ERR_CONFLICT: the name is taken. The owner becomes a member. */
enum err_code store_project_put(struct store *st, struct uuid id, struct slice name,
                                struct uuid owner, struct err *e) MUST_CHECK;
/* By name or id, if `user` is a member of it. */
enum err_code store_project(struct store *st, struct uuid user, struct slice name_or_id,
                            struct store_project *ret_project, struct err *e) MUST_CHECK;
/* By name, after `after` (empty: from the start). */
enum err_code store_projects(struct store *st, struct uuid user, struct slice after, uint32_t limit,
                             void (*each)(void *arg, const struct store_project *p), void *arg,
                             struct err *e) MUST_CHECK;

/* ---- functions ---- */

/* What is summed per function: the columns of usage, in the order of spool/spool.h. */
enum store_counter {
    STORE_RUNS,
    STORE_FAILED,
    STORE_1XX,
    STORE_2XX,
    STORE_3XX,
    STORE_4XX,
    STORE_5XX,
    STORE_CPU_US,
    STORE_WALL_US,
    STORE_MEMORY_US,
    STORE_BYTES_IN,
    STORE_BYTES_OUT,
    STORE_CALLS,
    STORE_LOG_LINES,
    STORE_LOG_LOST,
    STORE_RECEIPTS_LOST,
    STORE_EGRESS_IN,
    STORE_EGRESS_OUT,
    STORE_LOG_BYTES,
    STORE_COUNTERS
};
/* Sums end here: of a function, and of its day or what a ring adds at once. What they count comes
 * from processes that run guests, who may say anything. */
#define STORE_COUNTER_MOST ((UINT64_C(1) << 62) - 1)
#define STORE_DAY_MOST ((UINT64_C(1) << 53) - 1)

/* By how much a counter of a ring has grown. */
static inline uint64_t store_grown(uint64_t before, uint64_t now)
{
    uint64_t more = now > before ? now - before : 0;
    return more < STORE_DAY_MOST ? more : STORE_DAY_MOST;
}

struct store_function {
    struct uuid id, project;
    char name[STORE_NAME + 1];
    char project_name[STORE_NAME + 1];
    struct uuid live; /* zero: no version answers */
    uint32_t live_number;
    uint8_t response; /* enum response_kind; these three of the live version */
    uint8_t digest[DIGEST_BYTES];
    uint64_t size;
    uint64_t created_ms, updated_ms, deleted_ms; /* 0: not deleted */
    uint64_t generation;                         /* of its last change */
    uint32_t last_number;                        /* of its newest version, 0: it had none */
    uint64_t counters[STORE_COUNTERS];
};
/* ERR_CONFLICT: the name is taken, or was until `kept_since_ms` (then *e says it was deleted). */
enum err_code store_function_put(struct store *st, struct uuid project, struct uuid id,
                                 struct slice name, uint64_t kept_since_ms,
                                 struct err *e) MUST_CHECK;
/* By name or id within a project, deleted ones too. */
enum err_code store_function(struct store *st, struct uuid project, struct slice name_or_id,
                             struct store_function *ret_function, struct err *e) MUST_CHECK;
enum err_code store_functions(struct store *st, struct uuid project, bool deleted,
                              struct slice after, uint32_t limit,
                              void (*each)(void *arg, const struct store_function *f), void *arg,
                              struct err *e) MUST_CHECK;
/* Has the project `n` functions or more? Not counting deleted ones. */
enum err_code store_functions_reach(struct store *st, struct uuid project, uint64_t n,
                                    bool *ret_reached, struct err *e) MUST_CHECK;
enum err_code store_function_delete(struct store *st, struct uuid function,
                                    struct err *e) MUST_CHECK;
enum err_code store_function_undelete(struct store *st, struct uuid function,
                                      struct err *e) MUST_CHECK;

/* ---- the route table's side of functions ---- */

/* The generation of the last change; each change of what a function answers with takes the next. */
enum err_code store_generation(struct store *st, uint64_t *ret_generation,
                               struct err *e) MUST_CHECK;
/* Functions changed after `generation`, deleted ones too, in no order. Returning an error from
 * `each` stops and is returned. */
enum err_code store_functions_since(struct store *st, uint64_t generation,
                                    enum err_code (*each)(void *arg, const struct store_function *f,
                                                          struct err *e),
                                    void *arg, struct err *e) MUST_CHECK;

/* ---- modules and images ---- */

/* Harmless if it is there. */
enum err_code store_module_put(struct store *st, struct uuid project,
                               const uint8_t digest[DIGEST_BYTES], uint64_t size,
                               struct err *e) MUST_CHECK;
enum err_code store_module(struct store *st, struct uuid project,
                           const uint8_t digest[DIGEST_BYTES], uint64_t *ret_size,
                           struct err *e) MUST_CHECK;
/* What it imports and exports, as JSON: {"imports": ["MODULE.NAME", …], "exports": ["NAME", …]}.
 * Harmless if there is no such module. */
enum err_code store_interface_put(struct store *st, struct uuid project,
                                  const uint8_t digest[DIGEST_BYTES], struct slice interface,
                                  struct err *e) MUST_CHECK;
/* Appends it; nothing if it isn't known. */
enum err_code store_interface(struct store *st, struct uuid project,
                              const uint8_t digest[DIGEST_BYTES], struct buf *out,
                              struct err *e) MUST_CHECK;
/* Bytes of modules, images and assets that a project has. */
enum err_code store_stored(struct store *st, struct uuid project, uint64_t *ret_bytes,
                           struct err *e) MUST_CHECK;

struct store_image {
    struct uuid project;
    uint8_t digest[DIGEST_BYTES]; /* of the module */
    uint8_t kind;                 /* enum engine_kind */
    uint64_t size;
    uint8_t hash[DIGEST_BYTES]; /* of the image */
    uint64_t memory_min;        /* bytes of memory an instance begins with */
};
enum err_code store_image_put(struct store *st, const char *engine, const struct store_image *i,
                              struct err *e) MUST_CHECK;
enum err_code store_image(struct store *st, const char *engine, struct uuid project,
                          const uint8_t digest[DIGEST_BYTES], uint8_t kind,
                          struct store_image *ret_image, struct err *e) MUST_CHECK;
enum err_code store_image_delete(struct store *st, const char *engine, struct uuid project,
                                 const uint8_t digest[DIGEST_BYTES], uint8_t kind,
                                 struct err *e) MUST_CHECK;
/* Forgets the images of all other engines. */
enum err_code store_images_of_others(struct store *st, const char *engine,
                                     struct err *e) MUST_CHECK;
/* The first image after (project, digest, kind) in that order, for walking through all of them. */
enum err_code store_image_after(struct store *st, const char *engine,
                                const struct store_image *after, struct store_image *ret_image,
                                struct err *e) MUST_CHECK;
/* The first version that answers requests, in the order of ids after `after`. */
enum err_code store_live_after(struct store *st, struct uuid after, struct uuid *ret_version,
                               struct err *e) MUST_CHECK;
/* Has any project this module or bundle of assets? */
enum err_code store_blob_known(struct store *st, const uint8_t digest[DIGEST_BYTES],
                               bool *ret_known, struct err *e) MUST_CHECK;

/* ---- assets ---- */

struct store_assets {
    struct uuid project;
    uint8_t digest[DIGEST_BYTES]; /* of the bundle */
    uint64_t size;
    uint32_t files;
};
/* One that is there is as new again: it is kept for a while without a version. */
enum err_code store_assets_put(struct store *st, const struct store_assets *a,
                               struct err *e) MUST_CHECK;
enum err_code store_assets(struct store *st, struct uuid project,
                           const uint8_t digest[DIGEST_BYTES], struct store_assets *ret_assets,
                           struct err *e) MUST_CHECK;
/* As store_module_unused and store_module_delete. */
enum err_code store_assets_unused(struct store *st, uint64_t before_ms, struct uuid *ret_project,
                                  uint8_t ret_digest[DIGEST_BYTES], struct err *e) MUST_CHECK;
enum err_code store_assets_delete(struct store *st, struct uuid project,
                                  const uint8_t digest[DIGEST_BYTES], bool *ret_last,
                                  struct err *e) MUST_CHECK;

/* ---- versions ---- */

struct store_version {
    struct uuid id, function, project;
    uint32_t number;
    uint8_t digest[DIGEST_BYTES];
    uint64_t size;
    uint8_t response;
    struct slice env;             /* sealed */
    struct slice limits;          /* JSON */
    struct slice check;           /* "GET /" or "none" */
    struct slice policy;          /* canonical; empty: the empty policy */
    uint8_t assets[DIGEST_BYTES]; /* of a bundle; zero: none */
    bool timing;
    struct slice secrets;          /* JSON array of names */
    uint8_t preview;               /* enum preview_kind (api/settings.h) */
    uint8_t capture;               /* enum capture_kind (ipc/spec.h) */
    uint8_t content[DIGEST_BYTES]; /* over the module's digest and all settings; zero: unknown */
    struct slice result;           /* JSON; empty: not checked */
    struct slice price;            /* JSON; empty: not measured */
    uint64_t created_ms, updated_ms, promoted_ms, disabled_ms; /* 0: never */
    bool live;                                                 /* it is its function's */
    uint32_t percent; /* of the function's requests that it answers */
};
/* Inserts v (all but result, price, times and what it answers) as `number`, which must be after
 * the function's last (else ERR_CONFLICT), or as the next one if that is 0. */
enum err_code store_version_put(struct store *st, const struct store_version *v,
                                uint32_t *ret_number, struct err *e) MUST_CHECK;
enum err_code store_version_checked(struct store *st, struct uuid version, struct slice result,
                                    struct err *e) MUST_CHECK;
enum err_code store_version_priced(struct store *st, struct uuid version, struct slice price,
                                   struct err *e) MUST_CHECK;
/* Makes it the one that answers all requests and takes the next generation. ERR_NOT_FOUND: it is
 * disabled, or its function deleted. */
enum err_code store_version_promote(struct store *st, struct uuid function, struct uuid version,
                                    struct err *e) MUST_CHECK;
/* Hands the version to `each` (its slices are borrowed from the row). */
enum err_code store_version(struct store *st, struct uuid version,
                            enum err_code (*each)(void *arg, const struct store_version *v,
                                                  struct err *e),
                            void *arg, struct err *e) MUST_CHECK;
/* The newest of a function, promoted or not; ERR_NOT_FOUND if it has none. */
enum err_code store_version_newest(struct store *st, struct uuid function,
                                   enum err_code (*each)(void *arg, const struct store_version *v,
                                                         struct err *e),
                                   void *arg, struct err *e) MUST_CHECK;
/* The one that was live before the live one, if it still may be; ERR_NOT_FOUND if there is none. */
enum err_code store_version_before(struct store *st, struct uuid function,
                                   enum err_code (*each)(void *arg, const struct store_version *v,
                                                         struct err *e),
                                   void *arg, struct err *e) MUST_CHECK;
/* By its number. */
enum err_code store_version_numbered(struct store *st, struct uuid function, uint64_t number,
                                     enum err_code (*each)(void *arg, const struct store_version *v,
                                                           struct err *e),
                                     void *arg, struct err *e) MUST_CHECK;
/* Newest first, those with a number below `before` (0: from the newest). */
enum err_code
store_versions(struct store *st, struct uuid function, uint64_t before, uint32_t limit,
               enum err_code (*each)(void *arg, const struct store_version *v, struct err *e),
               void *arg, struct err *e) MUST_CHECK;
/* Deletes versions over `keep`: the oldest never-promoted first, then the oldest that are not
 * live and have no share of the traffic; never `spare`. */
enum err_code store_versions_trim(struct store *st, struct uuid function, uint64_t keep,
                                  struct uuid spare, struct err *e) MUST_CHECK;
/* Versions of the project made since. */
enum err_code store_deploys_since(struct store *st, struct uuid project, uint64_t since_ms,
                                  uint64_t *ret_count, struct err *e) MUST_CHECK;

/* ---- who gets the requests (traffic.c) ---- */

/* Something of what the function answers with has changed: takes the next generation. */
enum err_code store_function_changed(struct store *st, struct uuid function,
                                     struct err *e) MUST_CHECK;

enum { STORE_SHARES = 4 /* versions that share a function's requests, at most */ };
struct store_share {
    struct uuid version;
    uint32_t number, percent;
};
/* Splits the function's requests among these versions (by number; all of 100 percent); none: all
 * go to the live one. ERR_NOT_FOUND: one is not there, or disabled. */
enum err_code store_split(struct store *st, struct uuid function, const struct store_share *shares,
                          uint32_t n, struct err *e) MUST_CHECK;
/* Those that answer now, by number: those of a split, else the live one, else none. */
enum err_code store_shares(struct store *st, struct uuid function,
                           struct store_share ret_shares[STORE_SHARES], uint32_t *ret_n,
                           struct err *e) MUST_CHECK;

/* Ends its preview, and its share of a split, which goes to the live version; or lets it have them
 * again. Whoever calls has seen that it is not live. */
enum err_code store_version_disable(struct store *st, struct uuid function, struct uuid version,
                                    bool disabled, struct err *e) MUST_CHECK;

struct store_preview {
    struct uuid version;
    uint32_t number;
    bool open;         /* to everybody, for as long as the version is kept */
    uint64_t until_ms; /* to members; 0: not now */
};
/* Lets members see it until then, at least. */
enum err_code store_preview_put(struct store *st, struct uuid function, struct uuid version,
                                uint64_t until_ms, struct err *e) MUST_CHECK;
/* Versions of a function whose preview answers now. */
enum err_code store_previews(struct store *st, struct uuid function, uint64_t now_ms,
                             enum err_code (*each)(void *arg, const struct store_preview *p,
                                                   struct err *e),
                             void *arg, struct err *e) MUST_CHECK;
/* Ends those of one function whose time is over; ERR_NOT_FOUND if there are none. */
enum err_code store_preview_over(struct store *st, uint64_t now_ms, struct err *e) MUST_CHECK;

/* ---- secrets ---- */

struct store_secret {
    struct uuid project;
    struct slice name;
    struct uuid revision; /* of its last change */
    struct slice value;   /* sealed */
    uint64_t created_ms, updated_ms;
};
/* Sets or replaces it (all but the times). */
enum err_code store_secret_put(struct store *st, const struct store_secret *s,
                               struct err *e) MUST_CHECK;
enum err_code store_secret_delete(struct store *st, struct uuid project, struct slice name,
                                  struct err *e) MUST_CHECK;
enum err_code store_secret_count(struct store *st, struct uuid project, uint64_t *ret_count,
                                 struct err *e) MUST_CHECK;
enum err_code store_secret(struct store *st, struct uuid project, struct slice name,
                           enum err_code (*each)(void *arg, const struct store_secret *s,
                                                 struct err *e),
                           void *arg, struct err *e) MUST_CHECK;
/* By name, after `after` (empty: from the start). */
enum err_code
store_secrets(struct store *st, struct uuid project, struct slice after, uint32_t limit,
              enum err_code (*each)(void *arg, const struct store_secret *s, struct err *e),
              void *arg, struct err *e) MUST_CHECK;

/* A version that answers somewhere and names a secret. */
struct store_secret_use {
    struct slice secret, function; /* names */
    uint32_t number;               /* the version's */
    bool live;                     /* or in a split; else it is only previewed */
    uint64_t env;                  /* bytes of its environment, sealed */
    uint64_t named, names, values; /* of the secrets it names: how many are set, bytes of their
                                      names, bytes of their sealed values */
};
/* Of one secret (`name` empty: of each), by secret and function. */
enum err_code store_secret_uses(struct store *st, struct uuid project, struct slice name,
                                enum err_code (*each)(void *arg, const struct store_secret_use *u,
                                                      struct err *e),
                                void *arg, struct err *e) MUST_CHECK;
/* Their functions take the next generation: their rows of the route table are made anew. */
enum err_code store_secret_touch(struct store *st, struct uuid project, struct slice name,
                                 struct err *e) MUST_CHECK;

/* ---- runs and logs ---- */

struct store_run {
    struct uuid id, project, function, version;
    uint64_t serial; /* grows in the order in which receipts were stored */
    struct slice function_name;
    uint64_t version_number; /* 0: the version is not kept any more */
    uint64_t started_ms;
    struct slice method, path, client, cause, text;
    struct slice host_calls; /* JSON object: name to count */
    struct slice uses;       /* JSON array: what it opened or was refused, by URL */
    struct slice sums;       /* JSON object: what the ledger says beyond the columns */
    uint64_t status, injected, sampled, captured;
    int64_t exit_status;
    uint64_t cpu_us, wall_us, memory_peak, bytes_in, bytes_out, request_bytes, response_bytes;
    uint64_t calls, log_lines, log_lost;
};
typedef enum err_code store_each_run(void *arg, const struct store_run *r, struct err *e);

/* Adds a receipt; silently not if it is there already or the function is not the project's.
 * serial, function_name and version_number are not read. */
enum err_code store_run_put(struct store *st, const struct store_run *r, struct err *e) MUST_CHECK;

/* Which runs; what is zero or empty holds for any. */
struct store_run_query {
    struct uuid project;  /* must be given */
    struct uuid function; /* zero: all of the project */
    struct uuid before;   /* id, exclusive, for store_runs() */
    uint64_t after;       /* serial, exclusive, for store_runs_stored() */
    bool failed;          /* only those whose cause isn't ok */
    uint64_t status_low, status_high;
    struct slice cause, method, path; /* path: how it begins */
    uint64_t version;
    uint64_t since_ms, until_ms; /* of the start; inclusive, exclusive */
    uint64_t wall_us;            /* this long or longer */
    uint32_t limit;
};
/* How far a bounded search came: it looks at some 20,000 rows, whatever the filter lets through. */
struct store_scan {
    bool more;      /* there may be more after `at` or `id` */
    uint64_t at;    /* id of a line, serial of a receipt */
    struct uuid id; /* of a receipt */
};
/* Newest first. */
enum err_code store_runs(struct store *st, const struct store_run_query *q, store_each_run *each,
                         void *arg, struct store_scan *ret_scan, struct err *e) MUST_CHECK;
/* In the order in which they were stored. */
enum err_code store_runs_stored(struct store *st, const struct store_run_query *q,
                                store_each_run *each, void *arg, struct store_scan *ret_scan,
                                struct err *e) MUST_CHECK;
/* The serial of the last receipt before those stored at `since_ms` or later (0: before all);
 * UINT64_MAX as time: of the last one there is. */
enum err_code store_runs_before(struct store *st, uint64_t since_ms, uint64_t *ret_serial,
                                struct err *e) MUST_CHECK;
enum err_code store_run(struct store *st, struct uuid project, struct uuid id, store_each_run *each,
                        void *arg, struct err *e) MUST_CHECK;
/* Deletes the oldest receipts of a function over `keep`, at most `most` of them. Those over `full`
 * (which is less) that have more than 2 KiB of rows of what they opened lose them: they are then
 * only counted (uses_lost). */
enum err_code store_runs_trim(struct store *st, struct uuid function, uint64_t keep, uint64_t full,
                              uint32_t most, struct err *e) MUST_CHECK;
/* Deletes runs that began before `before_ms`, the oldest first, at most `most`; ERR_NOT_FOUND if
 * there are none. */
enum err_code store_runs_expire(struct store *st, uint64_t before_ms, uint32_t most,
                                struct err *e) MUST_CHECK;

/* What explains a failure: how other runs of the function went. */
struct store_run_history {
    uint64_t similar;      /* of the same cause in the hour before its start, itself not counted */
    uint64_t version_good; /* of the same version that ended well, among those kept */
    struct uuid good;      /* the latest version but its own with such runs; zero: none */
    uint64_t good_number;  /* 0: it is not kept any more */
};
enum err_code store_run_history(struct store *st, const struct store_run *r,
                                struct store_run_history *ret_history, struct err *e) MUST_CHECK;

/* A captured run's tape (ipc/tape.h). */
struct store_capture {
    struct uuid run, project, function;
    uint64_t size;      /* bytes of the tape */
    bool whole;         /* nothing was cut from it */
    struct slice bytes; /* sealed, with the run's id bound in */
};
/* As store_run_put. */
enum err_code store_capture_put(struct store *st, const struct store_capture *c,
                                struct err *e) MUST_CHECK;
enum err_code store_capture(struct store *st, struct uuid project, struct uuid run,
                            enum err_code (*each)(void *arg, const struct store_capture *c,
                                                  struct err *e),
                            void *arg, struct err *e) MUST_CHECK;
/* Deletes those of the project that are older than `before_ms`, and the oldest until it has at most
 * `keep_bytes` (0: any number) of tapes; at most `most` of them. */
enum err_code store_captures_trim(struct store *st, struct uuid project, uint64_t keep_bytes,
                                  uint64_t before_ms, uint32_t most, struct err *e) MUST_CHECK;
/* Deletes those of all projects that are older; ERR_NOT_FOUND if there are none. */
enum err_code store_captures_old(struct store *st, uint64_t before_ms, uint32_t most,
                                 struct err *e) MUST_CHECK;

struct store_log {
    uint64_t id; /* grows in the order in which lines were stored */
    struct uuid project, function, run;
    struct slice function_name;
    uint64_t at_ms;
    uint32_t level, source;
    uint32_t lost; /* a line of the platform that says how many lines were lost */
    struct slice text;
};
typedef enum err_code store_each_log(void *arg, const struct store_log *l, struct err *e);

/* As store_run_put (id and function_name are not read). *ret_bytes: what it counts towards the
 * project's log bytes, for store_logs_grew(); 0 if it was not added. */
enum err_code store_log_put(struct store *st, const struct store_log *l, uint64_t *ret_bytes,
                            struct err *e) MUST_CHECK;
enum err_code store_logs_grew(struct store *st, struct uuid project, uint64_t bytes,
                              struct err *e) MUST_CHECK;
struct store_log_query {
    struct uuid project;
    struct uuid function;        /* zero: all of the project */
    struct uuid run;             /* zero: any */
    uint64_t after, before;      /* ids, exclusive; before 0: no bound */
    uint64_t since_ms, until_ms; /* inclusive, exclusive; until 0: no bound */
    uint32_t level;              /* this number and lower ones: 1, 3 or 6 */
    struct slice text;           /* bytes that the line contains */
    uint32_t limit;
    bool newest; /* the last `limit` ones, newest first; else the first ones, oldest first */
};
enum err_code store_logs(struct store *st, const struct store_log_query *q, store_each_log *each,
                         void *arg, struct store_scan *ret_scan, struct err *e) MUST_CHECK;
/* The id of the last line of all there are; 0: there is none. */
enum err_code store_logs_last(struct store *st, uint64_t *ret_id, struct err *e) MUST_CHECK;
/* Deletes the oldest lines of a project until it holds at most `keep_bytes`, at most `most`. */
enum err_code store_logs_trim(struct store *st, struct uuid project, uint64_t keep_bytes,
                              uint32_t most, struct err *e) MUST_CHECK;
/* Deletes lines stored before `before_ms`, the oldest first, at most `most`; ERR_NOT_FOUND if there
 * are none. */
enum err_code store_logs_expire(struct store *st, uint64_t before_ms, uint32_t most,
                                struct err *e) MUST_CHECK;

/* ---- egress's journal ---- */

struct store_connection {
    uint64_t id; /* grows in the order in which they were stored */
    uint64_t at_ms;
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint64_t port;
    struct slice scheme, host;
    struct slice outcome; /* a slug of errors.def; empty: it was made */
    struct uuid project, function, run;
    struct slice project_name, function_name; /* empty: there is none of this id any more */
    uint64_t sent, received;
};
/* id and names are not read. */
enum err_code store_connection_put(struct store *st, const struct store_connection *c,
                                   struct err *e) MUST_CHECK;
struct store_connection_query {
    uint8_t address[16];
    uint64_t port;               /* 0: any */
    uint64_t since_ms, until_ms; /* both inclusive */
    uint64_t before;             /* id, exclusive; 0: from the newest */
    uint32_t limit;
};
/* Newest first. */
enum err_code store_connections(struct store *st, const struct store_connection_query *q,
                                void (*each)(void *arg, const struct store_connection *c),
                                void *arg, struct err *e) MUST_CHECK;
/* Deletes those older than `before_ms` and the oldest of more than `keep`, at most `most`;
 * ERR_NOT_FOUND if there are none. */
enum err_code store_connections_trim(struct store *st, uint64_t before_ms, uint64_t keep,
                                     uint32_t most, struct err *e) MUST_CHECK;

/* ---- usage and the spools ---- */

/* How far a ring was taken; 0 if it is new (it gets its row). */
enum err_code store_spool(struct store *st, struct uuid spool, uint64_t *ret_taken,
                          struct err *e) MUST_CHECK;
enum err_code store_spool_taken(struct store *st, struct uuid spool, uint64_t taken,
                                struct err *e) MUST_CHECK;
/* What of a ring's counters is in usage already; zeros if nothing. */
enum err_code store_counted(struct store *st, struct uuid spool, struct uuid function,
                            uint64_t ret_counted[STORE_COUNTERS], struct err *e) MUST_CHECK;
/* Adds `counters - counted` to usage and to usage of `day` (days since 1970, UTC), and remembers
 * `counters` as counted. Counters of a function that is not the project's, or not there any more,
 * are only remembered. */
enum err_code store_count(struct store *st, struct uuid spool, struct uuid project,
                          struct uuid function, uint64_t day,
                          const uint64_t counted[STORE_COUNTERS],
                          const uint64_t counters[STORE_COUNTERS], struct err *e) MUST_CHECK;

/* Sums of a day, or of a function. */
struct store_usage {
    uint64_t day;         /* of sums by day */
    struct uuid function; /* of sums by function, deleted ones too */
    struct slice function_name;
    bool deleted;
    uint64_t counters[STORE_COUNTERS];
};
struct store_usage_query {
    struct uuid project;
    struct uuid function; /* zero: all */
    uint64_t from, to;    /* days, both inclusive */
    bool by_function;     /* else by day; in the order of ids, or of days */
    struct uuid after;    /* by function: ids after it */
    uint32_t limit;
};
enum err_code store_usage(struct store *st, const struct store_usage_query *q,
                          void (*each)(void *arg, const struct store_usage *u), void *arg,
                          struct err *e) MUST_CHECK;
/* All of it in one. */
enum err_code store_usage_total(struct store *st, const struct store_usage_query *q,
                                uint64_t ret_counters[STORE_COUNTERS], struct err *e) MUST_CHECK;
/* ---- requests that are sent again ---- */

/* The answer of a write that had an Idempotency-Key. */
struct store_once {
    struct uuid user;
    struct slice key;
    uint8_t request[DIGEST_BYTES]; /* SHA-256 of what was asked */
    uint64_t status;
    struct slice head; /* further header lines of the answer */
    struct slice body; /* sealed */
};
/* Hands over the row of this key, if it is not from before `since_ms`. */
enum err_code store_once(struct store *st, struct uuid user, struct slice key, uint64_t since_ms,
                         enum err_code (*each)(void *arg, const struct store_once *o,
                                               struct err *e),
                         void *arg, struct err *e) MUST_CHECK;
/* Puts it in the place of an old one of this key. */
enum err_code store_once_put(struct store *st, const struct store_once *o,
                             struct err *e) MUST_CHECK;
enum err_code store_once_count(struct store *st, struct uuid user, uint64_t *ret_count,
                               struct err *e) MUST_CHECK;
/* Deletes those from before `before_ms`, at most `most`; ERR_NOT_FOUND if there are none. */
enum err_code store_once_trim(struct store *st, uint64_t before_ms, uint32_t most,
                              struct err *e) MUST_CHECK;

/* ---- housekeeping ---- */

/* One function deleted before `before_ms`, to be purged; ERR_NOT_FOUND if there is none. */
enum err_code store_function_dead(struct store *st, uint64_t before_ms, struct uuid *ret_function,
                                  struct err *e) MUST_CHECK;
/* Deletes at most `most` rows that hang on it, and at last the function itself. */
enum err_code store_function_purge(struct store *st, struct uuid function, uint32_t most,
                                   struct err *e) MUST_CHECK;
/* A module of any project that no kept version names and that is older than `before_ms`. */
enum err_code store_module_unused(struct store *st, uint64_t before_ms, struct uuid *ret_project,
                                  uint8_t ret_digest[DIGEST_BYTES], struct err *e) MUST_CHECK;
/* Takes the module and its images from the project; *ret_last: nobody else has these bytes. */
enum err_code store_module_delete(struct store *st, struct uuid project,
                                  const uint8_t digest[DIGEST_BYTES], bool *ret_last,
                                  struct err *e) MUST_CHECK;

/* What housekeeping would remove: modules (bytes with their images) and assets that no kept version
 * names and that are older than `before_ms`, functions deleted before `dead_ms`. */
struct store_unused {
    uint64_t modules, module_bytes, assets, asset_bytes, functions;
};
enum err_code store_unused(struct store *st, uint64_t before_ms, uint64_t dead_ms,
                           struct store_unused *ret_unused, struct err *e) MUST_CHECK;

/* ---- copies ---- */

/* A consistent copy of the database in the new file `path` of the current folder, while it is in
 * use. Removed by store_copy_end(). */
struct store_copy;
enum err_code store_copy_begin(struct store *st, const char *path, struct store_copy **ret_copy,
                               struct err *e) MUST_CHECK;
/* Copies a few pages; *ret_done: it is whole, and stays as it is. Call it once a turn. */
enum err_code store_copy_step(struct store_copy *c, bool *ret_done, struct err *e) MUST_CHECK;
/* Of a whole one: the next module or bundle of assets that it names; ERR_NOT_FOUND after the last.
 */
enum err_code store_copy_blob(struct store_copy *c, uint8_t ret_digest[DIGEST_BYTES],
                              struct err *e) MUST_CHECK;
void store_copy_end(struct store_copy *c); /* accepts NULL */

/* ---- a database that no server uses (sqlite/offline.c) ---- */

/* The schema that the database in the file `path` has, and the newest that this program knows.
 * ERR_NOT_FOUND, ERR_DAMAGED. */
enum err_code store_schema(const char *path, uint32_t *ret_have, uint32_t *ret_known,
                           struct err *e) MUST_CHECK;
/* Looks at every page and every reference of it, then hands over each module and bundle of assets
 * that it names. ERR_DAMAGED says what is wrong; an error of `each` stops. */
enum err_code store_verify(const char *path,
                           enum err_code (*each)(void *arg, const uint8_t digest[DIGEST_BYTES],
                                                 struct err *e),
                           void *arg, struct err *e) MUST_CHECK;
/* Copies it to the new file `copy`, on disk when it returns. */
enum err_code store_save(const char *path, const char *copy, struct err *e) MUST_CHECK;
/* Applies the migrations that it lacks. */
enum err_code store_migrate(const char *path, struct err *e) MUST_CHECK;
