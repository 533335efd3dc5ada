/* Remote descriptors: the exec's side of its conversation with egress (ipc/exchange.h).
 *
 * One `struct remotes` a process owns the socket and knows every exchange by
 * its number; one `struct remote` is a descriptor's. Nothing here blocks: a
 * step that needs an answer says that it waits, and the run is woken when the
 * answer came. scheme_http.c and scheme_gemini.c say what is sent and what the
 * guest reads. */
#pragma once

#include "guest/guest.h"
#include "ipc/channel.h"
#include "ipc/exchange.h"

struct remotes;
struct remote;

/* Takes the socket (EXEC_EGRESS). `on_reach` is called once, at the first open: the edge must join
 * the socket to egress. `on_ready` tells that a guest may go on whose call waits with
 * GUEST_WAITS_REMOTE. Both may be called inside a host call: they only note. */
enum err_code remotes_new(struct loop *loop, int fd, void (*on_reach)(void *arg),
                          void (*on_ready)(void *arg, struct guest *g), void *arg,
                          struct remotes **ret_remotes, struct err *e) MUST_CHECK;
void remotes_free(struct remotes *r);
/* Sends what was queued, as channel_flush(). */
void remotes_flush(struct remotes *r);
