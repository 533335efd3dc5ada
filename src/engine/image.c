#include "engine/private.h"

#include "base/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The end of an image's file: Wasmtime's ELF file lies in front of it and isn't bothered by it. */
struct seal {
    char magic[8];
    uint64_t size; /* of what lies in front */
    uint32_t reserved;
    uint32_t sum; /* CRC-32C of all bytes of the file up to here */
};
_Static_assert(sizeof(struct seal) == 24, "without padding");

static const struct seal unsealed = {.magic = "WMIMAGE1"};

static enum err_code write_all(int fd, const char *p, size_t n, struct err *e)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0) {
            if (errno == EINTR)
                continue;
            return err_errno(e, "writing the image");
        }
        p += done;
        n -= (size_t)done;
    }
    return ERR_OK;
}

enum err_code image_compile(struct engine *engine, struct slice module, int fd, uint64_t *ret_size,
                            struct err *e)
{
    wasmtime_module_t *compiled = NULL;
    wasmtime_error_t *error =
        wasmtime_module_new(engine->wasm, (const uint8_t *)module.p, module.n, &compiled);
    if (error)
        return engine_error(e, ERR_COMPILE, "the module could not be compiled", error);
    wasm_byte_vec_t bytes;
    error = wasmtime_module_serialize(compiled, &bytes);
    wasmtime_module_delete(compiled);
    if (error)
        return engine_error(e, ERR_COMPILE, "the image could not be made", error);
    struct seal seal = unsealed;
    seal.size = bytes.size;
    seal.sum = crc32c(0, slice_make(bytes.data, bytes.size));
    seal.sum = crc32c(seal.sum, slice_make((char *)&seal, offsetof(struct seal, sum)));
    enum err_code rc = write_all(fd, bytes.data, bytes.size, e);
    if (rc == ERR_OK)
        rc = write_all(fd, (char *)&seal, sizeof seal, e);
    if (rc == ERR_OK)
        *ret_size = bytes.size + sizeof seal;
    wasm_byte_vec_delete(&bytes);
    return rc;
}

/* The sum of all but the last four bytes of the file; its end is left in *ret_seal. Read, not
 * mapped: what the disk can't read is then an error, not a signal. */
static bool sum_file(int fd, uint64_t size, uint32_t *ret_sum, struct seal *ret_seal)
{
    char piece[48 << 10];
    uint64_t at = 0, most = size - sizeof ret_seal->sum;
    uint32_t sum = 0;
    while (at < most) {
        ssize_t n =
            pread(fd, piece, most - at < sizeof piece ? most - at : sizeof piece, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        sum = crc32c(sum, slice_make(piece, (size_t)n));
        at += (uint64_t)n;
    }
    *ret_sum = sum;
    return pread(fd, ret_seal, sizeof *ret_seal, (off_t)(size - sizeof *ret_seal)) ==
           sizeof *ret_seal;
}

/* Is every bit as it was written? */
static enum err_code check_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "there is no image %s", path)
                               : err_errno(e, "opening image %s", path);
    struct stat st;
    struct seal seal;
    uint32_t sum;
    bool sound = fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof seal &&
                 sum_file(fd, (uint64_t)st.st_size, &sum, &seal) && sum == seal.sum &&
                 memcmp(seal.magic, unsealed.magic, sizeof seal.magic) == 0 && !seal.reserved &&
                 seal.size == (uint64_t)st.st_size - sizeof seal;
    close(fd);
    return sound ? ERR_OK : err_set(e, ERR_CONFLICT, "image %s is damaged", path);
}

/* "ii" of a vector of types; false if it is longer than what any host function has. */
static bool type_text(const wasm_valtype_vec_t *types, char out[ENGINE_ARGS + 1])
{
    if (types->size > ENGINE_ARGS)
        return false;
    for (size_t i = 0; i < types->size; i++) {
        wasm_valkind_t kind = wasm_valtype_kind(types->data[i]);
        out[i] = kind == WASM_I32 ? 'i' : kind == WASM_I64 ? 'I' : '?';
    }
    out[types->size] = '\0';
    return true;
}

static enum err_code link_import(struct image *image, wasmtime_linker_t *linker,
                                 const wasm_importtype_t *import, struct binding *b,
                                 const engine_handler *handlers, struct err *e)
{
    const wasm_name_t *m = wasm_importtype_module(import), *n = wasm_importtype_name(import);
    const wasm_functype_t *type = wasm_externtype_as_functype_const(wasm_importtype_type(import));
    char params[ENGINE_ARGS + 1], result[ENGINE_ARGS + 1];
    int id = host_find(slice_make(m->data, m->size), slice_make(n->data, n->size), &b->alias);
    if (id < 0 || !type || !type_text(wasm_functype_params(type), params) ||
        !type_text(wasm_functype_results(type), result) ||
        !host_fits(&host_functions[id], slice_str(params), slice_str(result)))
        return err_set(e, ERR_UNKNOWN_IMPORT, "the image imports %.*s.%.*s, which is not offered",
                       (int)m->size, m->data, (int)n->size, n->data);
    const struct host_function *f = &host_functions[id];
    b->handler = handlers[id];
    b->function = (uint16_t)id;
    b->params = (uint8_t)strlen(params);
    for (int k = 0; k < b->params; k++)
        if (f->params[k] == 'n' && params[k] == 'i')
            b->narrow |= (uint16_t)(1u << k);
    b->has_result = result[0] != '\0';
    b->wide = result[0] == 'I';
    b->added = b->has_result && !f->result[0];
    wasmtime_error_t *error =
        f->waits ? wasmtime_linker_define_async_func(linker, m->data, m->size, n->data, n->size,
                                                     type, engine_call_waits, b, NULL)
                 : wasmtime_linker_define_func_unchecked(linker, m->data, m->size, n->data, n->size,
                                                         type, engine_call_direct, b, NULL);
    return error ? engine_error(e, ERR_INTERNAL, "linking", error) : ERR_OK;
}

/* Only what the module imports is defined: a linker with all rows costs more than the rest of
 * opening an image. */
static enum err_code link_imports(struct image *image, const engine_handler *handlers,
                                  struct err *e)
{
    wasm_importtype_vec_t imports;
    wasmtime_module_imports(image->module, &imports);
    wasmtime_linker_t *linker = wasmtime_linker_new(image->engine->wasm);
    wasmtime_linker_allow_shadowing(linker, true); /* a module may import one function twice */
    image->bindings = calloc(imports.size + 1, sizeof *image->bindings);
    enum err_code rc = image->bindings ? ERR_OK : err_set(e, ERR_MEMORY, "no memory for an image");
    for (size_t i = 0; i < imports.size && rc == ERR_OK; i++)
        rc = link_import(image, linker, imports.data[i], &image->bindings[i], handlers, e);
    wasm_importtype_vec_delete(&imports);
    if (rc == ERR_OK) {
        wasmtime_error_t *error =
            wasmtime_linker_instantiate_pre(linker, image->module, &image->pre);
        if (error)
            rc = engine_error(e, ERR_UNKNOWN_IMPORT, "linking", error);
    }
    wasmtime_linker_delete(linker);
    return rc;
}

/* The memory's size at the start; and (guest-abi.md) the first of these names that is exported
 * with its type. */
static enum err_code read_exports(struct image *image, struct err *e)
{
    static const struct {
        const char *name, *result;
    } entries[] = {{"_start", ""}, {"cwa_main", "i"}, {"handle", "i"}, {"main", "i"}};
    wasm_exporttype_vec_t exports;
    wasmtime_module_exports(image->module, &exports);
    size_t best = sizeof entries / sizeof *entries;
    for (size_t i = 0; i < exports.size; i++) {
        const wasm_name_t *n = wasm_exporttype_name(exports.data[i]);
        const wasm_memorytype_t *memory =
            wasm_externtype_as_memorytype_const(wasm_exporttype_type(exports.data[i]));
        if (memory)
            image->memory_minimum = wasmtime_memorytype_minimum(memory) * 65536;
        const wasm_functype_t *type =
            wasm_externtype_as_functype_const(wasm_exporttype_type(exports.data[i]));
        char result[ENGINE_ARGS + 1];
        if (!type || wasm_functype_params(type)->size ||
            !type_text(wasm_functype_results(type), result))
            continue;
        for (size_t k = 0; k < best; k++)
            if (slice_eq(slice_make(n->data, n->size), slice_str(entries[k].name)) &&
                strcmp(result, entries[k].result) == 0)
                best = k;
    }
    wasm_exporttype_vec_delete(&exports);
    if (best == sizeof entries / sizeof *entries)
        return err_set(e, ERR_NO_ENTRY_POINT, "the image has no entry point");
    image->entry = entries[best].name;
    image->entry_returns = entries[best].result[0] != '\0';
    return ERR_OK;
}

enum err_code image_open(struct engine *engine, const char *path, const engine_handler *handlers,
                         struct image **ret_image, struct err *e)
{
    enum err_code rc = check_file(path, e);
    if (rc)
        return rc;
    struct image *image = calloc(1, sizeof *image);
    if (!image)
        return err_set(e, ERR_MEMORY, "no memory for an image");
    image->engine = engine;
    image->refs = 1;
    wasmtime_error_t *error = wasmtime_module_deserialize_file(engine->wasm, path, &image->module);
    if (error) {
        rc = engine_error(e, ERR_IO, path, error);
        goto out;
    }
    rc = read_exports(image, e);
    if (rc == ERR_OK)
        rc = link_imports(image, handlers, e);
    if (rc)
        goto out;
    *ret_image = image;
    image = NULL;
out:
    image_unref(image);
    return rc;
}

struct image *image_ref(struct image *image)
{
    image->refs++;
    return image;
}

void image_unref(struct image *image)
{
    if (!image || --image->refs)
        return;
    if (image->pre)
        wasmtime_instance_pre_delete(image->pre);
    if (image->module)
        wasmtime_module_delete(image->module);
    free(image->bindings);
    free(image);
}
