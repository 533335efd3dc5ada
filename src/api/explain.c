/* Explaining a run: evidence from its record, its log, its version and the function's other runs
 * becomes causes (causes.h), what has changed since it last went well, and what to type next. */
#include "api/causes.h"
#include "api/versions.h"

#include "base/brand.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINES = 200 /* the last ones of the run */, SHOWN = 10 };

struct explained {
    const struct api *api;
    json_t *run; /* as the API shows it; with the texts that evidence points into */
    json_t *log; /* oldest first */
    struct uuid id, function, version;
    enum err_code cause;
    struct store_run_history history;
    struct limits limits;
    bool limited; /* they are known */
    json_t *env, *secrets, *good_env, *good_secrets;
    json_t *changes; /* NULL: there is nothing to compare with */
};

static void explained_done(struct explained *x)
{
    json_t *const all[] = {x->run,      x->log,          x->env,     x->secrets,
                           x->good_env, x->good_secrets, x->changes, NULL};
    for (json_t *const *o = all; o < all + sizeof all / sizeof *all; o++)
        json_decref(*o);
}

static enum err_code cause_of(struct slice slug)
{
    for (int code = 0; code < ERR_COUNT; code++)
        if (slice_eq(slug, slice_str(err_slug((enum err_code)code))))
            return (enum err_code)code;
    return ERR_INTERNAL;
}

/* ---- gathering ---- */

static enum err_code keep_run(void *arg, const struct store_run *r, struct err *e)
{
    struct explained *x = arg;
    x->run = shape_run(r);
    x->function = r->function;
    x->version = r->version;
    x->cause = cause_of(r->cause);
    return store_run_history(x->api->store, r, &x->history, e);
}

static enum err_code add_line(void *arg, const struct store_log *l, struct err *e)
{
    struct explained *x = arg;
    json_array_insert_new(x->log, 0, shape_log(l));
    return ERR_OK;
}

static enum err_code keep_settings(void *arg, const struct store_version *v, struct err *e)
{
    struct explained *x = arg;
    struct version_settings s;
    enum err_code rc = settings_read(&s, v, x->api->secrets, e);
    if (rc == ERR_OK) {
        x->env = json_incref(s.env);
        x->secrets = json_incref(s.secrets);
        settings_limits(&s, &x->api->options->limits, &x->limits);
        x->limited = true;
        settings_done(&s);
    }
    return rc;
}

static enum err_code keep_good(void *arg, const struct store_version *v, struct err *e)
{
    struct explained *x = arg;
    struct version_settings s;
    enum err_code rc = settings_read(&s, v, x->api->secrets, e);
    if (rc == ERR_OK) {
        x->good_env = json_incref(s.env);
        x->good_secrets = json_incref(s.secrets);
        settings_done(&s);
    }
    return rc;
}

/* A version that isn't kept any more explains nothing, and hinders nothing. */
static enum err_code unless_gone(enum err_code rc)
{
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

static enum err_code gather(struct explained *x, struct uuid project, struct err *e)
{
    struct store *st = x->api->store;
    struct store_scan scan;
    struct store_log_query lines = {
        .project = project, .run = x->id, .level = UINT32_MAX, .limit = LINES, .newest = true};
    enum err_code rc = store_run(st, project, x->id, keep_run, x, e);
    if (rc == ERR_OK)
        rc = store_logs(st, &lines, add_line, x, &scan, e);
    if (rc == ERR_OK)
        rc = unless_gone(store_version(st, x->version, keep_settings, x, e));
    if (rc || !x->env || !x->history.good_number)
        return rc;
    rc = unless_gone(store_version(st, x->history.good, keep_good, x, e));
    if (rc == ERR_OK)
        rc = unless_gone(versions_changes(x->api, x->history.good, x->version, &x->changes, e));
    return rc;
}

/* ---- showing ---- */

static json_t *lines_of(struct slice text)
{
    json_t *list = json_array();
    while (text.p && text.n) {
        struct slice line = slice_trim(slice_split(&text, '\n'));
        if (slice_starts(line, SLICE("at ")))
            line = slice_from(line, 3);
        json_array_append_new(list, shape_text(line));
    }
    return list;
}

static json_t *text_or_null(struct slice s)
{
    return s.n ? shape_text(s) : json_null();
}

static json_t *shape_limit(const struct explained *x, enum limit_id id)
{
    static const char *const who[] = {[LIMIT_WHO_OPERATOR] = "operator",
                                      [LIMIT_WHO_PROJECT] = "project",
                                      [LIMIT_WHO_FUNCTION] = "function"};
    char value[32], most[32];
    if (id == LIMIT_COUNT || !x->limited)
        return json_null();
    limit_format(id, x->limits.v[id], value);
    limit_format(id, limit_rows[id].maximum, most);
    return json_pack("{s:s, s:s, s:o, s:s}", "name", limit_rows[id].name, "value", value, "maximum",
                     limit_rows[id].maximum ? json_string(most) : json_null(), "who",
                     who[limit_rows[id].who]);
}

/* The last refusal is the one that it couldn't go on without. */
static json_t *shape_rule(const json_t *refusals)
{
    const json_t *last = json_array_get(refusals, json_array_size(refusals) - 1);
    return last ? json_deep_copy(last) : json_null();
}

static json_t *shape_changed(struct explained *x)
{
    if (!x->changes)
        return json_null();
    return json_pack("{s:I, s:O, s:O}", "from", (json_int_t)x->history.good_number, "to",
                     json_object_get(x->run, "version"), "changes", x->changes);
}

/* The first cause's command; then a way back, if a version before it went well. */
static json_t *shape_next(const struct explained *x, const json_t *causes)
{
    const char *function = json_string_value(json_object_get(x->run, "function"));
    const json_t *command = json_object_get(json_array_get(causes, 0), "command");
    json_t *next = json_array();
    if (json_is_string(command))
        json_array_append(next, (json_t *)command);
    if (x->cause && json_array_size(x->changes) && !x->history.version_good)
        json_array_append_new(next, json_sprintf("%s rollback %s %llu", BRAND_COMMAND, function,
                                                 (unsigned long long)x->history.good_number));
    return next;
}

static json_t *last_lines(const json_t *log)
{
    json_t *list = json_array();
    size_t n = json_array_size(log);
    for (size_t i = n > SHOWN ? n - SHOWN : 0; i < n; i++)
        json_array_append(list, json_array_get(log, i));
    return list;
}

static json_t *shape(struct explained *x)
{
    const json_t *text = json_object_get(x->run, "text");
    const json_t *refusals = json_object_get(x->run, "refusals");
    struct evidence ev = {
        .run = json_string_value(json_object_get(x->run, "id")),
        .function = json_string_value(json_object_get(x->run, "function")),
        .cause = x->cause,
        .text = slice_make(json_string_value(text), json_string_length(text)),
        .status = (uint64_t)json_integer_value(json_object_get(x->run, "status")),
        .memory_peak = (uint64_t)json_integer_value(json_object_get(x->run, "memory_peak")),
        .exit_status = json_integer_value(json_object_get(x->run, "exit_status")),
        .refusals = refusals,
        .log = x->log,
        .env = x->env,
        .secrets = x->secrets,
        .good_env = x->good_env,
        .good_secrets = x->good_secrets,
        .limits = x->limited ? &x->limits : NULL,
    };
    enum limit_id limit;
    json_t *causes = causes_find(&ev, &limit);
    struct end_text end = end_text(ev.text);
    json_t *o = json_pack(
        "{s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O}", "run", json_object_get(x->run, "id"),
        "function", json_object_get(x->run, "function"), "version",
        json_object_get(x->run, "version"), "started_at", json_object_get(x->run, "started_at"),
        "method", json_object_get(x->run, "method"), "path", json_object_get(x->run, "path"),
        "status", json_object_get(x->run, "status"), "cause", json_object_get(x->run, "cause"));
    json_t *rest = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o}", "why", text_or_null(end.why), "stack",
        lines_of(end.frames), "last_call", text_or_null(end.call), "rule", shape_rule(refusals),
        "limit", shape_limit(x, limit), "changed", shape_changed(x), "similar_last_hour",
        (json_int_t)x->history.similar, "good_runs_of_version", (json_int_t)x->history.version_good,
        "next", shape_next(x, causes), "log", last_lines(x->log));
    json_object_update(o, rest);
    json_object_set_new(o, "causes", causes);
    json_decref(rest);
    return o;
}

void runs_explain(struct api_request *r)
{
    struct explained x = {.api = r->api};
    struct err e;
    if (!runs_id(r, &x.id))
        return;
    x.log = json_array();
    api_drain(r);
    enum err_code rc = gather(&x, r->project.id, &e);
    if (rc)
        runs_fail(r, &e);
    else
        api_answer(r, 200, shape(&x));
    explained_done(&x);
}
