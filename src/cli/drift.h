/* Drift: where a function's folder and its version on the server differ.
 *
 * A deploy sets what the folder names and keeps the rest, so there are two lists: what it changes,
 * from what to what, and what the server has that the folder doesn't name. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* `before`: the version as the API shows it, NULL: there is none yet. `after`: what will be sent,
 * with "digest" and "assets" where they are known. The caller's:
 * {"changes": [{"setting", "from", "to"}], "kept": [{"setting", "value"}]}; NULL without memory. */
json_t *drift_find(const json_t *before, const json_t *after);

/* What would be kept is to go: each becomes a change, and a member of `patch`. */
void drift_take_away(json_t *drift, json_t *patch);

/* For people, on standard error, or (`out`) on standard output; nothing if there is none. */
void drift_show(const char *name, const json_t *drift, bool out);
