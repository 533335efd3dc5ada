/* Settings of a version: everything about it but the module.
 *
 * They arrive as JSON (PUT and POST of versions), are kept in the database (the
 * environment sealed) and end as the version_load that edges and execs see. */
#pragma once

#include "ipc/spec.h"
#include "store/store.h"

#include <jansson.h>

enum {
    ENV_COUNT = 64,
    ENV_EACH = 5 << 10, /* name and value */
    ENV_ALL = 64 << 10, /* all names and values with their NULs; secrets count, too */
    LIMITS_TEXT = 8 << 10
};

enum preview_kind { PREVIEW_MEMBERS, PREVIEW_PUBLIC }; /* who may see it before it is promoted */

struct version_settings {
    uint8_t response;             /* enum response_kind */
    bool timing;                  /* does it say its times in Server-Timing? */
    uint8_t preview;              /* enum preview_kind */
    uint8_t capture;              /* enum capture_kind */
    json_t *secrets;              /* array of names, sorted, each once */
    uint8_t assets[DIGEST_BYTES]; /* its bundle; zero: none */
    char *policy;                 /* canonical (policy/policy.h); NULL: the empty policy */
    json_t *env;                  /* object of strings */
    json_t *limits;               /* object of strings, as given */
    char check[STORE_CHECK + 1];  /* "GET /" or "none" */
};

/* response cgi, no environment, secrets, limits, policy, assets and captures, check "GET /",
 * preview for members. */
void settings_init(struct version_settings *s);
void settings_done(struct version_settings *s); /* accepts a zeroed one */

/* From a row; `key` opens the environment. */
enum err_code settings_read(struct version_settings *s, const struct store_version *v,
                            const uint8_t key[32], struct err *e) MUST_CHECK;

/* The names that settings_patch takes; ends with NULL. */
extern const char *const settings_names[];

/* Changes what `patch` (an object) names, as a JSON merge patch (RFC 7396): members of env and
 * limits are set one by one, null removes one, what is not named stays. A list of secrets replaces
 * the one there was, an object takes in those that are true and takes out those that are null;
 * whether they exist is not looked at. No secret may have a variable's name. A policy is replaced
 * as a whole: an object, or its text as a string; what is wrong in it is named by line and column of
 * that text (of an object: as printed with an indent of two). Other names are not looked at.
 * ERR_INVALID: `field` (of 128 bytes) says which. */
enum err_code settings_patch(struct version_settings *s, json_t *patch, char field[128],
                             struct err *e) MUST_CHECK;

/* The words of enum response_kind, preview_kind and capture_kind, by number; end with NULL. */
extern const char *const response_words[], *const preview_words[], *const capture_words[];

/* May a variable of the guest (a secret, too) have this name? ERR_INVALID says why not. */
enum err_code settings_variable(struct slice name, struct err *e) MUST_CHECK;

/* Just the word of a response kind, or a check; both as in settings_patch. */
enum err_code settings_response(struct version_settings *s, struct slice word, struct err *e);
enum err_code settings_check(struct version_settings *s, struct slice text, struct err *e);

static inline struct slice settings_policy(const struct version_settings *s)
{
    return s->policy ? slice_str(s->policy) : SLICE("");
}
bool settings_has_assets(const struct version_settings *s);

/* Appends the environment as `NAME\0value\0` pairs. */
bool settings_env(const struct version_settings *s, struct buf *out) MUST_CHECK;
/* What of two deploys must be equal for the second to be none: a MAC (HMAC-SHA-256 under `key`, for
 * the environment is in it) of the module's digest and all settings in canonical form. */
enum err_code settings_content(const struct version_settings *s, const uint8_t digest[DIGEST_BYTES],
                               const uint8_t key[32], uint8_t ret_content[DIGEST_BYTES],
                               struct err *e) MUST_CHECK;
/* The node's set changed by what the version asks for. What is no longer allowed (the operator
 * lowered something) is left out. */
void settings_limits(const struct version_settings *s, const struct limits *node,
                     struct limits *ret_limits);
/* The engine that it needs: one that counts gas, if its gas is limited. */
enum engine_kind settings_kind(const struct version_settings *s, const struct limits *node);
