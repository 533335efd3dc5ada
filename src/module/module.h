/* Modules: what a WebAssembly file says about itself, before anything compiles it.
 *
 * A strict, bounded reader of core modules that knows nothing of any engine. It
 * exists because compilers are easy to exhaust: whatever is cheap to refuse is
 * refused here, with a message that says what was found, what is allowed and
 * what to do. Three steps:
 *
 *   module_parse    structure and limits: sections, counts, types, imports, exports, sizes
 *   module_judge    the platform's rules: known imports, an entry point, one memory
 *   module_prepare  the bytes that the compiler gets
 *
 * Instructions are not looked at: the compiler validates them, in its own process.
 * Format: WebAssembly Core Specification 3.0, chapter 5 (binary format). */
#pragma once

#include "base/buf.h"
#include "base/limits.h"

enum { MODULE_PAGE = 65536 /* bytes of a page of linear memory */ };

/* Value types are one byte in the binary; types that need more belong to proposals we refuse. */
enum value_type {
    VALUE_I32 = 0x7f,
    VALUE_I64 = 0x7e,
    VALUE_F32 = 0x7d,
    VALUE_F64 = 0x7c,
    VALUE_V128 = 0x7b,
    VALUE_FUNCREF = 0x70,
    VALUE_EXTERNREF = 0x6f,
};

enum extern_kind { EXTERN_FUNCTION, EXTERN_TABLE, EXTERN_MEMORY, EXTERN_GLOBAL, EXTERN_TAG };

/* A function's type; one enum value_type a byte. */
struct module_type {
    struct slice params, results;
};

struct module_import {
    struct slice module, name; /* UTF-8 */
    enum extern_kind kind;
    uint32_t type; /* of a function: index into types */
};

struct module_export {
    struct slice name; /* UTF-8 */
    enum extern_kind kind;
    uint32_t index;
};

/* A parsed module: borrows the bytes, owns its arrays. */
struct module {
    struct slice bytes;
    struct module_type *types;
    struct module_import *imports;
    struct module_export *exports;
    uint32_t *functions; /* index of the type of each function, imported ones first */
    uint32_t type_count, import_count, export_count, function_count, imported_functions;
    uint32_t table_count, memory_count, global_count, element_count, data_count;
    uint64_t memory_min, memory_max; /* bytes; max is UINT64_MAX if the module states none */
    uint64_t code_bytes, data_bytes, custom_bytes; /* of whole sections */
    uint32_t largest_body;                         /* bytes */
    uint32_t largest_table;                        /* elements it starts with */
    bool has_start; /* a function that runs when an instance is made */
    bool is_object; /* not linked yet: has a custom section "linking" or "dylink" */
};

/* Reads the structure. The module borrows `bytes` until module_done(). ERR_NOT_A_MODULE for what
 * is no core module or broken, ERR_MODULE_LIMIT, ERR_TOO_LARGE, ERR_COMPILE for a proposal that
 * is not enabled. */
enum err_code module_parse(struct slice bytes, const struct limits *limits,
                           struct module *ret_module, struct err *e) MUST_CHECK;
void module_done(struct module *m); /* accepts a zeroed one */

/* Bits: a module may speak several. */
enum module_abi { ABI_CWA = 1, ABI_WASI = 2, ABI_DAGGER = 4 };
enum { MODULE_ENTRY = 16 };

/* What the platform wants to know of a module that it accepts. */
struct verdict {
    char entry[MODULE_ENTRY]; /* the export that is called */
    bool entry_returns;       /* it has type () -> i32: its result is the exit status */
    uint32_t abi;             /* enum module_abi */
};

/* Judges by the rules of the guest ABI; the rule that was broken is in *e. */
enum err_code module_judge(const struct module *m, const struct limits *limits,
                           struct verdict *ret_verdict, struct err *e) MUST_CHECK;

/* One import by itself: its ABI is added to *abi, or *e says why it is refused. */
enum err_code module_judge_import(const struct module *m, const struct module_import *im,
                                  uint32_t *abi, struct err *e) MUST_CHECK;

/* Is a memory that starts with `min` bytes within `memory`, a limit's value? ERR_MODULE_LIMIT. */
enum err_code module_check_memory(uint64_t min, uint64_t memory, struct err *e) MUST_CHECK;

/* Appends the module as it is compiled: without custom sections but `name`, with the export
 * `memory` if it has none. Digests and stored bytes are the original's. */
enum err_code module_prepare(const struct module *m, struct buf *out, struct err *e) MUST_CHECK;

/* The function's type; the index must be below function_count. */
const struct module_type *module_function_type(const struct module *m, uint32_t function);
/* The export of this name and kind, NULL if there is none. */
const struct module_export *module_find_export(const struct module *m, struct slice name,
                                               enum extern_kind kind);
/* "(i32 i64) -> i32", cut with "…" if it does not fit. */
void module_type_text(const struct module_type *t, char *out, size_t cap);
const char *abi_text(uint32_t abi); /* "cwa", "wasi", "cwa+wasi", "none" */
const char *extern_text(enum extern_kind kind);

/* A name from a module or archive for a message: as UTF-8, control bytes as `?`, cut at 64 bytes.
 */
struct quoted {
    char text[72];
};
struct quoted quote(struct slice name);
