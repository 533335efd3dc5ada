/* `wasmcloud logs`: what a function wrote, until now or as it happens.
 *
 * Following is a stream of server-sent events. When it breaks (a restart, a
 * proxy's patience) it is taken up again after the last line that was shown. */
#include "base/brand.h"
#include "base/buf.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

#include <stdlib.h>
#include <unistd.h>

enum {
    EVENT_MOST = 256 << 10, /* a log line has at most 64 KiB; JSON may write a byte as six */
    RETRY_S = 1,
    RETRIES_MOST = 30, /* in a row without one event in between */
};

struct follow {
    bool json;
    struct buf line;  /* of the stream, while incomplete */
    struct buf data;  /* of the event */
    char last[64];    /* id of the last event that was shown */
    char next_id[64]; /* of the event being read */
    int failures;     /* in a row */
    bool closed;      /* nobody reads standard output any more */
};

static void print_line(const json_t *line)
{
    const char *level = answer_text(line, "level");
    char at[24];
    if (!show_on_terminal()) {
        printf("%s\t%s\t%s\t", answer_text(line, "at"), level, answer_text(line, "run"));
    } else {
        bool colour = !getenv("NO_COLOR");
        const char *on = !colour                         ? ""
                         : strcmp(level, "error") == 0   ? "\033[31m"
                         : strcmp(level, "warning") == 0 ? "\033[33m"
                                                         : "";
        printf("%s  %s%-7s%s  ", show_time(answer_text(line, "at"), at), on, level,
               *on ? "\033[0m" : "");
    }
    show_text(stdout, slice_str(answer_text(line, "text")));
    putchar('\n');
}

/* An event is complete: shows it. Comments and events without data are the server's heartbeat. */
static void event_done(struct follow *f)
{
    struct slice data = buf_slice(&f->data);
    json_t *line = data.n ? json_loadb(data.p, data.n, 0, NULL) : NULL;
    if (line) {
        if (f->json) {
            json_dumpf(line, stdout, JSON_COMPACT);
            putchar('\n');
        } else {
            print_line(line);
        }
        f->closed = fflush(stdout) != 0;
        memcpy(f->last, f->next_id, sizeof f->last);
        f->failures = 0;
    }
    json_decref(line);
    buf_clear(&f->data);
}

/* One line of a stream of events (WHATWG HTML, 9.2.6). */
static bool event_line(struct follow *f, struct slice line)
{
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0) {
        event_done(f);
        return !f->closed;
    }
    struct slice value = line, field = slice_split(&value, ':');
    if (value.p && value.n && value.p[0] == ' ')
        value = slice_from(value, 1);
    if (slice_eq(field, SLICE("data")))
        return (buf_size(&f->data) == 0 || buf_add(&f->data, "\n", 1)) &&
               buf_add(&f->data, value.p, value.n);
    if (slice_eq(field, SLICE("id")))
        (void)!slice_copy(value, f->next_id, sizeof f->next_id);
    return true;
}

static bool on_events(void *ctx, const struct client_head *head, struct slice piece)
{
    struct follow *f = ctx;
    if (!buf_add(&f->line, piece.p, piece.n))
        return false;
    for (;;) {
        struct slice all = buf_slice(&f->line);
        const char *end = all.n ? memchr(all.p, '\n', all.n) : NULL;
        if (!end)
            return true;
        if (!event_line(f, slice_make(all.p, (size_t)(end - all.p))))
            return false;
        buf_consume(&f->line, (size_t)(end - all.p) + 1);
    }
}

/* Until it is interrupted, or the server stays away. */
static int follow(struct client *c, struct client_request *request, bool json)
{
    struct follow f = {.json = json};
    struct err e;
    enum err_code rc;
    buf_init(&f.line, EVENT_MOST);
    buf_init(&f.data, EVENT_MOST);
    request->on_body = on_events;
    request->ctx = &f;
    do {
        if (*f.last)
            request->field = (struct client_pair){"Last-Event-ID", f.last};
        buf_clear(&f.line);
        buf_clear(&f.data);
        rc = client_call(c, request, NULL, NULL, &e);
        if (rc == ERR_OK || rc == ERR_UNREACHABLE || rc == ERR_UNAVAILABLE) {
            rc = rc == ERR_OK ? err_set(&e, ERR_UNREACHABLE, "the server ended the log") : rc;
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

int cmd_logs(int argc, char **argv)
{
    bool json = false, following = false;
    const char *project = NULL, *run = NULL, *since = NULL, *level = NULL, *lines = NULL;
    const struct flag flags[] = {
        {.name = "follow", .letter = 'f', .help = "go on as lines are written", .on = &following},
        {.name = "run", .value = "ID", .help = "of one run only", .text = &run},
        {.name = "since",
         .value = "TIME",
         .help = "10m, 2h, 1d: not older than this",
         .text = &since},
        {.name = "level",
         .value = "error|warning|info",
         .help = "this level and worse",
         .text = &level},
        {.name = "lines", .value = "N", .help = "the latest N, at most 1000 (100)", .text = &lines},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("logs", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    struct client *c = NULL;
    struct err e;
    if (client_open(project, &c, &e))
        return client_fail(NULL, &e);
    struct client_request request = {
        .path = "{P}/functions/{}/logs",
        .at = {words.at[0]},
        .query = {{"since", since},
                  {"run", run},
                  {"level", level},
                  {"limit", lines},
                  {"follow", following ? "1" : NULL}},
    };
    json_t *answer = NULL;
    if (following) {
        status = follow(c, &request, json);
    } else if (client_call(c, &request, &answer, NULL, &e)) {
        status = client_fail(&request, &e);
    } else {
        json_t *items = json_object_get(answer, "items");
        for (size_t i = 0; i < json_array_size(items) && !json; i++)
            print_line(json_array_get(items, i));
        if (json)
            show_json(answer);
        status = 0;
    }
    json_decref(answer);
    client_close(c);
    return status;
}
