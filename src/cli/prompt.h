/* What is typed or piped in because it must not be on the command line: tokens, secrets. */
#pragma once

#include "base/buf.h"

/* Standard input is a terminal. */
bool prompt_on_terminal(void);

/* One line: of a terminal without echo after `label`, else of a pipe; NUL-terminated, without its
 * end of line, "" if nothing came. Wipe `out` after use. ERR_INVALID: longer than `cap`. */
enum err_code prompt_line(const char *label, char *out, size_t cap, struct err *e) MUST_CHECK;

/* Everything that a pipe gives, as it is, but for one newline at its end; of a terminal one line
 * without echo. Appends to `out`. ERR_TOO_LARGE: more than its limit. */
enum err_code prompt_value(const char *label, struct buf *out, struct err *e) MUST_CHECK;
