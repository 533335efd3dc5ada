/* `wasmcloud get`: one function, with its exact counters. */
#include "cli/args.h"
#include "cli/client.h"
#include "cli/opens.h"
#include "cli/show.h"

enum { RULES_SHOWN = 10 };

static void count_rule(void *arg, const char *rule)
{
    unsigned *n = arg;
    ++*n;
    if (*n <= RULES_SHOWN)
        printf("%s%s\n", *n == 1 ? "opens     " : "          ", rule);
}

/* What the function's live version says beyond the function itself. */
static void print_version(const json_t *v)
{
    struct policy *p = NULL;
    struct err e;
    unsigned n = 0;
    const char *name;
    json_t *value;
    if (opens_of_version(v, &p, &e) == ERR_OK)
        policy_opens(NULL, p, count_rule, &n);
    policy_free(p);
    if (n == 0)
        puts("opens     nothing beyond this machine's own (no policy)");
    else if (n > RULES_SHOWN)
        printf("          and %u more\n", n - RULES_SHOWN);
    if (*answer_text(v, "assets"))
        printf("assets    %s\n", answer_text(v, "assets"));
    n = 0;
    json_object_foreach(json_object_get(v, "limits"), name, value)
        printf("%s%s=%s", n++ ? ", " : "limits    ", name, json_string_value(value));
    if (n)
        putchar('\n');
    if (json_is_true(json_object_get(v, "timing")))
        puts("timing    in Server-Timing");
    if (strcmp(answer_text(v, "kind"), "fuel") == 0)
        puts("engine    counts gas");
}

/* "split     3 90 %, 4 10 %" */
static void print_split(const json_t *f)
{
    const char *number;
    json_t *percent;
    unsigned n = 0;
    json_object_foreach(json_object_get(f, "split"), number, percent) printf(
        "%s%s %jd %%", n++ ? ", " : "split     ", number, (intmax_t)json_integer_value(percent));
    if (n)
        putchar('\n');
}

static void print_function(const json_t *f, const json_t *v)
{
    const json_t *c = json_object_get(f, "counters");
    char a[24], b[24];
    printf("name      %s\n", answer_text(f, "name"));
    printf("state     %s\n", answer_text(f, "state"));
    if (answer_count(f, "version"))
        printf("version   %ju: %s, %s, response %s\n", (uintmax_t)answer_count(f, "version"),
               answer_text(f, "digest"), show_bytes(answer_count(f, "size"), a),
               answer_text(f, "response"));
    print_split(f);
    if (v)
        print_version(v);
    printf("created   %s\n", show_time(answer_text(f, "created_at"), a));
    printf("updated   %s\n", show_time(answer_text(f, "updated_at"), a));
    if (*answer_text(f, "deleted_at"))
        printf("deleted   %s\n", show_time(answer_text(f, "deleted_at"), a));
    printf("runs      %ju, of which failed %ju\n", (uintmax_t)answer_count(c, "runs"),
           (uintmax_t)answer_count(c, "failed"));
    printf("used      %s of CPU, ", show_us(answer_count(c, "cpu_us"), a));
    printf("%s in, %s out, %ju host calls\n", show_bytes(answer_count(c, "bytes_in"), a),
           show_bytes(answer_count(c, "bytes_out"), b), (uintmax_t)answer_count(c, "calls"));
    if (answer_count(c, "egress_bytes_in") || answer_count(c, "egress_bytes_out"))
        printf("network   %s in, %s out\n", show_bytes(answer_count(c, "egress_bytes_in"), a),
               show_bytes(answer_count(c, "egress_bytes_out"), b));
    printf("log       %ju lines, %ju lost\n", (uintmax_t)answer_count(c, "log_lines"),
           (uintmax_t)answer_count(c, "log_lost"));
    printf("%s\n", answer_text(f, "url"));
}

int cmd_get(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL;
    const struct flag flags[] = {FLAG_PROJECT(project), FLAG_JSON(json), {0}};
    struct words words;
    int status = args_parse("get", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    struct client *c = NULL;
    struct client_request request = {.path = "{P}/functions/{}", .at = {words.at[0]}};
    json_t *function = NULL, *version = NULL;
    struct err e;
    enum err_code rc = client_open(project, &c, &e);
    if (rc == ERR_OK)
        rc = client_call(c, &request, &function, NULL, &e);
    if (rc == ERR_OK && !json && answer_count(function, "version")) {
        request.path = "{P}/functions/{}/versions/live";
        rc = client_call(c, &request, &version, NULL, &e);
    }
    if (rc)
        status = client_fail(&request, &e);
    else if (json)
        show_json(function);
    else
        print_function(function, version);
    json_decref(function);
    json_decref(version);
    client_close(c);
    return rc ? status : 0;
}
