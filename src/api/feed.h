/* Feeds: the rows of a list one after the other, in constant memory.
 *
 * Two forms. Server-sent events follow a list: rows that are there, then each
 * new row once as it is stored, its number being the event's id, so that
 * Last-Event-ID resumes exactly. JSON lines (one object a line) end with the
 * last row that was there when the request came. Either way rows are read from
 * the database in batches, as fast as the client takes them: a slow one costs
 * no memory, it just reads later. */
#pragma once

#include "api/request.h"

struct feed { /* the first member of what a list's own is */
    struct api_request *request;
    bool follows; /* events, and no end */
    bool placed;  /* it is known where it begins, and where JSON lines end */
    bool full;    /* the client has not taken enough yet */
    bool reading; /* waits for a COMMIT, or is in a batch */
    struct loop_timer ping, next;
    struct store_wait wait;
    /* Finds where it begins: once, before the first read. */
    enum err_code (*place)(struct feed *f, struct err *e);
    /* Hands the next rows, a few hundred at most, to feed_row() and remembers how far it came.
     * *ret_more: there may be further ones now. An error of feed_row() is handed on. */
    enum err_code (*read)(struct feed *f, bool *ret_more, struct err *e);
};

enum { FEED_BATCH = 200 };

/* How does the request want a list: as a page, or as a feed of which form? `follow=true`;
 * `format=jsonl` or `Accept: application/jsonl`. */
enum feed_form { FEED_NONE, FEED_EVENTS, FEED_LINES };
enum feed_form feed_form(const struct api_request *r);

/* The id after which the client wants to go on (Last-Event-ID); false if there is none. */
bool feed_resumes(const struct api_request *r, uint64_t *ret_after);

/* How many rows there are before the first new one. True: the client has said so. */
bool feed_past(const struct api_request *r, uint32_t *ret_rows);

/* Something of `size` bytes, zeroed, that begins with a feed; NULL: answered. It is freed when its
 * request ends. */
void *feed_new(struct api_request *r, size_t size);
/* Begins the answer; place and read are set. */
void feed_begin(struct feed *f, struct api_request *r, enum feed_form form);

/* Sends one row and takes the reference. ERR_BUSY: there is no room, and it was not sent. */
enum err_code feed_row(struct feed *f, uint64_t id, json_t *row, struct err *e) MUST_CHECK;

/* New rows may be there. */
void feed_more(struct api_request *r);
