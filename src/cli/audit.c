/* `wasmcloud audit`: an operator's questions about what guests did. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>

enum { SHOWN = 1000 };

static void print_connections(const json_t *items)
{
    static const char *const head[] = {"AT",  "TO",      "HOST", "PROJECT",  "FUNCTION",
                                       "RUN", "OUTCOME", "SENT", "RECEIVED", NULL};
    struct show_table table = {0};
    json_t *c;
    size_t i;
    json_array_foreach(items, i, c)
    {
        char at[24], to[80], host[280], sent[24], received[24];
        bool six = strchr(answer_text(c, "address"), ':') != NULL;
        snprintf(to, sizeof to, six ? "[%s]:%ju" : "%s:%ju", answer_text(c, "address"),
                 (uintmax_t)answer_count(c, "port"));
        snprintf(host, sizeof host, "%s://%s", answer_text(c, "scheme"), answer_text(c, "host"));
        const char *project = answer_text(c, "project"), *function = answer_text(c, "function");
        show_row(&table, head,
                 (const char *const[]){show_time(answer_text(c, "at"), at), to, host,
                                       *project ? project : answer_text(c, "project_id"),
                                       *function ? function : answer_text(c, "function_id"),
                                       answer_text(c, "run"), answer_text(c, "outcome"),
                                       show_bytes(answer_count(c, "sent"), sent),
                                       show_bytes(answer_count(c, "received"), received)});
    }
    show_table(&table, "No connection to this address is recorded.");
}

/* "90", "90s", "15m", "2h", "1d" as seconds in `out`. */
static bool seconds(const char *text, char out[24])
{
    struct slice s = slice_str(text);
    static const char units[] = "smhd";
    static const uint64_t factors[] = {1, 60, 3600, 86400};
    const char *unit = s.n ? strchr(units, s.p[s.n - 1]) : NULL;
    uint64_t n, factor = unit ? factors[unit - units] : 1;
    if (!slice_u64(unit ? slice_make(s.p, s.n - 1) : s, &n) || n > UINT32_MAX)
        return false;
    snprintf(out, 24, "%ju", (uintmax_t)(n * factor));
    return true;
}

static int audit_egress_command(int argc, char **argv)
{
    bool json = false;
    const char *to = NULL, *port = NULL, *at = NULL, *within = NULL;
    char within_s[24];
    const struct flag flags[] = {
        {.name = "to", .value = "ADDRESS", .help = "the address that was reached", .text = &to},
        {.name = "port", .value = "PORT", .help = "only this port", .text = &port},
        {.name = "at",
         .value = "TIME",
         .help = "2026-01-31T12:00:00Z, or 15m, 2h, 1d ago",
         .text = &at},
        {.name = "within", .value = "DURATION", .help = "around it; default: 5m", .text = &within},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("audit egress", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    if (!to)
        return command_usage("audit egress", "--to ADDRESS says which address was reached");
    if (within && !seconds(within, within_s))
        return command_usage("audit egress", "--within: \"%s\" is no duration like 90s, 15m, 2h",
                             within);
    json_t *answer = NULL;
    status = client_once(NULL,
                         &(struct client_request){.path = "audit/egress",
                                                  .query = {{"to", to},
                                                            {"port", port},
                                                            {"at", at},
                                                            {"within", within ? within_s : NULL}}},
                         SHOWN, &answer);
    if (status == 0 && json)
        show_json(answer);
    else if (status == 0)
        print_connections(json_object_get(answer, "items"));
    json_decref(answer);
    return status;
}

const struct command audit_commands[] = {
    {.name = "egress",
     .run = audit_egress_command,
     .usage = "--to ADDRESS [--at TIME] [--within DURATION] [--port PORT] [--json]",
     .summary = "which functions connected to an address",
     .example =
         BRAND_COMMAND " audit egress --to 192.0.2.7 --at 2026-01-31T12:00:00Z --within 10m"},
    {0},
};
