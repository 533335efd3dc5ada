/* `wasmcloud run FILE [ARGS]`, also as `pahi FILE [ARGS]`: a program without a server.
 *
 * A small master: a compile job when the image isn't in the user's cache, one
 * exec, both locked down as a server's would be. Standard output is the
 * program's alone; everything that we have to say goes to standard error. */
#include "api/record.h"
#include "base/brand.h"
#include "base/host.h"
#include "cli/args.h"
#include "cli/image_cache.h"
#include "cli/local.h"
#include "cli/play.h"
#include "cli/replay.h"
#include "cli/run_bench.h"
#include "cli/run_version.h"
#include "cli/runner.h"
#include "cli/show.h"
#include "ipc/frame.h"
#include "roles/roles.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct run_args {
    bool ledger, json, trace;
    const char *memory, *cpu, *gas, *cgi, *body, *policy, *assets, *bench, *record, *replay;
    uint64_t runs; /* of --bench; 0: no bench */
    struct words env, limits, headers;
    const char *file;
    int argc; /* of the program, without argv[0] */
    char **argv;
};

/* ---- command line ---- */

/* Where FILE is: the first word that is neither a flag nor a flag's value. What follows is the
 * program's, flags or not. */
static int file_at(int argc, char **argv, const struct flag *flags)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        if (strcmp(argv[i], "--") == 0)
            return i + 1;
        for (const struct flag *f = flags; f->name; f++)
            if (f->value &&
                (strcmp(argv[i] + 2, f->name) == 0 || (argv[i][1] == f->letter && !argv[i][2]))) {
                i++; /* --flag VALUE */
                break;
            }
    }
    return i;
}

/* `--cgi METHOD URL` becomes `--cgi "METHOD URL"`: the one flag with two values. */
static void join_request(int *argc, char **argv, int end)
{
    for (int i = 1; i + 2 < *argc && i < end; i++) {
        char *method = argv[i + 1], *url = argv[i + 2], *both;
        if (strcmp(argv[i], "--cgi") || strpbrk(method, " /:") ||
            (url[0] != '/' && !strstr(url, "://")))
            continue;
        if (asprintf(&both, "%s %s", method, url) < 0)
            abort();
        argv[i + 1] = both; /* as long-lived as argv */
        for (int k = i + 2; k + 1 < *argc; k++)
            argv[k] = argv[k + 1];
        (*argc)--;
        return;
    }
}

/* -1: go on; otherwise the exit status. */
static int parse(int argc, char **argv, struct run_args *a)
{
    const struct flag flags[] = {
        {.name = "ledger", .help = "say on standard error what it used", .on = &a->ledger},
        {.name = "json", .help = "the ledger as JSON", .on = &a->json},
        {.name = "trace", .help = "say each host call on standard error", .on = &a->trace},
        {.name = "env",
         .value = "NAME=VALUE",
         .help = "an environment variable of the program",
         .many = &a->env},
        {.name = "memory", .value = "SIZE", .help = "as --limit memory=SIZE", .text = &a->memory},
        {.name = "cpu", .value = "TIME", .help = "as --limit cpu=TIME", .text = &a->cpu},
        {.name = "gas",
         .value = "COUNT",
         .help = "count instructions and end it after so many",
         .text = &a->gas},
        {.name = "limit",
         .value = "NAME=VALUE",
         .help = "another limit (`" BRAND_COMMAND " limits` lists them)",
         .many = &a->limits},
        {.name = "policy",
         .value = "FILE",
         .help = "what it may open: YAML, JSON, or Olin's *.policy; else nothing remote",
         .text = &a->policy},
        {.name = "assets",
         .value = "DIR",
         .help = "a folder that it can read as \"/\"",
         .text = &a->assets},
        {.name = "cgi",
         .value = "[METHOD] URL",
         .help = "play a request and show the answer; standard input is its body",
         .text = &a->cgi},
        {.name = "body", .value = "FILE", .help = "… or this file", .text = &a->body},
        {.name = "bench",
         .value = "N",
         .help = "N fresh instances, without input and output: what starting and running cost",
         .text = &a->bench},
        {.name = "record",
         .value = "FILE",
         .help = "write what it got from outside to FILE, for --replay",
         .text = &a->record},
        {.name = "replay",
         .value = "FILE",
         .help = "run what `runs pull` or --record wrote again, without a network; with another "
                 "module, that",
         .text = &a->replay},
        {.name = "header",
         .letter = 'H',
         .value = "NAME: VALUE",
         .help = "a header field of that request",
         .many = &a->headers},
        {0},
    };
    struct words file;
    join_request(&argc, argv, file_at(argc, argv, flags));
    int at = file_at(argc, argv, flags);
    int status = args_parse("run", at < argc ? at + 1 : argc, argv, flags, &file, 0, 1);
    if (status >= 0)
        return status;
    if (file.n == 0 && !a->replay)
        return command_usage("run", "which FILE?");
    a->file = file.n ? file.at[0] : NULL;
    a->argv = argv + at + 1;
    a->argc = argc > at ? argc - at - 1 : 0;
    if (a->replay && (a->argc || a->cgi || a->policy || a->assets || a->bench || a->record))
        return command_usage("run", "--replay takes arguments, request, policy and assets from the "
                                    "file: only --env, limits, --ledger and --trace go with it");
    if (a->record && a->bench)
        return command_usage("run", "--record and --bench don't go together");
    for (size_t i = 0; i < a->env.n; i++)
        if (!strchr(a->env.at[i], '=') || a->env.at[i][0] == '=')
            return command_usage("run", "--env wants NAME=VALUE, not \"%s\"", a->env.at[i]);
    if (a->bench && (!slice_u64(slice_str(a->bench), &a->runs) || !a->runs || a->runs > BENCH_MOST))
        return command_usage("run", "--bench wants a number from 1 to %d", (int)BENCH_MOST);
    return -1;
}

/* The exec holds this one program: it gets what the program may have. */
static enum err_code make_room(struct options *o, struct err *e)
{
    uint64_t need = o->limits.v[LIMIT_MEMORY] + EXEC_OWN_MEMORY;
    if (o->limits.v[LIMIT_EXEC_MEMORY] >= need)
        return ERR_OK;
    const char *before = option_text(o, OPTION_LIMITS);
    struct buf all;
    buf_init(&all, 1 << 16);
    enum err_code rc =
        buf_addf(&all, "%s%sexec-memory=%ju", before, *before ? "," : "", (uintmax_t)need)
            ? options_set(o, SLICE("limits"), buf_slice(&all), e)
            : err_set(e, ERR_USAGE, "too many limits");
    if (!rc)
        rc = options_finish(o, e);
    buf_done(&all);
    return rc;
}

/* The node's options as changed by what is replayed, --limit, --memory and --cpu. */
static enum err_code run_options(const struct run_args *a, const struct replay *replay,
                                 struct options *ret, struct err *e)
{
    const struct {
        const char *name, *value;
    } own[] = {{"memory", a->memory}, {"cpu", a->cpu}, {"gas", a->gas}};
    enum { OWN = sizeof own / sizeof *own };
    char text[OWN][64];
    const char *limits[LIMIT_COUNT + WORDS_MAX + OWN];
    size_t n = 0;
    for (; n < replay->limit_count; n++)
        limits[n] = replay->limit_at[n];
    for (size_t i = 0; i < a->limits.n; i++)
        limits[n++] = a->limits.at[i];
    for (size_t i = 0; i < OWN; i++)
        if (own[i].value) {
            snprintf(text[i], sizeof text[i], "%s=%s", own[i].name, own[i].value);
            limits[n++] = text[i];
        }
    enum err_code rc = local_options(limits, n, ret, e);
    if (!rc)
        rc = make_room(ret, e);
    return rc;
}

/* ---- afterwards ---- */

static void print_end(const struct ledger *l)
{
    enum err_code reason = (enum err_code)l->head.reason;
    if (reason == ERR_OK || reason == ERR_EXIT_STATUS || reason == ERR_CANCELLED)
        return;
    fprintf(stderr, "%s: %s (%s)\n", BRAND_COMMAND, err_title(reason), err_slug(reason));
    for (struct slice rest = slice_str(l->text); rest.p;) {
        struct slice line = slice_split(&rest, '\n');
        if (line.n) {
            fputs("  ", stderr);
            show_text(stderr, line);
            fputc('\n', stderr);
        }
    }
}

/* What would let a local run open the URL that ended it. */
static void print_remedy(const struct ledger *l)
{
    struct ledger_use use, last = {0};
    struct slice url, rule, refused = SLICE("");
    for (size_t at = 0; ledger_use_next(l, &at, &use, &url, &rule);)
        if (use.outcome == LEDGER_REFUSED) {
            last = use;
            refused = url;
        }
    if (l->head.reason != ERR_POLICY || !refused.n)
        return;
    if (last.operator_) {
        fprintf(stderr, "  hint: you are the operator here: WASMCLOUD_EGRESS_ADDRESSES lists "
                        "networks that may be reached all the same\n");
        return;
    }
    fprintf(stderr, "  hint: give it --policy FILE, with this in FILE: allow: ['");
    show_text(stderr, refused);
    fprintf(stderr, "']\n");
}

static const char *call_label(const struct ledger_call *c)
{
    return c->function < HOST_COUNT ? host_functions[c->function].label : "?";
}

/* With the names that the API uses. */
static json_t *record(const struct ledger *l)
{
    const struct ledger_head *h = &l->head;
    json_t *calls = json_object();
    for (int i = 0; i < h->call_rows; i++)
        json_object_set_new(calls, call_label(&l->calls[i]),
                            json_integer((json_int_t)l->calls[i].count));
    json_t *all =
        json_pack("{s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:s*}", "cause",
                  err_slug((enum err_code)h->reason), "exit_status", (int)h->status, "cpu_us",
                  (json_int_t)h->cpu_us, "wall_us", (json_int_t)h->wall_us, "memory_peak",
                  (json_int_t)h->memory_peak, "bytes_in", (json_int_t)h->bytes_in, "bytes_out",
                  (json_int_t)h->bytes_out, "host_calls", calls, "calls", (json_int_t)h->calls,
                  "log_lines", (json_int_t)h->log_lines, "log_lost", (json_int_t)h->log_lost,
                  "text", l->text[0] ? l->text : NULL);
    struct jot uses, sums;
    jot_init(&uses, RECORD_MOST);
    jot_init(&sums, RECORD_MOST);
    record_show(all, record_uses(l, &uses) ? buf_slice(&uses.text) : SLICE("[]"),
                record_sums(l, &sums) ? buf_slice(&sums.text) : SLICE("{}"));
    jot_done(&uses);
    jot_done(&sums);
    return all;
}

/* `replay` may be NULL. */
static void print_ledger(const struct ledger *l, bool json, json_t *replay)
{
    json_t *all = record(l);
    if (replay)
        json_object_set(all, "replay", replay);
    if (json) {
        json_dumpf(all, stderr, JSON_COMPACT);
        fputc('\n', stderr);
    } else {
        fprintf(stderr, "ended     %s, exit status %d\n", err_slug((enum err_code)l->head.reason),
                (int)l->head.status);
        show_ledger(stderr, all);
    }
    json_decref(all);
}

static int report(const struct run_args *a, const struct runner_end *end,
                  const struct version_load *load, const struct replay *replay)
{
    const struct ledger *l = &end->ledger;
    json_t *judged = NULL;
    print_end(l);
    print_remedy(l);
    bool same = !a->replay || replay_judge(replay, load, end, a->json, &judged);
    if (a->ledger || a->json)
        print_ledger(l, a->json, judged);
    json_decref(judged);
    if (end->broken)
        fprintf(stderr, "%s: can't write to standard output: %s\n", BRAND_COMMAND,
                strerror(end->broken));
    if (end->broken || (!same && !end->signal))
        return EXIT_OWN_FAILURE;
    return end->signal ? 128 + end->signal
                       : exit_of_run((enum err_code)l->head.reason, l->head.status);
}

/* What the run was given and got, its module and its assets: all that a replay needs. */
static enum err_code keep_capture(const struct run_args *a, struct runner_end *end,
                                  struct slice module, const struct image_cache *cache,
                                  const struct version_load *load, struct err *e)
{
    static const uint8_t none[DIGEST_BYTES];
    struct buf bundle;
    enum err_code rc = ERR_OK;
    buf_init(&bundle, SIZE_MAX);
    if (!buf_size(&end->capture))
        return err_set(e, ERR_MEMORY, "the run was not recorded: its process had no memory for it");
    if (memcmp(load->assets, none, sizeof none))
        rc = image_cache_bundle(cache, load->assets, &bundle, e);
    if (!rc)
        rc = capture_file_write(a->record,
                                &(struct capture_file){.tape = buf_slice(&end->capture),
                                                       .module = module,
                                                       .bundle = buf_slice(&bundle)},
                                e);
    buf_done(&bundle);
    return rc;
}

int cmd_run(int argc, char **argv)
{
    struct run_args a = {0};
    int status = parse(argc, argv, &a);
    if (status >= 0)
        return status;

    struct err e = {0};
    struct options options;
    struct image_cache cache = {-1, -1};
    struct verdict verdict;
    struct run_version v;
    struct buf bytes, meta;
    static struct runner_end end;
    static struct replay replay;
    const struct run_source source = {.file = a.file,
                                      .argc = a.argc,
                                      .argv = a.argv,
                                      .env = a.env.at,
                                      .env_count = a.env.n,
                                      .policy = a.policy,
                                      .assets = a.assets};
    buf_init(&meta, FRAME_MOST);
    enum err_code rc = a.replay ? replay_open(a.replay, &replay, &e) : ERR_OK;
    enum err_code set = run_options(&a, &replay, &options, rc ? NULL : &e);
    rc = rc ? rc : set;
    enum err_code made = a.replay
                             ? replay_version(&replay, &a.env, &options.limits, &v, rc ? NULL : &e)
                             : run_version_make(&source, &options, &v, rc ? NULL : &e);
    rc = rc ? rc : made;
    buf_init(&bytes, options.limits.v[LIMIT_MODULE]);
    v.load.trace = a.trace;
    if (!rc && a.file)
        rc = local_read(a.file, &options.limits, LIMIT_MODULE, &bytes, &e);
    if (!rc)
        rc = image_cache_find(a.file ? buf_slice(&bytes) : replay.file.module, v.load.kind,
                              &options, &cache, v.load.digest, &verdict, &e);
    if (!rc)
        rc = a.replay ? replay_assets(&replay, &cache, &v, &e)
                      : run_version_assets(&source, &cache, &options.limits, &v, &e);
    if (!a.bench && !a.record)
        buf_done(&bytes);
    if (!rc && a.cgi)
        rc = play_request(a.cgi, a.body, &a.headers, &options.limits, &meta, &e);
    if (rc) {
        status = local_fail(&e);
        goto out;
    }
    struct play_answer answer;
    play_answer_init(&answer, &options.limits);
    const struct runner_job job = {.images_fd = cache.engine_fd,
                                   .project = image_cache_project,
                                   .load = &v.load,
                                   .meta = a.replay ? replay.tape.meta : buf_slice(&meta),
                                   .tape = replay.file.tape,
                                   .tape_output = replay.tape.output_bytes,
                                   .keep = a.record != NULL,
                                   .answer = a.cgi ? &answer : NULL,
                                   .options = &options};
    rc = a.bench ? run_bench(buf_slice(&bytes), &cache, &job, (unsigned)a.runs, a.json, &end, &e)
                 : runner_run(&job, &end, &e);
    a.json = a.json && !a.bench; /* it was the table */
    if (rc) {
        /* should it be the image: it is made again */
        image_cache_drop(&cache, v.load.digest, v.load.kind);
        command_fail(&e);
    }
    status = rc ? EXIT_OWN_FAILURE : report(&a, &end, &v.load, &replay);
    if (!rc && a.record && keep_capture(&a, &end, buf_slice(&bytes), &cache, &v.load, &e))
        status = local_fail(&e);
    buf_done(&end.capture);
    play_answer_done(&answer);
out:
    buf_done(&bytes);
    image_cache_close(&cache);
    run_version_done(&v);
    replay_done(&replay);
    buf_done(&meta);
    options_done(&options);
    return status;
}
