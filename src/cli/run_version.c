#include "cli/run_version.h"

#include "cli/local.h"
#include "cli/policy_file.h"
#include "ipc/frame.h"
#include "module/bundle.h"

enum {
    STRINGS = 512 << 10 /* bytes of arguments and environment: with a policy they fit a LOAD */
};
_Static_assert((int)STRINGS + (int)POLICY_TEXT < (int)FRAME_LOAD_MOST, "both fit into a LOAD");

/* Environment and arguments as the version's strings. */
static enum err_code add_strings(const struct run_source *s, struct run_version *v, struct err *e)
{
    struct buf *strings = &v->strings;
    bool ok = true;
    for (size_t i = 0; i < s->env_count; i++) {
        struct slice value = slice_str(s->env[i]), name = slice_split(&value, '=');
        ok = ok && buf_add(strings, name.p, name.n) && buf_add(strings, "", 1) &&
             buf_add(strings, value.p, value.n + 1);
    }
    size_t env = buf_size(strings);
    ok = ok && buf_add(strings, s->file, strlen(s->file) + 1);
    for (int i = 0; i < s->argc; i++)
        ok = ok && buf_add(strings, s->argv[i], strlen(s->argv[i]) + 1);
    if (!ok)
        return err_set(e, ERR_USAGE, "arguments and environment are over %d KiB", STRINGS >> 10);
    v->load.env = slice_make(buf_data(strings), env);
    v->load.args = slice_from(buf_slice(strings), env);
    return ERR_OK;
}

static enum err_code add_policy(const char *file, struct limits *limits, struct run_version *v,
                                struct err *e)
{
    struct policy *policy = NULL;
    enum err_code rc = policy_file(file, policy_file_note, (void *)file, &policy, e);
    if (rc)
        return rc;
    local_policy_limits(policy, limits);
    policy_digest(policy, v->load.policy_digest);
    if (!policy_write(policy, &v->policy))
        rc = err_set(e, ERR_INVALID, "%s: the policy is over %d KiB", file, POLICY_TEXT >> 10);
    v->load.policy = buf_slice(&v->policy);
    policy_free(policy);
    return rc;
}

enum err_code run_version_make(const struct run_source *s, struct options *options,
                               struct run_version *ret_version, struct err *e)
{
    struct run_version *v = ret_version;
    *v = (struct run_version){0};
    buf_init(&v->strings, STRINGS);
    buf_init(&v->policy, POLICY_TEXT);
    enum err_code rc = s->policy ? add_policy(s->policy, &options->limits, v, e) : ERR_OK;
    if (!rc)
        rc = add_strings(s, v, e);
    v->load.limits = options->limits;
    v->load.kind = options->limits.v[LIMIT_GAS] ? ENGINE_FUEL : ENGINE_PLAIN;
    return rc;
}

/* Made here and not by a job: the archive is our own. */
enum err_code run_version_assets(const struct run_source *s, const struct image_cache *cache,
                                 const struct limits *limits, struct run_version *v, struct err *e)
{
    struct buf tar, bundle;
    uint32_t files;
    if (!s->assets)
        return ERR_OK;
    buf_init(&tar, SIZE_MAX); /* both are held by the limits of assets */
    buf_init(&bundle, SIZE_MAX);
    enum err_code rc = bundle_pack(s->assets, limits, &tar, e);
    if (!rc)
        rc = bundle_make(buf_slice(&tar), limits, &bundle, &files, e);
    if (!rc)
        rc = image_cache_assets(cache, buf_slice(&bundle), v->load.assets, e);
    buf_done(&tar);
    buf_done(&bundle);
    return rc;
}

void run_version_done(struct run_version *v)
{
    buf_done(&v->strings);
    buf_done(&v->policy);
}
