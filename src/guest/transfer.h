/* Transfers: reads and writes that may take several tries, for both ABIs. */
#pragma once

#include "guest/resource.h"

/* Writes all `n` bytes, waiting for room as often as it takes. *progress (0 at the first try)
 * counts what is done. ENGINE_DONE: *ret_count is `n`, less at an error after some bytes, or a
 * negative code. */
enum engine_verdict transfer_write(struct guest *g, struct descriptor *d, const void *p, uint64_t n,
                                   uint64_t *progress, int64_t *ret_count);
/* Reads what there is, at least a byte; waits for it. */
enum engine_verdict transfer_read(struct guest *g, struct descriptor *d, void *p, uint64_t n,
                                  int64_t *ret_count);
