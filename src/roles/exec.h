/* exec: what its files share.
 *
 *   exec.c           start, frames, and the runs: from BEGIN to END
 *   exec_version.c   versions that the edge loaded, and the images that are open
 *   exec_tape.c      captured runs, and runs that play a tape
 *   exec_text.c      what the end of a run is called
 *
 * One thread, one loop; everything below belongs to it. */
#pragma once

#include "base/meter.h"
#include "engine/instance.h"
#include "guest/guest.h"
#include "guest/tape.h"
#include "ipc/channel.h"
#include "ipc/leash.h"
#include "module/bundle.h"
#include "policy/policy.h"
#include "roles/exec_text.h"
#include "roles/roles.h"

enum {
    EXEC_SLOTS = 4096, /* versions that an edge may load */
    EXEC_BUCKETS = 64,
};

struct version {
    struct list node; /* in exec.images when its image is open, most recent first */
    char *bytes;      /* what `load` and the strings point into */
    size_t size;      /* of those */
    struct version_load load;
    struct strings env, args;
    struct policy *policy; /* NULL: the empty one */
    struct image *image;   /* NULL: not open */
    struct bundle *assets; /* open as long as the image is; NULL: it has none */
    enum err_code broken;  /* why the image can't be opened; 0: it can */
    unsigned runs;
    bool unloaded; /* goes with its last run */
};

struct run {
    struct guest guest;
    struct list node;
    struct run *next; /* in its bucket */
    struct exec *exec;
    struct version *version;
    struct instance *instance;
    uint64_t id;
    struct buf meta;        /* BEGIN's payload after the slot */
    struct buf input;       /* came, not yet read */
    uint32_t input_credit;  /* bytes the edge may still send */
    uint32_t input_owed;    /* read, not yet granted again */
    bool entered;           /* its instance has begun */
    uint64_t untraced;      /* host calls of a traced run that were not told */
    bool input_end;         /* nothing comes after `input` */
    uint32_t output_credit; /* bytes we may still send */
    uint64_t begun_us, cpu_ns;
    uint64_t entered_ns;    /* when the making of its instance began, as the meter counts */
    struct guest_tape tape; /* guest.tape, of a run that is captured or played */
    char *played;           /* what it plays; NULL: nothing */
    uint64_t began_us;      /* real time, of a captured run */
    struct loop_timer wake;
};

struct exec {
    struct loop *loop;
    struct leash leash;
    struct channel edge;
    struct remotes *remotes; /* the way to egress; NULL: there is none */
    struct engine *engine;
    enum engine_kind kind;
    bool one; /* run at a time */
    bool stop, relaxed, bound, has_project;
    char project[UUID_TEXT + 1];
    int statm; /* /proc/self/statm, opened before the lock-down; -1: not there */

    struct version *versions[EXEC_SLOTS];
    struct list images;
    unsigned images_open;
    struct buf loading; /* pieces of a LOAD */
    uint64_t loading_slot;
    struct buf taping; /* pieces of a TAPE, and whole until its BEGIN */
    uint64_t taping_run;
    bool taped; /* it is whole */

    struct run *buckets[EXEC_BUCKETS];
    struct list ready, preempted, waiting, free;
    unsigned live;      /* runs between BEGIN and END */
    unsigned made;      /* runs that exist */
    struct meter meter; /* whose CPU time is it? a piece a fiber switch */
    bool metering;      /* it was started in this turn */
    struct loop_timer status;
};

/* Breaking the rules of frames: there is nobody to tell but the log; the process ends. */
void exec_malformed(struct exec *x, const char *what);
/* Empties a buffer; one that grew large is not kept. */
void exec_reset(struct buf *b);
/* How a run ended, that has. */
enum err_code exec_end_reason(const struct run *r);
int32_t exec_end_status(const struct run *r);

/* exec_version.c: frames, */
void exec_on_bind(struct exec *x, struct slice payload);
void exec_on_load(struct exec *x, const struct frame *f, struct slice payload);
void exec_unload(struct exec *x, uint64_t slot);
/* opening the version's image unless it is open, which makes it the most recent one; what stands in
 * the way is told to the edge, too, */
enum err_code exec_use_image(struct exec *x, uint64_t slot, struct version *v);
/* and the end of a version without runs. */
void exec_version_free(struct exec *x, struct version *v);

/* exec_tape.c: pieces of a tape for the run of this id that begins next, */
void exec_on_tape(struct exec *x, const struct frame *f, struct slice payload);
/* which can't begin, or */
void exec_drop_tape(struct exec *x, uint64_t id);
/* plays it; */
enum err_code exec_play(struct run *r, struct err *e) MUST_CHECK;
/* and the end of a run that plays or is captured: what it recorded is sent. */
void exec_end_tape(struct run *r);
