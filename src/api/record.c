#include "api/record.h"

#include "api/request.h"

bool record_uses(const struct ledger *l, struct jot *out)
{
    struct ledger_use u;
    struct slice url, rule;
    jot_open(out, NULL, '[');
    for (size_t at = 0; ledger_use_next(l, &at, &u, &url, &rule);) {
        bool refused = u.outcome == LEDGER_REFUSED;
        jot_open(out, NULL, '{');
        jot_text(out, "url", url);
        if (u.fd < 0)
            jot_null(out, "fd");
        else
            jot_i64(out, "fd", u.fd);
        jot_text(out, "outcome", refused ? SLICE("refused") : SLICE("opened"));
        jot_text(out, "rule", rule);
        jot_text(out, "layer", u.operator_ ? SLICE("operator") : SLICE("function"));
        jot_u64(out, "bytes_in", u.bytes_in);
        jot_u64(out, "bytes_out", u.bytes_out);
        jot_u64(out, "requests", u.requests);
        jot_close(out, '}');
    }
    jot_close(out, ']');
    return !out->lost;
}

static void sum_digest(struct jot *out, const char *key, const uint8_t digest[DIGEST_BYTES])
{
    static const uint8_t none[DIGEST_BYTES];
    char text[DIGEST_TEXT + 1];
    if (memcmp(digest, none, sizeof none) == 0)
        return;
    digest_text(digest, text);
    jot_text(out, key, slice_make(text, DIGEST_TEXT));
}

bool record_sums(const struct ledger *l, struct jot *out)
{
    const struct ledger_head *h = &l->head;
    const struct {
        const char *name;
        uint64_t v;
    } sums[] = {
        {"gas", h->gas},
        {"opens", h->opens},
        {"refused", h->refused},
        {"uses_lost", h->uses_lost},
        {"egress_in", h->egress_in},
        {"egress_out", h->egress_out},
        {"start_ns", h->start_ns},
    };
    jot_open(out, NULL, '{');
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        if (sums[i].v)
            jot_u64(out, sums[i].name, sums[i].v);
    sum_digest(out, "module", h->module);
    sum_digest(out, "policy", h->policy);
    jot_close(out, '}');
    return !out->lost;
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

void record_show(json_t *run, struct slice uses_text, struct slice sums_text)
{
    json_t *uses = json_loadb(uses_text.p, uses_text.n, 0, NULL);
    json_t *sums = json_loadb(sums_text.p, sums_text.n, 0, NULL);
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
    json_decref(uses);
    json_decref(sums);
}
