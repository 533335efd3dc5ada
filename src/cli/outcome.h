/* Outcomes: what the server says after a new version was made. */
#pragma once

#include "cli/client.h"

/* Prints it, for people or as JSON: the URL alone on the last line, or why the version is not
 * live. Borrows the answer. Returns the exit status. */
int outcome_print(struct client *c, const char *name, const json_t *answer, bool json);
