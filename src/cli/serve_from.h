/* `serve --from project.tar`: a server that begins with an exported project. */
#pragma once

#include "base/options.h"

#include <sys/types.h>

struct serve_from {
    const char *file;    /* NULL: an ordinary start */
    const char *secrets; /* may be NULL */
    /* private */
    char folder[4096]; /* that is being filled; "": none */
    bool temporary;    /* it goes at the end */
    bool made;         /* it was not there before */
    int marker;        /* says in the folder that it is being filled, locked; -1: none */
    pid_t helper;
};

/* Before the server starts: sees to a new data folder (a temporary one unless `data` names one) and
 * starts the process that judges archive and secrets now, imports the project when the server
 * answers and then passes its ready line on. ERR_CONFLICT: the data folder isn't new, or, without
 * --from, is half filled; what import_open() says. */
enum err_code serve_from_begin(struct serve_from *f, struct options *o, struct err *e) MUST_CHECK;
/* After the server's end, or after serve_from_begin() has failed: the exit status, of the import if
 * that failed; removes the temporary folder, and what an import that failed has left of a folder.
 */
int serve_from_end(struct serve_from *f, int status);
