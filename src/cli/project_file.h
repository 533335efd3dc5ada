/* A project as a file: what `export` writes and `import` and `serve --from` read.
 *
 * A tar archive with names from a closed set:
 *
 *   project.json      functions, versions with their numbers and settings, what is live or split
 *   modules/DIGEST    the modules that they name, as they were uploaded
 *   assets/DIGEST     the bundles of assets that they name (module/bundle.h)
 *
 * Nothing in it depends on when or where it was made: the same project gives the same bytes. Of
 * secrets it has the names, of environments the values. */
#pragma once

#include "base/err.h"

#include <jansson.h>

enum { PROJECT_FORMAT = 1 };

/* The members of a version in project.json that POST …/versions takes as they are. */
extern const char *const project_settings[]; /* ends with NULL */

struct project_file;

/* Maps and judges it: form, hashes, each version by the schema of the API, and that everything
 * named is there, each thing once. ERR_DAMAGED, ERR_CONFLICT: another format. */
enum err_code project_file_open(const char *path, struct project_file **ret_file,
                                struct err *e) MUST_CHECK;
/* The same for an archive in memory, which stays the caller's. */
enum err_code project_file_read(struct slice archive, struct project_file **ret_file,
                                struct err *e) MUST_CHECK;
void project_file_close(struct project_file *f); /* accepts NULL */

/* project.json; borrowed. */
const json_t *project_file_json(const struct project_file *f);
/* The module or bundle; .p NULL if there is none of this name. Borrowed. */
struct slice project_file_blob(const struct project_file *f, bool assets, const char *digest);
/* Hands over each blob, in the order of the archive; an error ends it. */
enum err_code project_file_each(const struct project_file *f,
                                enum err_code (*each)(void *arg, bool assets, const char *digest,
                                                      struct slice bytes, struct err *e),
                                void *arg, struct err *e) MUST_CHECK;
