/* `wasmcloud gc`: what housekeeping would remove later, removed now. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/show.h"

static void print_amount(const json_t *answer, const char *name, const char *what)
{
    const json_t *amount = json_object_get(answer, name);
    char bytes[24];
    printf("%s\t%ju\t%s\n", what, (uintmax_t)answer_count(amount, "count"),
           show_bytes(answer_count(amount, "bytes"), bytes));
}

int cmd_gc(int argc, char **argv)
{
    bool json = false, dry = false;
    const char *older = NULL;
    uint64_t seconds = 0;
    const struct flag flags[] = {
        {.name = "dry-run", .help = "only say what would be removed", .on = &dry},
        {.name = "older-than",
         .value = "DURATION",
         .help = "of uploads without a version; default: 10m",
         .text = &older},
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    int status = args_parse("gc", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    if (older && (!args_duration(older, &seconds) || seconds > INT32_MAX))
        return command_usage("gc", "--older-than: \"%s\" is no duration like 90s, 15m, 2h", older);
    json_t *body = json_pack("{s:b}", "dry_run", dry), *answer = NULL;
    if (older)
        json_object_set_new(body, "older_than", json_integer((json_int_t)seconds));
    status =
        client_once(NULL, &(struct client_request){.method = "POST", .path = "gc", .json = body},
                    CLIENT_ONE, &answer);
    if (status == 0 && json) {
        show_json(answer);
    } else if (status == 0) {
        print_amount(answer, "modules", "modules");
        print_amount(answer, "assets", "assets");
        print_amount(answer, "blobs", "blobs");
        printf("functions\t%ju\n", (uintmax_t)answer_count(answer, "functions"));
        if (dry && show_on_terminal())
            printf("next: %s gc\n", BRAND_COMMAND);
    }
    json_decref(answer);
    json_decref(body);
    return status;
}
