/* Requests that are sent again: Idempotency-Key.
 *
 * A write may carry a key of the client's choice. Its answer is kept for a day,
 * in the same transaction as what it changed; the same request with the same
 * key gets that answer again (and the field Idempotency-Replayed), another
 * request with it is refused, and so is one while the first still runs. Only
 * successes are kept: what failed changed nothing and may be tried again. */
#pragma once

#include "api/request.h"

/* Does the route take a key? Writes do, but for those that are harmless twice and those whose
 * answer is streamed. */
bool once_takes(const struct api_route *route);

/* Looks whether there is a key and what is known of it. False: answered. */
bool once_begin(struct api_request *r) MUST_CHECK;
/* Bytes of the body, in order. */
void once_body(struct api_request *r, struct slice bytes);
/* The body is whole: answers if the key is known. */
bool once_answered(struct api_request *r);
/* Is the kept answer only waiting for the body to be whole? */
bool once_waits(const struct api_request *r);
/* An answer is made: keeps it. `body` is empty if it has none. */
void once_keep(struct api_request *r, int status, struct slice body);
/* The request ends; accepts one without a key. */
void once_end(struct api_request *r);

/* Answers are kept since this (Unix ms). */
uint64_t once_kept_since(void);
