/* Policies in YAML, and so in JSON and in our canonical form.
 *
 * Read event by event: the canonical form is read at every LOAD, and building a document first
 * would double that. */
#include "base/limits.h"
#include "policy/events.h"
#include "policy/rules.h"

#define POLICY_STARRED "a rule that begins with * needs quotes: '**'"

struct reader {
    struct events *y;
    struct policy *policy;
};

#define AT(r, ...) EVENT_AT((r)->y, __VA_ARGS__)

/* The current event's rule goes into `rules`. */
static enum err_code add_rule(struct reader *r, struct rules *rules, bool is_regex)
{
    struct err why = {0};
    enum err_code rc = policy_add(r->policy, rules, events_text(r->y), is_regex, &why);
    return rc == ERR_INVALID ? AT(r, "%s", why.text)
           : rc              ? err_set(r->y->err, rc, "%s", why.text)
                             : 0;
}

/* { regex: '…' } */
static enum err_code read_regex(struct reader *r, struct rules *rules)
{
    enum err_code rc = events_next(r->y);
    if (rc)
        return rc;
    if (!events_scalar(r->y) || !slice_eq(events_text(r->y), SLICE("regex")))
        return AT(r, "a rule is a URL pattern, or \"regex:\" and a regular expression");
    rc = events_next(r->y);
    if (!rc && !events_scalar(r->y))
        rc = AT(r, "a regular expression is expected here, in single quotes");
    if (!rc)
        rc = add_rule(r, rules, true);
    if (!rc)
        rc = events_next(r->y);
    if (!rc && r->y->event.type != YAML_MAPPING_END_EVENT)
        rc = AT(r, "a rule has only one \"regex:\": begin the next with \"- \"");
    return rc;
}

static enum err_code read_rules(struct reader *r, struct rules *rules)
{
    if (r->y->event.type != YAML_SEQUENCE_START_EVENT)
        return AT(r, "a list of rules is expected here, each on a line of its own after \"- \"");
    for (;;) {
        enum err_code rc = events_next(r->y);
        if (rc || r->y->event.type == YAML_SEQUENCE_END_EVENT)
            return rc;
        if (events_scalar(r->y))
            rc = add_rule(r, rules, false);
        else if (r->y->event.type == YAML_MAPPING_START_EVENT)
            rc = read_regex(r, rules);
        else
            rc = AT(r, "a rule is a URL pattern, or \"regex:\" and a regular expression");
        if (rc)
            return rc;
    }
}

static enum err_code read_allow(struct reader *r)
{
    return read_rules(r, &r->policy->allow);
}

static enum err_code read_disallow(struct reader *r)
{
    return read_rules(r, &r->policy->disallow);
}

static enum err_code read_methods(struct reader *r)
{
    if (r->y->event.type != YAML_SEQUENCE_START_EVENT)
        return AT(r, "a list of methods is expected here: [GET, POST]");
    for (;;) {
        struct err why = {0};
        enum err_code rc = events_next(r->y);
        if (rc)
            return rc;
        if (r->y->event.type == YAML_SEQUENCE_END_EVENT)
            return r->policy->method_count
                       ? ERR_OK
                       : AT(r, "name at least one method; without \"methods\" all are allowed");
        if (!events_scalar(r->y))
            return AT(r, "a method is expected here, such as GET");
        if (policy_add_method(r->policy, events_text(r->y), &why))
            return AT(r, "%s", why.text);
    }
}

static enum err_code read_violation(struct reader *r)
{
    bool error = events_scalar(r->y) && slice_eq(events_text(r->y), SLICE("error"));
    bool end = events_scalar(r->y) && slice_eq(events_text(r->y), SLICE("end"));
    if (!error && !end)
        return AT(r, "on_violation is \"end\" or \"error\"");
    r->policy->continues = error;
    return ERR_OK;
}

static enum err_code read_gas(struct reader *r)
{
    if (!events_scalar(r->y) || !slice_u64(events_text(r->y), &r->policy->gas) ||
        r->policy->gas == 0 || r->policy->gas > INT64_MAX)
        return AT(r, "gas is a number of instructions, such as 1000000");
    return ERR_OK;
}

/* "16MiB" as the limit of the same name is written, or bytes. */
static enum err_code read_memory(struct reader *r)
{
    struct limits limits;
    struct err why = {0};
    if (!events_scalar(r->y))
        return AT(r, "memory is a size, such as 16MiB");
    limits_init(&limits, false);
    if (limits_set(&limits, SLICE("memory"), events_text(r->y), LIMIT_WHO_FUNCTION, &why))
        return AT(r, "%s", why.text);
    r->policy->memory = limits.v[LIMIT_MEMORY];
    return ERR_OK;
}

static const struct member {
    const char *name;
    enum err_code (*read)(struct reader *r);
} members[] = {
    {"allow", read_allow},   {"disallow", read_disallow}, {"gas", read_gas},
    {"memory", read_memory}, {"methods", read_methods},   {"on_violation", read_violation},
};
enum { MEMBERS = sizeof members / sizeof *members };

static enum err_code unknown_member(struct reader *r)
{
    const char *names[MEMBERS];
    for (int i = 0; i < MEMBERS; i++)
        names[i] = members[i].name;
    struct slice name = events_text(r->y);
    const char *near = nearest_word(name, names, MEMBERS);
    if (near)
        return AT(r, "there is no \"%.*s\" in a policy, did you mean \"%s\"?", SLICE_ARG(name),
                  near);
    return AT(r,
              "there is no such member in a policy: it has allow, disallow, gas, memory, methods "
              "and on_violation");
}

static enum err_code read_members(struct reader *r)
{
    bool seen[MEMBERS] = {false};
    for (;;) {
        enum err_code rc = events_next(r->y);
        if (rc || r->y->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        if (!events_scalar(r->y))
            return AT(r, "a name is expected here, such as \"allow\"");
        int i = 0;
        while (i < MEMBERS && !slice_eq(events_text(r->y), slice_str(members[i].name)))
            i++;
        if (i == MEMBERS)
            return unknown_member(r);
        if (seen[i])
            return AT(r, "\"%s\" is here already: put all its rules under the first",
                      members[i].name);
        seen[i] = true;
        rc = events_next(r->y);
        /* "allow:" with nothing behind it: an empty list. */
        if (!rc && !events_missing(r->y))
            rc = members[i].read(r);
        if (rc)
            return rc;
    }
}

enum err_code policy_read(struct events *y, policy_note note, void *arg, struct policy **ret_policy)
{
    struct reader r = {.y = y, .policy = policy_new()};
    const char *starred = y->starred;
    size_t start = y->event.start_mark.index;
    if (!r.policy)
        return err_set(y->err, ERR_MEMORY, "no memory for a policy");
    y->starred = POLICY_STARRED;
    enum err_code rc = read_members(&r);
    y->starred = starred;
    if (!rc && y->event.end_mark.index - start > POLICY_TEXT)
        rc = AT(&r, "a policy has at most %d KiB of text", POLICY_TEXT >> 10);
    if (!rc && note)
        policy_review(r.policy, note, arg);
    if (rc)
        policy_free(r.policy);
    else
        *ret_policy = r.policy;
    return rc;
}

static enum err_code read_root(void *arg)
{
    struct reader *r = arg;
    return r->y->event.type == YAML_MAPPING_START_EVENT
               ? read_members(r)
               : AT(r, "a policy begins with \"allow:\" and a list of rules below it");
}

enum err_code policy_parse_yaml(struct slice text, struct policy *p, struct err *e)
{
    struct events y = {.what = "a policy", .starred = POLICY_STARRED, .err = e};
    struct reader r = {.y = &y, .policy = p};
    enum err_code rc = events_begin(&y, text);
    if (rc)
        return rc;
    rc = events_document(&y, read_root, &r);
    events_end(&y);
    return rc;
}
