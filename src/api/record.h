/* Records: what the ledger of a run says, as JSON.
 *
 * Control keeps two texts of each run in the database, what it opened and was
 * refused (an array) and the sums beyond the columns (an object); the API and
 * `run --json` show them under the same names. */
#pragma once

#include "base/jot.h"
#include "ipc/ledger.h"

#include <jansson.h>

/* Of both texts together. */
enum { RECORD_MOST = 1 << 20 };

/* [{"url", "fd", "outcome": "opened" or "refused", "rule", "layer": "function" or "operator",
 * "bytes_in", "bytes_out", "requests"}]. False: it didn't fit. */
bool record_uses(const struct ledger *l, struct jot *out) MUST_CHECK;
/* {"gas", "opens", "refused", "uses_lost", "egress_in", "egress_out", "start_ns", "module",
 * "policy"}, without what is zero. False: it didn't fit. */
bool record_sums(const struct ledger *l, struct jot *out) MUST_CHECK;

/* Adds what both texts say to a run's record: gas, opens, refused, uses_lost, egress_bytes_in,
 * egress_bytes_out, start_ns, module and policy (digests), descriptors (what was opened) and
 * refusals. What is missing is 0 or null. */
void record_show(json_t *run, struct slice uses, struct slice sums);
