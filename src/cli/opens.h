/* What a new version newly opens: shown, and agreed to before it is made. */
#pragma once

#include "cli/client.h"
#include "policy/policy.h"

/* What was typed, to be typed again. */
struct opens {
    const char *verb; /* "deploy", "policy set" */
    int argc;
    char **argv;  /* argv[0] is the verb's last word */
    bool yes;     /* --yes was among it */
    bool refused; /* a person was asked and said no */
};

/* Compares with the live version of `name`. What opens is listed on standard error; on a terminal
 * it is asked about, elsewhere --yes agrees. ERR_NEEDS_AGREEMENT: nobody did.
 * Of a first version nothing is asked: whoever gives it a policy has just written it. */
enum err_code opens_agreed(struct client *c, const char *name, const struct policy *after,
                           struct opens *typed, struct err *e) MUST_CHECK;
/* The same of a version that is there. */
enum err_code opens_version_agreed(struct client *c, const char *name, const char *number,
                                   struct opens *typed, struct err *e) MUST_CHECK;
/* As client_fail(), and then the command line that agrees, if that is what was missing. */
int opens_fail(const struct client_request *request, const struct opens *typed,
               const struct err *e);

/* The version that a new one starts from: the live one, else the newest; the caller's. NULL: there
 * is none yet. ERR_NOT_FOUND: the function neither. */
enum err_code opens_base(struct client *c, const char *name, json_t **ret_version, bool *ret_live,
                         struct err *e) MUST_CHECK;

/* As the API takes it; the caller's. */
enum err_code opens_to_json(const struct policy *p, json_t **ret_json, struct err *e) MUST_CHECK;
/* Of a version as the API shows it. */
enum err_code opens_of_version(const json_t *version, struct policy **ret_policy,
                               struct err *e) MUST_CHECK;
