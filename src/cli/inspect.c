/* `wasmcloud inspect FILE`: what a module is made of, wants, and would be refused for.
 *
 * What it could open follows from its imports and a policy, if one is given.
 * It is read with every limit lifted, so that a module over several of them shows all at once. */
#include "cli/args.h"
#include "cli/local.h"
#include "cli/policy_file.h"
#include "cli/show.h"
#include "guest/resource.h"
#include "module/module.h"

#include <stdlib.h>

enum { TYPE_TEXT = 160 };

/* ---- limits ---- */

struct measured {
    enum limit_id id;
    uint64_t found;
};
enum { MEASURED = 10 };

static void measure(const struct module *m, struct measured out[MEASURED])
{
    const struct measured all[MEASURED] = {
        {LIMIT_MODULE, m->bytes.n},
        {LIMIT_MODULE_FUNCTIONS, m->function_count - m->imported_functions},
        {LIMIT_MODULE_GLOBALS, m->global_count},
        {LIMIT_MODULE_SEGMENTS,
         m->data_count > m->element_count ? m->data_count : m->element_count},
        {LIMIT_MODULE_BODY, m->largest_body},
        {LIMIT_MODULE_IMPORTS, (uint64_t)m->import_count + m->export_count},
        {LIMIT_MODULE_TYPES, m->type_count},
        {LIMIT_MODULE_TABLES, m->table_count},
        {LIMIT_MODULE_ELEMENTS, m->largest_table},
        {LIMIT_MEMORY, m->memory_min},
    };
    memcpy(out, all, sizeof all);
}

static void lift(struct limits *l)
{
    for (int i = 0; i < LIMIT_COUNT; i++)
        l->v[i] = UINT32_MAX;
}

/* ---- what it could open ---- */

/* The host functions that open URLs: whoever imports none of them opens nothing. */
static const enum host_id openers[] = {HOST_CWA_RESOURCE_OPEN, HOST_DAGGER_OPEN,
                                       HOST_WASI_PATH_OPEN};
enum { OPENERS = sizeof openers / sizeof *openers };

static bool imports_function(const struct module *m, enum host_id id)
{
    for (uint32_t i = 0; i < m->import_count; i++)
        if (host_find(m->imports[i].module, m->imports[i].name, NULL) == (int)id)
            return true;
    return false;
}

static json_t *openers_json(const struct module *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < OPENERS; i++)
        if (imports_function(m, openers[i]))
            json_array_append_new(list, json_string(host_functions[openers[i]].label));
    return list;
}

/* ---- what to show ---- */

struct seen {
    const char *file;
    const struct module *module;
    const struct limits *limits;
    const struct policy *policy; /* NULL: the empty one */
    const struct err *refused;   /* code ERR_OK: accepted */
    const struct verdict *verdict;
    struct measured measured[MEASURED];
};

static void import_type(const struct module *m, const struct module_import *im, char out[TYPE_TEXT])
{
    if (im->kind == EXTERN_FUNCTION)
        module_type_text(&m->types[im->type], out, TYPE_TEXT);
    else
        snprintf(out, TYPE_TEXT, "%s", extern_text(im->kind));
}

static void export_type(const struct module *m, const struct module_export *ex, char out[TYPE_TEXT])
{
    if (ex->kind == EXTERN_FUNCTION)
        module_type_text(module_function_type(m, ex->index), out, TYPE_TEXT);
    else
        snprintf(out, TYPE_TEXT, "%s", extern_text(ex->kind));
}

static json_t *opens_json(const struct seen *s)
{
    json_t *schemes = json_array(), *with = openers_json(s->module), *policy = NULL;
    struct buf rules;
    for (size_t i = 0; json_array_size(with) && resource_scheme(i); i++)
        json_array_append_new(schemes, json_string(resource_scheme(i)));
    buf_init(&rules, POLICY_TEXT);
    if (s->policy && policy_write(s->policy, &rules))
        policy = json_loadb(buf_data(&rules), buf_size(&rules), 0, NULL);
    buf_done(&rules);
    return json_pack("{s:o, s:o, s:o}", "with", with, "schemes", schemes, "policy",
                     policy ? policy : json_null());
}

static void print_json(const struct seen *s)
{
    const struct module *m = s->module;
    char type[TYPE_TEXT];
    json_t *imports = json_array(), *exports = json_array(), *limits = json_array();
    for (uint32_t i = 0; i < m->import_count; i++) {
        const struct module_import *im = &m->imports[i];
        struct err e = {0};
        uint32_t abi;
        import_type(m, im, type);
        json_t *row =
            json_pack("{s:s%, s:s%, s:s, s:s}", "module", im->module.p, im->module.n, "name",
                      im->name.p, im->name.n, "kind", extern_text(im->kind), "type", type);
        bool offered = module_judge_import(m, im, &abi, &e) == ERR_OK;
        json_object_set_new(row, "offered", json_boolean(offered));
        if (!offered)
            json_object_set_new(row, "detail", json_string(e.text));
        json_array_append_new(imports, row);
    }
    for (uint32_t i = 0; i < m->export_count; i++) {
        const struct module_export *ex = &m->exports[i];
        export_type(m, ex, type);
        json_array_append_new(exports, json_pack("{s:s%, s:s, s:s}", "name", ex->name.p, ex->name.n,
                                                 "kind", extern_text(ex->kind), "type", type));
    }
    for (int i = 0; i < MEASURED; i++)
        json_array_append_new(limits, json_pack("{s:s, s:I, s:I}", "name",
                                                limit_rows[s->measured[i].id].name, "found",
                                                (json_int_t)s->measured[i].found, "allowed",
                                                (json_int_t)s->limits->v[s->measured[i].id]));
    bool ok = s->refused->code == ERR_OK;
    json_t *all = json_pack(
        "{s:s, s:b, s:o, s:o, s:o, s:s, s:o, s:I, s:o, s:b, s:o, s:o, s:o}", "file", s->file,
        "accepted", ok, "code", ok ? json_null() : json_string(err_slug(s->refused->code)),
        "detail", ok ? json_null() : json_string(s->refused->text), "entry",
        ok ? json_string(s->verdict->entry) : json_null(), "abi",
        ok ? abi_text(s->verdict->abi) : "", "size", json_integer((json_int_t)m->bytes.n),
        "memory_min", (json_int_t)m->memory_min, "memory_max",
        m->memory_max == UINT64_MAX ? json_null() : json_integer((json_int_t)m->memory_max),
        "start", m->has_start, "imports", imports, "exports", exports, "limits", limits);
    json_object_set_new(all, "opens", opens_json(s));
    show_json(all);
    json_decref(all);
}

static void print_opens(const struct seen *s)
{
    json_t *with = openers_json(s->module), *name;
    struct buf rules;
    size_t i;
    if (!json_array_size(with)) {
        printf("It opens nothing: it imports no function that does.\n");
        json_decref(with);
        return;
    }
    printf("It can open");
    for (i = 0; resource_scheme(i); i++)
        printf(" %s://", resource_scheme(i));
    printf(", with");
    json_array_foreach(with, i, name) printf(" %s", json_string_value(name));
    json_decref(with);
    buf_init(&rules, POLICY_TEXT);
    if (s->policy && policy_print(s->policy, &rules))
        printf(", as its policy allows:\n%.*s", SLICE_ARG(buf_slice(&rules)));
    else
        printf(";\nnothing remote without a policy (--policy FILE judges by one).\n");
    buf_done(&rules);
}

static void print_imports(const struct module *m)
{
    static const char *const head[] = {"IMPORT", "TYPE", "OFFERED", NULL};
    struct show_table t = {0};
    for (uint32_t i = 0; i < m->import_count; i++) {
        const struct module_import *im = &m->imports[i];
        struct err e;
        uint32_t abi;
        char name[160], type[TYPE_TEXT];
        snprintf(name, sizeof name, "%s.%s", quote(im->module).text, quote(im->name).text);
        import_type(m, im, type);
        enum err_code rc = module_judge_import(m, im, &abi, &e);
        show_row(&t, head, (const char *[]){name, type, rc ? err_slug(rc) : "yes"});
    }
    show_table(&t, "It imports nothing.");
}

static void print_exports(const struct module *m)
{
    static const char *const head[] = {"EXPORT", "TYPE", NULL};
    struct show_table t = {0};
    for (uint32_t i = 0; i < m->export_count; i++) {
        struct quoted name = quote(m->exports[i].name);
        char type[TYPE_TEXT];
        export_type(m, &m->exports[i], type);
        show_row(&t, head, (const char *[]){name.text, type});
    }
    show_table(&t, "It exports nothing.");
}

static void print_limits(const struct seen *s)
{
    static const char *const head[] = {"LIMIT", "FOUND", "ALLOWED", "", NULL};
    struct show_table t = {0};
    for (int i = 0; i < MEASURED; i++) {
        enum limit_id id = s->measured[i].id;
        char found[32], allowed[32];
        limit_format(id, s->measured[i].found, found);
        limit_format(id, s->limits->v[id], allowed);
        show_row(&t, head,
                 (const char *[]){limit_rows[id].name, found, allowed,
                                  s->measured[i].found > s->limits->v[id] ? "over" : ""});
    }
    show_table(&t, "");
}

static void print_text(const struct seen *s)
{
    const struct module *m = s->module;
    char size[24], code[24], data[24];
    printf("%s: a module of %s (code %s, data %s)\n", s->file, show_bytes(m->bytes.n, size),
           show_bytes(m->code_bytes, code), show_bytes(m->data_bytes, data));
    if (s->refused->code)
        printf("refused: %s\n", s->refused->text);
    else
        printf("accepted: entry point %s, ABI %s%s\n", s->verdict->entry, abi_text(s->verdict->abi),
               m->has_start ? ", with a start function" : "");
    printf("\n");
    print_imports(m);
    printf("\n");
    print_exports(m);
    printf("\n");
    print_limits(s);
    printf("\n");
    print_opens(s);
}

int cmd_inspect(int argc, char **argv)
{
    bool json = false;
    const char *file = NULL;
    struct words words = {0}, limits = {0};
    const struct flag flags[] = {
        FLAG_JSON(json),
        {.name = "limit", .value = "NAME=VALUE", .help = "judge by this limit", .many = &limits},
        {.name = "policy",
         .value = "FILE",
         .help = "what it may open, and the limits in it",
         .text = &file},
        {0},
    };
    int status = args_parse("inspect", argc, argv, flags, &words, 1, 1);
    if (status >= 0)
        return status;

    struct err e = {0}, refused = {0};
    struct options options;
    struct limits lifted;
    struct module m = {0}, again = {0};
    struct verdict v;
    struct buf bytes;
    struct policy *policy = NULL;
    lift(&lifted);
    lifted.v[LIMIT_MODULE] = limit_rows[LIMIT_MODULE].maximum;
    buf_init(&bytes, lifted.v[LIMIT_MODULE]);
    enum err_code rc = local_options(limits.at, limits.n, &options, &e);
    if (!rc && file)
        rc = policy_file(file, policy_file_note, (void *)file, &policy, &e);
    if (policy)
        local_policy_limits(policy, &options.limits);
    if (!rc)
        rc = local_read(words.at[0], &lifted, LIMIT_MODULE, &bytes, &e);
    if (!rc)
        rc = module_parse(buf_slice(&bytes), &lifted, &m, &e);
    if (rc)
        goto out;
    if (module_parse(m.bytes, &options.limits, &again, &refused) == ERR_OK &&
        module_judge(&again, &options.limits, &v, &refused) == ERR_OK)
        refused.code = ERR_OK;
    struct seen seen = {.file = words.at[0],
                        .module = &m,
                        .limits = &options.limits,
                        .policy = policy,
                        .refused = &refused,
                        .verdict = &v};
    measure(&m, seen.measured);
    if (json)
        print_json(&seen);
    else
        print_text(&seen);
out:
    status = rc ? local_fail(&e) : 0;
    policy_free(policy);
    module_done(&again);
    module_done(&m);
    buf_done(&bytes);
    options_done(&options);
    return status;
}
