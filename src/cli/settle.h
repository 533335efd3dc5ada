/* Settling: a change of a function's settings becomes a version, checked and promoted.
 *
 * What `env`, `limits` and `policy` have in common: the server takes a merge
 * patch, keeps everything else of the live version, and says what came of it. */
#pragma once

#include "cli/client.h"

struct settle {
    const char *name; /* of the function */
    bool no_promote;  /* make the version, leave the live one */
    bool json;
};

#define FLAG_NO_PROMOTE(variable)                                                                  \
    {                                                                                              \
        .name = "no-promote", .help = "keep the new version, leave the live one as it is",         \
        .on = &(variable)                                                                          \
    }

/* Makes the version that `patch` (borrowed) describes and prints what came of it; the exit
 * status. */
int settle_patch(struct client *c, const struct settle *s, const json_t *patch);

/* The version that a change would start from, or ERR_NO_VERSION and the command that makes one;
 * the caller's. */
enum err_code settle_base(struct client *c, const char *name, json_t **ret_version,
                          struct err *e) MUST_CHECK;

/* As client_fail() of a request about a function. */
int settle_fail(const struct err *e);
