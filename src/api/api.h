/* The API: requests from the platform edge as frames, answers as CGI text.
 *
 * To the edge control is one more CGI program: BEGIN brings meta-variables,
 * BODY the request's bytes, and OUTPUT takes back `Status: …`, fields, an empty
 * line and a body. This folder owns the requests and knows the database, blobs
 * and tokens; what it needs from the other roles (compiling, running) it asks
 * for through `struct api_backend`, which roles/control.c fills in. */
#pragma once

#include "api/backend.h"
#include "auth/token.h"
#include "auth/verified.h"
#include "base/map.h"
#include "base/options.h"
#include "blob/blob.h"
#include "ipc/channel.h"
#include "store/store.h"

/* What is counted for GET /metrics, since this process began. */
enum { API_STATUSES = 600 };
struct api_counts {
    uint64_t functions[STORE_COUNTERS]; /* of all functions together */
    uint64_t causes[ERR_COUNT];         /* receipts of failed runs */
    uint64_t answers[API_STATUSES];     /* of the API, by status */
    uint64_t compiled, compile_failed;
};

struct api {
    struct loop *loop;
    struct store *store;
    struct blobs *blobs;
    const struct options *options;
    struct token_keys keys;
    uint8_t secrets[32]; /* seals environments in the database */
    const struct api_backend *backend;
    void *control; /* the backend's */
    struct api_counts counts;
    uint64_t started_us; /* Unix */

    /* private */
    struct verified verified;
    struct list requests;
    struct loop_timer watch; /* while there are any (watch.c) */
    unsigned open;           /* of those */
    struct list followers;   /* requests that stream new log lines or runs */
    struct list onces;       /* running requests with an Idempotency-Key (once.c) */
    struct map rates;        /* token id → struct rate */
    struct list rate_order;  /* of those, least recently used first */
    struct list kept;        /* answers to give again (kept.c), the last used first */
    size_t kept_bytes;
    unsigned kept_count;
    uint64_t kept_changes; /* store_changes() when they were made */
    json_t *openapi;       /* the document; NULL: nobody has asked for it yet */
};

/* After the public members are set. */
void api_init(struct api *api);
/* Drops all requests without a word. */
void api_done(struct api *api);

/* Removes what a backup left behind that a crash ended; before the first request. */
void backup_clean_up(void);

/* A frame from the platform edge. */
void api_on_frame(struct api *api, struct channel *channel, const struct frame *f,
                  struct slice payload);
/* The channel is gone, and its requests with it. */
void api_on_closed(struct api *api, struct channel *channel);
/* New log lines or receipts are in the database: tell those who follow. */
void api_on_stored(struct api *api);

/* "http://NAME.localhost:8080/"; false if it does not fit. */
bool api_function_url(const struct api *api, const char *name, char *out, size_t cap);
