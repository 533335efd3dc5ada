/* `wasmcloud doctor`: can this machine run guests safely? One line a fence, then what else matters.
 *
 * Each fence is tried, not looked up: what counts is what the kernel says to this user, here. */
#include "base/brand.h"
#include "cli/args.h"
#include "ipc/lockdown.h"
#include "roles/config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { FILES_WANTED = 4096 };

struct finding {
    const char *name, *level; /* required, extra, or note */
    bool ok;
    char text[512]; /* what it protects when ok, else why it is missing and what to do */
};

static void examine_fences(struct finding *out)
{
    for (int i = 0; i < FENCE_COUNT; i++) {
        const struct fence *f = &fences[i];
        char why[128];
        bool ok = fence_probe((enum fence_id)i, why);
        out[i] = (struct finding){
            .name = f->name, .level = f->required ? "required" : "extra", .ok = ok};
        if (ok)
            snprintf(out[i].text, sizeof out[i].text, "%s", f->protects);
        else
            snprintf(out[i].text, sizeof out[i].text, "%s: %s", why, f->remedy);
    }
}

static struct finding examine_kernel(void)
{
    struct finding f = {.name = "kernel", .level = "note", .ok = true};
    struct utsname u;
    int abi = landlock_abi();
    if (uname(&u) < 0)
        slice_copy(SLICE("?"), u.release, sizeof u.release);
    if (abi)
        snprintf(f.text, sizeof f.text, "Linux %s, Landlock version %d", u.release, abi);
    else
        snprintf(f.text, sizeof f.text, "Linux %s, no Landlock", u.release);
    return f;
}

static struct finding examine_files(void)
{
    struct finding f = {.name = "open-files", .level = "note"};
    struct rlimit files = {0};
    getrlimit(RLIMIT_NOFILE, &files);
    f.ok = files.rlim_max >= FILES_WANTED;
    snprintf(f.text, sizeof f.text,
             f.ok ? "%llu descriptors a process"
                  : "only %llu descriptors a process: connections will be refused early; raise "
                    "LimitNOFILE or `ulimit -n`",
             (unsigned long long)files.rlim_max);
    return f;
}

/* Images are mapped executable from there. The folder may not exist yet: then its parent tells. */
static struct finding examine_data(const char *data)
{
    struct finding f = {.name = "data-folder", .level = "note"};
    struct statvfs st;
    char path[4096];
    snprintf(path, sizeof path, "%s", data);
    while (statvfs(path, &st) < 0 && errno == ENOENT) {
        char *slash = strrchr(path, '/');
        if (!slash)
            slice_copy(SLICE("."), path, sizeof path);
        else
            slash[slash == path] = '\0';
    }
    bool writable = access(path, W_OK) == 0, noexec = st.f_flag & ST_NOEXEC;
    f.ok = writable && !noexec;
    snprintf(f.text, sizeof f.text, "%s%s", data,
             !writable ? " can't be written: choose another folder with --data"
             : noexec  ? " is on a file system mounted noexec: compiled modules can't be mapped; "
                         "choose another folder with --data"
                       : " can be used");
    return f;
}

static void print_text(const struct finding *f)
{
    printf("%-17s %-9s %-8s %s\n", f->name, f->level, f->ok ? "ok" : "missing", f->text);
}

static json_t *as_json(const struct finding *f)
{
    return json_pack("{s:s, s:s, s:b, s:s}", "name", f->name, "level", f->level, "ok", f->ok,
                     "text", f->text);
}

int cmd_doctor(int argc, char **argv)
{
    bool json = false;
    const char *data = NULL, *config = getenv(BRAND_ENV "CONFIG");
    const struct flag flags[] = {
        FLAG_JSON(json),
        {.name = "data", .value = "DIR", .help = "the server's data folder", .text = &data},
        {.name = "config", .value = "FILE", .help = "the server's configuration", .text = &config},
        {0},
    };
    struct words words;
    int status = args_parse("doctor", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;

    struct options options;
    struct err e = {0};
    options_init(&options);
    enum err_code rc = config_read(&options, config, &e);
    if (rc == ERR_OK)
        rc = options_env(&options, environ, &e);
    if (rc) {
        options_done(&options);
        return command_fail(&e);
    }
    static struct finding all[FENCE_COUNT + 3];
    examine_fences(all);
    all[FENCE_COUNT] = examine_kernel();
    all[FENCE_COUNT + 1] = examine_files();
    all[FENCE_COUNT + 2] = examine_data(data ? data : option_text(&options, OPTION_DATA));
    bool relaxed = option_is(&options, OPTION_ISOLATION, "relaxed");
    options_done(&options);

    bool safe = true;
    json_t *items = json_array();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        safe = safe && (all[i].ok || strcmp(all[i].level, "required") != 0);
        json_array_append_new(items, as_json(&all[i]));
        if (!json)
            print_text(&all[i]);
    }
    if (json) {
        json_t *whole =
            json_pack("{s:b, s:b, s:O}", "safe", safe, "relaxed", relaxed, "items", items);
        json_dumpf(whole, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(whole);
    } else if (safe) {
        printf("\nGuests run safely here.\n");
    } else {
        printf("\nGuests can't be run safely here%s.\n",
               relaxed ? ", but the configuration says isolation: relaxed" : "");
    }
    json_decref(items);
    return safe ? 0 : err_cli(ERR_NO_FENCE);
}
