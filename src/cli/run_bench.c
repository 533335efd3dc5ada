#include "cli/run_bench.h"

#include "base/clock.h"
#include "cli/show.h"
#include "engine/image.h"
#include "guest/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    COMPILES = 5,
    OPENS = 1000,
    ENOUGH_US = 2000000, /* compiling or opening is not tried again after this time */
};

struct samples {
    const char *name;
    double *us;
    unsigned n, cap;
};

struct bench {
    struct samples compile, open, instantiate, run;
};

static struct samples samples_new(const char *name, unsigned cap)
{
    struct samples s = {.name = name, .us = malloc(cap * sizeof *s.us), .cap = cap};
    if (!s.us)
        abort();
    return s;
}

static void add(struct samples *s, double us)
{
    if (s->n < s->cap)
        s->us[s->n++] = us;
}

static double since(uint64_t ns)
{
    return (double)(clock_mono_ns() - ns) / 1000;
}

static enum err_code bench_compile(struct bench *b, struct slice module,
                                   const struct runner_job *job, struct err *e)
{
    uint64_t begun = clock_mono_us();
    enum err_code rc = ERR_OK;
    for (int i = 0; i < COMPILES && !rc && clock_mono_us() - begun < ENOUGH_US; i++) {
        int fd = memfd_create("image", MFD_CLOEXEC);
        if (fd < 0)
            return err_errno(e, "no memory for an image");
        uint64_t at = clock_mono_ns();
        rc = image_cache_compile(module, (enum engine_kind)job->load->kind, fd, job->options, e);
        add(&b->compile, since(at));
        close(fd);
    }
    return rc;
}

/* Opens it in this process, which trusts the image as an exec does; nothing of it runs here. */
static enum err_code bench_open(struct bench *b, const struct image_cache *cache,
                                const struct runner_job *job, struct err *e)
{
    char name[IMAGE_NAME], path[IMAGE_NAME + 64];
    struct engine *engine = NULL;
    image_name(job->load->digest, (enum engine_kind)job->load->kind, name);
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", cache->project_fd, name);
    uint64_t begun = clock_mono_us();
    enum err_code rc = engine_new((enum engine_kind)job->load->kind, ENGINE_TO_RUN_ONE,
                                  &job->options->limits, &engine, e);
    for (int i = 0; i < OPENS && !rc && clock_mono_us() - begun < ENOUGH_US; i++) {
        struct image *image;
        uint64_t at = clock_mono_ns();
        rc = image_open(engine, path, host_handlers, &image, e);
        add(&b->open, since(at));
        if (!rc)
            image_unref(image);
    }
    engine_free(engine);
    return rc;
}

static void on_run(void *arg, const struct ledger *l)
{
    struct bench *b = arg;
    double start = (double)l->head.start_ns / 1000, all = (double)l->head.cpu_us;
    add(&b->instantiate, start);
    add(&b->run, all > start ? all - start : 0);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The sample that `percent` of them are not above. */
static double percentile(const struct samples *s, unsigned percent)
{
    return s->n ? s->us[((uint64_t)s->n * percent + 99) / 100 - 1] : 0;
}

static void print(struct samples *const *rows, bool json)
{
    static const char *const head[] = {"µs", "SAMPLES", "MIN", "MEDIAN", "P99", NULL};
    json_t *all = json_object();
    struct show_table t = {0};
    for (; *rows; rows++) {
        struct samples *s = *rows;
        char n[24], least[24], median[24], p99[24];
        qsort(s->us, s->n, sizeof *s->us, compare);
        double min = s->n ? s->us[0] : 0, mid = percentile(s, 50), high = percentile(s, 99);
        snprintf(n, sizeof n, "%u", s->n);
        snprintf(least, sizeof least, "%.1f", min);
        snprintf(median, sizeof median, "%.1f", mid);
        snprintf(p99, sizeof p99, "%.1f", high);
        if (json)
            json_object_set_new(all, s->name,
                                json_pack("{s:i, s:f, s:f, s:f}", "samples", (int)s->n, "min", min,
                                          "median", mid, "p99", high));
        else
            show_row(&t, head, (const char *const[]){s->name, n, least, median, p99});
    }
    if (json) {
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(7));
        putchar('\n');
    } else {
        show_table(&t, "");
    }
    json_decref(all);
}

enum err_code run_bench(struct slice module, const struct image_cache *cache,
                        const struct runner_job *job, unsigned count, bool json,
                        struct runner_end *ret_end, struct err *e)
{
    struct bench b = {.compile = samples_new("compile", COMPILES),
                      .open = samples_new("open", OPENS),
                      .instantiate = samples_new("instantiate", count),
                      .run = samples_new("run", count)};
    struct samples *const rows[] = {&b.compile, &b.open, &b.instantiate, &b.run, NULL};
    struct runner_job many = *job;
    many.again = count - 1;
    many.each = on_run;
    many.arg = &b;
    many.answer = NULL;
    enum err_code rc = bench_compile(&b, module, job, e);
    if (!rc)
        rc = bench_open(&b, cache, job, e);
    if (!rc)
        rc = runner_run(&many, ret_end, e);
    if (!rc)
        print(rows, json);
    for (size_t i = 0; rows[i]; i++)
        free(rows[i]->us);
    return rc;
}
