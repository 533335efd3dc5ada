/* Control: the database, the API, deploys. What its files share.
 *
 *   control.c          start, leash, end
 *   control_first.c    the first start: operator, project, token
 *   control_edges.c    channels to the edges; injecting runs
 *   control_routes.c   rows of the route table, published after each COMMIT
 *   control_images.c   compile jobs and the images they leave
 *   control_assets.c   bundles of assets, and where exec finds them
 *   control_deploy.c   the states of a deploy
 *   control_price.c    what a version costs
 *   control_spool.c    from the edges' spools into the database
 *   control_keep.c     what is old and not needed goes
 *
 * One thread, one loop; everything below belongs to it. */
#pragma once

#include "api/api.h"
#include "base/jot.h"
#include "ipc/leash.h"
#include "route/route.h"
#include "spool/spool.h"

enum { CONTROL_BOOT_ID = 40, CONTROL_JOTS = 3 };

struct control {
    struct api api; /* loop, store, blobs, options, keys */
    struct loop *loop;
    struct leash leash;
    struct options options;
    uint8_t node_key[ROUTE_KEY_BYTES];
    int data, images, spool_folder; /* folders: DATA, DATA/images/ENGINE, DATA/spool */
    bool draining;
    int status;

    /* control_edges.c */
    struct list edges;
    uint64_t injections; /* serial */
    struct loop_task tell;

    /* control_routes.c */
    struct route_table *routes;
    int routes_folder;
    int touching;  /* the file that counts who died of the table; 0: not open yet */
    bool unsynced; /* the table was changed since it was put on the disk */
    struct loop_timer sync;
    char boot[CONTROL_BOOT_ID]; /* this start of the machine */
    uint64_t checked_us;        /* when the table was last looked through */
    uint64_t published;         /* generation that the table has */
    enum err_code behind;       /* why a publication failed: tried again by the timer */
    struct loop_timer publish_again;

    /* control_images.c */
    struct list jobs;
    uint64_t cookies;
    struct loop_timer verify;
    struct store_image verified; /* the walk through all images: the last one looked at */
    struct image_want repair;    /* the live image being made without anyone asking */
    struct uuid repaired;        /* the walk through all live versions: the last one looked at */

    /* control_assets.c */
    struct list bundling;

    /* control_deploy.c */
    struct list deploys;

    /* control_spool.c */
    struct list spools;
    struct loop_timer drain;
    struct jot jots[CONTROL_JOTS]; /* texts of the receipt at hand */

    /* control_keep.c */
    struct loop_timer keep;
    bool sweep;         /* there may be blobs that nobody knows */
    uint64_t upload_ms; /* an upload without a version is kept this long */
};

/* control_first.c: makes what a new database lacks, and DATA/operator.token. */
enum err_code control_first(struct control *c, struct err *e) MUST_CHECK;

/* control_edges.c */
void control_edges_init(struct control *c);
void control_edge_add(struct control *c, uint32_t number, int fd);
/* Tells functions edges that rows or images have changed. */
void control_edges_tell(struct control *c);
unsigned control_edges_count(struct control *c); /* of functions, connected */
void control_edges_done(struct control *c);
enum err_code control_inject(struct api *api, struct injection *i, struct uuid version,
                             struct slice vars, bool has_body, struct err *e) MUST_CHECK;
void control_inject_body(struct injection *i, struct slice bytes, bool last);
void control_inject_credit(struct injection *i, uint32_t n);
void control_inject_cancel(struct injection *i, enum err_code reason);

/* control_routes.c */
enum err_code control_routes_open(struct control *c, struct err *e) MUST_CHECK;
/* Publishes what has changed since the table's generation; store_on_commit calls it. */
void control_routes_publish(void *control);
/* Appends the row of one version, for an INJECT frame; `silent` as in route.h. */
enum err_code control_routes_version(struct control *c, struct uuid version, bool silent,
                                     struct buf *out, struct err *e) MUST_CHECK;
/* Something may be wrong with the table: looks through it, makes it anew if so, tells edges. */
void control_routes_check(struct control *c);
void control_routes_done(struct control *c);

/* control_images.c */
enum err_code control_images_open(struct control *c, struct err *e) MUST_CHECK;
void control_image_want(struct api *api, struct image_want *w);
/* false: the job is none of an image. */
bool control_image_compiled(struct control *c, uint64_t cookie, int wait_status);
/* An edge says that an exec found no image of this version, or none that it could use. */
void control_image_missing(struct control *c, struct uuid version);
/* Whatever of an upload that came to nothing no project has. */
void control_discard(struct api *api, struct uuid project, const uint8_t digest[DIGEST_BYTES]);
/* Of a module, whatever the kind. */
void control_images_unlink(struct control *c, struct uuid project,
                           const uint8_t digest[DIGEST_BYTES]);
/* The folder of a project's images, made if need be; close() it. */
enum err_code control_images_folder(struct control *c, struct uuid project, int *ret_fd,
                                    struct err *e) MUST_CHECK;
void control_images_done(struct control *c);

/* control_assets.c */
void control_assets_init(struct control *c);
void control_assets_want(struct api *api, struct assets_want *w);
void control_assets_compiled(struct control *c, uint64_t cookie, int wait_status);
/* Sees to it that the bundle (zero: none) lies beside the project's images, where exec opens it;
 * `hashed`: and is the one of this name. */
enum err_code control_assets_place(struct control *c, struct uuid project,
                                   const uint8_t digest[DIGEST_BYTES], bool hashed,
                                   struct err *e) MUST_CHECK;
void control_assets_unlink(struct control *c, struct uuid project,
                           const uint8_t digest[DIGEST_BYTES]);
void control_assets_done(struct control *c);

/* control_deploy.c */
void control_deploy_init(struct control *c);
void control_deploy(struct api *api, struct deployment *d);

/* control_price.c */
/* May a run be repeated to measure it: a safe request (RFC 9110, 9.2.1), quick, that reached
 * nothing else? */
bool control_price_repeatable(struct slice method, const struct ledger *l);
/* Of one run. */
struct price control_price_of(const struct ledger *l);
void control_price(struct control *c, struct pricing *p);

/* control_spool.c */
enum err_code control_spools_open(struct control *c, struct err *e) MUST_CHECK;
/* An edge of this number has (re)started: its ring may be another file. */
void control_spool_edge(struct control *c, uint32_t number);
enum err_code control_drain(struct api *api, struct err *e) MUST_CHECK;
/* Soon, at the end of this turn. */
void control_drain_soon(struct control *c);
void control_rings(struct api *api, void (*each)(void *arg, const struct api_ring *ring),
                   void *arg);
void control_spools_done(struct control *c);

/* control_keep.c */
void control_keep_start(struct control *c);
/* Removes blobs that no row of the database names. */
enum err_code control_keep_orphans(struct control *c, struct err *e) MUST_CHECK;
void control_sweep(struct api *api);
void control_gc(struct api *api, struct gc_want *w);

static inline struct control *control_of(struct api *api)
{
    return api->control;
}
