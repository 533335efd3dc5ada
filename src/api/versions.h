/* Deploying, as seen from the API: shared by the routes that make versions. */
#pragma once

#include "api/request.h"

/* May a version be made at all: the name, quotas, deploys an hour? false: answered. */
bool versions_may(struct api_request *r);

/* The settings that a new version starts from: the live one's, else the newest's, else the
 * defaults. `digest` and `has` (NULL: not wanted) get that version's module. On failure *s is
 * empty but may be given to settings_done. */
enum err_code versions_base(struct api_request *r, struct version_settings *s,
                            uint8_t digest[DIGEST_BYTES], bool *has, struct err *e) MUST_CHECK;

/* Makes a version of these bytes and settings, which it takes, as the request's body or query
 * wishes, and answers. false: it was refused, and the bytes are of no use. */
bool versions_make(struct api_request *r, const uint8_t digest[DIGEST_BYTES], uint64_t size,
                   struct version_settings *settings);
/* A deployment of the request's function; NULL: answered. */
struct deployment *versions_deployment(struct api_request *r);
/* Deploys and answers; false if it is refused, for a secret that it names is missing. */
bool versions_deploy(struct api_request *r, struct deployment *d);
/* Frees it and its settings. */
void versions_drop(struct deployment *d);

/* The version that :id names by its number or id, or as `live`; false: answered. `each` as in
 * store.h. */
bool versions_find(struct api_request *r,
                   enum err_code (*each)(void *arg, const struct store_version *v, struct err *e),
                   void *arg);

/* The limits that the function's live version runs with; without one, the node's. */
enum err_code versions_limits(struct api_request *r, struct limits *ret_limits,
                              struct err *e) MUST_CHECK;

/* What differs between two versions: an array of {"part", "name", "from", "to"} (diff.c). */
enum err_code versions_changes(const struct api *api, struct uuid from, struct uuid to,
                               json_t **ret_changes, struct err *e) MUST_CHECK;
