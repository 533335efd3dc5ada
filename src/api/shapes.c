/* What the API's objects look like as JSON: one function a shape, the only place that says. */
#include "api/request.h"

#include "api/record.h"
#include "auth/token.h"
#include "base/clock.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

json_t *shape_text(struct slice s)
{
    json_t *text = json_stringn(s.p, s.n);
    if (text)
        return text;
    struct buf b;
    buf_init(&b, s.n * 3 + 1);
    while (s.n) {
        size_t n = utf8_length(s);
        if (!(n ? buf_add(&b, s.p, n) : buf_add(&b, "\xef\xbf\xbd", 3)))
            break;
        s = slice_from(s, n ? n : 1);
    }
    text = json_stringn(buf_slice(&b).p, buf_size(&b));
    buf_done(&b);
    return text;
}

json_t *shape_time(uint64_t ms)
{
    char text[25];
    if (!ms)
        return json_null();
    clock_rfc3339(ms * 1000, text);
    return json_string(text);
}

json_t *shape_uuid(struct uuid id)
{
    char text[UUID_TEXT + 1];
    if (uuid_is_zero(id))
        return json_null();
    uuid_text(id, text);
    return json_string(text);
}

void shape_revision(struct uuid revision, char out[UUID_TEXT + 3])
{
    char text[UUID_TEXT + 1];
    uuid_text(revision, text);
    snprintf(out, UUID_TEXT + 3, "\"%s\"", text);
}

json_t *shape_digest(const uint8_t digest[DIGEST_BYTES])
{
    char text[DIGEST_TEXT + 1];
    digest_text(digest, text);
    return json_string(text);
}

json_t *shape_scopes(uint32_t scopes)
{
    json_t *list = json_array();
    for (const struct scope_name *s = scope_names; s->name; s++)
        if (scopes & s->scope)
            json_array_append_new(list, json_string(s->name));
    return list;
}

json_t *shape_project(const struct store_project *p)
{
    return json_pack("{s:o, s:s, s:o, s:o}", "id", shape_uuid(p->id), "name", p->name, "created_at",
                     shape_time(p->created_ms), "updated_at", shape_time(p->updated_ms));
}

static void jot_counters(struct jot *j, const char *key, const uint64_t c[STORE_COUNTERS])
{
    jot_open(j, key, '{');
    jot_u64(j, "runs", c[STORE_RUNS]);
    jot_u64(j, "failed", c[STORE_FAILED]);
    jot_u64(j, "cpu_us", c[STORE_CPU_US]);
    jot_u64(j, "wall_us", c[STORE_WALL_US]);
    jot_u64(j, "memory_mib_us", c[STORE_MEMORY_US]);
    jot_u64(j, "bytes_in", c[STORE_BYTES_IN]);
    jot_u64(j, "bytes_out", c[STORE_BYTES_OUT]);
    jot_u64(j, "calls", c[STORE_CALLS]);
    jot_u64(j, "log_lines", c[STORE_LOG_LINES]);
    jot_u64(j, "log_lost", c[STORE_LOG_LOST]);
    jot_u64(j, "receipts_lost", c[STORE_RECEIPTS_LOST]);
    jot_u64(j, "egress_bytes_in", c[STORE_EGRESS_IN]);
    jot_u64(j, "egress_bytes_out", c[STORE_EGRESS_OUT]);
    jot_u64(j, "log_bytes", c[STORE_LOG_BYTES]);
    jot_open(j, "status", '{');
    jot_u64(j, "1xx", c[STORE_1XX]);
    jot_u64(j, "2xx", c[STORE_2XX]);
    jot_u64(j, "3xx", c[STORE_3XX]);
    jot_u64(j, "4xx", c[STORE_4XX]);
    jot_u64(j, "5xx", c[STORE_5XX]);
    jot_close(j, '}');
    jot_close(j, '}');
}

static void jot_time(struct jot *j, const char *key, uint64_t ms)
{
    char text[25];
    if (!ms) {
        jot_null(j, key);
        return;
    }
    clock_rfc3339(ms * 1000, text);
    jot_text(j, key, slice_make(text, sizeof text - 1));
}

void jot_function(struct jot *j, const struct api *api, const struct store_function *f)
{
    char id[UUID_TEXT + 1], digest[DIGEST_TEXT + 1], url[256];
    bool live = !uuid_is_zero(f->live);
    uuid_text(f->id, id);
    jot_open(j, NULL, '{');
    jot_text(j, "id", slice_make(id, UUID_TEXT));
    jot_text(j, "name", slice_str(f->name));
    jot_text(j, "project", slice_str(f->project_name));
    if (api_function_url(api, f->name, url, sizeof url))
        jot_text(j, "url", slice_str(url));
    else
        jot_null(j, "url");
    jot_text(j, "state",
             f->deleted_ms ? SLICE("deleted")
             : live        ? SLICE("live")
                           : SLICE("no_version"));
    if (live) {
        digest_text(f->digest, digest);
        jot_u64(j, "version", f->live_number);
        jot_text(j, "response", slice_str(response_words[f->response]));
        jot_text(j, "digest", slice_make(digest, DIGEST_TEXT));
        jot_u64(j, "size", f->size);
    } else {
        jot_null(j, "version");
        jot_null(j, "response");
        jot_null(j, "digest");
        jot_null(j, "size");
    }
    jot_time(j, "created_at", f->created_ms);
    jot_time(j, "updated_at", f->updated_ms);
    jot_time(j, "deleted_at", f->deleted_ms);
    jot_counters(j, "counters", f->counters);
    jot_close(j, '}');
}

/* The value that was written; frees the text. NULL: no memory. */
static json_t *value(struct jot *j)
{
    struct slice text;
    json_t *v = jot_slice(j, &text) ? json_loadb(text.p, text.n, 0, NULL) : NULL;
    jot_done(j);
    return v;
}

json_t *shape_counters(const uint64_t c[STORE_COUNTERS])
{
    struct jot j;
    jot_init(&j, FUNCTION_MOST);
    jot_counters(&j, NULL, c);
    return value(&j);
}

json_t *shape_function(const struct api *api, const struct store_function *f)
{
    struct jot j;
    jot_init(&j, FUNCTION_MOST);
    jot_function(&j, api, f);
    return value(&j);
}

enum err_code shape_function_split(const struct api *api, const struct store_function *f,
                                   json_t **ret_shape, struct err *e)
{
    struct store_share shares[STORE_SHARES];
    uint32_t n = 0;
    enum err_code rc = store_shares(api->store, f->id, shares, &n, e);
    if (rc)
        return rc;
    json_t *shape = shape_function(api, f), *split = n > 1 ? json_object() : json_null();
    for (uint32_t i = 0; n > 1 && i < n; i++) {
        char number[16];
        snprintf(number, sizeof number, "%u", shares[i].number);
        json_object_set_new(split, number, json_integer(shares[i].percent));
    }
    if (json_object_set_new(shape, "split", split)) {
        json_decref(shape);
        return err_set(e, ERR_MEMORY, "no memory for a function");
    }
    *ret_shape = shape;
    return ERR_OK;
}

/* "held": it was never promoted, because it failed its check or costs too much. */
static const char *version_state(const struct store_version *v, const json_t *check,
                                 const json_t *price)
{
    if (v->disabled_ms)
        return "disabled";
    if (v->percent)
        return v->percent == 100 ? "live" : "split";
    if (!v->promoted_ms && (json_is_string(json_object_get(check, "error")) ||
                            json_is_true(json_object_get(price, "over"))))
        return "held";
    return "kept";
}

json_t *shape_version(const struct api *api, const struct store_version *v, struct err *e)
{
    struct version_settings s;
    if (settings_read(&s, v, api->secrets, e))
        return NULL;
    json_t *check = v->result.n ? json_loadb(v->result.p, v->result.n, 0, NULL) : NULL;
    json_t *policy = v->policy.n ? json_loadb(v->policy.p, v->policy.n, 0, NULL) : NULL;
    bool fuel = settings_kind(&s, &api->options->limits) == ENGINE_FUEL;
    json_t *o = json_pack(
        "{s:o, s:i, s:o, s:I, s:s, s:O, s:O, s:o, s:o, s:b, s:s, s:o, s:o, s:o, s:s, s:o}", "id",
        shape_uuid(v->id), "number", (int)v->number, "digest", shape_digest(v->digest), "size",
        (json_int_t)v->size, "response", response_words[v->response], "env", s.env, "limits",
        s.limits, "policy", policy ? policy : json_null(), "assets",
        settings_has_assets(&s) ? shape_digest(s.assets) : json_null(), "timing", s.timing, "kind",
        fuel ? "fuel" : "plain", "created_at", shape_time(v->created_ms), "updated_at",
        shape_time(v->updated_ms), "promoted_at", shape_time(v->promoted_ms), "check", s.check,
        "checked", check ? check : json_null());
    json_t *price = v->price.n ? json_loadb(v->price.p, v->price.n, 0, NULL) : NULL;
    json_t *rest =
        json_pack("{s:s, s:i, s:O, s:s, s:s, s:o, s:o}", "state", version_state(v, check, price),
                  "percent", (int)v->percent, "secrets", s.secrets, "preview",
                  preview_words[s.preview], "capture", capture_words[s.capture], "disabled_at",
                  shape_time(v->disabled_ms), "price", price ? price : json_null());
    if (!o || !rest || json_object_update(o, rest)) {
        json_decref(o);
        o = NULL;
    }
    json_decref(rest);
    settings_done(&s);
    if (!o)
        err_set(e, ERR_MEMORY, "no memory for a version");
    return o;
}

json_t *shape_check(const struct check_result *c)
{
    if (!c->ran)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "run", shape_uuid(c->run), "status",
                     c->status ? json_integer(c->status) : json_null(), "error",
                     c->error ? json_string(err_slug(c->error)) : json_null(), "text",
                     shape_text(slice_str(c->text)));
}

json_t *shape_price(const struct price *p, bool over)
{
    if (!p->runs)
        return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:b}", "cpu_us", (json_int_t)p->cpu_us, "memory_peak",
                     (json_int_t)p->memory_peak, "calls", (json_int_t)p->calls, "runs",
                     (json_int_t)p->runs, "over", over);
}

void shape_price_read(struct slice text, struct price *ret_price)
{
    json_t *o = text.n ? json_loadb(text.p, text.n, 0, NULL) : NULL;
    json_int_t cpu, memory, calls, runs;
    if (json_unpack(o, "{s:I, s:I, s:I, s:I}", "cpu_us", &cpu, "memory_peak", &memory, "calls",
                    &calls, "runs", &runs) == 0)
        *ret_price = (struct price){.runs = (uint32_t)runs,
                                    .cpu_us = (uint64_t)cpu,
                                    .memory_peak = (uint64_t)memory,
                                    .calls = (uint64_t)calls};
    json_decref(o);
}

json_t *shape_run(const struct store_run *r)
{
    json_t *calls = json_loadb(r->host_calls.p, r->host_calls.n, 0, NULL);
    json_t *o =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I}", "id",
                  shape_uuid(r->id), "function", shape_text(r->function_name), "version",
                  r->version_number ? json_integer((json_int_t)r->version_number) : json_null(),
                  "started_at", shape_time(r->started_ms), "method", shape_text(r->method), "path",
                  shape_text(r->path), "client", shape_text(r->client), "status",
                  r->status ? json_integer((json_int_t)r->status) : json_null(), "cause",
                  shape_text(r->cause), "exit_status", (json_int_t)r->exit_status, "cpu_us",
                  (json_int_t)r->cpu_us, "wall_us", (json_int_t)r->wall_us, "memory_peak",
                  (json_int_t)r->memory_peak);
    json_t *rest = json_pack(
        "{s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:o, s:b, s:b, s:b}", "bytes_in",
        (json_int_t)r->bytes_in, "bytes_out", (json_int_t)r->bytes_out, "request_bytes",
        (json_int_t)r->request_bytes, "response_bytes", (json_int_t)r->response_bytes, "host_calls",
        calls ? calls : json_object(), "calls", (json_int_t)r->calls, "log_lines",
        (json_int_t)r->log_lines, "log_lost", (json_int_t)r->log_lost, "text", shape_text(r->text),
        "sampled", r->sampled != 0, "injected", r->injected != 0, "captured", r->captured != 0);
    json_object_update(o, rest);
    json_decref(rest);
    record_show(o, r->uses, r->sums);
    return o;
}

json_t *shape_log(const struct store_log *l)
{
    static const char *const sources[] = {"stderr", "log", "platform"};
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)l->id);
    json_t *o = json_pack(
        "{s:s, s:o, s:s, s:s, s:o, s:o, s:o}", "id", id, "at", shape_time(l->at_ms), "level",
        l->level <= 1   ? "error"
        : l->level <= 3 ? "warning"
                        : "info",
        "source", l->source < 3 ? sources[l->source] : "platform", "run", shape_uuid(l->run),
        "function", shape_text(l->function_name), "text", shape_text(l->text));
    if (l->lost)
        json_object_set_new(o, "lost", json_integer(l->lost));
    return o;
}

json_t *shape_list(json_t *items, json_t *next)
{
    return json_pack("{s:o, s:o}", "items", items, "next", next ? next : json_null());
}
