/* Secrets of projects, as versions use them.
 *
 * A version names secrets, the project has their values: both together are
 * variables of the guest. Values are only ever opened on the way into a row of
 * the route table. */
#pragma once

#include "api/api.h"
#include "api/settings.h"

/* Appends `NAME\0value\0` of each named secret to `env` (private, see base/buf.h). One that is not
 * set (it was unset while no version that answers named it) is left out; *ret_count says how many
 * there were. *ret_revision is another whenever one of the values is; zero without secrets. */
enum err_code secrets_add(struct api *api, struct uuid project, const json_t *names,
                          struct buf *env, uint16_t *ret_count, struct uuid *ret_revision,
                          struct err *e) MUST_CHECK;

/* May a version with these settings answer: are its secrets set, does its whole environment fit?
 * ERR_INVALID: `field` (of 128 bytes) says which, and *e what to type. */
enum err_code secrets_judge(struct api *api, struct uuid project, const struct version_settings *s,
                            char field[128], struct err *e) MUST_CHECK;

/* The same of a stored version. */
enum err_code secrets_judge_version(struct api *api, const struct store_version *v,
                                    char field[128], struct err *e) MUST_CHECK;
