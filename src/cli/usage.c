/* `wasmcloud usage`: what a project's functions used, by day or by function. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

static const char *const by_day[] = {"DAY",      "REQUESTS",  "FAILED", "CPU",    "GB-S",
                                     "OUTBOUND", "RESPONSES", "LOG",    "AMOUNT", NULL};
static const char *const by_function[] = {"FUNCTION", "REQUESTS",  "FAILED", "CPU",    "GB-S",
                                          "OUTBOUND", "RESPONSES", "LOG",    "AMOUNT", NULL};

static void add_line(struct show_table *table, const char *const head[], const char *name,
                     const json_t *line)
{
    const json_t *c = json_object_get(line, "counters");
    char runs[24], failed[24], cpu[24], out[24], responses[24], log[24];
    snprintf(runs, sizeof runs, "%ju", (uintmax_t)answer_count(c, "runs"));
    snprintf(failed, sizeof failed, "%ju", (uintmax_t)answer_count(c, "failed"));
    const char *amount = answer_text(line, "amount");
    show_row(table, head,
             (const char *const[]){
                 name, runs, failed, show_us(answer_count(c, "cpu_us"), cpu),
                 answer_text(line, "gb_s"), show_bytes(answer_count(c, "egress_bytes_out"), out),
                 show_bytes(answer_count(c, "bytes_out"), responses),
                 show_bytes(answer_count(c, "log_bytes"), log), *amount ? amount : "-"});
}

/* All pages of one answer: `total` is of all of them. */
static enum err_code all(struct client *c, struct client_request *request, json_t **ret_json,
                         struct err *e)
{
    char cursor[64];
    json_t *whole = NULL;
    for (;;) {
        json_t *page = NULL;
        enum err_code rc = client_call(c, request, &page, NULL, e);
        if (rc) {
            json_decref(whole);
            return rc;
        }
        slice_copy(slice_str(answer_text(page, "next")), cursor, sizeof cursor);
        if (!whole)
            whole = json_incref(page);
        else
            json_array_extend(json_object_get(whole, "items"), json_object_get(page, "items"));
        json_decref(page);
        if (!*cursor)
            break;
        request->query[4] = (struct client_pair){"cursor", cursor};
    }
    json_object_set_new(whole, "next", json_null());
    *ret_json = whole;
    return ERR_OK;
}

int cmd_usage(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL, *from = NULL, *to = NULL, *by = NULL;
    const struct flag flags[] = {
        {.name = "from",
         .value = "DAY",
         .help = "2026-01-31, UTC (the first of the last day's month)",
         .text = &from},
        {.name = "to", .value = "DAY", .help = "the last day (today)", .text = &to},
        {.name = "by", .value = "day|function", .help = "what a line is of (day)", .text = &by},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("usage", argc, argv, flags, &words, 0, 1);
    if (status >= 0)
        return status;
    struct client *c = NULL;
    struct err e;
    if (client_open(project, &c, &e))
        return client_fail(NULL, &e);
    struct client_request request = {
        .path = "{P}/usage",
        .query = {
            {"from", from}, {"to", to}, {"by", by}, {"function", words.n ? words.at[0] : NULL}}};
    json_t *answer = NULL, *line;
    size_t i;
    if (all(c, &request, &answer, &e)) {
        status = client_fail(&request, &e);
    } else if (json) {
        show_json(answer);
        status = 0;
    } else {
        bool functions = strcmp(answer_text(answer, "by"), "function") == 0;
        const char *const *head = functions ? by_function : by_day;
        struct show_table table = {0};
        json_array_foreach(json_object_get(answer, "items"), i, line)
        {
            char name[64];
            snprintf(name, sizeof name, "%s%s", answer_text(line, functions ? "function" : "day"),
                     json_is_true(json_object_get(line, "deleted")) ? " (deleted)" : "");
            add_line(&table, head, name, line);
        }
        const json_t *total = json_object_get(answer, "total");
        const char *amount = answer_text(total, "amount");
        add_line(&table, head, "total", total);
        show_table(&table, "");
        if (show_on_terminal() && *amount)
            printf("Amounts are in %s, by the prices of this server's operator. Nothing is "
                   "charged.\n",
                   *answer_text(answer, "currency") ? answer_text(answer, "currency")
                                                    : "the operator's currency");
        status = 0;
    }
    json_decref(answer);
    client_close(c);
    return status;
}
