/* The host functions, called as the engine would call them, without an engine: a made-up memory
 * and a host that remembers what reached it. */
#include "guest/guest.h"

#include "guest/host.h"
#include "guest/resource.h"
#include "guest/wasi.h"
#include "tar_build.h"
#include "test.h"

#include <stdlib.h>

enum { MEMORY = 65536 };

static struct {
    char output[1 << 20];
    size_t output_size, credit;
    char input[256];
    size_t input_size;
    bool input_end;
    char lines[64][256];
    int line_count;
    uint8_t level, source;
    size_t longest;
    uint64_t wake_at;
} world;

static size_t world_output(struct guest *g, const void *p, size_t n)
{
    (void)g;
    if (n > world.credit)
        n = world.credit;
    if (n > sizeof world.output - world.output_size)
        n = sizeof world.output - world.output_size;
    memcpy(world.output + world.output_size, p, n);
    world.output_size += n;
    world.credit -= n;
    return n;
}

static bool world_output_ready(struct guest *g)
{
    (void)g;
    return world.credit > 0;
}

static size_t world_input_ready(struct guest *g, bool *ret_end)
{
    (void)g;
    *ret_end = !world.input_size && world.input_end;
    return world.input_size;
}

static size_t world_input(struct guest *g, void *p, size_t n, bool *ret_end)
{
    size_t have = world_input_ready(g, ret_end);
    n = n < have ? n : have;
    memcpy(p, world.input, n);
    world.input_size -= n;
    memmove(world.input, world.input + n, world.input_size);
    return n;
}

static void world_log(struct guest *g, enum guest_level level, enum guest_source source,
                      struct slice line)
{
    (void)g;
    world.level = (uint8_t)level;
    world.source = (uint8_t)source;
    if (line.n > world.longest)
        world.longest = line.n;
    snprintf(world.lines[world.line_count++ % 64], sizeof *world.lines, "%.*s", SLICE_ARG(line));
}

static void world_wake_at(struct guest *g, uint64_t mono_us)
{
    (void)g;
    world.wake_at = mono_us;
}

static const struct guest_host host = {
    .output = world_output,
    .output_ready = world_output_ready,
    .input = world_input,
    .input_ready = world_input_ready,
    .log = world_log,
    .wake_at = world_wake_at,
};

static struct guest guest;
static struct limits limits;
static uint8_t *memory;
static struct engine_call call;

static void begin(void)
{
    static const char meta[] = "PATH_INFO\0/x\0REQUEST_METHOD\0GET";
    static const char env[] = "COLOUR\0blue\0REQUEST_METHOD\0POST\0EMPTY\0";
    static const char args[] = "hello\0one";
    guest_end(&guest);
    memset(&world, 0, sizeof world);
    world.credit = sizeof world.output;
    memset(memory, 0, MEMORY);
    limits_init(&limits, false);
    guest.host = &host;
    guest.limits = &limits;
    CHECK(strings_read(slice_make(meta, sizeof meta), true, &guest.meta));
    CHECK(strings_read(slice_make(env, sizeof env), true, &guest.env));
    CHECK(strings_read(slice_make(args, sizeof args), false, &guest.args));
    guest_begin(&guest);
}

/* Calls a host function until it answers otherwise than ENGINE_YIELD. */
static enum engine_verdict start(enum host_id id, int n, const uint64_t *args)
{
    call = (struct engine_call){.owner = &guest, .memory = memory, .memory_size = MEMORY};
    memcpy(call.arg, args, (size_t)n * sizeof *args);
    enum engine_verdict v;
    while ((v = host_handlers[id](&call)) == ENGINE_YIELD)
        ;
    return v;
}
static enum engine_verdict again(enum host_id id)
{
    enum engine_verdict v;
    while ((v = host_handlers[id](&call)) == ENGINE_YIELD)
        ;
    return v;
}
#define START(id, ...)                                                                             \
    start(HOST_##id, (int)(sizeof((uint64_t[]){0, ##__VA_ARGS__}) / 8) - 1,                        \
          (uint64_t[]){0, ##__VA_ARGS__} + 1)
/* The result of a call that is over at once. */
#define CALL(id, ...)                                                                              \
    (START(id, ##__VA_ARGS__) == ENGINE_DONE ? (int32_t)call.result : (int32_t)0xdead)

static uint32_t text(uint32_t at, const char *s)
{
    memcpy(memory + at, s, strlen(s) + 1);
    return (uint32_t)strlen(s);
}

TEST(strings)
{
    struct strings s;
    struct slice v;
    CHECK(strings_read(SLICE(""), true, &s) && s.count == 0);
    CHECK(!strings_read(SLICE("a\0b"), true, &s));
    CHECK(!strings_read(SLICE("a\0b\0c\0"), true, &s));
    CHECK(strings_read(SLICE("a\0\0b\0x\0"), true, &s) && s.count == 4);
    CHECK(strings_find(&s, SLICE("a"), &v) && v.n == 0);
    CHECK(strings_find(&s, SLICE("b"), &v) && slice_eq(v, SLICE("x")));
    CHECK(!strings_find(&s, SLICE("x"), &v) && !strings_find(&s, SLICE(""), &v));
}

TEST(utf8)
{
    CHECK(utf8_valid(SLICE("grün € 🦀")) && utf8_valid(SLICE("")));
    static const char *const bad[] = {"\x80",         "\xc0\xaf",         "\xe2\x82",
                                      "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
                                      "a\xc3",        "\xe0\x9f\xbf"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!utf8_valid(slice_str(bad[i])));
}

TEST(environment)
{
    begin();
    uint32_t n = text(100, "COLOUR");
    CHECK(CALL(CWA_ENV_GET, 100, n, 200, 3) == 4 && memory[200] == 0); /* too small: not copied */
    CHECK(CALL(CWA_ENV_GET, 100, n, 200, 4) == 4 && memcmp(memory + 200, "blue", 5) == 0);
    CHECK(CALL(CWA_ENV_GET, 100, n, 0xffffffff, 0) == 4); /* asks for the length only */
    n = text(100, "REQUEST_METHOD");                      /* the request's, not the function's */
    CHECK(CALL(CWA_ENV_GET, 100, n, 200, 100) == 3 && memcmp(memory + 200, "GET", 3) == 0);
    CHECK(CALL(CWA_ENV_GET, 100, 3, 200, 100) == RESOURCE_NOT_FOUND);
    CHECK(START(CWA_ENV_GET, MEMORY - 1, 2, 0, 0) == ENGINE_END &&
          guest.end_reason == ERR_BAD_POINTER);
    CHECK(START(CWA_ENV_GET, 100, n, MEMORY - 2, 3) == ENGINE_END);

    CHECK(CALL(WASI_ENVIRON_SIZES_GET, 0, 4) == 0 && wasi_get32(memory, 0) == 5);
    CHECK(CALL(WASI_ENVIRON_GET, 64, 512) == 0);
    CHECK_STR((char *)memory + wasi_get32(memory, 64), "PATH_INFO=/x");
    CHECK_STR((char *)memory + wasi_get32(memory, 72), "COLOUR=blue");
    CHECK_STR((char *)memory + wasi_get32(memory, 80), "EMPTY=");
    CHECK(CALL(WASI_ENVIRON_GET, 512, 512) == WASI_EINVAL);
    CHECK(CALL(WASI_ENVIRON_GET, 64, MEMORY - 10) == WASI_EFAULT);
}

TEST(arguments)
{
    begin();
    CHECK(CALL(CWA_STARTUP_ARG_LEN) == 2);
    CHECK(CALL(CWA_STARTUP_ARG_AT, 1, 100, 3) == 3 && memcmp(memory + 100, "one", 4) == 0);
    CHECK(CALL(CWA_STARTUP_ARG_AT, 2, 100, 3) == RESOURCE_INVALID);
    CHECK(CALL(CWA_STARTUP_ARG_AT, (uint64_t)-1, 100, 3) == RESOURCE_INVALID);
    CHECK(CALL(WASI_ARGS_SIZES_GET, 0, 4) == 0 && wasi_get32(memory, 0) == 2 &&
          wasi_get32(memory, 4) == 10);
    CHECK(CALL(WASI_ARGS_GET, 64, 128) == 0);
    CHECK_STR((char *)memory + wasi_get32(memory, 68), "one");
    CHECK(CALL(CWA_RUNTIME_NAME, 100, 4) == 4 && memcmp(memory + 100, "pa'i", 4) == 0);
    CHECK(CALL(CWA_RUNTIME_SPEC_MAJOR) == 0);
}

TEST(output_waits)
{
    begin();
    world.credit = 5;
    text(100, "hello world");
    CHECK(START(CWA_RESOURCE_WRITE, 1, 100, 11) == ENGINE_WAIT);
    CHECK(guest.waits == GUEST_WAITS_OUTPUT && world.output_size == 5);
    CHECK(again(HOST_CWA_RESOURCE_WRITE) == ENGINE_WAIT && world.output_size == 5);
    world.credit = 100;
    CHECK(again(HOST_CWA_RESOURCE_WRITE) == ENGINE_DONE && call.result == 11);
    CHECK(world.output_size == 11 && guest.bytes_out == 11);

    /* Three vectors, room for some of the second. */
    world.output_size = 0;
    world.credit = 7;
    uint32_t vectors[] = {100, 5, 0, 0, 105, 6, 100, 1};
    memcpy(memory + 1000, vectors, sizeof vectors);
    CHECK(START(WASI_FD_WRITE, 1, 1000, 4, 2000) == ENGINE_WAIT && world.output_size == 7);
    world.credit = 100;
    CHECK(again(HOST_WASI_FD_WRITE) == ENGINE_DONE && call.result == 0);
    CHECK(wasi_get32(memory, 2000) == 12 && memcmp(world.output, "hello worldh", 12) == 0);
    CHECK(CALL(WASI_FD_FDSTAT_SET_FLAGS, 1, 4) == 0);
    world.credit = 3;
    CHECK(CALL(WASI_FD_WRITE, 1, 1000, 4, 2000) == 0 && wasi_get32(memory, 2000) == 3);
    CHECK(CALL(WASI_FD_WRITE, 1, 1000, 4, 2000) == WASI_EAGAIN);
}

TEST(input_waits)
{
    begin();
    CHECK(START(CWA_RESOURCE_READ, 0, 100, 10) == ENGINE_WAIT && guest.waits == GUEST_WAITS_INPUT);
    memcpy(world.input, "abc", 3);
    world.input_size = 3;
    CHECK(again(HOST_CWA_RESOURCE_READ) == ENGINE_DONE && call.result == 3);
    world.input_end = true;
    CHECK(CALL(CWA_RESOURCE_READ, 0, 100, 10) == RESOURCE_END);
    CHECK(CALL(CWA_RESOURCE_READ, 0, 100, 0) == 0);
    memcpy(world.input, "defgh", 5);
    world.input_size = 5;
    uint32_t vectors[] = {100, 2, 200, 100};
    memcpy(memory + 1000, vectors, sizeof vectors);
    CHECK(CALL(WASI_FD_READ, 0, 1000, 2, 2000) == 0 && wasi_get32(memory, 2000) == 5);
    CHECK(memcmp(memory + 100, "de", 2) == 0 && memcmp(memory + 200, "fgh", 3) == 0);
    CHECK(CALL(WASI_FD_READ, 0, 1000, 2, 2000) == 0 && wasi_get32(memory, 2000) == 0);
    CHECK(guest.bytes_in == 8);
    CHECK(CALL(WASI_FD_READ, 1, 1000, 2, 2000) == WASI_EBADF);
    /* The first vector reads over the second, which then names memory that isn't there. */
    uint32_t trap[] = {1008, 8, 200, 100};
    memcpy(memory + 1000, trap, sizeof trap);
    memset(world.input, 0xff, 16);
    world.input_size = 16;
    CHECK(CALL(WASI_FD_READ, 0, 1000, 2, 2000) == 0 && wasi_get32(memory, 2000) == 8);
    CHECK(CALL(CWA_RESOURCE_READ, 1, 100, 10) == RESOURCE_INVALID);
}

static int32_t open_url(const char *url)
{
    uint32_t n = text(100, url);
    return CALL(CWA_RESOURCE_OPEN, 100, n);
}

TEST(resources)
{
    begin();
    int32_t fd = open_url("null://");
    CHECK(fd == 4 && CALL(CWA_RESOURCE_READ, fd, 200, 5) == RESOURCE_END);
    CHECK(CALL(CWA_RESOURCE_WRITE, fd, 200, 5) == 5 && CALL(CWA_RESOURCE_FLUSH, fd) == 0);
    CHECK(START(CWA_RESOURCE_CLOSE, fd) == ENGINE_DONE);
    CHECK(START(CWA_RESOURCE_CLOSE, fd) == ENGINE_END && guest.end_reason == ERR_BAD_DESCRIPTOR);
    CHECK(CALL(CWA_RESOURCE_WRITE, fd, 200, 5) == RESOURCE_INVALID);
    memset(memory + 200, 1, 16);
    fd = open_url("ZERO://anything");
    CHECK(CALL(CWA_RESOURCE_READ, fd, 200, 8) == 8 && memory[207] == 0 && memory[208] == 1);
    fd = open_url("random://");
    CHECK(CALL(CWA_RESOURCE_READ, fd, 200, 8) == 8 && CALL(CWA_RESOURCE_WRITE, fd, 200, 1) == -1);
    static const char *const bad[] = {"",       "null",     "null:",       "null:/",
                                      "://",    "1null://", "nu ll://",    "ftp://example.com/",
                                      "fd://3", "\xff://",  "null\x80://", "fd://01x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(open_url(bad[i]) == RESOURCE_INVALID);
    CHECK(world.line_count == (int)(sizeof bad / sizeof *bad) && world.level == GUEST_ERROR);
    CHECK(strstr(world.lines[5], "1null") != NULL);
    fd = open_url("fd://1");
    CHECK(CALL(CWA_RESOURCE_WRITE, fd, 100, 5) == 5 && world.output_size == 5);
    CHECK(open_url("fd://0") > fd);
    /* Without a rule nothing remote is opened: it ends the guest. */
    CHECK(START(CWA_RESOURCE_OPEN, 100, text(100, "gemini://example.com")) == ENGINE_END);
    CHECK(guest.end_reason == ERR_POLICY);
    CHECK(strstr(world.lines[world.line_count - 1], "gemini") != NULL);
    limits.v[LIMIT_DESCRIPTORS] = 8;
    while ((fd = open_url("log://")) >= 0)
        ;
    CHECK(fd == RESOURCE_INVALID && guest.top == 8);
}

TEST(log_lines)
{
    begin();
    CHECK(CALL(CWA_RESOURCE_WRITE, 2, 100, text(100, "one\r\ntwo\nthr")) == 12);
    CHECK(world.line_count == 2 && world.source == GUEST_STDERR && world.level == GUEST_INFO);
    CHECK_STR(world.lines[0], "one");
    CALL(CWA_RESOURCE_WRITE, 2, 100, text(100, "ee\n\nend"));
    CHECK(world.line_count == 4);
    CHECK_STR(world.lines[2], "three");
    CHECK_STR(world.lines[3], "");
    int32_t fd = open_url("log://?a=b&prefix=app");
    CALL(CWA_RESOURCE_WRITE, fd, 100, text(100, "x\ny"));
    CHECK_STR(world.lines[4], "app: x");
    START(CWA_RESOURCE_CLOSE, fd);
    CHECK_STR(world.lines[5], "app: y");
    START(CWA_LOG_WRITE, 3, 100, text(100, "careful"));
    CHECK(world.level == GUEST_WARNING && world.source == GUEST_LOG);
    START(CWA_LOG_WRITE, 4, 100, text(100, "strange"));
    CHECK_STR(world.lines[7], "level 4: strange");
    guest_end(&guest);
    CHECK_STR(world.lines[8], "end"); /* the unfinished line of standard error */
    CHECK(guest.log.lines == 9 && guest.log.lost == 0);
}

TEST(log_limits)
{
    begin();
    limits.v[LIMIT_LOG_LINES] = 10;
    for (int i = 0; i < 25; i++)
        CALL(CWA_RESOURCE_WRITE, 2, 100, text(100, "line\n"));
    CHECK(guest.log.lines == 10 && guest.log.lost == 15 && world.line_count == 10);

    begin();
    limits.v[LIMIT_LOG_BYTES] = 100;
    for (int i = 0; i < 30; i++)
        CALL(CWA_RESOURCE_WRITE, 2, 100, text(100, "123456789\n"));
    CHECK(guest.log.lines == 11 && guest.log.lost == 19 && guest.log.bytes == 99);

    /* A line of 1,000 bytes in pieces and in one; 64 are kept. */
    begin();
    limits.v[LIMIT_LOG_LINE] = 64;
    memset(memory, 'a', 1000);
    for (int i = 0; i < 10; i++)
        CALL(CWA_RESOURCE_WRITE, 2, 0, 100);
    memory[1000] = '\n';
    CALL(CWA_RESOURCE_WRITE, 2, 1000, 1);
    CALL(CWA_RESOURCE_WRITE, 2, 0, 1001);
    CHECK(guest.log.lines == 2 && guest.log.lost == 0 && guest.log.bytes == 128);
    CHECK(strstr(world.lines[0], "aa … (936 bytes more)") != NULL);
    CHECK_STR(world.lines[1], world.lines[0]);
    limits_init(&limits, false);
    CHECK(limits.v[LIMIT_LOG_LINE] == 16384);
    memset(memory, 'b', 20000);
    START(CWA_LOG_WRITE, 7, 0, 20000); /* the longest that can leave: a frame holds it */
    CHECK(world.longest <= 16639);
}

TEST(paths)
{
    begin();
    static const struct {
        const char *path;
        int flags, error;
    } rows[] = {
        {"dev/null", 0, 0},
        {"/dev//./zero", 0, 0},
        {"dev/../dev/random", 0, 0},
        {"net/null/x", 0, 0},
        {"", 0, 0},
        {"dev", 2, 0},
        {"dev/null", 2, WASI_ENOTDIR},
        {"dev/null", 5, WASI_EEXIST},
        {"etc/passwd", 0, WASI_ENOENT},
        {"new", 1, WASI_EROFS},
        {"..", 0, WASI_ENOTCAPABLE},
        {"dev/../../etc", 0, WASI_ENOTCAPABLE},
        {"net/ftp/example.com/", 0, WASI_EINVAL},
        {"net/http", 0, WASI_ENOENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t n = text(100, rows[i].path);
        CHECK(CALL(WASI_PATH_OPEN, 3, 0, 100, n, rows[i].flags, 0, 0, 0, 64) == rows[i].error);
    }
    CHECK(CALL(WASI_PATH_OPEN, 1, 0, 100, 0, 0, 0, 0, 0, 64) == WASI_ENOTDIR);
    CHECK(CALL(WASI_PATH_OPEN, 99, 0, 100, 0, 0, 0, 0, 0, 64) == WASI_EBADF);
    CHECK(CALL(WASI_FD_PRESTAT_GET, 3, 64) == 0 && wasi_get32(memory, 68) == 1);
    CHECK(CALL(WASI_FD_PRESTAT_DIR_NAME, 3, 64, 1) == 0 && memory[64] == '/');
    CHECK(CALL(WASI_FD_PRESTAT_GET, 4, 64) == WASI_EBADF); /* opened by the guest */
}

/* Names of the folder, each with a colon behind; "." and ".." are counted and left out. */
static const char *listed(uint32_t fd, uint32_t buffer)
{
    static char names[400];
    uint64_t cookie = 0;
    size_t n = 0;
    int dots = 0;
    for (;;) {
        CHECK(CALL(WASI_FD_READDIR, fd, 8000, buffer, cookie, 64) == 0);
        uint32_t used = wasi_get32(memory, 64), at = 0;
        while (at + 24 <= used && at + 24 + wasi_get32(memory, 8000 + at + 16) <= used) {
            struct slice name =
                slice_make(memory + 8000 + at + 24, wasi_get32(memory, 8000 + at + 16));
            bool is_dot = slice_eq(name, SLICE(".")) || slice_eq(name, SLICE(".."));
            dots += is_dot;
            if (!is_dot)
                n += (size_t)snprintf(names + n, sizeof names - n, "%.*s:", SLICE_ARG(name));
            cookie = wasi_get64(memory, 8000 + at);
            at += 24 + (uint32_t)name.n;
        }
        if (used < buffer)
            break;
        CHECK(at); /* the buffer has room for one */
    }
    CHECK(dots == 2);
    names[n] = '\0';
    return names;
}

/* Opens and gives the descriptor, or minus the errno. */
static int open_at(uint32_t folder, const char *path, int flags, uint64_t rights)
{
    uint32_t n = text(100, path);
    int64_t error = CALL(WASI_PATH_OPEN, folder, 0, 100, n, flags, rights, 0, 0, 64);
    return error ? -(int)error : (int)wasi_get32(memory, 64);
}

TEST(assets)
{
    static const char *const files[] = {
        "index.html", "<p>hello</p>", "a/b/deep", "1",      "a/empty", "",
        "dev/null",   "hidden",       "net/x",    "hidden", NULL};
    struct bundle *b = tar_bundle(files);
    guest.assets = b;
    begin();
    CHECK_STR(listed(3, 4000), "a:index.html:");
    CHECK_STR(listed(3, 36), "a:index.html:"); /* one at a time */
    int a = open_at(3, "a", 2, 0), dev = open_at(3, "/dev", 0, 0), net = open_at(3, "net", 0, 0);
    CHECK_STR(listed((uint32_t)a, 4000), "b:empty:");
    CHECK_STR(listed((uint32_t)dev, 4000), "null:random:urandom:zero:");
    CHECK_STR(listed((uint32_t)net, 4000), "");
    static const struct {
        const char *path;
        int flags, rights, error;
    } rows[] = {
        {"index.html", 0, 2, 0},
        {"./a/../index.html", 0, 2, 0},
        {"index.html/", 0, 2, WASI_ENOTDIR},
        {"index.html/x", 0, 2, WASI_ENOTDIR},
        {"index.html", 2, 2, WASI_ENOTDIR},
        {"index.html", 1, 2, 0},
        {"index.html", 5, 2, WASI_EEXIST},
        {"index.html", 8, 2, WASI_EROFS},
        {"index.html", 0, WASI_RIGHT_WRITE, WASI_EROFS},
        {"a", 0, WASI_RIGHT_WRITE, WASI_EISDIR},
        {"a", 1, 0, WASI_EISDIR},
        {"a/new", 1, 0, WASI_EROFS},
        {"a/new", 0, 0, WASI_ENOENT},
        {"none/new", 1, 0, WASI_ENOENT},
        {"index.html/new", 1, 0, WASI_ENOTDIR},
        {"a/../../x", 0, 0, WASI_ENOTCAPABLE},
        {"net/x", 0, 0, WASI_ENOENT},
        {"dev/nothing", 0, 0, WASI_ENOENT},
        {"dev/null/x", 0, 0, WASI_ENOTDIR},
        {"a\xff", 0, 0, WASI_EILSEQ},
        {"index.html", 16, 0, WASI_EINVAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fd = open_at(3, rows[i].path, rows[i].flags, (uint64_t)rows[i].rights);
        CHECK(rows[i].error ? fd == -rows[i].error : fd > 3);
        if (fd > 3)
            CHECK(CALL(WASI_FD_CLOSE, fd) == 0);
    }
    CHECK(open_at((uint32_t)dev, "null", 0, 0) > 3);
    CHECK(open_at((uint32_t)net, "null/x", 0, 0) > 3);
    CHECK(open_at((uint32_t)net, "../a/empty", 0, 0) == -WASI_ENOTCAPABLE);
    CHECK(open_at((uint32_t)a, "b/deep", 0, 0) > 3);
    CHECK(open_at((uint32_t)a, "/b/deep", 0, 0) == -WASI_ENOTCAPABLE);
    CHECK(open_at((uint32_t)a, "..", 0, 0) == -WASI_ENOTCAPABLE);

    uint32_t fd = (uint32_t)open_at(3, "index.html", 0, 2);
    wasi_put32(memory, 200, 1000); /* two spans: 4 bytes, the rest */
    wasi_put32(memory, 204, 4);
    wasi_put32(memory, 208, 1004);
    wasi_put32(memory, 212, 100);
    CHECK(CALL(WASI_FD_READ, fd, 200, 1, 64) == 0 && wasi_get32(memory, 64) == 4);
    CHECK(CALL(WASI_FD_TELL, fd, 72) == 0 && wasi_get64(memory, 72) == 4);
    CHECK(CALL(WASI_FD_PREAD, fd, 200, 2, 3, 64) == 0 && wasi_get32(memory, 64) == 9);
    CHECK(!memcmp(memory + 1000, "hello</p>", 9));
    CHECK(CALL(WASI_FD_READ, fd, 200, 2, 64) == 0 && wasi_get32(memory, 64) == 8);
    CHECK(CALL(WASI_FD_READ, fd, 200, 2, 64) == 0 && wasi_get32(memory, 64) == 0);
    CHECK(CALL(WASI_FD_PREAD, fd, 200, 2, 12, 64) == 0 && wasi_get32(memory, 64) == 0);
    CHECK(CALL(WASI_FD_PREAD, fd, 200, 2, UINT64_MAX, 64) == 0 && wasi_get32(memory, 64) == 0);
    CHECK(CALL(WASI_FD_SEEK, fd, -3, 2, 72) == 0 && wasi_get64(memory, 72) == 9);
    CHECK(CALL(WASI_FD_SEEK, fd, -9, 1, 72) == 0 && wasi_get64(memory, 72) == 0);
    CHECK(CALL(WASI_FD_SEEK, fd, -1, 1, 72) == WASI_EINVAL);
    CHECK(CALL(WASI_FD_SEEK, fd, 0, 3, 72) == WASI_EINVAL);
    CHECK(CALL(WASI_FD_SEEK, fd, INT64_MAX, 0, 72) == 0); /* past the end: nothing there */
    CHECK(CALL(WASI_FD_SEEK, fd, 1, 1, 72) == WASI_EINVAL);
    CHECK(CALL(WASI_FD_READ, fd, 200, 1, 64) == 0 && wasi_get32(memory, 64) == 0);
    call = (struct engine_call){.owner = &guest, .memory = memory, .memory_size = MEMORY};
    memcpy(call.arg, (uint64_t[]){fd, (uint64_t)-2, 1, 72}, 32); /* wasi_unstable: from the end */
    call.alias = true;
    CHECK(again(HOST_WASI_FD_SEEK) == ENGINE_DONE && wasi_get64(memory, 72) == 10);
    CHECK(CALL(WASI_FD_SEEK, 1, 0, 0, 72) == WASI_ESPIPE);
    CHECK(CALL(WASI_FD_SEEK, 3, 0, 0, 72) == WASI_EBADF);
    CHECK(CALL(WASI_FD_ADVISE, fd, 0, 100, 3) == 0);
    CHECK(CALL(WASI_FD_ADVISE, fd, 0, 100, 6) == WASI_EINVAL);
    CHECK(CALL(WASI_FD_WRITE, fd, 200, 1, 64) == WASI_EBADF);
    CHECK(CALL(WASI_FD_ALLOCATE, fd, 0, 1) == WASI_EBADF);
    CHECK(CALL(WASI_FD_FILESTAT_SET_TIMES, fd, 0, 0, 0) == WASI_EROFS);
    CHECK(CALL(WASI_FD_FILESTAT_GET, fd, 400) == 0 && memory[416] == 4 &&
          wasi_get64(memory, 432) == 12);
    uint64_t inode = wasi_get64(memory, 408);
    CHECK(CALL(WASI_PATH_FILESTAT_GET, 3, 0, 100, text(100, "index.html"), 400) == 0 &&
          wasi_get64(memory, 408) == inode);
    CHECK(CALL(WASI_FD_FDSTAT_GET, fd, 400) == 0 && memory[400] == 4 && memory[408] & 4);
    CHECK(CALL(WASI_FD_FDSTAT_GET, 3, 400) == 0 && memory[400] == 3 && !(memory[408] & 66));
    CHECK(CALL(WASI_PATH_READLINK, 3, 100, text(100, "a"), 200, 4, 64) == WASI_EINVAL);
    /* Files are always ready, with what is left of them; writing to one is not there. */
    CHECK(CALL(WASI_FD_SEEK, fd, 9, 0, 72) == 0);
    for (int type = 1; type <= 2; type++) {
        memset(memory + 500, 0, 48);
        memory[508] = (uint8_t)type;
        wasi_put32(memory, 516, fd);
        CHECK(CALL(WASI_POLL_ONEOFF, 500, 600, 1, 64) == 0 && wasi_get32(memory, 64) == 1);
        CHECK(type == 1 ? memory[608] == 0 && wasi_get64(memory, 616) == 3
                        : memory[608] == WASI_EINVAL);
    }
    CHECK(CALL(WASI_FD_RENUMBER, fd, 0) == 0 && CALL(WASI_FD_TELL, 0, 72) == 0);
    CHECK(CALL(WASI_FD_CLOSE, fd) == WASI_EBADF);
    begin(); /* closes all of it, the sanitizers count */
    guest.assets = NULL;
    CHECK_STR(listed(3, 4000), "");
    bundle_close(b);
}

/* A list of thousands takes turns, and comes out whole. */
TEST(large_folder)
{
    enum { FILES = 2500 };
    static char names[FILES][16];
    static const char *files[2 * FILES + 1];
    for (int i = 0; i < FILES; i++) {
        snprintf(names[i], sizeof names[i], "f%04d", i);
        files[2 * i] = names[i];
        files[2 * i + 1] = "";
    }
    struct bundle *b = tar_bundle(files);
    guest.assets = b;
    begin();
    uint32_t next = 0;
    uint64_t cookie = 0;
    for (uint32_t used = 60000; used == 60000;) {
        CHECK(CALL(WASI_FD_READDIR, 3, 2000, 60000, cookie, 64) == 0);
        used = wasi_get32(memory, 64);
        for (uint32_t at = 0; at + 24 <= used;) {
            uint32_t n = wasi_get32(memory, 2000 + at + 16);
            if (at + 24 + n > used)
                break;
            if (n > 2)
                CHECK(next < FILES && !memcmp(memory + 2000 + at + 24, names[next++], n));
            cookie = wasi_get64(memory, 2000 + at);
            at += 24 + n;
        }
    }
    CHECK(next == FILES);
    call = (struct engine_call){.owner = &guest, .memory = memory, .memory_size = MEMORY};
    memcpy(call.arg, (uint64_t[]){3, 2000, 60000, 0, 64}, 40);
    CHECK(host_handlers[HOST_WASI_FD_READDIR](&call) == ENGINE_YIELD);
    CHECK(again(HOST_WASI_FD_READDIR) == ENGINE_DONE && wasi_get32(memory, 64) == 60000);
    begin();
    guest.assets = NULL;
    bundle_close(b);
}

TEST(dagger)
{
    begin();
    uint32_t n = text(100, "zero://");
    CHECK(CALL(DAGGER_OPEN, 100, 0) == 4);
    CHECK(CALL(DAGGER_READ, 4, 200, 50) == 50);
    CHECK(CALL(DAGGER_WRITE, 4, 200, 50) == 50);
    CHECK(CALL(DAGGER_SYNC, 4) == 0 && CALL(DAGGER_FLUSH, 4) == 0);
    CHECK(CALL(DAGGER_CLOSE, 4) == 0 && CALL(DAGGER_CLOSE, 4) == -1);
    CHECK(CALL(DAGGER_SYNC, 4) == -1 && CALL(DAGGER_READ, 4, 200, 1) == -1);
    text(100, "null://");
    CHECK(CALL(DAGGER_OPEN, 100, 7) == 4 && CALL(DAGGER_READ, 4, 200, 50) == 0);
    CHECK(CALL(DAGGER_WRITE, 1, 100, n) == 7 && !memcmp(world.output, "null://", 7));
    /* Nothing of 64 bits is taken for its lower half. */
    static const uint64_t high = UINT64_C(1) << 32;
    CHECK(CALL(DAGGER_WRITE, 1 + high, 100, 1) == -1 && CALL(DAGGER_WRITE, 1, 100 + high, 1) == -1);
    CHECK(CALL(DAGGER_WRITE, 1, 100, 1 + high) == -1 && CALL(DAGGER_OPEN, 100 + high, 0) == -1);
    CHECK(CALL(DAGGER_CLOSE, 4 + high) == -1 && CALL(DAGGER_CLOSE, UINT64_MAX) == -1);
    CHECK(world.output_size == 7);
    memset(memory + MEMORY - 5, 'x', 5); /* no NUL before the end of memory */
    CHECK(CALL(DAGGER_OPEN, MEMORY - 5, 0) == RESOURCE_INVALID);
    CHECK(CALL(DAGGER_OPEN, MEMORY, 0) == -1);
    memset(memory + 10000, 'x', 9000);
    CHECK(CALL(DAGGER_OPEN, 10000, 0) == RESOURCE_INVALID);
}

TEST(poll)
{
    begin();
    /* A clock in 5 ms, standard input. */
    uint8_t *s = memory + 1000;
    wasi_put64(s, 0, 11);
    s[8] = 0;
    wasi_put32(s, 16, 1);
    wasi_put64(s, 24, 5000000);
    wasi_put64(s, 48, 22);
    s[48 + 8] = 1;
    CHECK(START(WASI_POLL_ONEOFF, 1000, 2000, 2, 3000) == ENGINE_WAIT);
    CHECK(guest.waits == (GUEST_WAITS_TIME | GUEST_WAITS_INPUT) && world.wake_at);
    world.input_size = 3;
    CHECK(again(HOST_WASI_POLL_ONEOFF) == ENGINE_DONE && wasi_get32(memory, 3000) == 1);
    CHECK(wasi_get64(memory, 2000) == 22 && memory[2010] == 1 && wasi_get64(memory, 2016) == 3);
    world.input_size = 0;
    CHECK(START(WASI_POLL_ONEOFF, 1000, 2000, 1, 3000) == ENGINE_WAIT);
    uint64_t due = world.wake_at;
    CHECK(again(HOST_WASI_POLL_ONEOFF) == ENGINE_WAIT && world.wake_at == due);
    call.progress[0] -= 6000; /* as if 6 ms had gone by */
    CHECK(again(HOST_WASI_POLL_ONEOFF) == ENGINE_DONE && wasi_get64(memory, 2000) == 11);
    CHECK(CALL(WASI_POLL_ONEOFF, 1000, 2000, 0, 3000) == WASI_EINVAL);
    CHECK(CALL(WASI_POLL_ONEOFF, MEMORY - 47, 2000, 1, 3000) == WASI_EFAULT);
    /* A descriptor that isn't open is an event, not a failure. */
    wasi_put32(s, 48 + 16, 77);
    memcpy(s, s + 48, 48);
    CHECK(CALL(WASI_POLL_ONEOFF, 1000, 2000, 1, 3000) == 0 && memory[2008] == WASI_EBADF);
}

TEST(msleep)
{
    begin();
    CHECK(CALL(CWA_RUNTIME_MSLEEP, 0) == 0);
    CHECK(START(CWA_RUNTIME_MSLEEP, 1000) == ENGINE_WAIT && guest.waits == GUEST_WAITS_TIME);
    uint64_t due = world.wake_at;
    CHECK(again(HOST_CWA_RUNTIME_MSLEEP) == ENGINE_WAIT && world.wake_at == due);
    CHECK(START(CWA_RUNTIME_EXIT, (uint32_t)-3) == ENGINE_END && guest.end_status == -3 &&
          guest.end_reason == ERR_OK);
}

/* Any arguments at all: no handler touches anything outside of the guest's memory (the sanitizers
 * watch), and each answers in a way that its row allows. */
TEST(anything)
{
    static const uint64_t edges[] = {0,          1,          2,          3,         4,
                                     8,          48,         1023,       65535,     65536,
                                     65537,      0x7fffffff, 0x80000000, 65532,     0xffffffff,
                                     UINT64_MAX, 0xfffffff0, 100,        MEMORY - 8};
    srand(1);
    begin();
    for (int round = 0; round < 400; round++) {
        for (int id = 0; id < HOST_COUNT; id++) {
            uint64_t args[ENGINE_ARGS];
            const struct host_function *f = &host_functions[id];
            for (int k = 0; k < ENGINE_ARGS; k++)
                args[k] = rand() % 3 ? edges[(size_t)rand() % (sizeof edges / sizeof *edges)]
                                     : (uint64_t)rand() % MEMORY;
            if (rand() % 4 == 0) /* memory with something in it */
                for (int k = 0; k < 64; k++)
                    wasi_put32(memory, ((size_t)rand() % (MEMORY / 4)) * 4, (uint32_t)args[k % 9]);
            world.input_size = 10;
            world.credit = 1000;
            world.output_size = 0;
            guest.log.full = false;
            guest.log.lines = 0;
            guest.log.bytes = 0;
            enum engine_verdict v = start((enum host_id)id, (int)strlen(f->params), args);
            CHECK(v == ENGINE_DONE || v == ENGINE_END || (v == ENGINE_WAIT && f->waits));
            if (!guest_descriptor(&guest, 0) || guest.top > 40) {
                guest_end(&guest);
                guest_begin(&guest);
            }
        }
    }
    /* A guest without memory. */
    for (int id = 0; id < HOST_COUNT; id++) {
        call = (struct engine_call){.owner = &guest};
        for (int k = 0; k < ENGINE_ARGS; k++)
            call.arg[k] = k == 0 ? 1 : 8;
        enum engine_verdict v = host_handlers[id](&call);
        CHECK(v <= ENGINE_END);
    }
}

static const struct test_case cases[] = {
    CASE(strings),      CASE(utf8),        CASE(environment), CASE(arguments),
    CASE(output_waits), CASE(input_waits), CASE(resources),   CASE(log_lines),
    CASE(log_limits),   CASE(paths),       CASE(assets),      CASE(large_folder),
    CASE(dagger),       CASE(poll),        CASE(msleep),      CASE(anything),
};

int main(void)
{
    memory = malloc(MEMORY); /* exactly: what lies behind it is not ours */
    int status = test_main(cases, (int)(sizeof cases / sizeof *cases));
    guest_done(&guest);
    free(memory);
    return status;
}
