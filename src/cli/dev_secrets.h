/* Secrets of `dev`: what function.yaml names, from .wasmcloud/secrets.env or our own environment.
 */
#pragma once

#include "cli/client.h"
#include "cli/manifest.h"

#define DEV_SECRETS ".wasmcloud/secrets.env"

/* Gives the server the value of each secret that the manifest names. ERR_NOT_FOUND: one has none.
 */
enum err_code dev_secrets(const struct context *server, const struct manifest *m,
                          struct err *e) MUST_CHECK;
