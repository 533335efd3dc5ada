/* What one run costs inside exec: `exec-bench FILE.wasm…`.
 *
 * Drives an exec over a socket pair with `AT_ONCE` runs in flight, and prints
 * for each module the CPU time a run cost the process (its own clock, frames
 * included), what the ledgers say, and how long the first run took. */
#include "../unit/exec_driver.h"

#include "base/clock.h"

#include <errno.h>

enum { AT_ONCE = 32, RUNS = 200000, ROUNDS = 5 };

static const char meta[] = "GATEWAY_INTERFACE\0CGI/1.1\0SERVER_SOFTWARE\0wasmcloud/0.1.0\0"
                           "SERVER_PROTOCOL\0HTTP/1.1\0SERVER_NAME\0localhost\0SERVER_PORT\08080\0"
                           "REQUEST_METHOD\0GET\0SCRIPT_NAME\0\0PATH_INFO\0/\0QUERY_STRING\0\0"
                           "REQUEST_URI\0/\0REMOTE_ADDR\0" "127.0.0.1\0REMOTE_HOST\0" "127.0.0.1\0"
                           "HTTP_HOST\0localhost\0RUN_ID\0"
                           "019a0000-0000-7000-8000-000000000000\0WORKER_ID\0abcdef";

static struct slice read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st))
        driver_die(path, NULL);
    char *p = malloc((size_t)st.st_size);
    if (!p || fread(p, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        driver_die(path, NULL);
    fclose(f);
    return slice_make(p, (size_t)st.st_size);
}

static uint64_t process_cpu_ns(pid_t pid)
{
    clockid_t id;
    struct timespec t = {0};
    if (clock_getcpuclockid(pid, &id) == 0)
        clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void print_status(pid_t pid, const char *when)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "r");
    printf("%s:", when);
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "RssAnon", 7) || !strncmp(line, "VmData", 6) ||
            !strncmp(line, "VmPTE", 5))
            printf(" %.*s", (int)strcspn(line, "\n"), line);
    printf("\n");
    if (f)
        fclose(f);
}

/* Runs `count` of them; returns the sum of the ledgers' CPU times. */
static uint64_t run(struct driver *d, uint32_t slot, int count, int at_once)
{
    static uint64_t id = 1;
    uint64_t cpu = 0;
    int begun = 0, ended = 0;
    while (ended < count) {
        for (; begun < count && begun - ended < at_once; begun++)
            driver_begin(d, id++, slot, slice_make(meta, sizeof meta), false);
        driver_flush(d);
        do {
            struct frame f;
            struct slice payload;
            struct ledger l;
            struct err e;
            if (!driver_next(d, &f, &payload))
                driver_die("exec ended", NULL);
            if (f.type == FRAME_LOAD_FAILED)
                fprintf(stderr, "%.*s\n", (int)payload.n, payload.p);
            if (f.type != FRAME_END)
                continue;
            if (ledger_read(payload, &l, &e))
                driver_die("ledger", &e);
            if (l.head.reason)
                fprintf(stderr, "%s: %s\n", err_slug(l.head.reason), l.text), exit(1);
            cpu += l.head.cpu_us;
            ended++;
        } while (buf_size(&d->in) > FRAME_HEAD && ended < begun && begun - ended > at_once / 2);
    }
    return cpu;
}

int main(int argc, char **argv)
{
    struct driver d;
    driver_init(&d, true);
    for (int i = 1; i < argc; i++)
        driver_compile(&d, (uint8_t)i, read_file(argv[i]));
    driver_start(&d, false);
    char ready[256];
    uint64_t t0 = clock_mono_us();
    if (recv(d.leash, ready, sizeof ready, 0) <= 0)
        driver_die("leash", NULL);
    printf("ready after %llu us\n", (unsigned long long)(clock_mono_us() - t0));
    print_status(d.pid, "blank");
    driver_bind(&d);
    for (int i = 1; i < argc; i++) {
        uint64_t begun = clock_mono_us();
        driver_load(&d, (uint32_t)i, (uint8_t)i, &d.limits, SLICE(""), SLICE("bench\0"));
        run(&d, (uint32_t)i, 1, 1);
        uint64_t first = clock_mono_us() - begun;
        int count = RUNS;
        uint64_t t = clock_mono_us();
        run(&d, (uint32_t)i, 200, 1);
        if (clock_mono_us() - t > 40000)
            count = RUNS / 100;
        double best = 1e9, billed = 0;
        for (int k = 0; k < ROUNDS; k++) {
            uint64_t cpu = process_cpu_ns(d.pid), ledger = run(&d, (uint32_t)i, count, AT_ONCE);
            double each = (double)(process_cpu_ns(d.pid) - cpu) / count / 1000;
            if (each < best) {
                best = each;
                billed = (double)ledger / count;
            }
        }
        printf("%s: %.2f us of CPU a run in all (ledger, whole us: %.2f), first run %llu us\n",
               argv[i], best, billed, (unsigned long long)first);
    }
    print_status(d.pid, "after");
    driver_stop(&d);
    driver_done(&d);
    return 0;
}
