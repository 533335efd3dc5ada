/* Differences of versions, as the API says them (api/diff.c). */
#pragma once

#include <jansson.h>

/* One change as a line on standard output: + for what is new, - for what is gone, ~ for another
 * value. */
void diff_print(const json_t *change);
