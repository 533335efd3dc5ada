/* Reading the binary format.
 *
 * One cursor walks the bytes once. Its first failure sticks: later reads give 0
 * and don't move, so the code below reads straight on and loops stop on
 * `r->rc`. Every count is checked against its limit and against the bytes that
 * are left before anything is allocated for it, so memory stays proportional to
 * the file. */
#include "module/module.h"

#include <stdio.h>
#include <stdlib.h>

struct reader {
    const uint8_t *start, *p, *end; /* end: of the section being read */
    enum err_code rc;
    struct err *e;
};

static void broken(struct reader *r, const char *what)
{
    if (!r->rc)
        r->rc = err_set(r->e, ERR_NOT_A_MODULE, "the module is broken at byte %zu: %s",
                        (size_t)(r->p - r->start), what);
}

static void not_enabled(struct reader *r, const char *what)
{
    if (!r->rc)
        r->rc = err_set(r->e, ERR_COMPILE,
                        "the module uses %s, which is not enabled here (at byte %zu)", what,
                        (size_t)(r->p - r->start));
}

/* ---- numbers, names ---- */

static uint8_t get_byte(struct reader *r)
{
    if (r->rc)
        return 0;
    if (r->p == r->end) {
        broken(r, "it ends too early");
        return 0;
    }
    return *r->p++;
}

/* LEB128 of at most `bits` bits; unused bits of the last byte must be zero (signed: copies of the
 * sign). The value is truncated to 64 bits, its sign not extended: only skipped numbers are
 * signed. */
static uint64_t get_leb(struct reader *r, unsigned bits, bool is_signed)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t b = get_byte(r);
        value |= (uint64_t)(b & 0x7f) << shift;
        if (bits - shift < 7) { /* the last byte there may be */
            unsigned used = bits - shift;
            uint8_t rest = (uint8_t)((b & 0x7f) >> (is_signed ? used - 1 : used));
            uint8_t ones = (uint8_t)(0x7f >> (is_signed ? used - 1 : used));
            if (rest != 0 && !(is_signed && rest == ones))
                broken(r, "a number is too large");
        }
        if (!(b & 0x80))
            return r->rc ? 0 : value;
    }
    broken(r, "a number is too long");
    return 0;
}

static uint32_t get_u32(struct reader *r)
{
    return (uint32_t)get_leb(r, 32, false);
}

static void skip(struct reader *r, size_t n)
{
    if (r->rc)
        return;
    if (n > (size_t)(r->end - r->p))
        broken(r, "it ends too early");
    else
        r->p += n;
}

static struct slice get_name(struct reader *r)
{
    size_t n = get_u32(r);
    const uint8_t *at = r->p;
    skip(r, n);
    struct slice name = slice_make(at, r->rc ? 0 : n);
    if (!r->rc && !utf8_valid(name))
        broken(r, "a name is not UTF-8");
    return name;
}

/* A count of things of at least `least` bytes each, judged by a limit. `id` is LIMIT_COUNT for a
 * count that only the bytes bound. */
static uint32_t get_count(struct reader *r, const struct limits *limits, enum limit_id id,
                          uint64_t already, size_t least, const char *what)
{
    uint64_t n = get_u32(r);
    if (!r->rc && id != LIMIT_COUNT && n + already > limits->v[id])
        r->rc = err_set(r->e, ERR_MODULE_LIMIT,
                        "the module is over the limit \"%s\": it has %llu %s, allowed are %llu",
                        limit_rows[id].name, (unsigned long long)(n + already), what,
                        (unsigned long long)limits->v[id]);
    if (!r->rc && n * least > (size_t)(r->end - r->p))
        broken(r, "a count is larger than its section");
    return r->rc ? 0 : (uint32_t)n;
}

static void *get_array(struct reader *r, size_t n, size_t size)
{
    void *p = r->rc ? NULL : calloc(n ? n : 1, size);
    if (!p && !r->rc)
        r->rc = err_set(r->e, ERR_MEMORY, "no memory to read the module");
    return p;
}

/* ---- types ---- */

static void check_value_type(struct reader *r, uint8_t t)
{
    switch (t) {
    case VALUE_I32:
    case VALUE_I64:
    case VALUE_F32:
    case VALUE_F64:
    case VALUE_V128:
    case VALUE_FUNCREF:
    case VALUE_EXTERNREF:
        return;
    default:
        if (t >= 0x63 && t <= 0x78)
            not_enabled(r, "typed references or garbage collection");
        else
            broken(r, "an unknown value type");
    }
}

static struct slice get_value_types(struct reader *r)
{
    uint32_t n = get_count(r, NULL, LIMIT_COUNT, 0, 1, "values");
    const uint8_t *at = r->p;
    if (n > 1000) /* as every engine */
        broken(r, "a function has more than 1,000 parameters or results");
    for (uint32_t i = 0; i < n && !r->rc; i++)
        check_value_type(r, get_byte(r));
    return slice_make(at, r->rc ? 0 : n);
}

static void get_types(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n = get_count(r, limits, LIMIT_MODULE_TYPES, 0, 3, "types");
    m->types = get_array(r, n, sizeof *m->types);
    for (; m->type_count < n && !r->rc; m->type_count++) {
        uint8_t form = get_byte(r);
        if (form == 0x4e || form == 0x4f || form == 0x50 || form == 0x5e || form == 0x5f)
            not_enabled(r, "garbage collection (a type that is no function)");
        else if (form != 0x60)
            broken(r, "an unknown kind of type");
        m->types[m->type_count].params = get_value_types(r);
        m->types[m->type_count].results = get_value_types(r);
    }
}

static uint32_t get_type_index(struct reader *r, const struct module *m)
{
    uint32_t i = get_u32(r);
    if (!r->rc && i >= m->type_count)
        broken(r, "a function of a type that is not there");
    return i;
}

/* Limits of a table (in elements) or memory (in pages). */
static void get_bounds(struct reader *r, uint64_t *ret_min, uint64_t *ret_max)
{
    uint8_t flags = get_byte(r);
    if (flags > 0x0f)
        broken(r, "unknown flags of a memory or table");
    else if (flags & 2)
        not_enabled(r, "shared memory");
    else if (flags & 4)
        not_enabled(r, "64-bit memory");
    else if (flags & 8)
        not_enabled(r, "custom page sizes");
    *ret_min = get_u32(r);
    *ret_max = flags & 1 ? get_u32(r) : UINT64_MAX;
    if (!r->rc && *ret_max < *ret_min)
        broken(r, "the maximum of a memory or table is below its minimum");
}

static void get_reference_type(struct reader *r)
{
    uint8_t t = get_byte(r);
    if (t == VALUE_FUNCREF || t == VALUE_EXTERNREF)
        return;
    if (t >= 0x63 && t <= 0x78)
        not_enabled(r, "typed references or garbage collection");
    else
        broken(r, "an unknown reference type");
}

static void get_table(struct reader *r, const struct limits *limits, struct module *m)
{
    uint64_t min, max, most = limits->v[LIMIT_MODULE_ELEMENTS];
    if (r->p < r->end && *r->p == 0x40)
        not_enabled(r, "typed references (a table with an initial value)");
    get_reference_type(r);
    get_bounds(r, &min, &max);
    if (!r->rc && min > most)
        r->rc = err_set(r->e, ERR_MODULE_LIMIT,
                        "the module is over the limit \"%s\": a table starts with %llu elements, "
                        "allowed are %llu",
                        limit_rows[LIMIT_MODULE_ELEMENTS].name, (unsigned long long)min,
                        (unsigned long long)most);
    if (!r->rc && min > m->largest_table)
        m->largest_table = (uint32_t)min;
}

static void get_memory(struct reader *r, struct module *m)
{
    uint64_t min, max;
    get_bounds(r, &min, &max);
    if (!r->rc && (min > 65536 || (max != UINT64_MAX && max > 65536)))
        broken(r, "a memory of more than 4 GiB");
    m->memory_min = min * MODULE_PAGE;
    m->memory_max = max == UINT64_MAX ? max : max * MODULE_PAGE;
}

static void get_global_type(struct reader *r)
{
    check_value_type(r, get_byte(r));
    uint8_t mutability = get_byte(r);
    if (mutability > 1)
        broken(r, "an unknown mutability");
}

/* A constant expression: what initialises a global or says where a segment goes. */
static void skip_expression(struct reader *r)
{
    while (!r->rc) {
        switch (get_byte(r)) {
        case 0x0b: /* end */
            return;
        case 0x23: /* global.get */
        case 0xd2: /* ref.func */
            get_u32(r);
            break;
        case 0x41: /* i32.const */
            get_leb(r, 32, true);
            break;
        case 0x42: /* i64.const */
            get_leb(r, 64, true);
            break;
        case 0x43: /* f32.const */
            skip(r, 4);
            break;
        case 0x44: /* f64.const */
            skip(r, 8);
            break;
        case 0x6a: /* i32.add, sub, mul; i64.add, sub, mul */
        case 0x6b:
        case 0x6c:
        case 0x7c:
        case 0x7d:
        case 0x7e:
            break;
        case 0xd0: /* ref.null */
            get_reference_type(r);
            break;
        case 0xfd: /* v128.const */
            if (get_u32(r) != 12)
                broken(r, "an instruction that is not constant");
            skip(r, 16);
            break;
        case 0xfb:
            not_enabled(r, "garbage collection");
            break;
        default:
            broken(r, "an instruction that is not constant");
        }
    }
}

/* ---- sections ---- */

static void get_imports(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n = get_count(r, limits, LIMIT_MODULE_IMPORTS, 0, 4, "imports and exports");
    m->imports = get_array(r, n, sizeof *m->imports);
    m->functions = get_array(r, n, sizeof *m->functions);
    for (; m->import_count < n && !r->rc; m->import_count++) {
        struct module_import *im = &m->imports[m->import_count];
        uint64_t min, max;
        im->module = get_name(r);
        im->name = get_name(r);
        uint8_t kind = get_byte(r);
        im->kind = kind;
        switch (kind) {
        case EXTERN_FUNCTION:
            im->type = get_type_index(r, m);
            if (!r->rc) {
                m->functions[m->function_count++] = im->type;
                m->imported_functions++;
            }
            break;
        case EXTERN_TABLE:
            get_reference_type(r);
            get_bounds(r, &min, &max);
            m->table_count++;
            break;
        case EXTERN_MEMORY:
            get_memory(r, m);
            m->memory_count++;
            break;
        case EXTERN_GLOBAL:
            get_global_type(r);
            m->global_count++;
            break;
        case EXTERN_TAG:
            not_enabled(r, "exceptions");
            break;
        default:
            broken(r, "an unknown kind of import");
        }
    }
}

static void get_functions(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n = get_count(r, limits, LIMIT_MODULE_FUNCTIONS, 0, 1, "functions");
    uint32_t *all = get_array(r, (size_t)m->function_count + n, sizeof *all);
    if (!all)
        return;
    if (m->function_count)
        memcpy(all, m->functions, m->function_count * sizeof *all);
    free(m->functions);
    m->functions = all;
    for (uint32_t i = 0; i < n && !r->rc; i++)
        m->functions[m->function_count++] = get_type_index(r, m);
}

static void get_tables(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n = get_count(r, limits, LIMIT_MODULE_TABLES, m->table_count, 3, "tables");
    for (uint32_t i = 0; i < n && !r->rc; i++)
        get_table(r, limits, m);
    m->table_count += n;
}

static void get_memories(struct reader *r, struct module *m)
{
    uint32_t n = get_count(r, NULL, LIMIT_COUNT, 0, 2, "memories");
    if (!r->rc && n + m->memory_count > 1) {
        r->rc = err_set(r->e, ERR_MODULE_LIMIT,
                        "the module is over the limit \"memories\": it has %u memories, allowed "
                        "is 1",
                        n + m->memory_count);
        return;
    }
    if (n)
        get_memory(r, m);
    m->memory_count += n;
}

static void get_globals(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n = get_count(r, limits, LIMIT_MODULE_GLOBALS, m->global_count, 3, "globals");
    for (uint32_t i = 0; i < n && !r->rc; i++) {
        get_global_type(r);
        skip_expression(r);
    }
    m->global_count += n;
}

static void get_exports(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n =
        get_count(r, limits, LIMIT_MODULE_IMPORTS, m->import_count, 3, "imports and exports");
    m->exports = get_array(r, n, sizeof *m->exports);
    for (; m->export_count < n && !r->rc; m->export_count++) {
        struct module_export *ex = &m->exports[m->export_count];
        ex->name = get_name(r);
        uint8_t kind = get_byte(r);
        ex->kind = kind;
        ex->index = get_u32(r);
        const uint32_t there[] = {[EXTERN_FUNCTION] = m->function_count,
                                  [EXTERN_TABLE] = m->table_count,
                                  [EXTERN_MEMORY] = m->memory_count,
                                  [EXTERN_GLOBAL] = m->global_count};
        if (kind == EXTERN_TAG)
            not_enabled(r, "exceptions");
        else if (kind > EXTERN_TAG)
            broken(r, "an unknown kind of export");
        else if (!r->rc && ex->index >= there[kind])
            broken(r, "an export of something that is not there");
    }
}

static void get_start(struct reader *r, struct module *m)
{
    uint32_t i = get_u32(r);
    if (!r->rc && i >= m->function_count)
        broken(r, "a start function that is not there");
    m->has_start = true;
}

static void get_elements(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n = get_count(r, limits, LIMIT_MODULE_SEGMENTS, 0, 2, "element segments");
    for (uint32_t i = 0; i < n && !r->rc; i++) {
        /* bit 0: not active; bit 1: explicit table, or declared; bit 2: expressions */
        uint32_t flags = get_u32(r);
        if (flags > 7)
            broken(r, "unknown flags of an element segment");
        if (!(flags & 1)) {
            if (flags & 2)
                get_u32(r);
            skip_expression(r);
        }
        if (flags & 3) {
            if (flags & 4)
                get_reference_type(r);
            else if (get_byte(r) != 0)
                broken(r, "an unknown kind of elements");
        }
        uint32_t items = get_count(r, limits, LIMIT_MODULE_ELEMENTS, 0, 1, "elements in a segment");
        for (uint32_t j = 0; j < items && !r->rc; j++) {
            if (flags & 4)
                skip_expression(r);
            else if (get_u32(r) >= m->function_count)
                broken(r, "an element that is no function");
        }
    }
    m->element_count = n;
}

static void get_code(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n = get_count(r, NULL, LIMIT_COUNT, 0, 3, "bodies");
    if (!r->rc && n != m->function_count - m->imported_functions)
        broken(r, "there are not as many functions as bodies");
    for (uint32_t i = 0; i < n && !r->rc; i++) {
        uint32_t size = get_u32(r);
        if (!r->rc && size > limits->v[LIMIT_MODULE_BODY])
            r->rc = err_set(r->e, ERR_MODULE_LIMIT,
                            "the module is over the limit \"%s\": function %u has a body of %u "
                            "bytes, allowed are %llu",
                            limit_rows[LIMIT_MODULE_BODY].name, m->imported_functions + i, size,
                            (unsigned long long)limits->v[LIMIT_MODULE_BODY]);
        else if (!r->rc && size < 2) /* no locals, end */
            broken(r, "a function without a body");
        if (size > m->largest_body)
            m->largest_body = size;
        skip(r, size);
    }
}

static void get_data(struct reader *r, const struct limits *limits, struct module *m)
{
    uint32_t n = get_count(r, limits, LIMIT_MODULE_SEGMENTS, 0, 2, "data segments");
    for (uint32_t i = 0; i < n && !r->rc; i++) {
        uint32_t flags = get_u32(r);
        if (flags > 2)
            broken(r, "unknown flags of a data segment");
        if (flags == 2)
            get_u32(r);
        if (flags != 1)
            skip_expression(r);
        skip(r, get_u32(r));
    }
    m->data_count = n;
}

static void get_custom(struct reader *r, struct module *m)
{
    struct slice name = get_name(r);
    if (slice_eq(name, SLICE("linking")) || slice_starts(name, SLICE("dylink")))
        m->is_object = true;
    r->p = r->rc ? r->p : r->end;
}

/* Place of each section in the order that the format demands; 0 for unknown ones. */
static const uint8_t order[] = {
    [1] = 1, [2] = 2, [3] = 3,  [4] = 4,   [5] = 5,   [13] = 6,  [6] = 7,
    [7] = 8, [8] = 9, [9] = 10, [12] = 11, [10] = 12, [11] = 13,
};

static void get_sections(struct reader *r, const struct limits *limits, struct module *m)
{
    const uint8_t *end = r->end;
    uint8_t last = 0;
    uint32_t data_count = UINT32_MAX;
    bool has_code = false;
    while (r->p < end && !r->rc) {
        uint8_t id = *r->p;
        if (id && (id >= sizeof order || !order[id]))
            broken(r, "an unknown section");
        else if (id && order[id] <= last)
            broken(r, "a section is repeated or out of order");
        last = id && !r->rc ? order[id] : last;
        skip(r, 1);
        uint32_t size = get_u32(r);
        if (!r->rc && size > (size_t)(end - r->p))
            broken(r, "a section goes beyond the end: the file is truncated");
        if (r->rc)
            return;
        r->end = r->p + size;
        switch (id) {
        case 0:
            m->custom_bytes += size;
            get_custom(r, m);
            break;
        case 1:
            get_types(r, limits, m);
            break;
        case 2:
            get_imports(r, limits, m);
            break;
        case 3:
            get_functions(r, limits, m);
            break;
        case 4:
            get_tables(r, limits, m);
            break;
        case 5:
            get_memories(r, m);
            break;
        case 6:
            get_globals(r, limits, m);
            break;
        case 7:
            get_exports(r, limits, m);
            break;
        case 8:
            get_start(r, m);
            break;
        case 9:
            get_elements(r, limits, m);
            break;
        case 10:
            m->code_bytes = size;
            has_code = true;
            get_code(r, limits, m);
            break;
        case 11:
            m->data_bytes = size;
            get_data(r, limits, m);
            break;
        case 12:
            data_count = get_u32(r);
            break;
        case 13:
            not_enabled(r, "exceptions");
            break;
        }
        if (!r->rc && r->p != r->end)
            broken(r, "a section is longer than what is in it");
        r->end = end;
    }
    if (!r->rc && !has_code && m->function_count != m->imported_functions)
        broken(r, "there are not as many functions as bodies");
    if (!r->rc && data_count != UINT32_MAX && data_count != m->data_count)
        broken(r, "there are not as many data segments as announced");
}

/* ---- what it might be instead ---- */

/* Files that people upload by mistake, by their first bytes. */
static const struct mistake {
    struct slice magic;
    const char *what;
} mistakes[] = {
    {SLICE("\x7f"
           "ELF"),
     "a native program or a compiled image (ELF): upload the .wasm file"},
    {SLICE("\x1f\x8b"), "compressed with gzip: unpack it first"},
    {SLICE("PK\x03\x04"), "a ZIP archive: unpack it first"},
    {SLICE("BZh"), "compressed with bzip2: unpack it first"},
    {SLICE("\x28\xb5\x2f\xfd"), "compressed with zstd: unpack it first"},
    {SLICE("\xfd"
           "7zXZ"),
     "compressed with xz: unpack it first"},
    {SLICE("BC\xc0\xde"), "LLVM bitcode: link it with wasm-ld, without -flto -c"},
    {SLICE("!<arch>"), "a static library: link it into a program with wasm-ld"},
    {SLICE("#!"), "a script: compile a program to WebAssembly"},
    {SLICE("\xef\xbb\xbf"), "a text file: compile a program to WebAssembly"},
};

/* Judged by its beginning. */
static bool is_text(struct slice s)
{
    size_t n = s.n < 256 ? s.n : 256;
    while (n && n < s.n && ((uint8_t)s.p[n] & 0xc0) == 0x80)
        n--; /* not inside a character */
    for (size_t i = 0; i < n; i++)
        if ((uint8_t)s.p[i] < 0x20 && !strchr("\t\n\r\f", s.p[i] ? s.p[i] : 1))
            return false;
    return utf8_valid(slice_make(s.p, n));
}

static enum err_code judge_magic(struct slice s, struct err *e)
{
    static const char magic[8] = "\0asm\1\0\0\0";
    if (s.n == 0)
        return err_set(e, ERR_NOT_A_MODULE, "the file is empty");
    if (memcmp(s.p, magic, s.n < 8 ? s.n : 8) == 0)
        return s.n >= 8 ? ERR_OK
                        : err_set(e, ERR_NOT_A_MODULE,
                                  "the file is truncated: it has %zu bytes of a module's 8-byte "
                                  "header",
                                  s.n);
    if (s.n >= 8 && memcmp(s.p, "\0asm", 4) == 0 && (s.p[6] || s.p[7]))
        return err_set(e, ERR_NOT_A_MODULE,
                       "this is a component (WASI preview 2), not a core module: build for WASI "
                       "preview 1, for example with --target wasm32-wasip1 or GOOS=wasip1");
    if (s.n >= 8 && memcmp(s.p, "\0asm", 4) == 0)
        return err_set(e, ERR_NOT_A_MODULE,
                       "this module is of version %u of the binary format, wanted is 1",
                       (unsigned)((uint8_t)s.p[4] | (uint8_t)s.p[5] << 8));
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        if (slice_starts(s, mistakes[i].magic))
            return err_set(e, ERR_NOT_A_MODULE, "this is no module but %s", mistakes[i].what);
    struct slice text = s;
    while (text.n && strchr(" \t\r\n", *text.p ? *text.p : 1))
        text = slice_from(text, 1);
    if (text.n && is_text(text)) {
        const char *what = *text.p == '(' || slice_starts(text, SLICE(";;"))
                               ? "WebAssembly text: translate it with wat2wasm"
                           : *text.p == '{' || *text.p == '[' ? "JSON: upload the .wasm file"
                           : *text.p == '<'                   ? "HTML or XML: upload the .wasm file"
                                            : "a text file: compile a program to WebAssembly";
        return err_set(e, ERR_NOT_A_MODULE, "this is no module but %s", what);
    }
    return err_set(e, ERR_NOT_A_MODULE,
                   "this is no WebAssembly module: it doesn't start with \\0asm");
}

enum err_code module_parse(struct slice bytes, const struct limits *limits,
                           struct module *ret_module, struct err *e)
{
    uint64_t most = limits->v[LIMIT_MODULE];
    if (bytes.n > most) {
        char text[32];
        limit_format(LIMIT_MODULE, most, text);
        return err_set(e, ERR_TOO_LARGE,
                       "the module is over the limit \"%s\": it has %zu bytes, allowed are %s",
                       limit_rows[LIMIT_MODULE].name, bytes.n, text);
    }
    enum err_code rc = judge_magic(bytes, e);
    if (rc)
        return rc;
    const uint8_t *p = (const uint8_t *)bytes.p;
    struct reader r = {.start = p, .p = p + 8, .end = p + bytes.n, .e = e};
    struct module m = {.bytes = bytes, .memory_max = UINT64_MAX};
    get_sections(&r, limits, &m);
    if (r.rc) {
        module_done(&m);
        return r.rc;
    }
    *ret_module = m;
    return ERR_OK;
}

void module_done(struct module *m)
{
    free(m->types);
    free(m->imports);
    free(m->exports);
    free(m->functions);
    *m = (struct module){0};
}
