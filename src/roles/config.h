/* The configuration file, wasmcloud.yaml: option names as keys.
 *
 * A value is a scalar; CIDRS may be a sequence, `limits` a mapping of names to values. Unknown and
 * repeated keys are errors that name the line and the nearest known word. */
#pragma once

#include "base/options.h"

/* A mistake in the file: where (from 1) and what. */
struct config_problem {
    size_t line, column;
    const char *text;
};
/* Judges the file, all of it: each mistake goes to `each`. ERR_USAGE if there was one; ERR_IO,
 * ERR_NOT_FOUND if it can't be read. Options that name files or networks are judged, too. */
enum err_code config_check(const char *path,
                           void (*each)(void *arg, const struct config_problem *p), void *arg,
                           struct err *e) MUST_CHECK;

/* Appends a file with every option and limit as a comment: its help, and `#name: default`. */
bool config_sample(struct buf *out) MUST_CHECK;

/* Sets what the file says. `path` NULL: BRAND_CONFIG in the working directory, if there is one. */
enum err_code config_read(struct options *o, const char *path, struct err *e) MUST_CHECK;
