#include "cli/outcome.h"

#include "base/brand.h"
#include "cli/show.h"

/* The record of the check's run; NULL if it can't be had, which is no failure of the deploy. */
static json_t *check_record(struct client *c, const json_t *check)
{
    json_t *run = NULL;
    if (*answer_text(check, "run") &&
        client_call(
            c, &(struct client_request){.path = "{P}/runs/{}", .at = {answer_text(check, "run")}},
            &run, NULL, NULL))
        return NULL;
    return run;
}

static void print_success(const char *name, const json_t *answer, const json_t *run)
{
    const json_t *version = json_object_get(answer, "version"),
                 *check = json_object_get(answer, "check");
    char a[24], b[24], m[24];
    printf("%s: version %ju is live (%s, %.12s)\n", name,
           (uintmax_t)answer_count(version, "number"), show_bytes(answer_count(version, "size"), a),
           answer_text(version, "digest"));
    if (json_is_object(check) && run)
        printf("its check %s answered %ju: %s, %s of CPU, %s of memory\n",
               answer_text(version, "check"), (uintmax_t)answer_count(check, "status"),
               show_us(answer_count(run, "wall_us"), a), show_us(answer_count(run, "cpu_us"), b),
               show_bytes(answer_count(run, "memory_peak"), m));
    else if (json_is_object(check))
        printf("its check %s answered %ju\n", answer_text(version, "check"),
               (uintmax_t)answer_count(check, "status"));
}

static void print_failed_check(const char *name, const json_t *answer, const json_t *run)
{
    const json_t *version = json_object_get(answer, "version"),
                 *check = json_object_get(answer, "check"), *line;
    const char *record = answer_text(check, "run");
    size_t i;
    fprintf(stderr, "%s: version %ju of %s is kept, but it is not live: its check ", BRAND_COMMAND,
            (uintmax_t)answer_count(version, "number"), name);
    show_text(stderr, slice_str(answer_text(version, "check")));
    fprintf(stderr, " failed (%s)\n",
            *answer_text(check, "error") ? answer_text(check, "error") : "no answer");
    if (*answer_text(check, "text")) {
        fputs("  ", stderr);
        show_text(stderr, slice_str(answer_text(check, "text")));
        fputc('\n', stderr);
    }
    json_array_foreach(json_object_get(run, "logs"), i, line)
    {
        fprintf(stderr, "  %-8s", answer_text(line, "level"));
        show_text(stderr, slice_str(answer_text(line, "text")));
        fputc('\n', stderr);
    }
    if (*record)
        fprintf(stderr, "next: %s runs show %s, or deploy with --no-check\n", BRAND_COMMAND,
                record);
}

int outcome_print(struct client *c, const char *name, const json_t *answer, bool json)
{
    bool live = json_is_true(json_object_get(answer, "promoted"));
    json_t *run = NULL;
    if (!live || (!json && show_on_terminal()))
        run = check_record(c, json_object_get(answer, "check"));
    if (json)
        show_json(answer);
    if (!live)
        print_failed_check(name, answer, run);
    else if (!json && show_on_terminal())
        print_success(name, answer, run);
    if (live && !json)
        printf("%s\n", answer_text(answer, "url"));
    json_decref(run);
    return live ? 0 : err_cli(ERR_CONFLICT);
}
