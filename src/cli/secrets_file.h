/* A file of secrets: lines NAME=VALUE, as `import` and `serve --from` take it with --secrets, and
 * `dev` from .wasmcloud/secrets.env.
 *
 * Empty lines and those that begin with # are not looked at; a value is all that follows the first
 * =, spaces and quotes too. Errors name the line, never what is in it. */
#pragma once

#include "base/buf.h"

enum {
    SECRETS_FILE_MOST = 1 << 20,
    SECRETS_MOST = 1000,       /* of a project, at most */
    SECRET_LINE_MOST = 5 << 10 /* name and value, as the API takes them */
};

struct secrets_file {
    struct buf text;
    struct field *lines; /* in the order of the file; they borrow `text` */
    size_t count;
};

/* Judges all of the text: names are names of variables, each once; values are UTF-8 without NUL and
 * not empty. `what` begins a message. ERR_INVALID. The lines borrow the text; `ret->text` is left
 * alone. */
enum err_code secrets_parse(struct slice text, const char *what, struct secrets_file *ret,
                            struct err *e) MUST_CHECK;

/* Reads it ("-": standard input). A regular file that others than its owner may read is refused if
 * `alone` says so (ERR_FORBIDDEN); pipes are taken as they are. What file_read() says. */
enum err_code secrets_read(const char *path, bool alone, struct secrets_file *ret,
                           struct err *e) MUST_CHECK;
/* NULL: there is none of this name. */
const struct field *secrets_find(const struct secrets_file *f, const char *name);
/* Wipes and frees. Accepts a zeroed one. */
void secrets_done(struct secrets_file *f);
