/* Records: what the ledger of a run says, as JSON.
 *
 * Control keeps two texts of each run in the database, what it opened and was
 * refused (an array) and the sums beyond the columns (an object); the API and
 * `run --json` show them under the same names. */
#pragma once

#include "ipc/ledger.h"

#include <jansson.h>

/* [{"url", "fd", "outcome": "opened" or "refused", "rule", "layer": "function" or "operator",
 * "bytes_in", "bytes_out", "requests"}] */
json_t *record_uses(const struct ledger *l);
/* {"gas", "opens", "refused", "uses_lost", "egress_in", "egress_out", "start_ns", "module",
 * "policy"}; the digests are null where there is none. */
json_t *record_sums(const struct ledger *l);
/* The same as text, appended: control writes one for every run. */
bool record_sums_write(const struct ledger *l, struct buf *out) MUST_CHECK;

/* Adds both to a run's record: gas, opens, refused, uses_lost, egress_bytes_in, egress_bytes_out,
 * start_ns, module and policy (digests), descriptors (what was opened) and refusals. Borrows all;
 * NULL is as empty. */
void record_show(json_t *run, const json_t *uses, const json_t *sums);
