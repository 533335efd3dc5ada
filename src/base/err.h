/* Errors: one convention for the whole tree.
 *
 * A function that can fail returns `enum err_code`, 0 is success, and puts what
 * a person needs into the caller's `struct err`. Outputs are untouched on
 * failure. The codes are rows of tables/errors.def. Libraries report, edges
 * log: only the end of a request, a command's main and startup print. */
#pragma once

#include "base/slice.h"

enum err_code {
    ERR_OK = 0,
#define ERR(name, slug, http, cli, title) ERR_##name,
#include "tables/errors.def"
#undef ERR
    ERR_COUNT
};

struct err {
    enum err_code code;
    char text[512]; /* what happened, why, what to do; NUL-terminated, may be "" */
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* Fills *e (which may be NULL) and returns `code`. Keeps errno. */
enum err_code err_set(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set, ending in ": " and strerror(errno). ENOSPC and EDQUOT become
 * ERR_DISK_FULL, ENOMEM ERR_MEMORY, everything else ERR_IO. */
enum err_code err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The rows of the table. `err_slug(ERR_OK)` is "ok". */
const char *err_slug(enum err_code code);
const char *err_title(enum err_code code);
int err_http(enum err_code code); /* 200 for ERR_OK */
int err_cli(enum err_code code);  /* exit status; 0 for ERR_OK */

/* The code with this slug; false if none. */
bool err_from_slug(struct slice slug, enum err_code *ret_code);
