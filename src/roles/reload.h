/* Options that change while the server works (LIVE in tables/options.def).
 *
 * At SIGHUP master reads its configuration again, all of it, as at its start. A mistake in it changes
 * nothing. What is new of LIVE options goes over the leashes, in pieces of a message's text; START
 * ones are named in the log: they wait for the next start. Guests' processes get the new values when
 * they are started. */
#pragma once

#include "base/options.h"
#include "ipc/leash.h"

/* Master: one option to one role. */
void reload_send(struct leash *l, enum option_id id, const char *value);

/* Role: takes a LEASH_OPTION message. True when it was the last piece and *ret_id has been set in
 * `o`; what the log options say is in effect then. Pieces are kept in one place a process. */
bool reload_take(struct options *o, const struct leash_msg *m, enum option_id *ret_id);
