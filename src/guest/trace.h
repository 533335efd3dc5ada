/* Tracing: each host call of a run as one line, for `run --trace`.
 *
 *   cwa.resource_open("https://example.com/", 20) -> 4  (12 µs)
 *
 * Numbers as they were passed; where a row takes text, its first bytes. The time includes waiting.
 * The lines are not the guest's: its log limits don't count them. */
#pragma once

#include "engine/call.h"

/* For instance_trace(): the line goes to the guest's host, at info, of source GUEST_TRACE. */
void guest_trace(const struct engine_call *c, unsigned function, bool ended, uint64_t ns);
