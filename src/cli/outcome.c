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

/* " (+12 %)" against what the version before took; "" if that isn't known. */
static const char *change(const json_t *answer, const char *member, char out[32])
{
    const json_t *now = json_object_get(json_object_get(answer, "version"), "price"),
                 *before = json_object_get(json_object_get(answer, "before"), "price");
    uint64_t is = answer_count(now, member), was = answer_count(before, member);
    out[0] = '\0';
    if (json_is_object(before) && was)
        snprintf(out, 32, " (%+.0f %%)", ((double)is - (double)was) * 100 / (double)was);
    return out;
}

/* What its check costs, and how that differs from the version that was live. */
static void print_price(FILE *f, const json_t *answer)
{
    const json_t *price = json_object_get(json_object_get(answer, "version"), "price"),
                 *before = json_object_get(answer, "before");
    char us[24], bytes[24], a[32], b[32], c[32];
    if (!json_is_object(price))
        return;
    fprintf(f, "it costs %s of CPU%s, %s of memory%s, %ju host calls%s",
            show_us(answer_count(price, "cpu_us"), us), change(answer, "cpu_us", a),
            show_bytes(answer_count(price, "memory_peak"), bytes), change(answer, "memory_peak", b),
            (uintmax_t)answer_count(price, "calls"), change(answer, "calls", c));
    if (json_is_object(before))
        fprintf(f, ", against version %ju", (uintmax_t)answer_count(before, "version"));
    fputc('\n', f);
}

static void print_success(const char *name, const json_t *answer)
{
    const json_t *version = json_object_get(answer, "version"),
                 *check = json_object_get(answer, "check");
    char a[24];
    printf("%s: version %ju is live%s (%s, %.12s)\n", name,
           (uintmax_t)answer_count(version, "number"),
           json_is_true(json_object_get(answer, "unchanged")) && !json_is_object(check)
               ? ": it was there already"
               : "",
           show_bytes(answer_count(version, "size"), a), answer_text(version, "digest"));
    if (!json_is_object(check))
        return;
    printf("its check %s answered %ju\n", answer_text(version, "check"),
           (uintmax_t)answer_count(check, "status"));
    print_price(stdout, answer);
}

/* It was not promoted, and nothing is wrong with it. */
static void print_kept(const char *name, const json_t *answer)
{
    const json_t *held = json_object_get(answer, "held");
    uintmax_t number = answer_count(json_object_get(answer, "version"), "number");
    fprintf(stderr, "%s: version %ju of %s is kept, but it is not live: %s\n", BRAND_COMMAND,
            number, name, answer_text(held, "text"));
    print_price(stderr, answer);
    fprintf(stderr, "next: %s preview %s %ju, or %s promote %s %ju\n", BRAND_COMMAND, name, number,
            BRAND_COMMAND, name, number);
}

/* A text of several lines, each below the other; the first behind a word. */
static void print_lines(const char *word, const char *text)
{
    struct slice rest = slice_str(text);
    while (rest.p) {
        fprintf(stderr, "  %-8s", word);
        show_text(stderr, slice_split(&rest, '\n'));
        fputc('\n', stderr);
        word = "";
    }
}

/* The platform's own line in the log says why, too, and may say more. */
static bool is_logged(const json_t *logs, const char *why)
{
    const json_t *line;
    size_t i;
    json_array_foreach(logs, i, line)
    {
        if (slice_starts(slice_str(answer_text(line, "text")), slice_str(why)))
            return true;
    }
    return false;
}

static void print_failed_check(const char *name, const json_t *answer, const json_t *run)
{
    const json_t *version = json_object_get(answer, "version"),
                 *check = json_object_get(answer, "check"), *logs = json_object_get(run, "logs"),
                 *line;
    const char *record = answer_text(check, "run"), *why = answer_text(check, "text");
    size_t i;
    fprintf(stderr, "%s: version %ju of %s is kept, but it is not live: its check ", BRAND_COMMAND,
            (uintmax_t)answer_count(version, "number"), name);
    show_text(stderr, slice_str(answer_text(version, "check")));
    fprintf(stderr, " failed (%s)\n",
            *answer_text(check, "error") ? answer_text(check, "error") : "no answer");
    json_array_foreach(logs, i, line)
        print_lines(answer_text(line, "level"), answer_text(line, "text"));
    if (*why && !is_logged(logs, why))
        print_lines("", why);
    if (*record)
        fprintf(stderr, "next: %s runs show %s, or deploy with --no-check\n", BRAND_COMMAND,
                record);
}

int outcome_print(struct client *c, const char *name, const json_t *answer, bool json)
{
    bool live = json_is_true(json_object_get(answer, "promoted"));
    const char *held = answer_text(json_object_get(answer, "held"), "code");
    if (json)
        show_json(answer);
    if (live && !json) {
        if (show_on_terminal())
            print_success(name, answer);
        printf("%s\n", answer_text(answer, "url"));
    }
    if (live)
        return 0;
    if (strcmp(held, "check_failed") != 0) {
        print_kept(name, answer);
        return strcmp(held, "too_costly") == 0 ? err_cli(ERR_TOO_COSTLY) : 0;
    }
    json_t *run = check_record(c, json_object_get(answer, "check"));
    print_failed_check(name, answer, run);
    json_decref(run);
    return err_cli(ERR_CONFLICT);
}
