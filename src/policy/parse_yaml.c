/* Policies in YAML, and so in JSON and in our canonical form.
 *
 * Read event by event: the canonical form is read at every LOAD, and building a document first
 * would double that. Nothing is taken silently: no member twice or unknown, no anchors and tags,
 * nothing after the end. */
#include "base/limits.h"
#include "policy/rules.h"

#include <yaml.h>

struct reader {
    yaml_parser_t yaml;
    yaml_event_t event; /* the current one */
    struct policy *policy;
    struct err *err;
};

#define AT(r, ...)                                                                                 \
    policy_error_at((r)->err, (r)->event.start_mark.line + 1, (r)->event.start_mark.column + 1,    \
                    __VA_ARGS__)

static struct slice text_of(const struct reader *r)
{
    return slice_make(r->event.data.scalar.value, r->event.data.scalar.length);
}

/* libyaml's complaint, in words for somebody who writes a policy. */
static enum err_code broken(const struct reader *r)
{
    const yaml_parser_t *y = &r->yaml;
    if (y->error == YAML_MEMORY_ERROR)
        return err_set(r->err, ERR_MEMORY, "no memory for reading a policy");
    if (y->error == YAML_READER_ERROR)
        return err_set(r->err, ERR_INVALID, "byte %zu: it is not UTF-8 text%s%s", y->problem_offset,
                       y->problem ? ": " : "", y->problem ? y->problem : "");
    const char *where = y->context ? y->context : "";
    if (strstr(where, "alias"))
        return policy_error_at(r->err, y->context_mark.line + 1, y->context_mark.column + 1,
                               "a rule that begins with * needs quotes: '**'");
    return policy_error_at(r->err, y->problem_mark.line + 1, y->problem_mark.column + 1,
                           "this is not YAML: %s%s%s", where, *where ? ", " : "",
                           y->problem ? y->problem : "it can't be read");
}

static enum err_code next(struct reader *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->yaml, &r->event))
        return broken(r);
    switch (r->event.type) {
    case YAML_ALIAS_EVENT:
        return AT(r, "a rule that begins with * needs quotes: '**'");
    case YAML_SCALAR_EVENT:
        if (r->event.data.scalar.anchor || r->event.data.scalar.tag)
            return AT(r, "anchors (&) and tags (!) have no place in a policy; quote the text");
        return ERR_OK;
    case YAML_SEQUENCE_START_EVENT:
        if (r->event.data.sequence_start.anchor || r->event.data.sequence_start.tag)
            return AT(r, "anchors (&) and tags (!) have no place in a policy");
        return ERR_OK;
    case YAML_MAPPING_START_EVENT:
        if (r->event.data.mapping_start.anchor || r->event.data.mapping_start.tag)
            return AT(r, "anchors (&) and tags (!) have no place in a policy");
        return ERR_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    return ERR_OK;
}

/* The current event's rule goes into `rules`. */
static enum err_code add_rule(struct reader *r, struct rules *rules, bool is_regex)
{
    struct err why = {0};
    enum err_code rc = policy_add(r->policy, rules, text_of(r), is_regex, &why);
    return rc == ERR_INVALID ? AT(r, "%s", why.text) : rc ? err_set(r->err, rc, "%s", why.text) : 0;
}

/* { regex: '…' } */
static enum err_code read_regex(struct reader *r, struct rules *rules)
{
    enum err_code rc = next(r);
    if (rc)
        return rc;
    if (r->event.type != YAML_SCALAR_EVENT || !slice_eq(text_of(r), SLICE("regex")))
        return AT(r, "a rule is a URL pattern, or \"regex:\" and a regular expression");
    rc = next(r);
    if (!rc && r->event.type != YAML_SCALAR_EVENT)
        rc = AT(r, "a regular expression is expected here, in single quotes");
    if (!rc)
        rc = add_rule(r, rules, true);
    if (!rc)
        rc = next(r);
    if (!rc && r->event.type != YAML_MAPPING_END_EVENT)
        rc = AT(r, "a rule has only one \"regex:\": begin the next with \"- \"");
    return rc;
}

static enum err_code read_rules(struct reader *r, struct rules *rules)
{
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return AT(r, "a list of rules is expected here, each on a line of its own after \"- \"");
    for (;;) {
        enum err_code rc = next(r);
        if (rc || r->event.type == YAML_SEQUENCE_END_EVENT)
            return rc;
        if (r->event.type == YAML_SCALAR_EVENT)
            rc = add_rule(r, rules, false);
        else if (r->event.type == YAML_MAPPING_START_EVENT)
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
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return AT(r, "a list of methods is expected here: [GET, POST]");
    for (;;) {
        struct err why = {0};
        enum err_code rc = next(r);
        if (rc)
            return rc;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return r->policy->method_count
                       ? ERR_OK
                       : AT(r, "name at least one method; without \"methods\" all are allowed");
        if (r->event.type != YAML_SCALAR_EVENT)
            return AT(r, "a method is expected here, such as GET");
        if (policy_add_method(r->policy, text_of(r), &why))
            return AT(r, "%s", why.text);
    }
}

static enum err_code read_violation(struct reader *r)
{
    bool error = r->event.type == YAML_SCALAR_EVENT && slice_eq(text_of(r), SLICE("error"));
    bool end = r->event.type == YAML_SCALAR_EVENT && slice_eq(text_of(r), SLICE("end"));
    if (!error && !end)
        return AT(r, "on_violation is \"end\" or \"error\"");
    r->policy->continues = error;
    return ERR_OK;
}

static enum err_code read_gas(struct reader *r)
{
    if (r->event.type != YAML_SCALAR_EVENT || !slice_u64(text_of(r), &r->policy->gas) ||
        r->policy->gas == 0 || r->policy->gas > INT64_MAX)
        return AT(r, "gas is a number of instructions, such as 1000000");
    return ERR_OK;
}

/* "16MiB" as the limit of the same name is written, or bytes. */
static enum err_code read_memory(struct reader *r)
{
    struct limits limits;
    struct err why = {0};
    if (r->event.type != YAML_SCALAR_EVENT)
        return AT(r, "memory is a size, such as 16MiB");
    limits_init(&limits, false);
    if (limits_set(&limits, SLICE("memory"), text_of(r), LIMIT_WHO_FUNCTION, &why))
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
    struct slice name = text_of(r);
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
        enum err_code rc = next(r);
        if (rc || r->event.type == YAML_MAPPING_END_EVENT)
            return rc;
        if (r->event.type != YAML_SCALAR_EVENT)
            return AT(r, "a name is expected here, such as \"allow\"");
        int i = 0;
        while (i < MEMBERS && !slice_eq(text_of(r), slice_str(members[i].name)))
            i++;
        if (i == MEMBERS)
            return unknown_member(r);
        if (seen[i])
            return AT(r, "\"%s\" is here already: put all its rules under the first",
                      members[i].name);
        seen[i] = true;
        rc = next(r);
        /* "allow:" with nothing behind it: an empty list. */
        bool nothing = !rc && r->event.type == YAML_SCALAR_EVENT &&
                       r->event.data.scalar.length == 0 &&
                       r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        if (!rc && !nothing)
            rc = members[i].read(r);
        if (rc)
            return rc;
    }
}

static enum err_code read_document(struct reader *r)
{
    enum err_code rc = next(r); /* the stream's start */
    if (!rc)
        rc = next(r);
    if (rc || r->event.type == YAML_STREAM_END_EVENT)
        return rc; /* an empty text: the empty policy */
    rc = next(r);
    if (rc)
        return rc;
    bool nothing = r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        rc = read_members(r);
    else if (!nothing)
        rc = AT(r, "a policy begins with \"allow:\" and a list of rules below it");
    if (!rc)
        rc = next(r); /* the document's end */
    if (!rc)
        rc = next(r);
    if (!rc && r->event.type != YAML_STREAM_END_EVENT)
        rc = AT(r, "a second document begins here: a policy is one");
    return rc;
}

enum err_code policy_parse_yaml(struct slice text, struct policy *p, struct err *e)
{
    struct reader r = {.policy = p, .err = e};
    if (!yaml_parser_initialize(&r.yaml))
        return err_set(e, ERR_MEMORY, "no memory for reading a policy");
    yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.yaml, (const unsigned char *)text.p, text.n);
    enum err_code rc = read_document(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.yaml);
    return rc;
}
