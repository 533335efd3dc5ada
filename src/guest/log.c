#include "guest/guest.h"

#include <stdio.h>

enum { NOTE = 200 /* bytes for a prefix's and a cut line's additions, in a LOG frame */ };

void guest_log_begin(struct guest_log *log)
{
    log->lines = log->lost = 0;
    log->bytes = 0;
    log->full = false;
}

static void emit(struct guest *g, enum guest_level level, enum guest_source source,
                 struct slice prefix, struct slice text, uint64_t cut)
{
    struct guest_log *log = &g->log;
    uint64_t most = g->limits->v[LIMIT_LOG_LINE];
    if (text.n && text.p[text.n - 1] == '\r' && !cut)
        text.n--;
    if (text.n > most) {
        cut += text.n - most;
        text.n = most;
    }
    uint64_t size = text.n + prefix.n;
    if (log->full || log->lines >= g->limits->v[LIMIT_LOG_LINES] ||
        log->bytes + size > g->limits->v[LIMIT_LOG_BYTES]) {
        log->full = true;
        log->lost++;
        return;
    }
    log->lines++;
    log->bytes += size;
    if (!prefix.n && !cut) {
        g->host->log(g, level, source, text);
        return;
    }
    char line[16384 + NOTE];
    int n = snprintf(line, sizeof line, "%.*s%s", (int)(prefix.n < 100 ? prefix.n : 100), prefix.p,
                     prefix.n ? ": " : "");
    size_t room = sizeof line - (size_t)n - 64;
    if (text.n > room) {
        cut += text.n - room;
        text.n = room;
    }
    memcpy(line + n, text.p, text.n);
    n += (int)text.n;
    if (cut)
        n += snprintf(line + n, sizeof line - (size_t)n, " … (%llu bytes more)",
                      (unsigned long long)cut);
    g->host->log(g, level, source, slice_make(line, (size_t)n));
}

static void finish(struct guest *g, enum guest_level level, enum guest_source source,
                   struct slice prefix, struct guest_line *line)
{
    emit(g, level, source, prefix, buf_slice(&line->text), line->cut);
    buf_clear(&line->text);
    line->cut = 0;
}

/* Keeps the start of a line until its end comes; what does not fit is counted. */
static void keep(struct guest *g, struct guest_line *line, struct slice part)
{
    uint64_t most = g->limits->v[LIMIT_LOG_LINE];
    line->text.limit = most;
    size_t room = most - buf_size(&line->text);
    size_t n = part.n < room ? part.n : room;
    if (line->cut || !buf_add(&line->text, part.p, n))
        n = 0;
    line->cut += part.n - n;
}

void guest_log_bytes(struct guest *g, enum guest_level level, enum guest_source source,
                     struct slice prefix, struct guest_line *line, struct slice bytes)
{
    while (bytes.n) {
        const char *end = memchr(bytes.p, '\n', bytes.n);
        if (!end) {
            keep(g, line, bytes);
            return;
        }
        struct slice part = slice_make(bytes.p, (size_t)(end - bytes.p));
        bytes = slice_from(bytes, part.n + 1);
        if (buf_size(&line->text) || line->cut) {
            keep(g, line, part);
            finish(g, level, source, prefix, line);
        } else {
            emit(g, level, source, prefix, part, 0);
        }
    }
}

void guest_log_flush(struct guest *g, enum guest_level level, enum guest_source source,
                     struct slice prefix, struct guest_line *line)
{
    if (buf_size(&line->text) || line->cut)
        finish(g, level, source, prefix, line);
}
