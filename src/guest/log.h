/* Lines: what a guest prints becomes entries of its function's log, within the limits.
 *
 * Standard error and log:// arrive as bytes and are cut into lines here. What
 * the limits drop is counted exactly: lines of the run, and the bytes of a line
 * that is too long. */
#pragma once

#include "base/buf.h"

struct guest;

enum guest_level { GUEST_ERROR = 1, GUEST_WARNING = 3, GUEST_INFO = 6 }; /* CWA's numbers */
enum guest_source { GUEST_STDERR = 0, GUEST_LOG = 1, GUEST_TRACE = 3 };  /* the spool's numbers */

/* A line that has not ended yet. */
struct guest_line {
    struct buf text;
    uint64_t cut; /* bytes after the limit of a line */
};

struct guest_log {
    uint32_t lines, lost;    /* kept; dropped by a limit */
    uint64_t bytes;          /* of the kept ones */
    bool full;               /* a limit was reached: everything further is dropped */
    struct guest_line error; /* standard error's */
};

/* Forgets the counts of the run before. */
void guest_log_begin(struct guest_log *log);

/* Appends bytes: each line that ends goes to the log, behind `prefix` and ": " unless empty. */
void guest_log_bytes(struct guest *g, enum guest_level level, enum guest_source source,
                     struct slice prefix, struct guest_line *line, struct slice bytes);
/* The unfinished line, if there is one, as if it had ended. */
void guest_log_flush(struct guest *g, enum guest_level level, enum guest_source source,
                     struct slice prefix, struct guest_line *line);
