/* The engine: images are made and opened, and runs end as they should, each in a new instance. */
#include "engine/instance.h"

#include "assemble.h"
#include "base/clock.h"
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A host that only needs three functions: log_write notes its level, msleep waits until the test
 * says so, exit ends the guest. */
static struct {
    int noted[16], count;
    bool awake;
    int tries;
    uint64_t calls[HOST_COUNT];
} host;

static enum engine_verdict note(struct engine_call *c)
{
    host.noted[host.count++ % 16] = (int)engine_u32(c, 0);
    return ENGINE_DONE;
}

static enum engine_verdict nap(struct engine_call *c)
{
    host.tries++;
    c->progress[0]++;
    return host.awake ? ENGINE_DONE : ENGINE_WAIT;
}

static enum engine_verdict pause_once(struct engine_call *c)
{
    return c->progress[0]++ ? ENGINE_DONE : ENGINE_YIELD;
}

static enum engine_verdict leave(struct engine_call *c)
{
    (void)c;
    return ENGINE_END;
}

static enum engine_verdict sum(struct engine_call *c)
{
    c->result = engine_u32(c, 0) + engine_u32(c, 1);
    return ENGINE_DONE;
}

static const engine_handler handlers[HOST_COUNT] = {
    [HOST_CWA_LOG_WRITE] = note,          [HOST_CWA_RUNTIME_MSLEEP] = nap,
    [HOST_CWA_RUNTIME_EXIT] = leave,      [HOST_CWA_RUNTIME_NAME] = sum,
    [HOST_WASI_SCHED_YIELD] = pause_once,
};

static struct engine *engine, *plain, *counting;
static struct limits limits;
static char folder[] = "/tmp/engine-XXXXXX";

static struct image *open_module(struct slice module, struct err *e)
{
    struct image *image = NULL;
    uint64_t size = 0;
    int fd = open("image", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct stat st;
    if (image_compile(engine, module, fd, &size, e) == ERR_OK) {
        CHECK(fstat(fd, &st) == 0 && (uint64_t)st.st_size == size);
        if (image_open(engine, "image", handlers, &image, e))
            image = NULL;
    }
    close(fd);
    unlink("image");
    return image;
}

static struct image *image_of(const char *entry, const char *result, const char *code)
{
    struct assemble a = {.data = SLICE("hello")};
    struct err e = {0};
    struct image *image = open_module(assemble(&a, entry, result, code), &e);
    if (!image)
        fprintf(stderr, "%s\n", e.text);
    return image;
}

/* Until it ends or waits: a tick may come at any time. */
static enum instance_state step(struct instance *i)
{
    enum instance_state state;
    while ((state = instance_step(i)) == INSTANCE_RUNNABLE)
        ;
    return state;
}

/* Runs it to its end; how it ended stays readable until the next run. */
static const struct instance_end *run(struct image *image)
{
    static struct instance *i;
    static struct instance_end end;
    if (!i)
        i = instance_new();
    memset(&host, 0, sizeof host);
    instance_begin(i, image, &limits, host.calls, &host);
    uint64_t begun = clock_mono_us();
    enum instance_state state;
    while ((state = instance_step(i)) == INSTANCE_RUNNABLE)
        if (clock_mono_us() - begun > 100000)
            instance_cancel(i, ERR_CPU_LIMIT);
    CHECK(state == INSTANCE_ENDED);
    end = *instance_end(i);
    instance_done(i);
    return &end;
}

static const struct instance_end *run_code(const char *entry, const char *result, const char *code)
{
    struct image *image = image_of(entry, result, code);
    CHECK(image != NULL);
    if (!image)
        exit(1);
    const struct instance_end *end = run(image);
    image_unref(image);
    return end;
}

TEST(name)
{
    CHECK(strncmp(engine_name(), "wasmtime-", 9) == 0);
    CHECK(strchr(engine_name(), '/') == NULL && engine_name() == engine_name());
}

TEST(fresh)
{
    /* Notes what lies at address 64, then writes 7 there and grows. */
    struct image *image =
        image_of("_start", "", "64 load 0 0 cwa.log_write 64 7 store 1 grow drop");
    for (int i = 0; i < 200; i++) {
        const struct instance_end *end = run(image);
        CHECK(end->reason == ERR_OK && end->status == 0);
        CHECK(host.count == 1 && host.noted[0] == 0);
        CHECK(end->memory == 2 * 65536);
        CHECK(host.calls[HOST_CWA_LOG_WRITE] == 1);
    }
    image_unref(image);
}

TEST(entry_points)
{
    CHECK(run_code("cwa_main", "i", "41 1 add")->status == 42);
    CHECK(run_code("main", "i", "7")->status == 7);
    CHECK(run_code("handle", "i", "-1")->status == -1);
    struct assemble a = {0};
    struct err e = {0};
    CHECK(open_module(assemble(&a, "_start", "i", "1"), &e) == NULL &&
          e.code == ERR_NO_ENTRY_POINT);
    CHECK(open_module(assemble(&a, "_initialize", "", ""), &e) == NULL &&
          e.code == ERR_NO_ENTRY_POINT);
    CHECK(open_module(SLICE("\0asm\1\0\0\0garbage"), &e) == NULL && e.code == ERR_COMPILE);
}

TEST(arguments)
{
    CHECK(run_code("cwa_main", "i", "40 2 cwa.runtime_name")->status == 42);
}

TEST(traps)
{
    const struct instance_end *end = run_code("_start", "", "unreachable");
    CHECK(end->reason == ERR_TRAP);
    CHECK(run_code("_start", "", "-4 load drop")->reason == ERR_TRAP);
    CHECK(run_code("_start", "", "self")->reason == ERR_STACK_OVERFLOW);
    /* A place that a trap left is as good as new. */
    CHECK(run_code("cwa_main", "i", "3")->status == 3);
}

static const char *explain(const char *why, const char *advice, const char *code)
{
    static char text[1024];
    struct image *image = image_of("_start", "", code);
    struct instance *i = instance_new();
    memset(&host, 0, sizeof host);
    instance_begin(i, image, &limits, host.calls, &host);
    CHECK(step(i) != INSTANCE_RUNNABLE);
    instance_cancel(i, ERR_WALL_LIMIT);
    memset(text, 'x', sizeof text);
    instance_explain(i, slice_str(why), slice_str(advice), text, sizeof text);
    instance_free(i);
    image_unref(image);
    return text;
}

TEST(explained)
{
    const char *text = explain("", "", "unreachable");
    CHECK(strncmp(text, "it reached an unreachable instruction\n  at ", 43) == 0);
    CHECK(strstr(text, "\nhint: it gave up") && !strstr(text, "last host call"));
    CHECK(strstr(explain("", "", "-4 load drop"),
                 "outside of its memory: address 4294967292 of 65536 bytes"));
    CHECK(strstr(explain("", "", "self"), " over and over"));
    /* The last host call with its arguments, over or not; a handler's own words and advice. */
    text = explain("", "", "40 2 cwa.runtime_name drop 6 -1 70000 cwa.log_write unreachable");
    CHECK(strstr(text, "\nlast host call: cwa.log_write(6, -1, 70000)\n"));
    CHECK(strstr(explain("", "", "40 2 cwa.runtime_name drop unreachable"),
                 "cwa.runtime_name(40, 2) -> 42\n"));
    text = explain("why it ended", "do it better", "5 cwa.runtime_exit");
    CHECK(strncmp(text, "why it ended\n  at ", 18) == 0);
    CHECK(strstr(text, "\nlast host call: cwa.runtime_exit(5)\nhint: do it better"));
    CHECK(strcmp(explain("", "", "1000 cwa.runtime_msleep"),
                 "last host call: cwa.runtime_msleep(1000), for which it waited") == 0);
    /* What does not fit is left out, whatever the size. */
    struct image *image = image_of("_start", "", "6 1 1 cwa.log_write unreachable");
    struct instance *i = instance_new();
    instance_begin(i, image, &limits, host.calls, &host);
    CHECK(step(i) == INSTANCE_ENDED);
    for (size_t size = 1; size < 600; size++) {
        char little[600];
        memset(little, 'x', sizeof little);
        instance_explain(i, SLICE(""), SLICE(""), little, size);
        CHECK(strnlen(little, size) < size && little[size] == 'x');
    }
    instance_free(i);
    image_unref(image);
}

TEST(exit_by_host)
{
    const struct instance_end *end = run_code("_start", "", "5 cwa.runtime_exit unreachable");
    CHECK(end->by_host && end->reason == ERR_OK);
}

TEST(memory_limit)
{
    limits.v[LIMIT_MEMORY] = 1 << 20;
    const struct instance_end *end = run_code("cwa_main", "i", "100 grow 15 grow drop 1 grow add");
    CHECK(end->reason == ERR_OK && end->status == -2 && end->memory == 1 << 20);
    struct assemble a = {.pages = 17};
    struct err e;
    struct image *image = open_module(assemble(&a, "_start", "", ""), &e);
    CHECK(image && run(image)->reason == ERR_MEMORY_LIMIT);
    image_unref(image);
    limits_init(&limits, false);
}

TEST(endless)
{
    static const char *const shapes[] = {
        "loop br 0 end",
        "loop wasi.sched_yield drop br 0 end",
        "loop 0 0 0 cwa.log_write br 0 end",
        "loop 0 1 65536 fill br 0 end",
        "0 load drop loop block 1 br_if 0 end br 0 end",
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        CHECK(run_code("_start", "", shapes[i])->reason == ERR_CPU_LIMIT);
}

static int ticks;

static bool third_tick(void *owner)
{
    CHECK(owner == &host);
    return ++ticks == 3;
}

TEST(watched)
{
    struct image *image = image_of("_start", "", "loop br 0 end");
    struct instance *i = instance_new();
    char text[1024];
    ticks = 0;
    instance_begin(i, image, &limits, host.calls, &host);
    instance_watch(i, third_tick);
    CHECK(step(i) == INSTANCE_ENDED && ticks == 3);
    CHECK(instance_end(i)->reason == ERR_CPU_LIMIT && !instance_end(i)->by_host);
    instance_explain(i, SLICE("it is over"), SLICE(""), text, sizeof text);
    CHECK(strncmp(text, "it is over\n  at ", 16) == 0);
    instance_free(i);
    image_unref(image);
}

TEST(waiting)
{
    struct image *image = image_of("cwa_main", "i", "1 cwa.runtime_msleep 9");
    struct instance *a = instance_new(), *b = instance_new();
    memset(&host, 0, sizeof host);
    instance_begin(a, image, &limits, host.calls, &host);
    instance_begin(b, image, &limits, host.calls, &host);
    CHECK(step(a) == INSTANCE_WAITING && step(b) == INSTANCE_WAITING);
    CHECK(step(a) == INSTANCE_WAITING); /* woken for nothing */
    CHECK(host.tries == 3);
    instance_cancel(b, ERR_WALL_LIMIT);
    CHECK(instance_end(b)->reason == ERR_WALL_LIMIT && instance_end(b)->memory == 65536);
    host.awake = true;
    CHECK(step(a) == INSTANCE_ENDED && instance_end(a)->status == 9);
    instance_done(a);
    instance_done(b);
    /* Never begun, begun and never stepped, done in the middle. */
    instance_begin(a, image, &limits, host.calls, &host);
    instance_done(a);
    host.awake = false;
    instance_begin(a, image, &limits, host.calls, &host);
    CHECK(step(a) == INSTANCE_WAITING);
    instance_free(a);
    instance_free(b);
    image_unref(image);
}

TEST(damaged_image)
{
    struct assemble a = {0};
    struct err e = {0};
    uint64_t size;
    struct image *image;
    int fd = open("whole", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(image_compile(engine, assemble(&a, "_start", "", ""), fd, &size, &e) == ERR_OK);
    CHECK(image_open(engine, "absent", handlers, &image, &e) == ERR_NOT_FOUND);
    static const uint64_t cuts[] = {0, 1, 63, 64, 1000};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        CHECK(ftruncate(fd, (off_t)(i + 1 == sizeof cuts / sizeof *cuts ? size - 1 : cuts[i])) ==
              0);
        CHECK(image_open(engine, "whole", handlers, &image, &e) == ERR_CONFLICT);
        CHECK(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
        CHECK(image_compile(engine, assemble(&a, "_start", "", ""), fd, &size, &e) == ERR_OK);
    }
    CHECK(image_open(engine, "whole", handlers, &image, &e) == ERR_OK);
    image_unref(image);
    for (uint64_t at = 0; at < size;
         at += at < size - 256 ? 61 : 1) { /* a bit, all over the file */
        char byte, flipped;
        CHECK(pread(fd, &byte, 1, (off_t)at) == 1);
        flipped = (char)(byte ^ 1 << at % 8);
        CHECK(pwrite(fd, &flipped, 1, (off_t)at) == 1);
        CHECK(image_open(engine, "whole", handlers, &image, &e) == ERR_CONFLICT);
        CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
    }
    CHECK(image_open(engine, "whole", handlers, &image, &e) == ERR_OK);
    image_unref(image);
    close(fd);
    unlink("whole");
}

/* Every place taken at once, twice over. */
TEST(all_places)
{
    enum { PLACES = 48 };
    struct image *image = image_of("cwa_main", "i", "1 cwa.runtime_msleep 9");
    struct instance *all[PLACES + 1];
    for (int i = 0; i <= PLACES; i++)
        all[i] = instance_new();
    for (int round = 0; round < 2; round++) {
        memset(&host, 0, sizeof host);
        for (int i = 0; i <= PLACES; i++) {
            instance_begin(all[i], image, &limits, host.calls, &host);
            enum instance_state state = step(all[i]);
            CHECK(state == (i < PLACES ? INSTANCE_WAITING : INSTANCE_ENDED));
        }
        CHECK(instance_end(all[PLACES])->reason == ERR_MEMORY);
        host.awake = true;
        for (int i = 0; i < PLACES; i++)
            CHECK(step(all[i]) == INSTANCE_ENDED && instance_end(all[i])->status == 9);
        for (int i = 0; i <= PLACES; i++)
            instance_done(all[i]);
    }
    for (int i = 0; i <= PLACES; i++)
        instance_free(all[i]);
    image_unref(image);
}

/* From here on the engine counts gas, or no longer. */
static void count_gas(bool on)
{
    struct err e;
    engine = on ? counting : plain;
    engine_tick_stop();
    CHECK(engine_tick_start(engine, &e) == ERR_OK);
}

TEST(gas)
{
    /* How often the loop below goes round is what log_write is told. */
    static const char counted[] = "100000 set 0 loop get 0 -1 add set 0 get 0 br_if 0 end "
                                  "7 0 0 cwa.log_write 5";
    count_gas(true);
    struct image *image = image_of("cwa_main", "i", counted);
    uint64_t all = 0;
    for (int k = 0; k < 100; k++) { /* ticks come at any time */
        const struct instance_end *end = run(image);
        CHECK(end->reason == ERR_OK && end->status == 5);
        CHECK(k == 0 || end->gas == all);
        all = end->gas;
    }
    CHECK(all > 300000 && all < 1000000);

    limits.v[LIMIT_GAS] = all;
    CHECK(run(image)->reason == ERR_OK);
    limits.v[LIMIT_GAS] = all - 50;
    CHECK(run(image)->reason == ERR_GAS_LIMIT && host.count == 0);
    limits.v[LIMIT_GAS] = all / 2;
    const struct instance_end *end = run(image);
    CHECK(end->reason == ERR_GAS_LIMIT && end->gas == all / 2 && host.count == 0);
    image_unref(image);

    /* A trap and a host that ends it leave the count standing; an endless loop is preempted. */
    limits.v[LIMIT_GAS] = 0;
    CHECK(run_code("_start", "", "1 drop unreachable")->gas > 0);
    CHECK(run_code("_start", "", "5 cwa.runtime_exit unreachable")->gas > 0);
    CHECK(run_code("_start", "", "loop br 0 end")->reason == ERR_CPU_LIMIT);
    limits.v[LIMIT_GAS] = 1000000;
    CHECK(run_code("_start", "", "loop br 0 end")->reason == ERR_GAS_LIMIT);
    limits_init(&limits, false);
    count_gas(false);
    CHECK(run_code("_start", "", "1 drop")->gas == 0);
}

TEST(kinds_are_apart)
{
    struct assemble a = {0};
    struct err e = {0};
    uint64_t size;
    struct image *image;
    int fd = open("kind", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    CHECK(image_compile(counting, assemble(&a, "_start", "", ""), fd, &size, &e) == ERR_OK);
    CHECK(image_open(plain, "kind", handlers, &image, &e) == ERR_IO);
    CHECK(image_open(counting, "kind", handlers, &image, &e) == ERR_OK);
    image_unref(image);
    close(fd);
    unlink("kind");
}

static const struct test_case cases[] = {
    CASE(name),    CASE(fresh),         CASE(entry_points),    CASE(arguments),
    CASE(traps),   CASE(exit_by_host),  CASE(memory_limit),    CASE(endless),
    CASE(waiting), CASE(damaged_image), CASE(all_places),      CASE(gas),
    CASE(watched), CASE(explained),     CASE(kinds_are_apart),
};

int main(void)
{
    struct err e = {0};
    limits_init(&limits, false);
    if (!mkdtemp(folder) || chdir(folder) ||
        engine_new(ENGINE_PLAIN, ENGINE_TO_RUN, &limits, &plain, &e) ||
        engine_new(ENGINE_FUEL, ENGINE_TO_RUN, &limits, &counting, &e) ||
        engine_tick_start(engine = plain, &e)) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    int status = test_main(cases, (int)(sizeof cases / sizeof *cases));
    engine_tick_stop();
    if (chdir("/") == 0)
        rmdir(folder);
    return status;
}
