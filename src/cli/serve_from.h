/* `serve --from project.tar`: a server that begins with an exported project. */
#pragma once

#include "base/options.h"

#include <sys/types.h>

struct serve_from {
    const char *file;    /* NULL: an ordinary start */
    const char *secrets; /* may be NULL */
    /* private */
    char folder[4096]; /* the temporary data folder; "": none */
    pid_t helper;
};

/* Before the server starts: sees to a new data folder (a temporary one unless `data` names one) and
 * starts the process that imports the project when the server answers and then passes its ready
 * line on. ERR_CONFLICT: the data folder isn't new. */
enum err_code serve_from_begin(struct serve_from *f, struct options *o, struct err *e) MUST_CHECK;
/* After the server's end: the exit status, of the import if that failed; removes the temporary
 * folder. */
int serve_from_end(struct serve_from *f, int status);
