/* The compile job: one module (or archive of assets) in, one image (or bundle) out, then it ends.
 *
 * Compilers are the most complicated code that hostile bytes reach, so each
 * module gets a process of its own with nothing in it: no files but the two
 * descriptors, no network, no second job, and limits on CPU, memory and time
 * that the kernel enforces. What it says is one struct compile_result; if it is
 * killed, the wait status says why (ipc/compile.h). */
#include "roles/roles.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/options.h"
#include "engine/image.h"
#include "ipc/compile.h"
#include "ipc/lockdown.h"
#include "module/bundle.h"
#include "module/module.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

_Static_assert((int)COMPILE_ENTRY == (int)MODULE_ENTRY, "the name of the entry point fits");

/* Maps the whole file; the empty one is the empty slice. */
static enum err_code map_module(struct slice *ret_bytes, struct err *e)
{
    struct stat st;
    if (fstat(COMPILE_MODULE, &st) < 0)
        return err_errno(e, "can't look at the module");
    if (st.st_size == 0) {
        *ret_bytes = SLICE("");
        return ERR_OK;
    }
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, COMPILE_MODULE, 0);
    if (p == MAP_FAILED)
        return err_errno(e, "can't map the module");
    *ret_bytes = slice_make(p, (size_t)st.st_size);
    return ERR_OK;
}

static bool write_all(int fd, const void *data, size_t n)
{
    for (const char *p = data; n;) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

/* A list as JSON. Made by hand: a hash table of jansson's wants random bytes from a file. */
static bool put_names(struct buf *out, json_t *names)
{
    char *text = json_dumps(names, JSON_COMPACT);
    bool ok = text && buf_add(out, text, strlen(text));
    free(text);
    json_decref(names);
    return ok;
}

/* What it imports and exports; empty if that is over COMPILE_INTERFACE. */
static void describe(const struct module *m, struct buf *out)
{
    json_t *imports = json_array(), *exports = json_array();
    for (uint32_t i = 0; i < m->import_count; i++)
        json_array_append_new(imports, json_sprintf("%.*s.%.*s", SLICE_ARG(m->imports[i].module),
                                                    SLICE_ARG(m->imports[i].name)));
    for (uint32_t i = 0; i < m->export_count; i++)
        json_array_append_new(exports, json_stringn(m->exports[i].name.p, m->exports[i].name.n));
    bool ok = buf_addf(out, "{\"imports\":") && put_names(out, imports);
    ok = ok && buf_addf(out, ",\"exports\":");
    if (!(ok && put_names(out, exports) && buf_addf(out, "}")))
        buf_clear(out);
    if (!ok)
        json_decref(exports);
}

static enum err_code compile(struct engine *engine, struct slice bytes, const struct limits *limits,
                             struct compile_result *r, struct buf *interface, struct err *e)
{
    struct module m = {0};
    struct verdict v;
    struct buf prepared;
    buf_init(&prepared, limits->v[LIMIT_MODULE] + 64);
    enum err_code rc = module_parse(bytes, limits, &m, e);
    if (rc)
        goto out;
    rc = module_judge(&m, limits, &v, e);
    if (rc)
        goto out;
    rc = module_prepare(&m, &prepared, e);
    if (rc)
        goto out;
    rc = image_compile(engine, buf_slice(&prepared), COMPILE_IMAGE, &r->image_bytes, e);
    if (rc)
        goto out;
    r->memory_min = m.memory_min;
    r->memory_max = m.memory_max;
    r->abi = v.abi;
    r->imports = m.import_count;
    r->exports = m.export_count;
    r->functions = m.function_count;
    r->data_segments = m.data_count;
    r->entry_returns = v.entry_returns;
    memcpy(r->entry, v.entry, sizeof r->entry);
    describe(&m, interface);
out:
    buf_done(&prepared);
    module_done(&m);
    return rc;
}

static enum err_code bundle(struct slice tar, const struct limits *limits, struct compile_result *r,
                            struct err *e)
{
    struct buf out;
    buf_init(&out, SIZE_MAX); /* what it may hold follows from the limits of assets */
    enum err_code rc = bundle_make(tar, limits, &out, &r->files, e);
    r->image_bytes = buf_size(&out);
    if (rc == ERR_OK && !write_all(COMPILE_IMAGE, buf_data(&out), buf_size(&out)))
        rc = err_errno(e, "writing the bundle");
    buf_done(&out);
    return rc;
}

/* A function may raise its memory up to the maximum, or to what an exec can give; whoever makes a
 * version judges by its own limit. */
static uint64_t most_memory(const struct limits *limits)
{
    uint64_t most = limit_rows[LIMIT_MEMORY].maximum, exec = limits->v[LIMIT_EXEC_MEMORY];
    uint64_t room = exec > EXEC_OWN_MEMORY ? exec - EXEC_OWN_MEMORY : 0;
    return most < room ? most : room;
}

/* SIGALRM, unhandled, ends the job when its wall time is up. */
static void set_alarm(uint64_t us)
{
    struct itimerval t = {
        .it_value = {.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)}};
    setitimer(ITIMER_REAL, &t, NULL);
}

int role_compile(int argc, char **argv)
{
    struct options options;
    struct err e = {0};
    struct engine *engine = NULL;
    struct slice bytes;
    struct compile_result r = {.magic = COMPILE_MAGIC};
    struct buf interface;
    int at = 1;
    buf_init(&interface, COMPILE_INTERFACE);
    enum compile_job job = COMPILE_PLAIN;
    for (int k = COMPILE_PLAIN; argc > 1 && k < COMPILE_JOBS; k++)
        if (strcmp(argv[1], compile_words[k]) == 0) {
            job = (enum compile_job)k;
            at = 2;
        }
    options_init(&options);
    enum err_code rc = options_flags(&options, argc, argv, &at, &e);
    if (!rc)
        rc = options_finish(&options, &e);
    if (rc)
        goto out;

    options_log(&options, "compile");
    log_init("compile", LOG_WARNING);
    struct limits limits = options.limits;
    limits.v[LIMIT_MEMORY] = most_memory(&limits);

    set_alarm(limits.v[LIMIT_COMPILE_WALL]);
    rc = map_module(&bytes, &e);
    if (rc)
        goto out;
    r.module_bytes = bytes.n;
    if (job != COMPILE_ASSETS)
        rc = engine_new((enum engine_kind)job, ENGINE_TO_COMPILE, &limits, &engine, &e);
    if (rc)
        goto out;
    rc = lockdown_compile(&limits, option_is(&options, OPTION_ISOLATION, "relaxed"), &e);
    if (rc)
        goto out;
    /* The disk may have changed what was stored: whoever asked compares. */
    crypto_hash_sha256(r.digest, (const unsigned char *)bytes.p, bytes.n);
    rc = job == COMPILE_ASSETS ? bundle(bytes, &limits, &r, &e)
                               : compile(engine, bytes, &limits, &r, &interface, &e);
out:
    r.code = rc;
    if (rc)
        snprintf(r.text, sizeof r.text, "%s", e.text[0] ? e.text : err_title(rc));
    r.cpu_us = clock_us(CLOCK_PROCESS_CPUTIME_ID);
    r.interface_bytes = (uint32_t)buf_size(&interface);
    bool told = write_all(COMPILE_RESULT, &r, sizeof r) &&
                write_all(COMPILE_RESULT, buf_slice(&interface).p, buf_size(&interface));
    _exit(told ? 0 : 1); /* the engine's memory goes with the process */
}
