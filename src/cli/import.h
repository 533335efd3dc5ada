/* Importing a project: what `import` and `serve --from` share. */
#pragma once

#include "cli/client.h"
#include "cli/project_file.h"
#include "cli/secrets_file.h"

struct import_source {
    struct project_file *file;
    struct secrets_file secrets;
};

struct import_done {
    char project[64];
    uint64_t functions, versions, blobs; /* made */
    uint64_t found;                      /* functions that were there, the same */
    bool begun;                          /* something was changed */
};

/* Opens and judges both; `secrets` may be NULL. What project_file_open() and secrets_read() say. */
enum err_code import_open(const char *file, const char *secrets, struct import_source *ret,
                          struct err *e) MUST_CHECK;
void import_close(struct import_source *s); /* accepts a zeroed one */
/* Could a server that has nothing yet take it? ERR_INVALID: a secret has no value. */
enum err_code import_judge_new(const struct import_source *s, struct err *e) MUST_CHECK;

/* Makes the archive's functions and versions on the server of the context, in `project` (NULL: the
 * archive's), with their numbers; what is live or split becomes so at last, one function after the
 * other. Goes on with what an import of the same archive has begun. Refused before anything is
 * changed if a function is there that is another, or a secret that a version names is not.
 * *ret_done is filled in any case. */
enum err_code import_project(const struct context *server, const struct import_source *source,
                             const char *project, struct import_done *ret_done,
                             struct err *e) MUST_CHECK;
