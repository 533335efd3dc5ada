#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *log_role = "wasmcloud";
static enum log_level log_most = LOG_INFO;

void log_init(const char *role, enum log_level level)
{
    log_role = role;
    log_most = level;
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (level > log_most)
        return;
    int saved = errno;
    char text[2048], line[4200], when[25];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    clock_rfc3339(clock_real_us(), when);
    int n = snprintf(line, sizeof line, "%s %s %s role=%s pid=%d ", when, names[level], event,
                     log_role, (int)getpid());
    for (const char *p = text; *p && n < (int)sizeof line - 6; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f)
            n += snprintf(line + n, 5, "\\x%02x", c);
        else
            line[n++] = (char)c;
    }
    line[n++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, (size_t)n);
    (void)ignored;
    errno = saved;
}
