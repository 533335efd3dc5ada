/* The schemas of the API: bodies, queries and answers, named as in OpenAPI. One file of data,
 * schemas.c, by resource.
 *
 * A route's row names them (api/request.h): the dispatcher judges what comes in by them, openapi.c
 * shows them, and the tests hold every answer to them. Objects are closed: a member that an answer
 * gets is a row here in the same change. */
#pragma once

#include "api/schema.h"

/* every error */
extern const struct schema schema_problem;

/* the server, the token */
extern const struct schema schema_status, schema_openapi, schema_whoami;

/* tokens */
extern const struct schema schema_token_create, schema_token_made, schema_token_list;
extern const struct schema_field query_tokens[];

/* projects */
extern const struct schema schema_project_create, schema_project, schema_project_list;
extern const struct schema_field query_projects[];

/* modules and assets */
extern const struct schema schema_module, schema_assets;

/* secrets */
extern const struct schema schema_secret_put, schema_secret, schema_secret_list;
extern const struct schema_field query_secrets[];

/* functions */
extern const struct schema schema_function_create, schema_function, schema_function_list;
extern const struct schema schema_function_shown, schema_split;
extern const struct schema_field query_functions[];

/* versions */
extern const struct schema schema_version_create, schema_version, schema_version_list;
extern const struct schema schema_diff, schema_preview, schema_deployed, schema_promote, schema_rollback;
extern const struct schema_field query_versions[], query_diff[], query_module_put[];

/* logs and runs */
extern const struct schema schema_log_list, schema_run_list, schema_run_shown, schema_explained;
extern const struct schema_field query_logs[], query_runs[], query_invoke[];

/* usage */
extern const struct schema schema_usage;
extern const struct schema_field query_usage[];

/* the operator's questions */
extern const struct schema schema_connection_list;
extern const struct schema_field query_audit_egress[];

/* operating */
extern const struct schema schema_gc, schema_gc_done;
extern const struct schema_field query_backup[];

/* segments of paths, by their names in routes.c: "project", "function", "id" */
extern const struct schema schema_path_segment;
