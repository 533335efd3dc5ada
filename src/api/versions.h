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

/* A deployment of the request's function; NULL: answered. */
struct deployment *versions_deployment(struct api_request *r);
/* What a request for a deploy says beside settings: body, or query where there is none. false:
 * answered, and the deployment is freed. */
bool versions_wishes(struct api_request *r, struct deployment *d);
/* Deploys and answers; not if a secret that it names is missing. */
void versions_deploy(struct api_request *r, struct deployment *d);
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
