/* Remote descriptors: the exec's side of its conversation with egress (ipc/exchange.h).
 *
 * One `struct remotes` a process owns the socket and knows every exchange by
 * its number; one `struct remote` is a descriptor's. Nothing here blocks: a
 * step that needs an answer says that it waits, and the run is woken when the
 * answer came. scheme_http.c and scheme_gemini.c say what is sent and what the
 * guest reads.
 *
 * What egress sends is checked as everything from another process is: a frame
 * that its exchange can't have now ends the conversation, and with it every
 * exchange. At most 64 KiB of an answer's body wait here, and as much of a
 * request's on the way out: that is the credit. */
#pragma once

#include "guest/guest.h"
#include "ipc/channel.h"
#include "ipc/exchange.h"

struct remotes;

/* Takes the socket (EXEC_EGRESS). `on_reach` is called once, at the first open: the edge must join
 * the socket to egress. `on_ready` tells that a guest may go on whose call waits with
 * GUEST_WAITS_REMOTE. Both may be called inside a host call: they only note. */
enum err_code remotes_new(struct loop *loop, int fd, void (*on_reach)(void *arg),
                          void (*on_ready)(void *arg, struct guest *g), void *arg,
                          struct remotes **ret_remotes, struct err *e) MUST_CHECK;
void remotes_free(struct remotes *r); /* accepts NULL; no exchange may be left */
/* Sends what was queued, as channel_flush(). */
void remotes_flush(struct remotes *r);

/* For schemes */

enum remote_state {
    REMOTE_OPENING,  /* OPEN is on its way to its VERDICT */
    REMOTE_OPEN,     /* allowed; no request was made yet */
    REMOTE_ASKING,   /* REQUEST is on its way to its VERDICT */
    REMOTE_RUNNING,  /* allowed: the body goes out, the answer comes in */
    REMOTE_FINISHED, /* FINISHED came, or a VERDICT that refuses the REQUEST: see `end` */
    REMOTE_BROKEN,   /* nothing can follow: OPEN was refused, or egress is gone: see `end` */
};

/* An exchange, embedded in the state of its descriptor. Zeroed: none. */
struct remote {
    enum remote_state state;
    bool allowed;                 /* the VERDICT on the REQUEST was: yes */
    bool answered;                /* the answer's head came */
    struct exchange_end end;      /* FINISHED and BROKEN: why; reason ERR_OK: it is complete */
    char text[EXCHANGE_TEXT + 1]; /* the deciding rule, or what happened */
    char *url;                    /* normalised: what was opened, then what was last requested */
    /* private */
    struct guest *guest;
    struct remote *next; /* in its bucket */
    uint64_t id;         /* 0: not known to egress */
    struct buf in;       /* of the answer, not read yet */
    size_t head;         /* bytes at its start that are the head: they were not credited */
    uint32_t in_credit, in_owed, out_credit;
    bool counted; /* among the guest's remotes_open */
    bool told;    /* the log has why it failed */
};

/* Asks egress to open the normalised URL. 0, RESOURCE_WAIT is what remote_opened() says next;
 * RESOURCE_INVALID and a log line: a limit on opens; RESOURCE_UNKNOWN: there is no egress. */
int32_t remote_open(struct guest *g, struct remote *r, struct slice url);
/* 0: it is open; RESOURCE_WAIT; or why it can't be. */
int32_t remote_opened(struct guest *g, struct remote *r);
/* Ends it wherever it is and frees what it holds. Accepts a zeroed one. */
void remote_close(struct guest *g, struct remote *r);

/* Sends a REQUEST for `url`, which is normalised, allowed by the version's policy and from
 * malloc(): it becomes the exchange's own. It may be r->url. The state must be OPEN, or FINISHED
 * with everything read. `fields` as in exchange.h. */
void remote_request(struct remote *r, struct slice method, char *url, struct slice fields,
                    enum exchange_body body, uint64_t length);
/* 0: the request is allowed and on its way, whatever came of it; RESOURCE_WAIT; or why it is not.
 */
int32_t remote_allowed(struct guest *g, struct remote *r);
/* Bytes of body that could go now, once the request is allowed: 0: none. */
uint32_t remote_room(const struct remote *r);
/* Sends some of the body: at most remote_room(). */
void remote_send(struct remote *r, const void *p, uint32_t n);
/* The body is complete. */
void remote_send_end(struct remote *r);
/* Gives the request up, which is the guest's fault: nothing can follow. */
void remote_abort(struct remote *r, const char *why);
/* Reads of the answer: the head first. A count, RESOURCE_WAIT, RESOURCE_END, or what went wrong. */
int32_t remote_read(struct guest *g, struct remote *r, void *p, uint32_t n);
/* Bytes that remote_read() would give at once; *ret_end: none ever again. */
size_t remote_ready(const struct remote *r, bool *ret_end);
/* Did it fail? Then what the guest is told, its reason in the log; else 0. */
int32_t remote_failed(struct guest *g, struct remote *r);
