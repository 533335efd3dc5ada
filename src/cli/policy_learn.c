/* `wasmcloud policy learn`: the least policy that would have passed.
 *
 * What runs opened and were refused is in their records; of a function on the
 * server those of its latest runs are read, a file is run here once with every
 * URL allowed (which addresses it may reach is still the machine's matter). */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/policy_commands.h"
#include "cli/policy_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RUNS = 500,
    URLS = 20000,   /* that one policy is learned from */
    LINE = 4 << 20, /* bytes of a record */
    OPENED_AND_REFUSED = 2
};

struct seen {
    struct slice *urls; /* borrowed from the records */
    size_t n, cap, skipped;
    struct url *url; /* scratch */
};

/* What is no URL was refused by every policy: nothing to learn from. */
static void note_url(struct seen *s, const char *text)
{
    struct err e;
    if (!text || s->n == URLS || url_parse(slice_str(text), s->url, &e)) {
        s->skipped++;
        return;
    }
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 256;
        s->urls = realloc(s->urls, s->cap * sizeof *s->urls);
        if (!s->urls)
            abort();
    }
    s->urls[s->n++] = slice_str(text);
}

static void note_record(struct seen *s, const json_t *record)
{
    static const char *const lists[OPENED_AND_REFUSED] = {"descriptors", "refusals"};
    const json_t *use;
    size_t k;
    for (size_t i = 0; i < OPENED_AND_REFUSED; i++)
        json_array_foreach(json_object_get(record, lists[i]), k, use)
            note_url(s, json_string_value(json_object_get(use, "url")));
}

/* Prints what the records teach; the exit status. */
static int learn(const json_t *records, bool json)
{
    struct seen s = {.url = malloc(sizeof *s.url)};
    struct policy *p = NULL;
    const json_t *record;
    struct err e;
    size_t i;
    if (!s.url)
        abort();
    json_array_foreach(records, i, record) note_record(&s, record);
    int status = policy_learn(NULL, s.urls, s.n, &p, &e) ? command_fail(&e) : policy_show(p, json);
    if (s.skipped)
        fprintf(stderr, "%s: %zu of what was opened are no URLs, or too many: left out\n",
                BRAND_COMMAND, s.skipped);
    policy_free(p);
    free(s.urls);
    free(s.url);
    return status;
}

static int learn_from_runs(const char *project, const char *name, uint64_t most, bool json)
{
    json_t *answer = NULL;
    int status = client_once(
        project, &(struct client_request){.path = "{P}/functions/{}/runs", .at = {name}},
        (long)most, &answer);
    if (status)
        return status;
    const json_t *records = json_object_get(answer, "items"), *record;
    uint64_t lost = 0;
    size_t i;
    if (json_array_size(records) == 0)
        fprintf(stderr, "%s: no runs of %s are recorded: it may open nothing yet\n", BRAND_COMMAND,
                name);
    json_array_foreach(records, i, record) lost += answer_count(record, "uses_lost");
    if (lost)
        fprintf(stderr, "%s: %ju opens were only counted, without their URLs\n", BRAND_COMMAND,
                (uintmax_t)lost);
    status = learn(records, json);
    json_decref(answer);
    return status;
}

/* ---- here ---- */

/* A file without a name that allows all, for the child to read by its descriptor. */
static enum err_code everything(char path[32], int *ret_fd, struct err *e)
{
    static const char text[] = "allow: [{regex: '^'}]\n";
    int fd = memfd_create("policy", 0);
    if (fd < 0 || write(fd, text, sizeof text - 1) != (ssize_t)(sizeof text - 1)) {
        if (fd >= 0)
            close(fd);
        return err_errno(e, "can't make a policy");
    }
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    *ret_fd = fd;
    return ERR_OK;
}

/* Copies the program's standard error through, but for the record, which is its last line. */
static json_t *take_record(FILE *from)
{
    char *line = NULL;
    size_t cap = 0;
    json_t *record = NULL;
    for (ssize_t n; (n = getline(&line, &cap, from)) > 0;) {
        json_t *is = line[0] == '{' && n < LINE ? json_loadb(line, (size_t)n, 0, NULL) : NULL;
        if (json_is_object(is) && json_object_get(is, "descriptors")) {
            json_decref(record);
            record = is;
        } else {
            json_decref(is);
            fwrite(line, 1, (size_t)n, stderr);
        }
    }
    free(line);
    return record;
}

/* `run --json --policy PATH FILE ARGS…`; its standard output goes to ours' standard error, since
 * ours is the policy. */
static void run_child(const char *path, int argc, char **argv, int record_fd)
{
    const char *words[WORDS_MAX + 6] = {BRAND_COMMAND, "run", "--json", "--policy", path};
    size_t n = 5;
    for (int i = 0; i < argc && n < WORDS_MAX + 5; i++)
        words[n++] = argv[i];
    if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0 || dup2(record_fd, STDERR_FILENO) < 0)
        _exit(EXIT_FAILURE);
    execv("/proc/self/exe", (char *const *)words);
    _exit(EXIT_FAILURE);
}

static int learn_from_file(int argc, char **argv, bool json)
{
    char path[32];
    int policy = -1, fds[2], status;
    struct err e;
    if (everything(path, &policy, &e))
        return command_fail(&e);
    pid_t child = pipe(fds) < 0 ? -1 : fork();
    if (child < 0) {
        err_errno(&e, "can't run %s", argv[0]);
        close(policy);
        return command_fail(&e);
    }
    if (child == 0) {
        close(fds[0]);
        run_child(path, argc, argv, fds[1]);
    }
    close(fds[1]);
    close(policy);
    FILE *from = fdopen(fds[0], "r");
    json_t *record = from ? take_record(from) : NULL;
    if (from)
        fclose(from);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!record) /* it did not run, and has said why */
        return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
    json_t *records = json_pack("[o]", record);
    status = learn(records, json);
    json_decref(records);
    return status;
}

/* ---- the command ---- */

int policy_learn_command(int argc, char **argv)
{
    bool json = false;
    const char *project = NULL, *runs = NULL;
    const struct flag flags[] = {
        {.name = "runs", .value = "N", .help = "how many of its latest runs, 500", .text = &runs},
        FLAG_PROJECT(project),
        FLAG_JSON(json),
        {0},
    };
    struct words words;
    struct stat st;
    uint64_t most = RUNS;
    /* What follows a file is the program's, flags or not. */
    int at = 1;
    while (at < argc && argv[at][0] == '-')
        at++;
    bool file = at < argc && stat(argv[at], &st) == 0 && S_ISREG(st.st_mode);
    int status = args_parse("policy learn", file ? at + 1 : argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;
    if (runs && (!slice_u64(slice_str(runs), &most) || most < 1 || most > 10000))
        return command_usage("policy learn", "--runs is a number from 1 to 10000");
    return file ? learn_from_file(argc - at, argv + at, json)
                : learn_from_runs(project, words.at[0], most, json);
}
