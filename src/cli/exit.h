/* How `run` and `invoke` end: as the program did.
 *
 *   N        the program's own exit status
 *   125      they failed themselves: no server, no such function; but wrong usage is 2
 *   126      the module was refused
 *   127      there is no such file
 *   128 + n  a limit or a trap ended the program, as signal n would have */
#pragma once

#include "base/err.h"

enum { EXIT_OWN_FAILURE = 125, EXIT_REFUSED = 126, EXIT_NO_FILE = 127 };

/* For a run that ended for `cause` (ERR_OK: by itself) with `exit_status`. */
int exit_of_run(enum err_code cause, int exit_status);

/* The table above, signal by signal, for the help. */
extern const char exit_help[];
