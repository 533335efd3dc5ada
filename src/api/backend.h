/* What the API asks of the rest of control: compile a module, deploy a version, run a request.
 *
 * All of it is asynchronous: the asker embeds a struct, fills in the first
 * part, and is called back once on the same loop. */
#pragma once

#include "api/settings.h"
#include "blob/blob.h"
#include "ipc/ledger.h"
#include "spool/spool.h"
#include "store/store.h"

struct api;
struct guest_answer;

/* An image of a module for a project and an engine, compiled unless it is there. */
struct image_want {
    struct uuid project;
    uint8_t digest[DIGEST_BYTES];
    uint8_t kind; /* enum engine_kind */
    /* NULL: it is in its place. May be called before image_want() returns. */
    void (*on_done)(struct image_want *w, const struct err *failure);
    struct slice interface; /* in on_done, if it was just made: as store_interface_put() takes it */
    struct list node;       /* the compiler's */
};

/* A bundle made of an uploaded archive, stored among the blobs. */
struct assets_want {
    struct uuid project;
    struct blob_writer *archive; /* borrowed until on_done */
    /* when it is made */
    uint8_t digest[DIGEST_BYTES];
    uint64_t size;
    uint32_t files;
    void (*on_done)(struct assets_want *w, const struct err *failure); /* NULL: it is stored */
};

/* A run of a named version through an edge, not through the route table. */
struct injection {
    /* the run's id, before anything else of it */
    void (*on_run)(struct injection *i, struct uuid run);
    /* CGI output of the guest; give credit back as it is consumed */
    void (*on_output)(struct injection *i, struct slice bytes);
    /* the guest's side took `n` bytes of body */
    void (*on_credit)(struct injection *i, uint32_t n);
    /* The end; `lost` (else NULL) says that the edge went away, and the ledger is then zero.
     * The injection is the asker's again. */
    void (*on_end)(struct injection *i, const struct ledger *ledger, const struct err *lost);
    bool silent; /* the platform's own: neither counted nor logged, without a receipt */

    /* private to the edges */
    struct list node;
    void *edge;
    uint64_t id;
};

/* How the check of a version went. */
struct check_result {
    bool ran;
    struct uuid run;     /* zero: it did not start */
    uint16_t status;     /* the guest gave; 0: none */
    enum err_code error; /* ERR_OK: it passed */
    char text[512];
};

/* What a version costs: medians over `runs` runs of its check. */
struct price {
    uint32_t runs; /* 0: not measured */
    uint64_t cpu_us, memory_peak, calls;
};

enum { PRICE_RUNS = 9 /* of each version, at most */ };

/* Measures what two versions cost for the same request, in turns, by runs that nobody is charged
 * for. The second may be none (zero). */
struct pricing {
    struct uuid versions[2];
    struct price *prices[2];     /* filled in; runs 0 where too few went well */
    const char *name;            /* of the function */
    struct slice method, target; /* of the request, which has no body; borrowed */
    void (*on_done)(struct pricing *p);

    /* private */
    void *control;
    struct injection injection;
    struct loop_timer deadline;
    uint64_t until_us;
    unsigned at, n[2];
    struct price samples[2][PRICE_RUNS];
};

/* Why a deployed version was not promoted. */
enum held { HELD_NOT, HELD_UNASKED, HELD_CHECK, HELD_COST };

/* A deploy: from a stored module to a version that answers; or the promotion of one that is
 * there. */
struct deployment {
    struct uuid project;
    struct store_actor who;
    char name[STORE_NAME + 1]; /* of the function */
    struct uuid function;      /* zero: it is created */
    uint8_t digest[DIGEST_BYTES];
    uint64_t size;
    struct version_settings settings; /* the deployment's: freed with it */
    struct uuid version;              /* zero: it is made, unless it is there with this content */
    uint32_t number;                  /* that it gets; 0: the next */
    bool unchecked;                   /* its check is not asked */
    bool unpromoted;                  /* it is not promoted */
    uint64_t most_cpu_us;             /* it may cost; 0: anything */
    uint32_t most_percent;            /* of what the live one costs; 0: anything */
    const char *action;               /* for the audit */
    bool matched;                     /* If-Match: the function has to be as it was then */
    uint64_t generation;              /* …of which these two were those */
    uint32_t last_number;
    /* filled in when done, with version and number */
    bool made; /* there was none with this content */
    bool promoted;
    enum held held;
    char why[256]; /* …it was held: "" otherwise */
    struct check_result check;
    struct price price, before; /* its own; that of the version that was live, if it was measured */
    uint32_t before_number;
    /* Once. The deployment is the asker's again. */
    void (*on_done)(struct deployment *d, const struct err *failure);
    void *owner;

    /* private to the deployer */
    struct list node;
    struct image_want image;
    struct injection injection;
    struct store_wait wait;
    struct loop_timer deadline;
    struct guest_answer *answer;
    struct pricing pricing;
    struct uuid live; /* the version that it is compared with */
    bool repeatable;  /* its check may be run again without a difference to anyone */
    bool unchanged;   /* it answers all requests already */
    void *control;
};

struct api_state {
    unsigned edges; /* functions edges that are connected */
    unsigned jobs;  /* compile jobs at work or waiting */
    enum err_code
        routes_behind;  /* why the route table lacks the latest changes; ERR_OK: it doesn't */
    uint64_t published; /* generation that it has */
};

/* A spool's ring, now. */
struct api_ring {
    const char *name; /* "edge-0", "egress" */
    uint64_t waiting; /* bytes */
    uint64_t dropped[SPOOL_TYPES];
    uint32_t execs; /* processes that its edge has */
};

/* What housekeeping would remove later, removed now. */
struct gc_counts {
    struct store_unused unused;
    uint64_t blobs, blob_bytes; /* that nobody knows */
};
struct gc_want {
    uint64_t older_ms; /* uploads must be this old */
    bool dry;          /* only count */
    struct gc_counts removed;
    void (*on_done)(struct gc_want *w, const struct err *failure); /* once, in a later turn */
    /* private */
    struct gc_counts before;
    struct loop_task step;
    void *control;
};

struct api_backend {
    void (*image_want)(struct api *api, struct image_want *w);
    void (*assets_want)(struct api *api, struct assets_want *w);
    /* An upload came to nothing: its bytes and image stay only where a project has the module. */
    void (*discard)(struct api *api, struct uuid project, const uint8_t digest[DIGEST_BYTES]);
    void (*deploy)(struct api *api, struct deployment *d);
    /* Starts a run of a version; `vars` are `NAME\0value\0` pairs (api/guest.h). */
    enum err_code (*inject)(struct api *api, struct injection *i, struct uuid version,
                            struct slice vars, bool has_body, struct err *e);
    void (*inject_body)(struct injection *i, struct slice bytes, bool last);
    void (*inject_credit)(struct injection *i, uint32_t n);
    void (*inject_cancel)(struct injection *i, enum err_code reason); /* on_end still follows */
    /* Takes what the edges' spools hold into the database, within the present turn. */
    enum err_code (*drain)(struct api *api, struct err *e);
    /* Blobs that nobody knows may be there: they are looked for soon. */
    void (*sweep)(struct api *api);
    void (*gc)(struct api *api, struct gc_want *w);
    /* What readiness and metrics ask for. */
    struct api_state (*state)(struct api *api);
    void (*rings)(struct api *api, void (*each)(void *arg, const struct api_ring *ring), void *arg);
};
