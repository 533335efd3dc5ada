/* Platform logs: `time level event key=value`, one line per event, on standard error; or each line
 * as one JSON object with the same members.
 *
 * Every line carries the role and pid of the process that wrote it. A value
 * that has spaces, quotes, = or control bytes is quoted and escaped (\" \\
 * \xNN), so a line can be parsed whatever came from a client or guest. errno is
 * preserved. */
#pragma once

#include "base/slice.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* Names the process in every line ("edge-0"; NULL: as before); `level` is the most detailed one printed.
 * Not thread-safe; call once at start. */
void log_init(const char *role, enum log_level level);

/* From now on lines are JSON, or text. */
void log_as_json(bool json);

/* One line, e.g. log_line(LOG_INFO, "exec_bound", "project=%s slot=%u", id, slot).
 * `event` is lower_snake; the format is `key=VALUE` with spaces between, VALUE literal characters
 * and conversions, quoted if it has spaces itself. A line has at most 4 KiB: what doesn't fit is cut
 * from its values. Any thread. */
void log_line(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
