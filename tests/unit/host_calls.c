/* Every host function with every class of bad argument.
 *
 * A row says of each parameter what it is; from that come the classes: pointers at the edge of
 * memory, one past it, far outside and "negative", lengths of the same kinds, descriptors that were
 * closed, never opened, negative, or of the wrong kind. What is specified must come back, without a
 * byte of memory changed. A function of the table without a row fails the test.
 *
 * Memory is an allocation of exactly its size, so the sanitizers see a byte beyond it. */
#include "guest/guest.h"
#include "guest/host.h"
#include "guest/resource.h"
#include "guest/wasi.h"
#include "tar_build.h"
#include "test.h"

enum { MEMORY = 65536 };

/* What the tests find in memory. */
enum {
    URL = 0x100,
    BAD_URL = 0x120,
    PATH = 0x140,
    BAD_PATH = 0x160,
    KEY = 0x180,
    NUL_PATH = 0x190,
    SPAN = 0x200,      /* a list of one span */
    SPAN_FAR = 0x240,  /* it lies half outside */
    SPAN_SELF = 0x260, /* over the list itself */
    SPAN_HUGE = 0x280,
    CLOCK = 0x400, /* a subscription that is due at once; the old layout's too */
    OUT = 0x2000,
    TEXT = 0x3000,
};

/* Descriptors that are open, and one that was. */
enum { IN = 0, WRITER = 1, ERROR = 2, ROOT = 3, NOTHING = 4, ASSET = 5, FOLDER = 6, CLOSED = 7 };

/* Outcomes: a result, or how the guest ended. */
#define ENDS(reason) (INT64_C(1) << 40 | ERR_##reason)
#define WAITS (INT64_C(1) << 41)
#define ANY (INT64_C(1) << 42)

struct wrong {
    uint32_t fd;
    int64_t want;
};

struct row {
    /* One letter a parameter:
     *   x  a value    f  a descriptor
     *   p  a pointer to `size` bytes    z  one to text that ends in NUL
     *   s  a pointer whose length is the next parameter, n
     *   v  a pointer to as many times `size` bytes as the next parameter, c, says */
    const char *args;
    uint64_t good[ENGINE_ARGS];
    int64_t want;        /* for these */
    int64_t bad_pointer; /* for each class of bad pointer and length */
    int64_t bad_fd;      /* for descriptors that are not open */
    struct wrong wrong[5];
    uint16_t size[ENGINE_ARGS], old_size[ENGINE_ARGS]; /* of wasi_unstable, where it differs */
};

#define TRAPS ENDS(BAD_POINTER)
#define NOT_FOLDERS                                                                                \
    {                                                                                              \
        {IN, WASI_ENOTDIR}, {WRITER, WASI_ENOTDIR}, {NOTHING, WASI_ENOTDIR},                       \
        {                                                                                          \
            ASSET, WASI_ENOTDIR                                                                    \
        }                                                                                          \
    }
#define NOT_SOCKETS                                                                                \
    {                                                                                              \
        {IN, WASI_ENOTSOCK}, {WRITER, WASI_ENOTSOCK}, {ROOT, WASI_ENOTSOCK},                       \
            {NOTHING, WASI_ENOTSOCK},                                                              \
        {                                                                                          \
            ASSET, WASI_ENOTSOCK                                                                   \
        }                                                                                          \
    }
#define NOT_FILES(for_stream)                                                                      \
    {                                                                                              \
        {IN, for_stream}, {WRITER, for_stream}, {NOTHING, for_stream}, {ROOT, WASI_EBADF},         \
        {                                                                                          \
            FOLDER, WASI_EBADF                                                                     \
        }                                                                                          \
    }

static const struct row rows[HOST_COUNT] = {
    [HOST_CWA_ENV_GET] = {"snsn", {KEY, 3, OUT, 100}, 5, TRAPS},
    [HOST_CWA_IO_GET_STDIN] = {"", {0}, 0},
    [HOST_CWA_IO_GET_STDOUT] = {"", {0}, 1},
    [HOST_CWA_IO_GET_STDERR] = {"", {0}, 2},
    [HOST_CWA_LOG_WRITE] = {"xsn", {6, URL, 7}, 0, TRAPS},
    [HOST_CWA_RANDOM_I32] = {"", {0}, ANY},
    [HOST_CWA_RANDOM_I64] = {"", {0}, ANY},
    [HOST_CWA_RANDOM_U32] = {"", {0}, ANY},
    [HOST_CWA_RANDOM_U64] = {"", {0}, ANY},
    [HOST_CWA_RESOURCE_OPEN] = {"sn", {URL, 7}, CLOSED, TRAPS},
    [HOST_CWA_RESOURCE_CLOSE] = {"f", {NOTHING}, 0, .bad_fd = ENDS(BAD_DESCRIPTOR)},
    [HOST_CWA_RESOURCE_READ] = {"fsn",
                                {IN, OUT, 5},
                                5,
                                TRAPS,
                                RESOURCE_INVALID,
                                {{WRITER, RESOURCE_INVALID},
                                 {ROOT, RESOURCE_INVALID},
                                 {FOLDER, RESOURCE_INVALID},
                                 {NOTHING, RESOURCE_END},
                                 {ASSET, 5}}},
    [HOST_CWA_RESOURCE_WRITE] = {"fsn",
                                 {WRITER, URL, 5},
                                 5,
                                 TRAPS,
                                 RESOURCE_INVALID,
                                 {{IN, RESOURCE_INVALID},
                                  {ROOT, RESOURCE_INVALID},
                                  {FOLDER, RESOURCE_INVALID},
                                  {NOTHING, 5},
                                  {ASSET, RESOURCE_INVALID}}},
    [HOST_CWA_RESOURCE_FLUSH] = {"f", {WRITER}, 0, 0, RESOURCE_INVALID},
    [HOST_CWA_RUNTIME_EXIT] = {"x", {7}, ENDS(OK)},
    [HOST_CWA_RUNTIME_MSLEEP] = {"x", {0}, 0},
    [HOST_CWA_RUNTIME_NAME] = {"sn", {OUT, 100}, 4, TRAPS},
    [HOST_CWA_RUNTIME_SPEC_MAJOR] = {"", {0}, 0},
    [HOST_CWA_RUNTIME_SPEC_MINOR] = {"", {0}, 0},
    [HOST_CWA_STARTUP_ARG_LEN] = {"", {0}, 2},
    [HOST_CWA_STARTUP_ARG_AT] = {"xsn", {0, OUT, 100}, 5, TRAPS},
    [HOST_CWA_TIME_NOW] = {"", {0}, ANY},

    [HOST_DAGGER_OPEN] = {"zx", {URL, 0}, CLOSED, -1},
    [HOST_DAGGER_CLOSE] = {"f", {NOTHING}, 0, .bad_fd = -1},
    [HOST_DAGGER_READ] = {"fsn",
                          {IN, OUT, 5},
                          5,
                          -1,
                          -1,
                          {{WRITER, -1}, {ROOT, -1}, {FOLDER, -1}, {NOTHING, 0}, {ASSET, 5}}},
    [HOST_DAGGER_WRITE] = {"fsn",
                           {WRITER, URL, 5},
                           5,
                           -1,
                           -1,
                           {{IN, -1}, {ROOT, -1}, {FOLDER, -1}, {NOTHING, 5}, {ASSET, -1}}},
    [HOST_DAGGER_SYNC] = {"f", {WRITER}, 0, 0, -1},
    [HOST_DAGGER_FLUSH] = {"f", {WRITER}, 0, 0, -1},

    [HOST_WASI_ARGS_GET] = {"pp", {OUT, OUT + 100}, 0, WASI_EFAULT, .size = {8, 10}},
    [HOST_WASI_ARGS_SIZES_GET] = {"pp", {OUT, OUT + 4}, 0, WASI_EFAULT, .size = {4, 4}},
    [HOST_WASI_CLOCK_RES_GET] = {"xp", {0, OUT}, 0, WASI_EFAULT, .size = {0, 8}},
    [HOST_WASI_CLOCK_TIME_GET] = {"xxp", {1, 0, OUT}, 0, WASI_EFAULT, .size = {0, 0, 8}},
    [HOST_WASI_ENVIRON_GET] = {"pp", {OUT, OUT + 100}, 0, WASI_EFAULT, .size = {8, 22}},
    [HOST_WASI_ENVIRON_SIZES_GET] = {"pp", {OUT, OUT + 4}, 0, WASI_EFAULT, .size = {4, 4}},
    [HOST_WASI_FD_ADVISE] = {"fxxx", {ASSET, 0, 1, 0}, 0, 0, WASI_EBADF, NOT_FILES(WASI_ESPIPE)},
    [HOST_WASI_FD_ALLOCATE] =
        {"fxx", {ASSET, 0, 1}, WASI_EBADF, 0, WASI_EBADF, NOT_FILES(WASI_ENOTSUP)},
    [HOST_WASI_FD_CLOSE] = {"f", {ASSET}, 0, 0, WASI_EBADF},
    [HOST_WASI_FD_DATASYNC] = {"f", {WRITER}, 0, 0, WASI_EBADF},
    [HOST_WASI_FD_FDSTAT_GET] = {"fp", {WRITER, OUT}, 0, WASI_EFAULT, WASI_EBADF, .size = {0, 24}},
    [HOST_WASI_FD_FDSTAT_SET_FLAGS] = {"fx", {WRITER, 4}, 0, 0, WASI_EBADF},
    [HOST_WASI_FD_FDSTAT_SET_RIGHTS] = {"fxx", {WRITER, 0, 0}, WASI_ENOTSUP, 0, WASI_EBADF},
    [HOST_WASI_FD_FILESTAT_GET] =
        {"fp", {WRITER, OUT}, 0, WASI_EFAULT, WASI_EBADF, .size = {0, 64}, .old_size = {0, 56}},
    [HOST_WASI_FD_FILESTAT_SET_SIZE] =
        {"fx", {ASSET, 0}, WASI_EBADF, 0, WASI_EBADF, NOT_FILES(WASI_ENOTSUP)},
    [HOST_WASI_FD_FILESTAT_SET_TIMES] = {"fxxx",
                                         {ASSET, 0, 0, 0},
                                         WASI_EROFS,
                                         0,
                                         WASI_EBADF,
                                         {{IN, WASI_ENOTSUP}, {ROOT, WASI_EROFS}}},
    [HOST_WASI_FD_PREAD] = {"fvcxp",
                            {ASSET, SPAN, 1, 0, OUT},
                            0,
                            WASI_EFAULT,
                            WASI_EBADF,
                            NOT_FILES(WASI_ESPIPE),
                            .size = {0, 8, 0, 0, 4}},
    [HOST_WASI_FD_PRESTAT_DIR_NAME] = {"fsn",
                                       {ROOT, OUT, 1},
                                       0,
                                       WASI_EFAULT,
                                       WASI_EBADF,
                                       {{IN, WASI_EBADF}, {FOLDER, WASI_EBADF}}},
    [HOST_WASI_FD_PRESTAT_GET] = {"fp",
                                  {ROOT, OUT},
                                  0,
                                  WASI_EFAULT,
                                  WASI_EBADF,
                                  {{IN, WASI_EBADF}, {FOLDER, WASI_EBADF}},
                                  .size = {0, 8}},
    [HOST_WASI_FD_PWRITE] = {"fvcxp",
                             {ASSET, SPAN, 1, 0, OUT},
                             WASI_EBADF,
                             WASI_EBADF,
                             WASI_EBADF,
                             NOT_FILES(WASI_ESPIPE),
                             .size = {0, 8, 0, 0, 4}},
    [HOST_WASI_FD_READ] = {"fvcp",
                           {IN, SPAN, 1, OUT},
                           0,
                           WASI_EFAULT,
                           WASI_EBADF,
                           {{WRITER, WASI_EBADF}, {ROOT, WASI_EBADF}, {FOLDER, WASI_EBADF}},
                           .size = {0, 8, 0, 4}},
    [HOST_WASI_FD_READDIR] = {"fsnxp",
                              {ROOT, OUT, 100, 0, OUT + 200},
                              0,
                              WASI_EFAULT,
                              WASI_EBADF,
                              NOT_FOLDERS,
                              .size = {0, 0, 0, 0, 4}},
    [HOST_WASI_FD_RENUMBER] = {"ff", {ASSET, NOTHING}, 0, 0, WASI_EBADF},
    [HOST_WASI_FD_SEEK] = {"fxxp",
                           {ASSET, 1, 0, OUT},
                           0,
                           WASI_EFAULT,
                           WASI_EBADF,
                           NOT_FILES(WASI_ESPIPE),
                           .size = {0, 0, 0, 8}},
    [HOST_WASI_FD_SYNC] = {"f", {WRITER}, 0, 0, WASI_EBADF},
    [HOST_WASI_FD_TELL] =
        {"fp", {ASSET, OUT}, 0, WASI_EFAULT, WASI_EBADF, NOT_FILES(WASI_ESPIPE), .size = {0, 8}},
    [HOST_WASI_FD_WRITE] = {"fvcp",
                            {WRITER, SPAN, 1, OUT},
                            0,
                            WASI_EFAULT,
                            WASI_EBADF,
                            {{IN, WASI_EBADF}, {ROOT, WASI_EBADF}, {ASSET, WASI_EBADF}},
                            .size = {0, 8, 0, 4}},
    [HOST_WASI_PATH_CREATE_DIRECTORY] =
        {"fsn", {ROOT, PATH, 4}, WASI_EROFS, WASI_EFAULT, WASI_EBADF, NOT_FOLDERS},
    [HOST_WASI_PATH_FILESTAT_GET] = {"fxsnp",
                                     {ROOT, 0, PATH, 4, OUT},
                                     0,
                                     WASI_EFAULT,
                                     WASI_EBADF,
                                     NOT_FOLDERS,
                                     .size = {0, 0, 0, 0, 64},
                                     .old_size = {0, 0, 0, 0, 56}},
    [HOST_WASI_PATH_FILESTAT_SET_TIMES] =
        {"fxsnxxx", {ROOT, 0, PATH, 4, 0, 0, 0}, WASI_EROFS, WASI_EFAULT, WASI_EBADF, NOT_FOLDERS},
    [HOST_WASI_PATH_LINK] = {"fxsnfsn",
                             {ROOT, 0, PATH, 4, FOLDER, PATH, 4},
                             WASI_EROFS,
                             WASI_EFAULT,
                             WASI_EBADF,
                             NOT_FOLDERS},
    [HOST_WASI_PATH_OPEN] = {"fxsnxxxxp",
                             {ROOT, 0, PATH, 4, 0, 2, 0, 0, OUT},
                             0,
                             WASI_EFAULT,
                             WASI_EBADF,
                             NOT_FOLDERS,
                             .size = {0, 0, 0, 0, 0, 0, 0, 0, 4}},
    [HOST_WASI_PATH_READLINK] = {"fsnsnp",
                                 {ROOT, PATH, 4, OUT, 100, OUT + 200},
                                 WASI_EINVAL,
                                 WASI_EFAULT,
                                 WASI_EBADF,
                                 NOT_FOLDERS,
                                 .size = {0, 0, 0, 0, 0, 4}},
    [HOST_WASI_PATH_REMOVE_DIRECTORY] =
        {"fsn", {ROOT, PATH, 4}, WASI_EROFS, WASI_EFAULT, WASI_EBADF, NOT_FOLDERS},
    [HOST_WASI_PATH_RENAME] = {"fsnfsn",
                               {ROOT, PATH, 4, FOLDER, PATH, 4},
                               WASI_EROFS,
                               WASI_EFAULT,
                               WASI_EBADF,
                               NOT_FOLDERS},
    [HOST_WASI_PATH_SYMLINK] =
        {"snfsn", {PATH, 4, ROOT, PATH, 4}, WASI_EROFS, WASI_EFAULT, WASI_EBADF, NOT_FOLDERS},
    [HOST_WASI_PATH_UNLINK_FILE] =
        {"fsn", {ROOT, PATH, 4}, WASI_EROFS, WASI_EFAULT, WASI_EBADF, NOT_FOLDERS},
    [HOST_WASI_POLL_ONEOFF] = {"vpcp",
                               {CLOCK, OUT, 1, OUT + 100},
                               0,
                               WASI_EFAULT,
                               .size = {48, 32, 0, 4},
                               .old_size = {56, 32, 0, 4}},
    [HOST_WASI_PROC_EXIT] = {"x", {7}, ENDS(OK)},
    [HOST_WASI_PROC_RAISE] = {"x", {6}, WASI_ENOTSUP},
    [HOST_WASI_RANDOM_GET] = {"sn", {OUT, 100}, 0, WASI_EFAULT},
    [HOST_WASI_SCHED_YIELD] = {"", {0}, 0},
    [HOST_WASI_SOCK_ACCEPT] = {"fxp",
                               {WRITER, 0, OUT},
                               WASI_ENOTSOCK,
                               WASI_ENOTSOCK,
                               WASI_EBADF,
                               NOT_SOCKETS,
                               .size = {0, 0, 4}},
    [HOST_WASI_SOCK_RECV] = {"fvcxpp",
                             {WRITER, SPAN, 1, 0, OUT, OUT + 8},
                             WASI_ENOTSOCK,
                             WASI_ENOTSOCK,
                             WASI_EBADF,
                             NOT_SOCKETS,
                             .size = {0, 8, 0, 0, 4, 2}},
    [HOST_WASI_SOCK_SEND] = {"fvcxp",
                             {WRITER, SPAN, 1, 0, OUT},
                             WASI_ENOTSOCK,
                             WASI_ENOTSOCK,
                             WASI_EBADF,
                             NOT_SOCKETS,
                             .size = {0, 8, 0, 0, 4}},
    [HOST_WASI_SOCK_SHUTDOWN] = {"fx", {WRITER, 0}, WASI_ENOTSOCK, 0, WASI_EBADF, NOT_SOCKETS},
};

/* ---- a guest ---- */

static size_t output(struct guest *g, const void *p, size_t n)
{
    (void)g, (void)p;
    return n;
}

static bool output_ready(struct guest *g)
{
    (void)g;
    return true;
}

static size_t input_ready(struct guest *g, bool *ret_end)
{
    (void)g;
    *ret_end = false;
    return 1000;
}

static size_t input(struct guest *g, void *p, size_t n, bool *ret_end)
{
    size_t have = input_ready(g, ret_end);
    n = n < have ? n : have;
    memset(p, 'i', n);
    return n;
}

static void log_entry(struct guest *g, enum guest_level level, enum guest_source source,
                      struct slice line)
{
    (void)g, (void)level, (void)source, (void)line;
}

static void wake_at(struct guest *g, uint64_t mono_us)
{
    (void)g, (void)mono_us;
}

static const struct guest_host host = {.output = output,
                                       .output_ready = output_ready,
                                       .input = input,
                                       .input_ready = input_ready,
                                       .log = log_entry,
                                       .wake_at = wake_at};
static struct guest guest;
static struct limits limits;
static struct bundle *bundle;
static uint8_t memory[MEMORY], before[MEMORY];

static void put(uint32_t at, const char *s, size_t n)
{
    memcpy(memory + at, s, n);
}

static void put_span(uint32_t at, uint32_t p, uint32_t n)
{
    wasi_put32(memory, at, p);
    wasi_put32(memory, at + 4, n);
}

static int64_t call(int id, bool alias, const uint64_t *args)
{
    struct engine_call c = {
        .owner = &guest, .memory = memory, .memory_size = MEMORY, .alias = alias};
    memcpy(c.arg, args, sizeof c.arg);
    enum engine_verdict v = ENGINE_YIELD;
    while (v == ENGINE_YIELD)
        v = host_handlers[id](&c);
    CHECK(v != ENGINE_WAIT || host_functions[id].waits);
    if (v == ENGINE_WAIT)
        return WAITS;
    if (v == ENGINE_END)
        return INT64_C(1) << 40 | (int64_t)guest.end_reason;
    return host_functions[id].result[0] == 'i' ? (int32_t)c.result : (int64_t)c.result;
}

static void begin(void)
{
    guest_end(&guest);
    guest.host = &host;
    guest.limits = &limits;
    guest.assets = bundle;
    CHECK(strings_read(SLICE("KEY\0value\0"), true, &guest.meta));
    CHECK(strings_read(SLICE("OTHER\0thing\0"), true, &guest.env));
    CHECK(strings_read(SLICE("argv0\0one\0"), false, &guest.args));
    guest_begin(&guest);
    memset(memory, 0, MEMORY);
    put(URL, "null://", 8);
    put(BAD_URL, "null://\xff", 9);
    put(PATH, "file", 5);
    put(BAD_PATH, "fil\xff", 5);
    put(NUL_PATH, "fi\0e", 5);
    put(KEY, "KEY", 3);
    put_span(SPAN, TEXT, 16);
    put_span(SPAN_FAR, MEMORY - 4, 8);
    put_span(SPAN_SELF, SPAN_SELF, 16);
    put_span(SPAN_HUGE, TEXT, UINT32_MAX);
    CHECK(call(HOST_CWA_RESOURCE_OPEN, false, (uint64_t[ENGINE_ARGS]){URL, 7}) == NOTHING);
    CHECK(call(HOST_WASI_PATH_OPEN, false,
               (uint64_t[ENGINE_ARGS]){ROOT, 0, PATH, 4, 0, 0, 0, 0, OUT}) == 0);
    put(OUT, "dir", 3);
    CHECK(call(HOST_WASI_PATH_OPEN, false,
               (uint64_t[ENGINE_ARGS]){ROOT, 0, OUT, 3, 0, 0, 0, 0, OUT}) == 0);
    CHECK(guest.top == CLOSED);
    CHECK(call(HOST_CWA_RESOURCE_OPEN, false, (uint64_t[ENGINE_ARGS]){URL, 7}) == CLOSED);
    CHECK(call(HOST_WASI_FD_CLOSE, false, (uint64_t[ENGINE_ARGS]){CLOSED}) == 0);
    memset(memory + OUT, 0, 16);
    memcpy(before, memory, MEMORY);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < guest.top; i++)
        n += guest.descriptors[i].scheme != NULL;
    return n;
}

/* ---- the classes ---- */

static int tried;

/* One call with argument `k` replaced: by `want` when it is bad; otherwise anything else. */
static void try_one(int id, bool alias, const struct row *r, int k, uint64_t value, bool bad,
                    int64_t want, const char *what)
{
    uint64_t args[ENGINE_ARGS];
    begin();
    memcpy(args, r->good, sizeof args);
    args[k] = value;
    int64_t got = call(id, alias, args);
    tried++;
    if (bad ? got != want && want != ANY : got == want && want != r->want) {
        test_failures++;
        fprintf(stderr, "%s, argument %d = %#llx (%s): got %lld\n", host_functions[id].label, k,
                (unsigned long long)value, what, (long long)got);
    }
    if (bad && memcmp(memory, before, MEMORY)) {
        test_failures++;
        fprintf(stderr, "%s, argument %d (%s): memory was changed\n", host_functions[id].label, k,
                what);
    }
    if (bad && open_descriptors() != CLOSED) {
        test_failures++;
        fprintf(stderr, "%s, argument %d (%s): descriptors were opened or closed\n",
                host_functions[id].label, k, what);
    }
}

/* Values of 64 bits for those who take them: none may pass for its lower half. */
static const uint64_t high = UINT64_C(1) << 32;

static void try_pointer(int id, bool alias, const struct row *r, int k, uint64_t size)
{
    static const uint64_t far[] = {0x80000000, 0xfffffff8, UINT32_MAX};
    int64_t want = r->bad_pointer;
    bool bad = size > 0;
    try_one(id, alias, r, k, MEMORY - size, false, want, "at the edge");
    try_one(id, alias, r, k, MEMORY - size + 1, bad, want, "one past the edge");
    try_one(id, alias, r, k, MEMORY, bad, want, "the end");
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        try_one(id, alias, r, k, far[i], bad, want, "far outside");
    if (host_functions[id].params[k] == 'n')
        try_one(id, alias, r, k, r->good[k] + high, true, want, "64 bits");
}

static void try_length(int id, bool alias, const struct row *r, int k)
{
    static const uint64_t lengths[] = {MEMORY + 1, 0x7fffffff, 0x80000000, UINT32_MAX};
    uint64_t most = MEMORY - r->good[k - 1];
    int64_t want = r->bad_pointer;
    try_one(id, alias, r, k, 0, false, want, "no length");
    try_one(id, alias, r, k, most, false, want, "up to the end");
    try_one(id, alias, r, k, most + 1, true, want, "one past the end");
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        try_one(id, alias, r, k, lengths[i], true, want, "too long");
    if (host_functions[id].params[k] == 'n')
        try_one(id, alias, r, k, r->good[k] + high, true, want, "64 bits");
}

static void try_descriptor(int id, bool alias, const struct row *r, int k)
{
    static const uint64_t bad[] = {CLOSED,     77,         GUEST_DESCRIPTORS,
                                   0x7fffffff, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        try_one(id, alias, r, k, bad[i], true, r->bad_fd, "not open");
    if (host_functions[id].params[k] == 'n')
        try_one(id, alias, r, k, r->good[k] + high, true, r->bad_fd, "64 bits");
    for (const struct wrong *w = r->wrong; w < r->wrong + 5 && (w->fd || w->want); w++) {
        uint64_t args[ENGINE_ARGS];
        begin();
        memcpy(args, r->good, sizeof args);
        args[k] = w->fd;
        int64_t got = call(id, alias, args);
        tried++;
        if (got != w->want) {
            test_failures++;
            fprintf(stderr, "%s of descriptor %u: got %lld, want %lld\n", host_functions[id].label,
                    w->fd, (long long)got, (long long)w->want);
        }
    }
}

static void try_row(int id, bool alias)
{
    static const uint64_t values[] = {1,          0x7fffffff, 0x80000000,
                                      UINT32_MAX, UINT64_MAX, UINT64_C(1) << 63};
    const struct row *r = &rows[id];
    const uint16_t *size =
        alias && r->old_size[0] + r->old_size[1] + r->old_size[4] ? r->old_size : r->size;
    if (!r->args || strlen(r->args) != strlen(host_functions[id].params)) {
        test_failures++;
        fprintf(stderr, "%s has no expectations, or not for all of its parameters\n",
                host_functions[id].label);
        return;
    }
    begin();
    int64_t got = call(id, alias, r->good);
    tried++;
    if (got != r->want && r->want != ANY) {
        test_failures++;
        fprintf(stderr, "%s: got %lld, want %lld\n", host_functions[id].label, (long long)got,
                (long long)r->want);
    }
    for (int k = 0; r->args[k]; k++)
        switch (r->args[k]) {
        case 'p':
        case 'v': /* of one element */
            try_pointer(id, alias, r, k, size[k]);
            break;
        case 's':
            try_pointer(id, alias, r, k, r->good[k + 1]);
            try_one(id, alias, r, k, 0, false, r->bad_pointer, "the start");
            break;
        case 'z':
            try_pointer(id, alias, r, k, 1);
            break;
        case 'n':
            try_length(id, alias, r, k);
            break;
        case 'f':
            try_descriptor(id, alias, r, k);
            break;
        default: /* anything may come back, but nothing may break */
            for (size_t i = 0; i < sizeof values / sizeof *values; i++)
                try_one(id, alias, r, k, values[i], false, WAITS | ANY, "a value");
        }
}

TEST(classes)
{
    for (int id = 0; id < HOST_COUNT; id++) {
        try_row(id, false);
        if (strcmp(host_functions[id].module, host_functions[id].alias) != 0)
            try_row(id, true);
    }
    CHECK(tried > 1500);
}

/* What the classes don't say: values, lists of spans, overlaps, text. */
TEST(values)
{
    static const struct {
        enum host_id id;
        const char *what;
        uint64_t args[ENGINE_ARGS];
        int64_t want;
    } cases[] = {
        {HOST_CWA_ENV_GET,
         "a buffer that is too small is not looked at",
         {KEY, 3, UINT32_MAX, 4},
         5},
        {HOST_CWA_ENV_GET, "equal fits", {KEY, 3, MEMORY - 5, 5}, 5},
        {HOST_CWA_ENV_GET, "an unknown key", {PATH, 4, OUT, 100}, RESOURCE_NOT_FOUND},
        {HOST_CWA_ENV_GET, "no key", {MEMORY, 0, OUT, 100}, RESOURCE_NOT_FOUND},
        {HOST_CWA_ENV_GET, "the value over the key", {KEY, 3, KEY, 100}, 5},
        {HOST_CWA_RUNTIME_NAME, "too small", {UINT32_MAX, 3}, 4},
        {HOST_CWA_STARTUP_ARG_AT, "no such argument", {2, OUT, 100}, RESOURCE_INVALID},
        {HOST_CWA_STARTUP_ARG_AT, "a negative argument", {UINT32_MAX, OUT, 100}, RESOURCE_INVALID},
        {HOST_CWA_RESOURCE_OPEN, "bad UTF-8", {BAD_URL, 8}, RESOURCE_INVALID},
        {HOST_CWA_RESOURCE_OPEN, "no URL", {PATH, 4}, RESOURCE_INVALID},
        {HOST_CWA_RESOURCE_OPEN, "nothing", {URL, 0}, RESOURCE_INVALID},
        {HOST_CWA_RESOURCE_OPEN, "a NUL within", {URL, 8}, RESOURCE_INVALID},
        {HOST_CWA_RESOURCE_READ, "nothing", {IN, MEMORY, 0}, 0},
        {HOST_CWA_RESOURCE_WRITE, "nothing", {WRITER, MEMORY, 0}, 0},
        {HOST_CWA_RUNTIME_MSLEEP, "a month and a half", {UINT32_MAX}, WAITS},
        {HOST_DAGGER_OPEN, "bad UTF-8", {BAD_URL, 0}, RESOURCE_INVALID},
        {HOST_DAGGER_OPEN, "nothing", {OUT, 0}, RESOURCE_INVALID},
        {HOST_WASI_CLOCK_RES_GET, "an unknown clock", {4, OUT}, WASI_ENOTSUP},
        {HOST_WASI_CLOCK_TIME_GET, "an unknown clock", {UINT32_MAX, 0, OUT}, WASI_ENOTSUP},
        {HOST_WASI_ENVIRON_GET, "pointers over the text", {OUT, OUT + 4}, WASI_EINVAL},
        {HOST_WASI_FD_ADVISE, "an unknown advice", {ASSET, 0, 0, 6}, WASI_EINVAL},
        {HOST_WASI_FD_FDSTAT_SET_FLAGS, "an unknown flag", {WRITER, 2}, WASI_ENOTSUP},
        {HOST_WASI_FD_READ, "a span half outside", {IN, SPAN_FAR, 1, OUT}, WASI_EFAULT},
        {HOST_WASI_FD_READ, "a span over itself", {IN, SPAN_SELF, 1, OUT}, 0},
        {HOST_WASI_FD_READ, "the count within the span", {IN, SPAN, 1, TEXT}, 0},
        {HOST_WASI_FD_READ, "a huge span", {IN, SPAN_HUGE, 1, OUT}, WASI_EFAULT},
        {HOST_WASI_FD_READ, "too many spans", {IN, 0, 1025, OUT}, WASI_EINVAL},
        {HOST_WASI_FD_READ,
         "more spans than there is memory",
         {IN, 0, UINT32_MAX, OUT},
         WASI_EINVAL},
        {HOST_WASI_FD_READ, "no spans", {IN, MEMORY, 0, OUT}, 0},
        {HOST_WASI_FD_WRITE, "a span half outside", {WRITER, SPAN_FAR, 1, OUT}, WASI_EFAULT},
        {HOST_WASI_FD_WRITE, "a huge span", {WRITER, SPAN_HUGE, 1, OUT}, WASI_EFAULT},
        {HOST_WASI_FD_WRITE, "too many spans", {WRITER, 0, 1025, OUT}, WASI_EINVAL},
        {HOST_WASI_FD_PREAD, "a span half outside", {ASSET, SPAN_FAR, 1, 0, OUT}, WASI_EFAULT},
        {HOST_WASI_FD_PREAD, "a span over itself", {ASSET, SPAN_SELF, 1, 0, OUT}, 0},
        {HOST_WASI_FD_PREAD, "far behind the end", {ASSET, SPAN, 1, UINT64_MAX, OUT}, 0},
        {HOST_WASI_FD_SEEK, "before the start", {ASSET, (uint64_t)-1, 0, OUT}, WASI_EINVAL},
        {HOST_WASI_FD_SEEK, "an unknown whence", {ASSET, 0, 3, OUT}, WASI_EINVAL},
        {HOST_WASI_FD_SEEK, "over the largest place", {ASSET, INT64_MAX, 2, OUT}, WASI_EINVAL},
        {HOST_WASI_FD_READDIR, "no room", {ROOT, OUT, 0, 0, OUT}, 0},
        {HOST_WASI_FD_READDIR, "a cookie from nowhere", {ROOT, OUT, 100, UINT64_MAX, OUT + 200}, 0},
        {HOST_WASI_FD_READDIR, "the count within the list", {ROOT, OUT, 100, 0, OUT + 50}, 0},
        {HOST_WASI_FD_RENUMBER, "to itself", {ASSET, ASSET}, 0},
        {HOST_WASI_FD_PRESTAT_DIR_NAME, "no room", {ROOT, OUT, 0}, WASI_ENAMETOOLONG},
        {HOST_WASI_PATH_OPEN, "bad UTF-8", {ROOT, 0, BAD_PATH, 4, 0, 0, 0, 0, OUT}, WASI_EILSEQ},
        {HOST_WASI_PATH_OPEN, "a NUL", {ROOT, 0, NUL_PATH, 4, 0, 0, 0, 0, OUT}, WASI_EINVAL},
        {HOST_WASI_PATH_OPEN, "too long", {ROOT, 0, 0, 4096, 0, 0, 0, 0, OUT}, WASI_ENAMETOOLONG},
        {HOST_WASI_PATH_OPEN, "unknown flags", {ROOT, 0, PATH, 4, 16, 0, 0, 0, OUT}, WASI_EINVAL},
        {HOST_WASI_PATH_OPEN, "unknown modes", {ROOT, 0, PATH, 4, 0, 0, 0, 32, OUT}, WASI_EINVAL},
        {HOST_WASI_PATH_OPEN, "the result over the path", {ROOT, 0, PATH, 4, 0, 0, 0, 0, PATH}, 0},
        {HOST_WASI_PATH_RENAME,
         "bad UTF-8 in the second",
         {ROOT, PATH, 4, ROOT, BAD_PATH, 4},
         WASI_EILSEQ},
        {HOST_WASI_POLL_ONEOFF, "nothing to wait for", {CLOCK, OUT, 0, OUT + 100}, WASI_EINVAL},
        {HOST_WASI_POLL_ONEOFF, "too many", {0, 0, 1025, OUT}, WASI_EINVAL},
        {HOST_WASI_POLL_ONEOFF, "more than there is memory", {0, 0, UINT32_MAX, OUT}, WASI_EINVAL},
        {HOST_WASI_POLL_ONEOFF, "events over the subscriptions", {CLOCK, CLOCK, 1, OUT}, 0},
        {HOST_WASI_RANDOM_GET, "all of memory", {0, MEMORY}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        int64_t got = call(cases[i].id, false, cases[i].args);
        if (got != cases[i].want) {
            test_failures++;
            fprintf(stderr, "%s, %s: got %lld, want %lld\n", host_functions[cases[i].id].label,
                    cases[i].what, (long long)got, (long long)cases[i].want);
        }
    }
}

/* As many descriptors as the limit allows, by each way to open one. */
TEST(too_many)
{
    static const struct {
        enum host_id id;
        uint64_t args[ENGINE_ARGS];
        int64_t full;
    } ways[] = {
        {HOST_CWA_RESOURCE_OPEN, {URL, 7}, RESOURCE_INVALID},
        {HOST_DAGGER_OPEN, {URL, 0}, RESOURCE_INVALID},
        {HOST_WASI_PATH_OPEN, {ROOT, 0, PATH, 4, 0, 0, 0, 0, OUT}, WASI_EMFILE},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        begin();
        int64_t got = 0;
        unsigned opened = 0;
        while ((got = call(ways[i].id, false, ways[i].args)) != ways[i].full && opened < 1000)
            opened++;
        CHECK(opened == limits.v[LIMIT_DESCRIPTORS] - CLOSED);
        CHECK(open_descriptors() == limits.v[LIMIT_DESCRIPTORS]);
        CHECK(call(HOST_WASI_FD_CLOSE, false, (uint64_t[ENGINE_ARGS]){20}) == 0);
        CHECK(call(ways[i].id, false, ways[i].args) != ways[i].full);
        CHECK(guest.descriptors[20].scheme != NULL);
    }
}

/* A guest without memory: all of its pointers are outside. */
TEST(no_memory)
{
    for (int id = 0; id < HOST_COUNT; id++) {
        const struct row *r = &rows[id];
        begin();
        struct engine_call c = {.owner = &guest};
        memcpy(c.arg, r->good, sizeof c.arg);
        enum engine_verdict v = ENGINE_YIELD;
        while (v == ENGINE_YIELD)
            v = host_handlers[id](&c);
        if (strpbrk(r->args, "psvz"))
            CHECK(r->bad_pointer == TRAPS ? v == ENGINE_END
                                          : v == ENGINE_DONE && (int32_t)c.result != 0);
    }
}

int main(void)
{
    static const struct test_case cases[] = {CASE(classes), CASE(values), CASE(too_many),
                                             CASE(no_memory)};
    static const char *const files[] = {"file", "content", "dir/x", "1", NULL};
    limits_init(&limits, false);
    bundle = tar_bundle(files);
    int rc = test_main(cases, sizeof cases / sizeof *cases);
    guest_done(&guest);
    bundle_close(bundle);
    return rc;
}
