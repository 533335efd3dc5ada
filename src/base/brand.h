/* Brand: every name by which the outside world knows this program.
 *
 * The command, the header prefix and the variable prefix come from here and
 * from nowhere else, so that renaming the product is a change of one file. */
#pragma once

#define BRAND_NAME "Wasmcloud"
#define BRAND_COMMAND "wasmcloud"
#define BRAND_RUNNER "pahi"              /* a link of this name behaves as `wasmcloud run` */
#define BRAND_VERSION "0.1.0"
#define BRAND_SERVER BRAND_COMMAND "/" BRAND_VERSION /* SERVER_SOFTWARE, Server, User-Agent */
#define BRAND_HEADER "Wasmcloud-"        /* response header fields: Wasmcloud-Run, Wasmcloud-Error */
#define BRAND_ENV "WASMCLOUD_"           /* environment variables of options and the CLI */
#define BRAND_DATA "./wasmcloud-data"    /* data folder when --data is absent */
#define BRAND_CONFIG "wasmcloud.yaml"
