/* What the commands without a server share: `run`, `validate`, `inspect`. */
#pragma once

#include "base/buf.h"
#include "base/options.h"
#include "cli/exit.h"
#include "policy/policy.h"

/* The exit status for an error before the program ran (exit.h). */
int local_status(enum err_code code);
/* Prints the error as command_fail() does; returns local_status(). */
int local_fail(const struct err *e);

/* The options as a server on this machine would have them: defaults and the environment, then
 * `NAME=VALUE` of each of the `n` strings in `limits` as --limit gives them. Isolation is relaxed.
 * *ret_options is set up in any case: options_done(). */
enum err_code local_options(const char *const *limits, size_t n, struct options *ret_options,
                            struct err *e) MUST_CHECK;

/* Lowers the limits to what the policy says of memory and gas (Olin's): the smallest counts. */
void local_policy_limits(const struct policy *policy, struct limits *limits);

/* Reads the file into `out`, which holds as many bytes as the limit `id` says: ERR_TOO_LARGE. "-"
 * is standard input. ERR_NOT_FOUND if there is none. */
enum err_code local_read(const char *path, const struct limits *limits, enum limit_id id,
                         struct buf *out, struct err *e) MUST_CHECK;
