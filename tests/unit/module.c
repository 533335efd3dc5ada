/* Judging modules: what is read, what is refused and how it is said, and that no byte outside is
 * touched. */
#include "module/module.h"

#include "base/host.h"

#include "module_build.h"
#include "test.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct limits limits;

/* ---- judging bytes ---- */

static struct err last;
static struct verdict verdict;

/* Parses and judges; the code, with text and verdict left above. */
static enum err_code judge(struct slice bytes)
{
    struct module m;
    last = (struct err){0};
    enum err_code rc = module_parse(bytes, &limits, &m, &last);
    if (rc)
        return rc;
    rc = module_judge(&m, &limits, &verdict, &last);
    module_done(&m);
    return rc;
}

static enum err_code judge_built(const struct build *b)
{
    return judge(slice_make(b->bytes, b->n));
}

static bool says(const char *part)
{
    bool found = strstr(last.text, part) != NULL;
    if (!found)
        fprintf(stderr, "message: %s\n", last.text);
    return found;
}

/* ---- cases ---- */

TEST(accepts)
{
    limits_init(&limits, false);
    struct build b;
    build_program(&b);
    CHECK(judge_built(&b) == ERR_OK);
    CHECK_STR(last.text, "");
    CHECK_STR(verdict.entry, "_start");
    CHECK(!verdict.entry_returns);
    CHECK_STR(abi_text(verdict.abi), "cwa");

    struct module m;
    struct err e;
    CHECK(module_parse(slice_make(b.bytes, b.n), &limits, &m, &e) == ERR_OK);
    CHECK(m.import_count == 2 && m.function_count == 3 && m.imported_functions == 2);
    CHECK(m.memory_min == 2 * MODULE_PAGE && m.memory_max == UINT64_MAX);
    CHECK(m.export_count == 2 && m.data_count == 1 && m.global_count == 1);
    char text[64];
    module_type_text(module_function_type(&m, 1), text, sizeof text);
    CHECK_STR(text, "(i32 i32 i32) -> i32");
    module_done(&m);
}

/* Each file that people upload by mistake gets its own words. */
TEST(mistakes)
{
    static const struct {
        struct slice bytes;
        const char *part;
    } rows[] = {
        {SLICE(""), "is empty"},
        {SLICE("\0as"), "truncated: it has 3 bytes"},
        {SLICE("\0asm\1\0\0"), "truncated"},
        {SLICE("\0asm\x0d\0\1\0"), "component"},
        {SLICE("\0asm\2\0\0\0"), "version 2"},
        {SLICE("\x7f"
               "ELF\2\1\1"),
         "ELF"},
        {SLICE("\x1f\x8b\x08"), "gzip"},
        {SLICE("PK\3\4"), "ZIP"},
        {SLICE("BC\xc0\xde"), "bitcode"},
        {SLICE("!<arch>\n"), "static library"},
        {SLICE("#!/bin/sh\n"), "script"},
        {SLICE("{\"a\": 1}"), "JSON"},
        {SLICE("\n  [1]"), "JSON"},
        {SLICE("(module)"), "wat2wasm"},
        {SLICE("  ;; text\n(module)"), "wat2wasm"},
        {SLICE("<html>"), "HTML"},
        {SLICE("package main"), "text file"},
        {SLICE("\xfe\xfe\xfe\xfe"), "doesn't start with"},
        {SLICE("\1\2\3\4\5\6\7\x08\x09"), "doesn't start with"},
    };
    limits_init(&limits, false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        CHECK(judge(rows[i].bytes) == ERR_NOT_A_MODULE);
        CHECK(says(rows[i].part));
    }
}

/* A program with one thing changed. */
struct change {
    const char *imports, *exports, *memory;
};

static void build_changed(struct build *b, const struct change *c)
{
    build_start(b);
    build_hex(b, 1, "04 60 00 00 60 03 7f7f7f 01 7f 60 00 01 7f 60 01 7f 01 7f");
    if (c->imports)
        build_hex(b, 2, c->imports);
    build_hex(b, 3, "02 00 02"); /* () -> () and () -> i32 */
    if (!c->memory)
        build_hex(b, 5, "01 00 02");
    else if (*c->memory)
        build_hex(b, 5, c->memory);
    if (c->exports)
        build_hex(b, 7, c->exports);
    build_hex(b, 10, "02 02 00 0b 04 00 41 00 0b");
}

#define START "06 '_start' 00 00"

TEST(rules)
{
    static const struct {
        struct change change;
        enum err_code code;
        const char *part;
    } rows[] = {
        {{.exports = "01 " START}, ERR_OK, ""},
        {{.exports = "01 08 'cwa_main' 00 01"}, ERR_OK, ""},
        {{.exports = "01 06 'handle' 00 01"}, ERR_OK, ""},
        {{.exports = "02 08 'cwa_main' 00 01 " START}, ERR_OK, ""},
        {{.exports = NULL}, ERR_NO_ENTRY_POINT, "exports no entry point"},
        {{.exports = "01 06 '_start' 00 01"},
         ERR_NO_ENTRY_POINT,
         "type () -> i32, wanted is () -> ()"},
        {{.exports = "01 08 'cwa_main' 00 00"}, ERR_NO_ENTRY_POINT, "wanted is () -> i32"},
        {{.exports = "01 0b '_initialize' 00 00"}, ERR_NO_ENTRY_POINT, "reactor"},
        {{.exports = "01 06 '_start' 02 00"}, ERR_NO_ENTRY_POINT, "exports no entry point"},
        {{.exports = "02 " START " 06 'memory' 00 00"}, ERR_NO_MEMORY, "is a function"},
        {{.exports = "01 " START, .memory = ""}, ERR_NO_MEMORY, "no memory"},
        {{.exports = "01 " START, .memory = "02 00 01 00 01"}, ERR_MODULE_LIMIT, "2 memories"},
        {{.exports = "01 " START, .memory = "01 00 8110"},
         ERR_MODULE_LIMIT,
         "limit \"memory\": its memory starts with 131136 KiB, allowed are 128 MiB"},
        {{.exports = "01 " START, .memory = "01 00 808005"}, ERR_NOT_A_MODULE, "more than 4 GiB"},
        {{.exports = "01 " START, .memory = "01 03 01 02"}, ERR_COMPILE, "shared memory"},
        {{.exports = "01 " START, .memory = "01 04 01"}, ERR_COMPILE, "64-bit memory"},
        {{.exports = "01 " START, .memory = "01 08 01 00"}, ERR_COMPILE, "custom page sizes"},
        {{.exports = "01 " START, .memory = "01 01 02 01"}, ERR_NOT_A_MODULE, "below its minimum"},

        {{.imports = "01 03 'cwa' 0d 'resource_read' 00 01", .exports = "01 06 '_start' 00 01"},
         ERR_OK,
         ""},
        {{.imports = "01 03 'env' 0d 'resource_read' 00 01", .exports = "01 06 '_start' 00 01"},
         ERR_OK,
         ""},
        /* an added i32 result where there is none */
        {{.imports = "01 03 'cwa' 0e 'resource_close' 00 03", .exports = "01 06 '_start' 00 01"},
         ERR_OK,
         ""},
        {{.imports = "01 03 'cwa' 0d 'resource_read' 00 00"},
         ERR_IMPORT_TYPE,
         "\"resource_read\" from \"cwa\" with the type () -> (), wanted is (i32 i32 i32) -> i32"},
        {{.imports = "01 03 'cwa' 0c 'resource_red' 00 00"},
         ERR_UNKNOWN_IMPORT,
         "did you mean \"resource_read\""},
        {{.imports = "01 03 'env' 03 'foo' 00 00"}, ERR_UNKNOWN_IMPORT, "declared but not linked"},
        {{.imports = "01 02 'no' 03 'foo' 00 00"},
         ERR_UNKNOWN_IMPORT,
         "there are \"cwa\", \"dagger\""},
        {{.imports = "01 04 'gojs' 03 'foo' 00 00"}, ERR_UNKNOWN_IMPORT, "GOOS=wasip1"},
        {{.imports = "01 03 'env' 12 'emscripten_memcpy_' 00 00"},
         ERR_UNKNOWN_IMPORT,
         "STANDALONE_WASM"},
        {{.imports = "01 06 'dagger' 04 'open' 00 00"}, ERR_IMPORT_TYPE, "i64 in any place"},
        {{.imports = "01 06 'dagger' 04 'link' 00 00"}, ERR_UNKNOWN_IMPORT, "not offered"},
        {{.imports = "01 03 'env' 0d 'runtime.ticks' 00 00"}, ERR_UNKNOWN_IMPORT, "tinygo"},
        {{.imports = "01 03 'env' 06 'memory' 02 00 01", .memory = ""},
         ERR_UNKNOWN_IMPORT,
         "--import-memory"},
        {{.imports = "01 03 'env' 05 'table' 01 70 00 01"},
         ERR_UNKNOWN_IMPORT,
         "imports the table"},
        {{.imports = "01 03 'env' 02 'sp' 03 7f 01"}, ERR_UNKNOWN_IMPORT, "imports the global"},
        {{.imports = "01 03 'env' 02 'ex' 04 00 00"}, ERR_COMPILE, "exceptions"},
        {{.imports = "01 03 'env' 02 'ex' 05 00"}, ERR_NOT_A_MODULE, "unknown kind of import"},
        {{.imports = "01 03 'env' 02 'ex' 00 09"}, ERR_NOT_A_MODULE, "a type that is not there"},
        {{.imports = "01 03 'env' 02 c328 00 00"}, ERR_NOT_A_MODULE, "not UTF-8"},
        {{.imports = "01 03 'env' 02 1b0a 00 00"}, ERR_UNKNOWN_IMPORT, "\"??\""},
        {{.exports = "01 06 '_start' 00 02"},
         ERR_NOT_A_MODULE,
         "export of something that is not there"},
    };
    limits_init(&limits, false);
    CHECK_STR(quote(SLICE("a\tb\xc2\x9b"
                          "31m\xc3\xa4"))
                  .text,
              "a?b??31m\xc3\xa4");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct build b;
        build_changed(&b, &rows[i].change);
        enum err_code rc = judge_built(&b);
        if (rc != rows[i].code || !says(rows[i].part))
            fprintf(stderr, "row %zu: %s\n", i, err_slug(rc));
        CHECK(rc == rows[i].code && says(rows[i].part));
    }
}

/* Whole files by hand: sections that are wrong in themselves. */
/* An added i32 result fits every function without one, and nothing else does; n stands for both. */
TEST(types)
{
    for (int i = 0; i < HOST_COUNT; i++) {
        const struct host_function *f = &host_functions[i];
        struct slice params = slice_str(f->params), result = slice_str(f->result);
        CHECK(host_fits(f, params, result));
        CHECK(host_fits(f, params, SLICE("i")) == (strcmp(f->result, "I") != 0));
        CHECK(host_fits(f, params, SLICE("I")) == (result.n && f->result[0] != 'i'));
        CHECK(host_fits(f, params, SLICE("")) == (result.n == 0));
        CHECK(!host_fits(f, params, SLICE("ii")) && !host_fits(f, params, SLICE("f")));
        for (size_t k = 0; k <= params.n; k++) { /* one parameter less, another, one more */
            char other[16];
            CHECK(slice_copy(params, other, sizeof other));
            CHECK(k == params.n || !host_fits(f, slice_make(other, k), result));
            other[k] = params.n > k && other[k] == 'i' ? 'I' : 'i';
            bool same = k < params.n && params.p[k] == 'n';
            CHECK(host_fits(f, slice_make(other, k < params.n ? params.n : k + 1), result) == same);
        }
    }
}

TEST(malformed)
{
    static const struct {
        const char *sections; /* id, length and bytes of each, in hexadecimal */
        enum err_code code;
        const char *part;
    } rows[] = {
        {"01 01 00 01 01 00", ERR_NOT_A_MODULE, "repeated or out of order"},
        {"03 01 00 01 01 00", ERR_NOT_A_MODULE, "repeated or out of order"},
        {"0e 00", ERR_NOT_A_MODULE, "an unknown section"},
        {"0d 01 00", ERR_COMPILE, "exceptions"},
        {"01 05 00", ERR_NOT_A_MODULE, "truncated"},
        {"01 02 00 00", ERR_NOT_A_MODULE, "longer than what is in it"},
        {"01 ffffffff0f", ERR_NOT_A_MODULE, "truncated"},
        {"01 ffffffff1f", ERR_NOT_A_MODULE, "a number is too large"},
        {"01 8080808080 00", ERR_NOT_A_MODULE, "a number is too l"},
        {"01 05 ffffffff0f", ERR_MODULE_LIMIT, "module-types"},
        {"01 02 60 00", ERR_NOT_A_MODULE, "count is larger than its section"},
        {"01 04 01 61 00 00", ERR_NOT_A_MODULE, "unknown kind of type"},
        {"01 04 01 5f 00 00", ERR_COMPILE, "garbage collection"},
        {"01 05 01 60 01 40 00", ERR_NOT_A_MODULE, "unknown value type"},
        {"01 05 01 60 01 64 00", ERR_COMPILE, "typed references"},
        {"01 04 01 60 00 00 03 02 01 00", ERR_NOT_A_MODULE, "as many functions as bodies"},
        {"01 04 01 60 00 00 03 02 01 00 0a 01 00", ERR_NOT_A_MODULE, "as many functions as bodies"},
        {"01 04 01 60 00 00 03 02 01 00 0a 04 01 01 0b 0b", ERR_NOT_A_MODULE, "without a body"},
        {"05 01 00 0c 01 05", ERR_NOT_A_MODULE, "data segments as announced"},
        {"06 06 01 7f 02 41 00 0b", ERR_NOT_A_MODULE, "unknown mutability"},
        {"06 06 01 7f 00 20 00 0b", ERR_NOT_A_MODULE, "not constant"},
        {"06 0a 01 7e 00 42 ffffffffffff", ERR_NOT_A_MODULE, "ends too early"},
        {"08 01 00", ERR_NOT_A_MODULE, "start function that is not there"},
        {"09 06 01 00 41 00 0b 01", ERR_NOT_A_MODULE, "count is larger"},
        {"09 07 01 00 41 00 0b 01 00", ERR_NOT_A_MODULE, "element that is no function"},
        {"09 03 01 09 00", ERR_NOT_A_MODULE, "flags of an element segment"},
        {"0b 03 01 03 00", ERR_NOT_A_MODULE, "flags of a data segment"},
        {"0b 06 01 00 41 00 0b 05", ERR_NOT_A_MODULE, "ends too early"},
        {"04 04 01 6e 00 01", ERR_COMPILE, "typed references"},
        {"04 04 01 7f 00 01", ERR_NOT_A_MODULE, "unknown reference type"},
        {"04 08 01 40 00 70 00 01 d0 70", ERR_COMPILE, "a table with an initial value"},
        {"00 01 05", ERR_NOT_A_MODULE, "ends too early"},
        {"00 09 07 'linking' 02", ERR_NOT_A_MODULE, "object file"},
    };
    limits_init(&limits, false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct build b;
        build_start(&b);
        build_raw(&b, rows[i].sections);
        enum err_code rc = judge_built(&b);
        if (rc != rows[i].code || !says(rows[i].part))
            fprintf(stderr, "row %zu: %s\n", i, err_slug(rc));
        CHECK(rc == rows[i].code && says(rows[i].part));
    }
}

/* The program is at each of these limits with `at` and over it with one less. */
TEST(every_limit)
{
    static const struct {
        enum limit_id id;
        uint64_t at;
        const char *part;
    } rows[] = {
        {LIMIT_MODULE_FUNCTIONS, 1, "\"module-functions\": it has 1 functions, allowed are 0"},
        {LIMIT_MODULE_GLOBALS, 1, "\"module-globals\": it has 1 globals"},
        {LIMIT_MODULE_SEGMENTS, 1, "\"module-segments\": it has 1 "},
        {LIMIT_MODULE_BODY, 8, "\"module-body\": function 2 has a body of 8 bytes, allowed are 7"},
        {LIMIT_MODULE_IMPORTS, 4,
         "\"module-imports\": it has 4 imports and exports, allowed are 3"},
        {LIMIT_MODULE_TYPES, 3, "\"module-types\": it has 3 types"},
        {LIMIT_MODULE_TABLES, 1, "\"module-tables\": it has 1 tables"},
        {LIMIT_MODULE_ELEMENTS, 5, "\"module-elements\": a table starts with 5 elements"},
        {LIMIT_MEMORY, 2 * MODULE_PAGE, "\"memory\": its memory starts with 128 KiB"},
    };
    struct build b;
    build_program(&b);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        limits_init(&limits, false);
        limits.v[rows[i].id] = rows[i].at;
        CHECK(judge_built(&b) == ERR_OK);
        limits.v[rows[i].id] = rows[i].at - 1;
        CHECK(judge_built(&b) == ERR_MODULE_LIMIT);
        CHECK(says(rows[i].part));
    }
    limits_init(&limits, false);
    limits.v[LIMIT_MODULE] = b.n;
    CHECK(judge_built(&b) == ERR_OK);
    limits.v[LIMIT_MODULE] = b.n - 1;
    CHECK(judge_built(&b) == ERR_TOO_LARGE);
    CHECK(says("\"module\""));
}

/* Every prefix of a module, ending where the next byte can't be read: refused, never a crash.
 * The same with each byte changed to a few others: judged somehow, and prepared if accepted. */
TEST(no_byte_outside)
{
    limits_init(&limits, false);
    struct build b;
    build_program(&b);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(two != MAP_FAILED && b.n < page);
    mprotect(two + page, page, PROT_NONE);
    for (size_t n = 0; n < b.n; n++) {
        char *at = two + page - n;
        memcpy(at, b.bytes, n);
        /* some ends fall between sections: then something else is missing */
        CHECK(judge(slice_make(at, n)) != ERR_OK || n > b.n - 40);
    }
    char *at = two + page - b.n;
    for (size_t i = 0; i < b.n; i++) {
        static const uint8_t values[] = {0, 1, 0x7f, 0x80, 0xff};
        for (size_t v = 0; v < sizeof values; v++) {
            memcpy(at, b.bytes, b.n);
            at[i] = (char)values[v];
            struct module m;
            struct err e;
            if (module_parse(slice_make(at, b.n), &limits, &m, &e))
                continue;
            struct buf out;
            buf_init(&out, 1 << 16);
            CHECK(module_prepare(&m, &out, &e) == ERR_OK);
            buf_done(&out);
            module_done(&m);
        }
    }
    munmap(two, 2 * page);
}

static enum err_code prepare(const struct build *b, struct buf *out)
{
    struct module m;
    struct err e;
    enum err_code rc = module_parse(slice_make(b->bytes, b->n), &limits, &m, &e);
    if (!rc)
        rc = module_prepare(&m, out, &e);
    module_done(&m);
    return rc;
}

TEST(prepares)
{
    limits_init(&limits, false);
    struct build b;
    struct buf out;
    buf_init(&out, 1 << 16);

    build_program(&b); /* exports its memory, has no custom sections: stays as it is */
    CHECK(prepare(&b, &out) == ERR_OK);
    CHECK(slice_eq(buf_slice(&out), slice_make(b.bytes, b.n)));

    static const char *const exports[] = {"01 " START, NULL};
    for (int i = 0; i < 2; i++) { /* an export section that grows, and none at all */
        buf_clear(&out);
        build_changed(&b, &(struct change){.exports = exports[i]});
        build_raw(&b, "00 06 03 'pad' 0102 00 08 04 'name' 00 01 00");
        CHECK(prepare(&b, &out) == ERR_OK);
        struct module m;
        struct err e = {0};
        CHECK(module_parse(buf_slice(&out), &limits, &m, &e) == ERR_OK);
        CHECK(module_find_export(&m, SLICE("memory"), EXTERN_MEMORY) != NULL);
        CHECK(m.export_count == (i ? 1 : 2));
        CHECK(m.custom_bytes == 8); /* `name` alone */
        module_done(&m);
    }
    buf_done(&out);
}

TEST_MAIN(CASE(accepts), CASE(mistakes), CASE(rules), CASE(types), CASE(malformed),
          CASE(every_limit), CASE(no_byte_outside), CASE(prepares))
