/* Platform logs: `level event key=value`, one line per event, on standard error.
 *
 * Every line carries the role and pid of the process that wrote it. Values are
 * escaped by the caller's choice of %q-like helpers: use LOG_SLICE for anything
 * that came from a client or guest. errno is preserved. */
#pragma once

#include "base/slice.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Names the process in every line ("edge-0"); `level` is the most detailed one printed.
 * Not thread-safe; call once at start. */
void log_init(const char *role, enum log_level level);

/* One line, e.g. log_line(LOG_INFO, "exec_bound", "project=%s slot=%u", id, slot).
 * `event` is lower_snake; control bytes in the formatted text are written as \xNN. Lines are cut
 * at 2 KiB. Any thread. */
void log_line(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
