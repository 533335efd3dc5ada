/* Importing a project: what `import` and `serve --from` share. */
#pragma once

#include "cli/client.h"

struct import_wish {
    const char *file;
    const char *project; /* NULL: as in the archive */
    const char *secrets; /* a file of NAME=VALUE lines; NULL: those that the project has */
};

struct import_done {
    char project[64];
    uint64_t functions, versions, blobs;
};

/* Makes the archive's functions and versions on the server of the context, with their numbers;
 * what is live or split becomes so at last, one function after the other. Refused before anything
 * is changed if a function is there already, or a secret that a version names is not. */
enum err_code import_project(const struct context *server, const struct import_wish *wish,
                             struct import_done *ret_done, struct err *e) MUST_CHECK;
