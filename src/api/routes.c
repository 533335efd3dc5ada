/* The table of routes: one row is one operation of the API. */
#include "api/request.h"

#define P "/v1/projects/:project"
#define F P "/functions/:function"

const struct api_route api_routes[] = {
    {.method = "GET", .path = "/healthz", .open = true, .handler = health_live,
     .summary = "The server answers"},
    {.method = "GET", .path = "/readyz", .open = true, .handler = health_ready,
     .summary = "Functions can be reached and deployed"},
    {.method = "GET", .path = "/whoami", .handler = whoami_get, .summary = "Who the token is"},
    {.method = "GET", .path = "/v1/whoami", .handler = whoami_get, .summary = "Who the token is"},

    {.method = "GET", .path = "/v1/tokens", .scope = SCOPE_ADMIN, .handler = tokens_list,
     .summary = "List the user's tokens"},
    {.method = "POST", .path = "/v1/tokens", .scope = SCOPE_ADMIN, .takes = TAKES_JSON,
     .handler = tokens_create, .summary = "Make a token; its text is shown once"},
    {.method = "DELETE", .path = "/v1/tokens/:id", .scope = SCOPE_ADMIN, .handler = tokens_revoke,
     .summary = "Revoke a token at once"},

    {.method = "GET", .path = "/v1/projects", .scope = SCOPE_READ, .handler = projects_list,
     .summary = "List the user's projects"},
    {.method = "POST", .path = "/v1/projects", .scope = SCOPE_ADMIN, .takes = TAKES_JSON,
     .handler = projects_create, .summary = "Make a project"},
    {.method = "GET", .path = P, .scope = SCOPE_READ, .handler = projects_get,
     .summary = "Show a project"},
    {.method = "POST", .path = P "/modules", .scope = SCOPE_DEPLOY, .takes = TAKES_WASM,
     .body_limit = LIMIT_MODULE, .handler = modules_create,
     .summary = "Store a module: judged and compiled"},

    {.method = "GET", .path = P "/functions", .scope = SCOPE_READ, .handler = functions_list,
     .summary = "List functions"},
    {.method = "POST", .path = P "/functions", .scope = SCOPE_DEPLOY, .takes = TAKES_JSON,
     .handler = functions_create, .summary = "Reserve a name"},
    {.method = "GET", .path = F, .scope = SCOPE_READ, .deleted = true, .handler = functions_get,
     .summary = "Show a function with its exact counters"},
    {.method = "DELETE", .path = F, .scope = SCOPE_DEPLOY, .handler = functions_delete,
     .summary = "Delete a function; its name is kept for 30 days"},
    {.method = "POST", .path = F "/undelete", .scope = SCOPE_DEPLOY, .deleted = true,
     .handler = functions_undelete, .summary = "Bring a deleted function back"},

    {.method = "PUT", .path = F "/module", .scope = SCOPE_DEPLOY, .takes = TAKES_WASM,
     .body_limit = LIMIT_MODULE, .makes = true, .handler = modules_put,
     .summary = "Deploy a module, keeping every other setting"},
    {.method = "GET", .path = F "/versions", .scope = SCOPE_READ, .handler = versions_list,
     .summary = "List versions, newest first"},
    {.method = "POST", .path = F "/versions", .scope = SCOPE_DEPLOY, .takes = TAKES_JSON,
     .makes = true, .handler = versions_create,
     .summary = "Deploy a stored module with settings"},

    {.method = "GET", .path = F "/logs", .scope = SCOPE_LOGS, .handler = logs_list,
     .summary = "Show or follow log lines"},
    {.method = "GET", .path = F "/runs", .scope = SCOPE_READ, .handler = runs_of_function,
     .summary = "List runs, newest first"},
    {.method = "POST", .path = F "/invoke", .scope = SCOPE_INVOKE, .takes = TAKES_ANY,
     .body_limit = LIMIT_REQUEST_BODY, .handler = invoke_post,
     .summary = "Run the function with this body"},
    {.method = "GET", .path = P "/runs", .scope = SCOPE_READ, .handler = runs_of_project,
     .summary = "List runs of all functions, newest first"},
    {.method = "GET", .path = P "/runs/:id", .scope = SCOPE_READ, .handler = runs_get,
     .summary = "Show a run with its log lines"},
    {0},
};
