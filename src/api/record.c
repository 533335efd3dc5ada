#include "api/record.h"

#include "api/request.h"

json_t *record_uses(const struct ledger *l)
{
    json_t *list = json_array();
    struct ledger_use u;
    struct slice url, rule;
    for (size_t at = 0; ledger_use_next(l, &at, &u, &url, &rule);) {
        bool refused = u.outcome == LEDGER_REFUSED;
        json_array_append_new(
            list,
            json_pack("{s:o, s:o, s:s, s:o, s:s, s:I, s:I, s:I}", "url", shape_text(url), "fd",
                      u.fd < 0 ? json_null() : json_integer(u.fd), "outcome",
                      refused ? "refused" : "opened", "rule", shape_text(rule), "layer",
                      u.operator_ ? "operator" : "function", "bytes_in", (json_int_t)u.bytes_in,
                      "bytes_out", (json_int_t)u.bytes_out, "requests", (json_int_t)u.requests));
    }
    return list;
}

static json_t *digest_or_null(const uint8_t digest[DIGEST_BYTES])
{
    static const uint8_t none[DIGEST_BYTES];
    return memcmp(digest, none, sizeof none) ? shape_digest(digest) : json_null();
}

json_t *record_sums(const struct ledger *l)
{
    const struct ledger_head *h = &l->head;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "gas", (json_int_t)h->gas,
                     "opens", (json_int_t)h->opens, "refused", (json_int_t)h->refused, "uses_lost",
                     (json_int_t)h->uses_lost, "egress_in", (json_int_t)h->egress_in, "egress_out",
                     (json_int_t)h->egress_out, "start_ns", (json_int_t)h->start_ns, "module",
                     digest_or_null(h->module), "policy", digest_or_null(h->policy));
}

bool record_sums_write(const struct ledger *l, struct buf *out)
{
    static const uint8_t none[DIGEST_BYTES];
    const struct ledger_head *h = &l->head;
    const uint8_t *const digests[] = {h->module, h->policy};
    static const char *const names[] = {"module", "policy"};
    bool fits = buf_addf(out,
                         "{\"gas\":%llu,\"opens\":%u,\"refused\":%u,\"uses_lost\":%u,\"egress_in\":"
                         "%llu,\"egress_out\":%llu,\"start_ns\":%llu",
                         (unsigned long long)h->gas, h->opens, h->refused, h->uses_lost,
                         (unsigned long long)h->egress_in, (unsigned long long)h->egress_out,
                         (unsigned long long)h->start_ns);
    for (int i = 0; i < 2 && fits; i++) {
        char text[DIGEST_TEXT + 1];
        bool any = memcmp(digests[i], none, sizeof none) != 0;
        digest_text(digests[i], text);
        const char *quote = any ? "\"" : "";
        fits = buf_addf(out, ",\"%s\":%s%s%s", names[i], quote, any ? text : "null", quote);
    }
    return fits && buf_add(out, "}", 1);
}

/* These members of a use. */
static json_t *only(const json_t *use, const char *const *names)
{
    json_t *o = json_object();
    for (; *names; names++) {
        json_t *v = json_object_get(use, *names);
        json_object_set(o, *names, v ? v : json_null());
    }
    return o;
}

void record_show(json_t *run, const json_t *uses, const json_t *sums)
{
    static const struct {
        const char *sum, *name;
    } names[] = {
        {"gas", "gas"},
        {"opens", "opens"},
        {"refused", "refused"},
        {"uses_lost", "uses_lost"},
        {"egress_in", "egress_bytes_in"},
        {"egress_out", "egress_bytes_out"},
        {"start_ns", "start_ns"},
    };
    static const char *const opened[] = {"fd",       "url",  "bytes_in", "bytes_out",
                                         "requests", "rule", NULL};
    static const char *const refused[] = {"url", "rule", "layer", NULL};
    json_t *descriptors = json_array(), *refusals = json_array(), *use;
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set_new(run, names[i].name,
                            json_integer(json_integer_value(json_object_get(sums, names[i].sum))));
    json_t *module = json_object_get(sums, "module"), *policy = json_object_get(sums, "policy");
    json_object_set(run, "module", module ? module : json_null());
    json_object_set(run, "policy", policy ? policy : json_null());
    json_array_foreach(uses, i, use)
    {
        const char *outcome = json_string_value(json_object_get(use, "outcome"));
        if (outcome && strcmp(outcome, "refused") == 0) {
            json_t *row = only(use, refused);
            json_object_set(row, "times", json_object_get(use, "requests"));
            json_array_append_new(refusals, row);
        } else {
            json_array_append_new(descriptors, only(use, opened));
        }
    }
    json_object_set_new(run, "descriptors", descriptors);
    json_object_set_new(run, "refusals", refusals);
}
