#include "cli/feed.h"

#include "base/buf.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    ROW_MOST = 512 << 10, /* a log line has at most 64 KiB; JSON may write a byte as six */
    RETRY_S = 1,
    RETRIES_MOST = 30, /* in a row without one event in between */
};

struct feed {
    void (*show)(const json_t *row);
    struct buf line;  /* of the stream, while incomplete */
    struct buf data;  /* of the event */
    char last[64];    /* id of the last event that was shown */
    char next_id[64]; /* of the event being read */
    bool ends;        /* that event is the server's last, and says why */
    int failures;     /* in a row */
    bool closed;      /* nobody reads standard output any more */
    struct err problem;
};

/* Each whole line of the stream to `take`, until that says false. */
static bool lines(struct feed *f, struct slice piece,
                  bool (*take)(struct feed *f, struct slice line))
{
    if (!buf_add(&f->line, piece.p, piece.n))
        return false;
    for (;;) {
        struct slice all = buf_slice(&f->line);
        const char *end = all.n ? memchr(all.p, '\n', all.n) : NULL;
        if (!end)
            return true;
        if (!take(f, slice_make(all.p, (size_t)(end - all.p))))
            return false;
        buf_consume(&f->line, (size_t)(end - all.p) + 1);
    }
}

/* What the server says last when it ends a stream or an export before its time. */
static void take_problem(struct feed *f, const char *what, const json_t *problem)
{
    enum err_code code;
    if (!err_from_slug(slice_str(answer_text(problem, "code")), &code) || code == ERR_OK)
        code = ERR_UNAVAILABLE;
    err_set(&f->problem, code, "%s: %s", what, answer_text(problem, "detail"));
}

/* ---- following ---- */

/* An event is complete: shows it. Comments and events without data are the server's heartbeat. */
static void event_done(struct feed *f)
{
    struct slice data = buf_slice(&f->data);
    json_t *row = data.n ? json_loadb(data.p, data.n, 0, NULL) : NULL;
    if (row && f->ends) {
        take_problem(f, "the server ended the stream", row);
    } else if (row) {
        if (f->show) {
            f->show(row);
        } else {
            json_dumpf(row, stdout, JSON_COMPACT);
            putchar('\n');
        }
        f->closed = fflush(stdout) != 0;
        memcpy(f->last, f->next_id, sizeof f->last);
        f->failures = 0;
    }
    json_decref(row);
    buf_clear(&f->data);
}

/* One line of a stream of events (WHATWG HTML, 9.2.6). */
static bool event_line(struct feed *f, struct slice line)
{
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0) {
        event_done(f);
        return !f->closed && !f->ends;
    }
    struct slice value = line, field = slice_split(&value, ':');
    if (value.p && value.n && value.p[0] == ' ')
        value = slice_from(value, 1);
    if (slice_eq(field, SLICE("data")))
        return (buf_size(&f->data) == 0 || buf_add(&f->data, "\n", 1)) &&
               buf_add(&f->data, value.p, value.n);
    if (slice_eq(field, SLICE("event")))
        f->ends = slice_eq(value, SLICE("problem"));
    if (slice_eq(field, SLICE("id")))
        (void)!slice_copy(value, f->next_id, sizeof f->next_id);
    return true;
}

static bool on_events(void *ctx, const struct client_head *head, struct slice piece)
{
    return lines(ctx, piece, event_line);
}

int feed_follow(struct client *c, struct client_request *request, void (*show)(const json_t *row))
{
    struct feed f = {.show = show};
    struct err e;
    enum err_code rc;
    buf_init(&f.line, ROW_MOST);
    buf_init(&f.data, ROW_MOST);
    request->on_body = on_events;
    request->ctx = &f;
    do {
        if (*f.last)
            request->field = (struct client_pair){"Last-Event-ID", f.last};
        buf_clear(&f.line);
        buf_clear(&f.data);
        rc = client_call(c, request, NULL, NULL, &e);
        if (f.problem.code) {
            e = f.problem;
            break;
        }
        if (rc == ERR_OK || rc == ERR_UNREACHABLE || rc == ERR_UNAVAILABLE) {
            rc = rc == ERR_OK ? err_set(&e, ERR_UNREACHABLE, "the server ended the stream") : rc;
            if (++f.failures <= RETRIES_MOST)
                sleep(RETRY_S);
        } else {
            break;
        }
    } while (f.failures <= RETRIES_MOST);
    buf_done(&f.line);
    buf_done(&f.data);
    return f.closed ? err_cli(ERR_CANCELLED) : client_fail(request, &e);
}

/* ---- exporting ---- */

static bool export_line(struct feed *f, struct slice line)
{
    if (slice_starts(line, SLICE("{\"problem\":"))) { /* what ends an answer that failed midway */
        json_t *row = json_loadb(line.p, line.n, 0, NULL);
        take_problem(f, "the export is not whole", json_object_get(row, "problem"));
        json_decref(row);
        return false;
    }
    return fwrite(line.p, 1, line.n, stdout) == line.n && putchar('\n') != EOF;
}

static bool on_lines(void *ctx, const struct client_head *head, struct slice piece)
{
    return lines(ctx, piece, export_line);
}

int feed_export(struct client *c, struct client_request *request)
{
    struct feed f = {0};
    struct err e;
    size_t n = 0;
    buf_init(&f.line, ROW_MOST);
    while (request->query[n].name)
        n++;
    request->query[n] = (struct client_pair){"format", "jsonl"};
    request->on_body = on_lines;
    request->ctx = &f;
    enum err_code rc = client_call(c, request, NULL, NULL, &e);
    buf_done(&f.line);
    if (rc == ERR_OK)
        return 0;
    return client_fail(request, f.problem.code ? &f.problem : &e);
}
