/* The configuration file, wasmcloud.yaml: option names as keys.
 *
 * A value is a scalar; CIDRS may be a sequence, `limits` a mapping of names to values. Unknown and
 * repeated keys are errors that name the line and the nearest known word. */
#pragma once

#include "base/options.h"

/* Sets what the file says. `path` NULL: BRAND_CONFIG in the working directory, if there is one. */
enum err_code config_read(struct options *o, const char *path, struct err *e) MUST_CHECK;
