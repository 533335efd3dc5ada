/* The platform's rules for a module: what it may import, what it must export.
 *
 * What is on offer comes from tables/host_functions.def, the same rows that the
 * linker uses, so an upload can't be accepted that would not link. A refusal
 * names the import, what was found and what is wanted, and when the mistake is
 * a known one (built for a browser, for another platform, not linked) says how
 * to build it instead. */
#include "module/module.h"

#include "base/host.h"

#include <stdio.h>

/* ---- imports ---- */

enum { ENOUGH = 32 /* values: no row of the table has so many */ };

/* Import modules of other worlds, and how to build for this one. A `*` at the end stands for
 * anything. */
#define FOR_JAVASCRIPT "this was built for JavaScript: "
static const struct elsewhere {
    const char *module, *name, *remedy;
} elsewhere[] = {
    {"go", "*", FOR_JAVASCRIPT "build it with GOOS=wasip1 GOARCH=wasm go build"},
    {"gojs", "*", FOR_JAVASCRIPT "build it with GOOS=wasip1 GOARCH=wasm go build"},
    {"wbg", "*", "wasm-bindgen is for browsers: build with --target wasm32-wasip1"},
    {"__wbindgen*", "*", "wasm-bindgen is for browsers: build with --target wasm32-wasip1"},
    {"./*", "*", FOR_JAVASCRIPT "build with --target wasm32-wasip1"},
    {"a", "*", FOR_JAVASCRIPT "link with emcc -sSTANDALONE_WASM"},
    {"env", "emscripten_*", FOR_JAVASCRIPT "link with emcc -sSTANDALONE_WASM"},
    {"env", "__syscall*", FOR_JAVASCRIPT "link with emcc -sSTANDALONE_WASM"},
    {"env", "invoke_*", FOR_JAVASCRIPT "link with emcc -sSTANDALONE_WASM"},
    {"env", "runtime.*", FOR_JAVASCRIPT "build it with tinygo build -target=wasip1"},
    {"env", "syscall/js.*", FOR_JAVASCRIPT "build it with tinygo build -target=wasip1"},
    {"env", "abort", "AssemblyScript wants an abort: compile with --use abort= or its WASI shim"},
    {"wasi:*", "*", "this is WASI preview 2: build for preview 1 (--target wasm32-wasip1)"},
    {"wasix_*", "*", "WASIX is not WASI: build for WASI preview 1"},
    {"wasi", "thread-spawn", "build it without threads"},
    {"wasi_*", "*", "there is WASI preview 1 as it was published, without extensions"},
    {"fastly_*", "*", "this was built for Fastly: build a WASI program that speaks CGI"},
    {"wapc", "*", "this was built for waPC: build a WASI program that speaks CGI"},
};

static bool matches(struct slice s, const char *pattern)
{
    size_t n = strlen(pattern);
    return pattern[n - 1] == '*' ? slice_starts(s, slice_make(pattern, n - 1))
                                 : slice_eq(s, slice_make(pattern, n));
}

static enum err_code refuse_unknown(const struct module_import *im, struct err *e)
{
    struct quoted module = quote(im->module), name = quote(im->name);
    bool known = host_module_known(im->module) && !slice_eq(im->module, SLICE("env"));
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere && !known; i++) {
        const struct elsewhere *w = &elsewhere[i];
        if (matches(im->module, w->module) && matches(im->name, w->name))
            return err_set(e, ERR_UNKNOWN_IMPORT,
                           "the module imports \"%s\" from \"%s\", which is not offered: %s",
                           name.text, module.text, w->remedy);
    }
    if (!host_module_known(im->module))
        return err_set(e, ERR_UNKNOWN_IMPORT,
                       "the module imports \"%s\" from \"%s\", which is not offered: there are "
                       "\"cwa\", \"dagger\" and \"wasi_snapshot_preview1\"",
                       name.text, module.text);
    const char *names[HOST_COUNT];
    size_t n = 0;
    for (int i = 0; i < HOST_COUNT; i++)
        if (slice_eq(im->module, slice_str(host_functions[i].module)) ||
            slice_eq(im->module, slice_str(host_functions[i].alias)))
            names[n++] = host_functions[i].name;
    const char *near = nearest_word(im->name, names, n);
    if (near)
        return err_set(e, ERR_UNKNOWN_IMPORT,
                       "the module imports \"%s\" from \"%s\", which is not offered; did you mean "
                       "\"%s\"?",
                       name.text, module.text, near);
    return err_set(e, ERR_UNKNOWN_IMPORT,
                   "the module imports \"%s\" from \"%s\", which is not offered%s", name.text,
                   module.text,
                   slice_eq(im->module, SLICE("env"))
                       ? ": is it declared but not linked?"
                       : "; remove the call, or write it with functions that are");
}

/* Types in the letters of the table; what is in no row becomes `?`. */
static struct slice letters(struct slice types, char out[ENOUGH])
{
    size_t n = types.n < ENOUGH ? types.n : ENOUGH;
    for (size_t i = 0; i < n; i++) {
        uint8_t t = (uint8_t)types.p[i];
        out[i] = t == VALUE_I32   ? 'i'
                 : t == VALUE_I64 ? 'I'
                 : t == VALUE_F32 ? 'f'
                 : t == VALUE_F64 ? 'F'
                                  : '?';
    }
    return slice_make(out, n);
}

/* The letters of the table as types. */
static struct slice types(const char *letters_, char out[ENOUGH])
{
    size_t n = strlen(letters_);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(letters_[i] == 'I' ? VALUE_I64 : VALUE_I32);
    return slice_make(out, n);
}

enum err_code module_judge_import(const struct module *m, const struct module_import *im,
                                  uint32_t *abi, struct err *e)
{
    if (im->kind != EXTERN_FUNCTION)
        return err_set(e, ERR_UNKNOWN_IMPORT,
                       "the module imports the %s \"%s\" from \"%s\": only functions can be "
                       "imported%s",
                       extern_text(im->kind), quote(im->name).text, quote(im->module).text,
                       im->kind == EXTERN_MEMORY ? "; let it define its memory (wasm-ld without "
                                                   "--import-memory)"
                                                 : "");
    int id = host_find(im->module, im->name, NULL);
    if (id < 0)
        return refuse_unknown(im, e);

    const struct host_function *f = &host_functions[id];
    const struct module_type *found = &m->types[im->type];
    char params[ENOUGH], results[ENOUGH];
    if (!host_fits(f, letters(found->params, params), letters(found->results, results))) {
        struct module_type wanted = {types(f->params, params), types(f->result, results)};
        char found_text[200], wanted_text[100];
        module_type_text(found, found_text, sizeof found_text);
        module_type_text(&wanted, wanted_text, sizeof wanted_text);
        return err_set(e, ERR_IMPORT_TYPE,
                       "the module imports \"%s\" from \"%s\" with the type %s, wanted is %s%s; "
                       "declare it so, or update the library that declares it",
                       f->name, quote(im->module).text, found_text, wanted_text,
                       strchr(f->params, 'n') ? ", with i64 in any place" : "");
    }
    *abi |= strcmp(f->module, "cwa") == 0      ? ABI_CWA
            : strcmp(f->module, "dagger") == 0 ? ABI_DAGGER
                                               : ABI_WASI;
    return ERR_OK;
}

/* ---- entry point ---- */

static const struct entry {
    const char *name;
    bool returns; /* () -> i32 instead of () -> () */
} entries[] = {
    {"_start", false},
    {"cwa_main", true},
    {"handle", true}, /* Dagger's */
    {"main", true},
};

static bool is_entry_type(const struct module_type *t, bool returns)
{
    return t->params.n == 0 && t->results.n == returns &&
           (!returns || (uint8_t)t->results.p[0] == VALUE_I32);
}

static enum err_code find_entry(const struct module *m, struct verdict *v, struct err *e)
{
    const struct entry *mistyped = NULL;
    const struct module_export *mistyped_export = NULL;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        const struct module_export *ex =
            module_find_export(m, slice_str(entries[i].name), EXTERN_FUNCTION);
        if (!ex)
            continue;
        if (is_entry_type(module_function_type(m, ex->index), entries[i].returns)) {
            snprintf(v->entry, sizeof v->entry, "%s", entries[i].name);
            v->entry_returns = entries[i].returns;
            return ERR_OK;
        }
        if (!mistyped) {
            mistyped = &entries[i];
            mistyped_export = ex;
        }
    }
    if (mistyped) {
        char text[200];
        module_type_text(module_function_type(m, mistyped_export->index), text, sizeof text);
        return err_set(e, ERR_NO_ENTRY_POINT,
                       "the module's entry point \"%s\" has the type %s, wanted is %s",
                       mistyped->name, text, mistyped->returns ? "() -> i32" : "() -> ()");
    }
    if (module_find_export(m, SLICE("_initialize"), EXTERN_FUNCTION))
        return err_set(e, ERR_NO_ENTRY_POINT,
                       "the module is a reactor (a library): it exports \"_initialize\" but no "
                       "\"_start\"; build a command, without -mexec-model=reactor or "
                       "-buildmode=c-shared");
    return err_set(e, ERR_NO_ENTRY_POINT,
                   "the module exports no entry point: \"_start\" of type () -> () or "
                   "\"cwa_main\" of type () -> i32");
}

/* ---- memory ---- */

enum err_code module_check_memory(uint64_t min, uint64_t memory, struct err *e)
{
    if (min <= memory)
        return ERR_OK;
    char found[32], allowed[32];
    limit_format(LIMIT_MEMORY, min, found);
    limit_format(LIMIT_MEMORY, memory, allowed);
    return err_set(e, ERR_MODULE_LIMIT,
                   "the module is over the limit \"%s\": its memory starts with %s, allowed are %s",
                   limit_rows[LIMIT_MEMORY].name, found, allowed);
}

static enum err_code judge_memory(const struct module *m, const struct limits *limits,
                                  struct err *e)
{
    if (m->memory_count == 0)
        return err_set(e, ERR_NO_MEMORY,
                       "the module has no memory: the functions it may import pass text through "
                       "it");
    for (uint32_t i = 0; i < m->export_count; i++)
        if (slice_eq(m->exports[i].name, SLICE("memory")) && m->exports[i].kind != EXTERN_MEMORY)
            return err_set(e, ERR_NO_MEMORY, "the module's export \"memory\" is a %s",
                           extern_text(m->exports[i].kind));
    return module_check_memory(m->memory_min, limits->v[LIMIT_MEMORY], e);
}

enum err_code module_judge(const struct module *m, const struct limits *limits,
                           struct verdict *ret_verdict, struct err *e)
{
    struct verdict v = {0};
    if (m->is_object)
        return err_set(e, ERR_NOT_A_MODULE,
                       "this is an object file or shared library: link it into a program (clang "
                       "without -c, or wasm-ld)");
    for (uint32_t i = 0; i < m->import_count; i++) {
        enum err_code rc = module_judge_import(m, &m->imports[i], &v.abi, e);
        if (rc)
            return rc;
    }
    enum err_code rc = judge_memory(m, limits, e);
    if (rc)
        return rc;
    rc = find_entry(m, &v, e);
    if (rc)
        return rc;
    *ret_verdict = v;
    return ERR_OK;
}

const struct module_type *module_function_type(const struct module *m, uint32_t function)
{
    return &m->types[m->functions[function]];
}

const struct module_export *module_find_export(const struct module *m, struct slice name,
                                               enum extern_kind kind)
{
    for (uint32_t i = 0; i < m->export_count; i++)
        if (m->exports[i].kind == kind && slice_eq(m->exports[i].name, name))
            return &m->exports[i];
    return NULL;
}
