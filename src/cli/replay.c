#include "cli/replay.h"

#include "base/brand.h"
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>

enum { STRINGS = 1 << 20 /* bytes of arguments and environment */ };

/* ---- what was recorded ---- */

/* Those that differ from this build's own. */
static void write_limits(struct replay *r)
{
    static const char *const units[] = {
        [LIMIT_UNIT_BYTES] = "B", [LIMIT_UNIT_COUNT] = "", [LIMIT_UNIT_TIME] = "us"};
    for (int i = 0; i < LIMIT_COUNT; i++) {
        const struct limit_row *row = &limit_rows[i];
        uint64_t v = r->tape.limits.v[i];
        if (row->who != LIMIT_WHO_FUNCTION || v == row->normal)
            continue;
        char *text = r->limits[r->limit_count];
        snprintf(text, sizeof *r->limits, "%s=%ju%s", row->name, (uintmax_t)v, units[row->unit]);
        r->limit_at[r->limit_count++] = text;
    }
}

enum err_code replay_open(const char *path, struct replay *ret_replay, struct err *e)
{
    struct replay *r = ret_replay;
    *r = (struct replay){0};
    enum err_code rc = capture_file_read(path, &r->file, e);
    if (!rc)
        rc = tape_read(r->file.tape, &r->tape, e);
    if (rc)
        replay_done(r);
    else
        write_limits(r);
    return rc;
}

void replay_done(struct replay *r)
{
    capture_file_done(&r->file);
}

/* ---- the version ---- */

/* The value that --env gives the name; p NULL if it gives none. */
static struct slice given(const struct words *env, struct slice name)
{
    struct slice found = {0};
    for (size_t i = 0; i < env->n; i++) {
        struct slice value = slice_str(env->at[i]), n = slice_split(&value, '=');
        if (slice_eq(n, name))
            found = value;
    }
    return found;
}

static bool add_pair(struct buf *out, struct slice name, struct slice value)
{
    return buf_add(out, name.p, name.n) && buf_add(out, "", 1) && buf_add(out, value.p, value.n) &&
           buf_add(out, "", 1);
}

static bool is_in(struct slice strings, bool pairs, struct slice name)
{
    while (strings.n) {
        if (slice_eq(slice_split(&strings, '\0'), name))
            return true;
        if (pairs)
            slice_split(&strings, '\0');
    }
    return false;
}

/* In the order that the program saw: the variables, the secrets; then what is new. A secret that
 * nobody gives a value is not empty: programs look for that. */
static bool add_env(const struct replay *r, const struct words *env, struct buf *out)
{
    bool ok = true;
    for (struct slice rest = r->tape.env; rest.n && ok;) {
        struct slice name = slice_split(&rest, '\0'), value = slice_split(&rest, '\0');
        struct slice other = given(env, name);
        ok = add_pair(out, name, other.p ? other : value);
    }
    for (struct slice rest = r->tape.secrets; rest.n && ok;) {
        struct slice name = slice_split(&rest, '\0'), value = given(env, name);
        if (!value.p) {
            fprintf(stderr, "%s: the value of the secret ", BRAND_COMMAND);
            show_text(stderr, name);
            fputs(" is not in the capture; here it is its name: --env ", stderr);
            show_text(stderr, name);
            fputs("=VALUE gives it another\n", stderr);
        }
        ok = add_pair(out, name, value.p ? value : name);
    }
    for (size_t i = 0; i < env->n && ok; i++) {
        struct slice value = slice_str(env->at[i]), name = slice_split(&value, '=');
        if (!is_in(r->tape.env, true, name) && !is_in(r->tape.secrets, false, name))
            ok = add_pair(out, name, value);
    }
    return ok;
}

enum err_code replay_version(const struct replay *r, const struct words *env,
                             const struct limits *limits, struct run_version *ret_version,
                             struct err *e)
{
    struct run_version *v = ret_version;
    *v = (struct run_version){0};
    buf_init(&v->strings, STRINGS);
    buf_init(&v->policy, 0);
    if (!add_env(r, env, &v->strings))
        return err_set(e, ERR_USAGE, "the environment is over %d KiB", STRINGS >> 10);
    v->load.env = buf_slice(&v->strings);
    v->load.args = r->tape.args;
    v->load.policy = r->tape.policy;
    memcpy(v->load.policy_digest, r->tape.policy_digest, sizeof v->load.policy_digest);
    v->load.limits = *limits;
    v->load.kind = limits->v[LIMIT_GAS] ? ENGINE_FUEL : ENGINE_PLAIN;
    return ERR_OK;
}

enum err_code replay_assets(const struct replay *r, const struct image_cache *cache,
                            struct run_version *v, struct err *e)
{
    static const uint8_t none[DIGEST_BYTES];
    if (memcmp(r->tape.assets, none, sizeof none) == 0)
        return ERR_OK;
    enum err_code rc =
        r->file.bundle.n ? image_cache_assets(cache, r->file.bundle, v->load.assets, e) : ERR_OK;
    if (!rc && memcmp(v->load.assets, r->tape.assets, sizeof v->load.assets))
        rc = err_set(e, ERR_DAMAGED, "the assets in the file are not those of the captured run");
    return rc;
}

/* ---- afterwards ---- */

/* Was the recorded run ended while it wrote? Then the replay may have come further. */
static bool was_cut(const struct tape *t)
{
    return t->reason != ERR_OK && t->reason != ERR_EXIT_STATUS;
}

bool replay_judge(const struct replay *r, const struct version_load *load,
                  const struct runner_end *end, bool json, json_t **ret_json)
{
    const struct tape *t = &r->tape;
    enum err_code reason = (enum err_code)end->ledger.head.reason;
    uint64_t bytes = end->ledger.head.bytes_out;
    bool module = memcmp(load->digest, t->module, sizeof t->module) == 0;
    bool same_end = reason == t->reason && end->ledger.head.status == t->status;
    bool same_output = memcmp(end->output, t->output, sizeof t->output) == 0 &&
                       (bytes == t->output_bytes || (was_cut(t) && bytes > t->output_bytes));
    *ret_json = NULL;
    if (json) {
        *ret_json = json_pack("{s:b, s:b, s:b, s:b, s:I, s:s}", "identical",
                              same_end && same_output, "same_module", module, "same_output",
                              same_output, "whole", t->whole, "recorded_bytes_out",
                              (json_int_t)t->output_bytes, "recorded_cause", err_slug(t->reason));
        return same_end && same_output;
    }
    fprintf(stderr, "replay: ");
    if (!module)
        fprintf(stderr, "another build than the recorded one; ");
    if (same_output)
        fprintf(stderr, "identical output (%ju bytes)", (uintmax_t)t->output_bytes);
    else
        fprintf(stderr, "the output differs: %ju bytes, recorded were %ju", (uintmax_t)bytes,
                (uintmax_t)t->output_bytes);
    if (same_end)
        fprintf(stderr, ", ended as recorded (%s)\n", err_slug(reason));
    else
        fprintf(stderr, ", ended otherwise: %s with status %d, recorded was %s with status %d\n",
                err_slug(reason), (int)end->ledger.head.status, err_slug(t->reason),
                (int)t->status);
    return same_end && same_output;
}
