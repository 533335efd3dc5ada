/* Pairs: "NAME=VALUE" words of a command line as JSON. */
#pragma once

#include "cli/args.h"

#include <jansson.h>

enum { PAIR_NAME = 256 };

/* Splits one; the value is borrowed. `what` begins a message: "--env". */
enum err_code pair_split(const char *what, const char *text, char name[PAIR_NAME],
                         struct slice *ret_value, struct err *e) MUST_CHECK;
/* Sets each as a member of `object`. */
enum err_code pairs_to_json(const char *what, const struct words *pairs, json_t *object,
                            struct err *e) MUST_CHECK;
/* The same for limits, each judged by the table of limits (`wasmcloud limits`). */
enum err_code pairs_to_limits(const char *what, const struct words *pairs, json_t *object,
                              struct err *e) MUST_CHECK;
