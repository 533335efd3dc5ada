/* `wasmcloud invoke`: one run of a function, without its address: standard input is the request's
 * body, the answer's body is standard output.
 *
 * Like `run`, it ends as the program did: its exit status, 128 + n when a limit
 * or a trap ended it, 125 when no run took place. */
#include "base/brand.h"
#include "cli/args.h"
#include "cli/client.h"
#include "cli/exit.h"
#include "cli/show.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct invocation {
    bool quiet; /* the answer is not wanted */
    int broken; /* why standard output takes no more (errno) */
};

static bool on_body(void *ctx, const struct client_head *head, struct slice piece)
{
    struct invocation *v = ctx;
    bool ours = *head->error; /* it failed before it answered: the body says so, and so do we */
    while (piece.n && !v->quiet && !ours) {
        ssize_t n = write(STDOUT_FILENO, piece.p, piece.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            v->broken = errno;
            return false;
        }
        piece = slice_from(piece, (size_t)n);
    }
    return true;
}

/* Something is meant to be read: not a terminal, not /dev/null. */
static bool has_input(void)
{
    struct stat st;
    return fstat(STDIN_FILENO, &st) == 0 &&
           (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

/* The record of the run. It is written a moment after the answer: asked for until it is there. */
static json_t *run_record(struct client *c, const char *id)
{
    enum { TRIES = 50, PAUSE_MS = 20 };
    for (int i = 0; i < TRIES; i++) {
        json_t *run = NULL;
        enum err_code rc = client_call(
            c, &(struct client_request){.path = "{P}/runs/{}", .at = {id}}, &run, NULL, NULL);
        if (rc == ERR_OK)
            return run;
        if (rc != ERR_NOT_FOUND)
            return NULL;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
    return NULL;
}

/* The exit status that the run's record, or without one the answer's head, stands for. */
static int ended(struct client *c, const struct client_head *head, bool json)
{
    json_t *run = *head->run ? run_record(c, head->run) : NULL;
    const char *slug = run ? answer_text(run, "cause") : head->error;
    enum err_code cause = ERR_OK;
    if (*slug && !err_from_slug(slice_str(slug), &cause))
        cause = ERR_INTERNAL;
    int status = exit_of_run(cause, (int)json_integer_value(json_object_get(run, "exit_status")));
    if (json && run)
        show_json(run);
    if (cause) {
        fprintf(stderr, "%s: %s", BRAND_COMMAND, err_title(cause));
        if (*answer_text(run, "text")) {
            fputs(": ", stderr);
            show_text(stderr, slice_str(answer_text(run, "text")));
        }
        fprintf(stderr, "\nnext: %s runs show %s\n", BRAND_COMMAND, head->run);
    }
    json_decref(run);
    return status;
}

int cmd_invoke(int argc, char **argv)
{
    const char *project = NULL, *method = NULL, *path = NULL, *type = NULL;
    bool json = false;
    const struct flag flags[] = {
        {.name = "method",
         .value = "METHOD",
         .help = "default: POST with standard input, GET without",
         .text = &method},
        {.name = "path", .value = "/PATH?QUERY", .help = "of the request (/)", .text = &path},
        {.name = "type", .value = "TYPE", .help = "Content-Type of standard input", .text = &type},
        {.name = "json", .help = "print the run's record instead of the answer", .on = &json},
        FLAG_PROJECT(project),
        {0},
    };
    struct words words;
    int status = args_parse("invoke", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;

    bool bare = method && (strcasecmp(method, "GET") == 0 || strcasecmp(method, "HEAD") == 0);
    bool input = !bare && has_input();
    struct invocation v = {.quiet = json};
    struct client *c = NULL;
    struct err e;
    if (client_open(project, &c, &e)) {
        client_fail(NULL, &e);
        return EXIT_OWN_FAILURE;
    }
    struct client_head head = {0};
    struct client_request request = {
        .method = "POST",
        .path = "{P}/functions/{}/invoke",
        .at = {words.at[0]},
        .query = {{"method", method  ? method
                             : input ? "POST"
                                     : "GET"},
                  {"path", path}},
        .content_type = !input ? NULL
                        : type ? type
                               : "application/octet-stream",
        .fd = STDIN_FILENO,
        .on_body = on_body,
        .ctx = &v,
    };
    enum err_code rc = client_call(c, &request, NULL, &head, &e);
    if (v.broken == EPIPE) {
        status = 128 + SIGPIPE; /* as a filter that the signal ended, and as quietly */
    } else if (v.broken || (rc && !*head.run)) {
        if (v.broken)
            err_set(&e, ERR_IO, "can't write the answer: %s", strerror(v.broken));
        client_fail(&request, &e);
        status = EXIT_OWN_FAILURE;
    } else {
        status = ended(c, &head, json);
        if (rc && status == 0) { /* the program ended well, its answer did not arrive whole */
            command_fail(&e);
            status = EXIT_OWN_FAILURE;
        }
    }
    client_close(c);
    return status;
}
