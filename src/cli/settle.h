/* Settling: a change of a function's settings becomes a version, checked and promoted.
 *
 * What `env`, `limits` and `policy` have in common: the server takes a merge
 * patch, keeps everything else of the live version, and says what came of it.
 * No change of somebody else is lost: the patch is for the function as it was
 * when settle_base read it, and made again for what it has become meanwhile
 * where that is harmless. */
#pragma once

#include "cli/client.h"

struct settle {
    const char *name; /* of the function */
    bool no_promote;  /* make the version, leave the live one */
    bool json;
    bool by_member; /* the patch sets members one by one: it may be made again */
    char tag[80];   /* the function's, filled in by settle_base */
};

#define FLAG_NO_PROMOTE(variable)                                                                  \
    {                                                                                              \
        .name = "no-promote", .help = "keep the new version, leave the live one as it is",         \
        .on = &(variable)                                                                          \
    }

/* Makes the version that `patch` (borrowed) describes and prints what came of it; the exit
 * status. */
int settle_patch(struct client *c, struct settle *s, const json_t *patch);

/* The version that a change would start from, or ERR_NO_VERSION and the command that makes one;
 * the caller's. */
enum err_code settle_base(struct client *c, struct settle *s, json_t **ret_version,
                          struct err *e) MUST_CHECK;

/* As client_fail() of a request about a function. */
int settle_fail(const struct err *e);
