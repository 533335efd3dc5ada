/* `wasmcloud top`: which functions are busy now.
 *
 * A function's counters only grow, so what it does at present is the difference
 * between two looks at them. On a terminal the table is drawn again every few
 * seconds until it is interrupted; in a pipe, or with --once, it is printed
 * once, after one interval. */
#include "base/brand.h"
#include "base/clock.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

#include <stdlib.h>
#include <unistd.h>

enum { SECONDS = 2, SECONDS_MOST = 60, SHOWN = 20 };

struct busy {
    const char *name; /* of the later look */
    uint64_t runs, failed, cpu_us, out, lines;
};

static uint64_t counter(const json_t *function, const char *name)
{
    return answer_count(json_object_get(function, "counters"), name);
}

static uint64_t grown(const json_t *before, const json_t *now, const char *name)
{
    uint64_t was = counter(before, name), is = counter(now, name);
    return is > was ? is - was : 0;
}

/* Functions by id: names may change hands between two looks. */
static json_t *by_id(const json_t *answer)
{
    json_t *map = json_object(), *f;
    size_t i;
    json_array_foreach(json_object_get(answer, "items"), i, f)
    {
        json_object_set(map, answer_text(f, "id"), f);
    }
    return map;
}

static int by_cpu(const void *a, const void *b)
{
    const struct busy *x = a, *y = b;
    if (x->cpu_us != y->cpu_us)
        return x->cpu_us < y->cpu_us ? 1 : -1;
    return x->runs != y->runs ? (x->runs < y->runs ? 1 : -1) : strcmp(x->name, y->name);
}

static int by_runs(const void *a, const void *b)
{
    const struct busy *x = a, *y = b;
    return x->runs != y->runs ? (x->runs < y->runs ? 1 : -1) : by_cpu(a, b);
}

static void print(const json_t *before, const json_t *now, uint64_t us, bool requests, bool json)
{
    static const char *const head[] = {"FUNCTION", "REQUESTS/S", "FAILED/S", "CPU",
                                       "CPU/RUN",  "OUT/S",      "LOG/S",    NULL};
    json_t *map = by_id(before), *f, *list = json_array();
    const json_t *items = json_object_get(now, "items");
    struct busy *rows = calloc(json_array_size(items) + 1, sizeof *rows);
    struct show_table table = {0};
    size_t i, n = 0;
    json_array_foreach(items, i, f)
    {
        const json_t *was = json_object_get(map, answer_text(f, "id"));
        struct busy b = {.name = answer_text(f, "name"),
                         .runs = grown(was, f, "runs"),
                         .failed = grown(was, f, "failed"),
                         .cpu_us = grown(was, f, "cpu_us"),
                         .out = grown(was, f, "bytes_out"),
                         .lines = grown(was, f, "log_lines")};
        if (was && rows && (b.runs || b.cpu_us || b.lines))
            rows[n++] = b;
    }
    if (n)
        qsort(rows, n, sizeof *rows, requests ? by_runs : by_cpu);
    double s = (double)us / 1e6;
    for (i = 0; i < n; i++) {
        char runs[32], failed[32], cpu[32], each[24], out[24], lines[32];
        if (json) {
            json_array_append_new(
                list,
                json_pack("{s:s, s:f, s:f, s:f, s:f, s:f}", "function", rows[i].name, "requests_s",
                          (double)rows[i].runs / s, "failed_s", (double)rows[i].failed / s,
                          "cpu_percent", (double)rows[i].cpu_us / (double)us * 100, "bytes_out_s",
                          (double)rows[i].out / s, "log_lines_s", (double)rows[i].lines / s));
            continue;
        }
        if (i == SHOWN && show_on_terminal())
            break;
        snprintf(runs, sizeof runs, "%.1f", (double)rows[i].runs / s);
        snprintf(failed, sizeof failed, "%.1f", (double)rows[i].failed / s);
        snprintf(cpu, sizeof cpu, "%.1f%%", (double)rows[i].cpu_us / (double)us * 100);
        snprintf(lines, sizeof lines, "%.1f", (double)rows[i].lines / s);
        show_row(
            &table, head,
            (const char *const[]){rows[i].name, runs, failed, cpu,
                                  show_us(rows[i].runs ? rows[i].cpu_us / rows[i].runs : 0, each),
                                  show_bytes((uint64_t)((double)rows[i].out / s), out), lines});
    }
    if (json) {
        json_t *answer = json_pack("{s:f, s:O}", "seconds", s, "items", list);
        show_json(answer);
        json_decref(answer);
    } else {
        show_table(&table, "Nothing runs.");
    }
    free(rows);
    json_decref(list);
    json_decref(map);
    fflush(stdout);
}

int cmd_top(int argc, char **argv)
{
    bool json = false, once = false;
    const char *project = NULL, *by = NULL, *every = NULL;
    uint64_t seconds = SECONDS;
    const struct flag flags[] = {
        {.name = "once", .help = "print one table and end", .on = &once},
        {.name = "by", .value = "cpu|requests", .help = "what is first (cpu)", .text = &by},
        {.name = "interval", .value = "SECONDS", .help = "between two looks (2)", .text = &every},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("top", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    bool requests = by && strcmp(by, "requests") == 0;
    if (by && !requests && strcmp(by, "cpu") != 0)
        return command_usage("top", "--by is cpu or requests");
    if (every && (!slice_u64(slice_str(every), &seconds) || seconds < 1 || seconds > SECONDS_MOST))
        return command_usage("top", "--interval is a number of seconds from 1 to %d", SECONDS_MOST);
    bool live = show_on_terminal() && !once && !json;
    const struct client_request request = {.path = "{P}/functions"};
    json_t *before = NULL, *now = NULL;
    struct client *c = NULL;
    struct err e;
    if (client_open(project, &c, &e))
        return client_fail(NULL, &e);
    uint64_t then = clock_mono_us();
    enum err_code rc = client_list(c, &request, 0, &before, &e);
    do {
        if (rc)
            break;
        sleep((unsigned)seconds);
        uint64_t at = clock_mono_us();
        rc = client_list(c, &request, 0, &now, &e);
        if (rc)
            break;
        if (live)
            fputs("\033[H\033[2J", stdout);
        print(before, now, at - then, requests, json);
        json_decref(before);
        before = now;
        now = NULL;
        then = at;
    } while (live && !ferror(stdout));
    json_decref(before);
    status = rc ? client_fail(&request, &e) : 0;
    client_close(c);
    return status;
}
