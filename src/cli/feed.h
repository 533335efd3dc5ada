/* Feeds: lists that come row by row, in constant memory (api/feed.h is the other end). */
#pragma once

#include "cli/client.h"

#include <stdio.h>

/* Follows a list until it is interrupted or the server stays away: each row goes to `show`, or with
 * NULL as one line of JSON to standard output. When the stream breaks (a restart, a proxy's
 * patience) it is taken up again after the last row that was shown. The exit status. */
int feed_follow(struct client *c, struct client_request *request, void (*show)(const json_t *row));

/* Writes all of a list to standard output, one JSON object a line. The exit status. */
int feed_export(struct client *c, struct client_request *request);
