/* What a compile job's end means. */
#include "ipc/compile.h"

#include "test.h"

#include <signal.h>

static struct limits limits;
static struct err e;

static enum err_code outcome(const void *p, size_t n, int wait_status)
{
    struct compile_result r;
    limits_init(&limits, false);
    e = (struct err){0};
    return compile_outcome(slice_make(p, n), wait_status, &limits, &r, &e);
}

TEST(killed)
{
    static const struct {
        int signal;
        enum err_code code;
        const char *part;
    } rows[] = {
        {SIGXCPU, ERR_COMPILE_LIMIT, "compile-cpu"},
        {SIGALRM, ERR_COMPILE_LIMIT, "compile-wall"},
        {SIGKILL, ERR_COMPILE_LIMIT, "compile-wall"},
        {SIGABRT, ERR_COMPILE_LIMIT, "compile-memory"},
        {SIGSEGV, ERR_COMPILE, "crashed"},
        {SIGSYS, ERR_COMPILE, "crashed"},
    };
    struct compile_result good = {.magic = COMPILE_MAGIC};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        /* what it said before counts no more */
        CHECK(outcome(&good, sizeof good, rows[i].signal) == rows[i].code);
        CHECK(strstr(e.text, rows[i].part) != NULL);
    }
    CHECK(outcome("", 0, 1 << 8) == ERR_INTERNAL);
    CHECK(outcome("", 0, 0) == ERR_INTERNAL);
}

TEST(said)
{
    struct compile_result r = {.magic = COMPILE_MAGIC, .entry = "_start"};
    CHECK(outcome(&r, sizeof r, 0) == ERR_OK);
    r.code = ERR_UNKNOWN_IMPORT;
    memset(r.text, 'x', sizeof r.text); /* does not end */
    CHECK(outcome(&r, sizeof r, 0) == ERR_UNKNOWN_IMPORT);
    CHECK(strlen(e.text) == sizeof r.text - 1);
    r.code = ERR_COUNT;
    CHECK(outcome(&r, sizeof r, 0) == ERR_PROTOCOL);
    r.code = 0;
    r.magic++;
    CHECK(outcome(&r, sizeof r, 0) == ERR_PROTOCOL);
    CHECK(outcome(&r, sizeof r - 1, 0) == ERR_PROTOCOL);
}

TEST(interface)
{
    static const char json[] = "{\"imports\":[],\"exports\":[]}";
    struct compile_result r = {.magic = COMPILE_MAGIC, .interface_bytes = sizeof json - 1};
    char bytes[sizeof r + sizeof json];
    memcpy(bytes, &r, sizeof r);
    memcpy(bytes + sizeof r, json, sizeof json);
    CHECK(outcome(bytes, sizeof r + sizeof json - 1, 0) == ERR_OK);
    CHECK(slice_eq(compile_interface(slice_make(bytes, sizeof r + sizeof json - 1)),
                   slice_str(json)));
    CHECK(outcome(bytes, sizeof r + sizeof json, 0) == ERR_PROTOCOL);
    CHECK(outcome(bytes, sizeof r, 0) == ERR_PROTOCOL);
    r.interface_bytes = COMPILE_INTERFACE + 1;
    CHECK(outcome(&r, sizeof r, 0) == ERR_PROTOCOL);
}

TEST_MAIN(CASE(killed), CASE(said), CASE(interface))
