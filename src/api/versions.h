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

/* Deploys and answers. Takes *s. */
void versions_deploy(struct api_request *r, const uint8_t digest[DIGEST_BYTES], uint64_t size,
                     struct version_settings *s);
