#include "api/schema.h"

#include "base/limits.h"

#include <stdio.h>

enum { FIELD = 128, NAMES = 64 /* members of an object that may be suggested */ };

/* ---- where ---- */

static void enter_member(char field[FIELD], const char *name)
{
    size_t n = strlen(field);
    snprintf(field + n, FIELD - n, "%s%s", n ? "." : "", name);
}

static void enter_item(char field[FIELD], size_t i)
{
    size_t n = strlen(field);
    snprintf(field + n, FIELD - n, "[%zu]", i);
}

/* What messages call the value. */
static const char *named(const char *field)
{
    return field[0] ? field : "the body";
}

/* ---- text ---- */

static int64_t characters(struct slice s)
{
    int64_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static bool bounded(const struct schema *s)
{
    return s->least || s->most;
}

static enum err_code judge_size(const struct schema *s, int64_t n, const char *field,
                                const char *what, struct err *e)
{
    if (!bounded(s) || (n >= s->least && (!s->most || n <= s->most)))
        return ERR_OK;
    if (!s->most)
        return err_set(e, ERR_INVALID, "%s has at least %lld %s", named(field), (long long)s->least,
                       what);
    return err_set(e, ERR_INVALID, "%s has %lld to %lld %s", named(field), (long long)s->least,
                   (long long)s->most, what);
}

static enum err_code judge_words(const struct schema *s, struct slice text, const char *field,
                                 struct err *e)
{
    char list[256] = "";
    size_t n = 0;
    for (size_t i = 0; s->words[i]; i++) {
        if (slice_eq(text, slice_str(s->words[i])))
            return ERR_OK;
        if (n < sizeof list)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s\"%s\"",
                                  !i                ? ""
                                  : s->words[i + 1] ? ", "
                                                    : " or ",
                                  s->words[i]);
    }
    return err_set(e, ERR_INVALID, "%s is %s, not \"%.*s\"", named(field), list,
                   (int)(text.n < 64 ? text.n : 64), text.p);
}

static enum err_code judge_text(const struct schema *s, struct slice text, const char *field,
                                struct err *e)
{
    enum err_code rc = ERR_OK;
    if (s->words)
        rc = judge_words(s, text, field, e);
    if (rc == ERR_OK)
        rc = judge_size(s, characters(text), field, "characters", e);
    if (rc == ERR_OK && s->judge)
        rc = s->judge(text, e);
    return rc;
}

static enum err_code judge_integer(const struct schema *s, int64_t n, const char *field,
                                   struct err *e)
{
    if (!bounded(s) || (n >= s->least && n <= s->most))
        return ERR_OK;
    return err_set(e, ERR_INVALID, "%s is a number from %lld to %lld", named(field),
                   (long long)s->least, (long long)s->most);
}

static enum err_code judge_decimal(const struct schema *s, struct slice text, const char *field,
                                   struct err *e)
{
    uint64_t n;
    if (slice_u64(text, &n) && n <= INT64_MAX)
        return judge_integer(s, (int64_t)n, field, e);
    return bounded(s) ? judge_integer(s, s->least - 1, field, e)
                      : err_set(e, ERR_INVALID, "%s is a whole number", named(field));
}

static enum err_code judge_bool(struct slice text, const char *field, struct err *e)
{
    static const char *const words[] = {"true", "false", "1", "0"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (slice_eq(text, slice_str(words[i])))
            return ERR_OK;
    return err_set(e, ERR_INVALID, "%s is true or false", named(field));
}

enum err_code schema_check_text(const struct schema *s, struct slice text, const char *field,
                                struct err *e)
{
    return s->type == SCHEMA_INTEGER ? judge_decimal(s, text, field, e)
           : s->type == SCHEMA_BOOL  ? judge_bool(text, field, e)
                                     : judge_text(s, text, field, e);
}

/* ---- JSON ---- */

static enum err_code judge(const struct schema *s, const json_t *v, char field[FIELD],
                           struct err *e);

static const struct schema_field *find_field(const struct schema *s, const char *name)
{
    for (const struct schema_field *f = s->fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

enum err_code schema_unknown(const struct schema_field *fields, struct slice name, const char *what,
                             struct err *e)
{
    const char *names[NAMES];
    size_t n = 0;
    for (; fields && fields->name && n < NAMES; fields++)
        names[n++] = fields->name;
    const char *near = nearest_word(name, names, n);
    return err_set(e, ERR_INVALID, "there is no %s \"%.*s\" here%s%s%s", what,
                   (int)(name.n < 64 ? name.n : 64), name.p, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

static enum err_code judge_object(const struct schema *s, json_t *v, char field[FIELD],
                                  struct err *e)
{
    size_t at = strlen(field);
    const char *name;
    json_t *member;
    json_object_foreach(v, name, member)
    {
        const struct schema_field *f = find_field(s, name);
        enter_member(field, name);
        enum err_code rc = f ? judge(f->schema, member, field, e)
                             : schema_unknown(s->fields, slice_str(name), "field", e);
        if (rc)
            return rc;
        field[at] = '\0';
    }
    for (const struct schema_field *f = s->fields; f->name; f++) {
        if (!f->required || json_object_get(v, f->name))
            continue;
        enter_member(field, f->name);
        return err_set(e, ERR_INVALID, "%s is missing", field);
    }
    return ERR_OK;
}

static enum err_code judge_map(const struct schema *s, json_t *v, char field[FIELD], struct err *e)
{
    size_t at = strlen(field);
    const char *name;
    json_t *member;
    enum err_code rc = judge_size(s, (int64_t)json_object_size(v), field, "members", e);
    if (rc)
        return rc;
    json_object_foreach(v, name, member)
    {
        enter_member(field, name);
        if (s->judge)
            rc = s->judge(slice_str(name), e);
        if (rc == ERR_OK)
            rc = judge(s->items, member, field, e);
        if (rc)
            return rc;
        field[at] = '\0';
    }
    return ERR_OK;
}

static enum err_code judge_list(const struct schema *s, json_t *v, char field[FIELD], struct err *e)
{
    size_t at = strlen(field), i;
    json_t *item;
    enum err_code rc = judge_size(s, (int64_t)json_array_size(v), field, "items", e);
    if (rc)
        return rc;
    json_array_foreach(v, i, item)
    {
        enter_item(field, i);
        rc = judge(s->items, item, field, e);
        if (rc)
            return rc;
        field[at] = '\0';
    }
    return ERR_OK;
}

static bool type_fits(enum schema_type type, const json_t *v)
{
    switch (type) {
    case SCHEMA_TEXT:
        return json_is_string(v);
    case SCHEMA_INTEGER:
        return json_is_integer(v);
    case SCHEMA_NUMBER:
        return json_is_number(v);
    case SCHEMA_BOOL:
        return json_is_boolean(v);
    case SCHEMA_OBJECT:
    case SCHEMA_MAP:
        return json_is_object(v);
    case SCHEMA_LIST:
        return json_is_array(v);
    case SCHEMA_ANY:
    case SCHEMA_EITHER:
        return true;
    }
    return false;
}

static const char *type_text(enum schema_type type)
{
    static const char *const texts[] = {
        [SCHEMA_ANY] = "any value",         [SCHEMA_TEXT] = "a string",
        [SCHEMA_INTEGER] = "a number",      [SCHEMA_NUMBER] = "a number",
        [SCHEMA_BOOL] = "true or false",    [SCHEMA_OBJECT] = "an object",
        [SCHEMA_MAP] = "an object",         [SCHEMA_LIST] = "a list",
        [SCHEMA_EITHER] = "something else",
    };
    return texts[type];
}

/* The alternative whose type the value has is the one that was meant, so its message is the one to
 * give. */
static enum err_code judge_either(const struct schema *s, const json_t *v, char field[FIELD],
                                  struct err *e)
{
    size_t at = strlen(field), n = 0;
    char list[128] = "";
    enum err_code rc = ERR_OK;
    for (size_t i = 0; s->either[i]; i++) {
        enum schema_type type = s->either[i]->type;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s",
                              !i                 ? ""
                              : s->either[i + 1] ? ", "
                                                 : " or ",
                              type_text(type));
        if (n >= sizeof list)
            n = sizeof list - 1;
        if (!type_fits(type, v))
            continue;
        field[at] = '\0';
        rc = judge(s->either[i], v, field, e);
        if (rc == ERR_OK)
            return ERR_OK;
    }
    return rc ? rc : err_set(e, ERR_INVALID, "%s is not %s", named(field), list);
}

static enum err_code judge(const struct schema *s, const json_t *v, char field[FIELD],
                           struct err *e)
{
    if (json_is_null(v) && s->nullable)
        return ERR_OK;
    if (!type_fits(s->type, v))
        return err_set(e, ERR_INVALID, "%s is not %s", named(field), type_text(s->type));
    json_t *inside = (json_t *)v; /* jansson's iteration takes no const */
    switch (s->type) {
    case SCHEMA_TEXT:
        return judge_text(s, slice_make(json_string_value(v), json_string_length(v)), field, e);
    case SCHEMA_INTEGER:
        return judge_integer(s, json_integer_value(v), field, e);
    case SCHEMA_OBJECT:
        return judge_object(s, inside, field, e);
    case SCHEMA_MAP:
        return judge_map(s, inside, field, e);
    case SCHEMA_LIST:
        return judge_list(s, inside, field, e);
    case SCHEMA_EITHER:
        return judge_either(s, v, field, e);
    case SCHEMA_ANY:
    case SCHEMA_NUMBER:
    case SCHEMA_BOOL:
        return ERR_OK;
    }
    return ERR_OK;
}

enum err_code schema_check(const struct schema *s, const json_t *value, char field[128],
                           struct err *e)
{
    field[0] = '\0';
    return judge(s, value, field, e);
}

bool schema_nested(const json_t *v, int most)
{
    const char *name;
    json_t *inside = (json_t *)v, *member;
    size_t i;
    if (!json_is_object(v) && !json_is_array(v))
        return true;
    if (most == 0)
        return false;
    json_object_foreach(inside, name, member)
    {
        if (!schema_nested(member, most - 1))
            return false;
    }
    json_array_foreach(inside, i, member)
    {
        if (!schema_nested(member, most - 1))
            return false;
    }
    return true;
}

/* ---- as JSON Schema ---- */

static void set_text(json_t *o, const char *name, const char *text)
{
    if (text)
        json_object_set_new(o, name, json_string(text));
}

static void set_bounds(json_t *o, const struct schema *s, const char *least, const char *most)
{
    if (bounded(s))
        json_object_set_new(o, least, json_integer(s->least));
    if (s->most)
        json_object_set_new(o, most, json_integer(s->most));
}

/* A reference if it has a name. */
static json_t *part(const struct schema *s, const char *ref_prefix)
{
    return s->name ? json_pack("{s:o}", "$ref", json_sprintf("%s%s", ref_prefix, s->name))
                   : schema_json(s, ref_prefix);
}

static void put_object(json_t *o, const struct schema *s, const char *ref_prefix)
{
    json_t *properties = json_object(), *required = json_array();
    for (const struct schema_field *f = s->fields; f->name; f++) {
        json_t *member = part(f->schema, ref_prefix);
        set_text(member, "description", f->help);
        json_object_set_new(properties, f->name, member);
        if (f->required)
            json_array_append_new(required, json_string(f->name));
    }
    json_object_set_new(o, "properties", properties);
    json_object_set_new(o, "required", required);
    json_object_set_new(o, "additionalProperties", json_false());
}

static void put_map(json_t *o, const struct schema *s, const char *ref_prefix)
{
    set_bounds(o, s, "minProperties", "maxProperties");
    json_object_set_new(o, "additionalProperties", part(s->items, ref_prefix));
    if (s->pattern)
        json_object_set_new(o, "propertyNames", json_pack("{s:s}", "pattern", s->pattern));
}

static void put_words(json_t *o, const struct schema *s)
{
    json_t *words = json_array();
    for (size_t i = 0; s->words[i]; i++)
        json_array_append_new(words, json_string(s->words[i]));
    if (s->nullable)
        json_array_append_new(words, json_null());
    json_object_set_new(o, "enum", words);
}

static void put_either(json_t *o, const struct schema *s, const char *ref_prefix)
{
    json_t *list = json_array();
    for (size_t i = 0; s->either[i]; i++)
        json_array_append_new(list, part(s->either[i], ref_prefix));
    if (s->nullable)
        json_array_append_new(list, json_pack("{s:s}", "type", "null"));
    json_object_set_new(o, "anyOf", list);
}

json_t *schema_json(const struct schema *s, const char *ref_prefix)
{
    static const char *const types[] = {
        [SCHEMA_TEXT] = "string",  [SCHEMA_INTEGER] = "integer", [SCHEMA_NUMBER] = "number",
        [SCHEMA_BOOL] = "boolean", [SCHEMA_OBJECT] = "object",   [SCHEMA_MAP] = "object",
        [SCHEMA_LIST] = "array",   [SCHEMA_EITHER] = NULL,
    };
    json_t *o = json_object();
    const char *type = types[s->type];
    set_text(o, "description", s->help);
    if (type)
        json_object_set_new(o, "type",
                            s->nullable ? json_pack("[s, s]", type, "null") : json_string(type));
    switch (s->type) {
    case SCHEMA_TEXT:
        set_bounds(o, s, "minLength", "maxLength");
        set_text(o, "pattern", s->pattern);
        set_text(o, "format", s->format);
        if (s->words)
            put_words(o, s);
        break;
    case SCHEMA_INTEGER:
        set_bounds(o, s, "minimum", "maximum");
        break;
    case SCHEMA_OBJECT:
        put_object(o, s, ref_prefix);
        break;
    case SCHEMA_MAP:
        put_map(o, s, ref_prefix);
        break;
    case SCHEMA_LIST:
        set_bounds(o, s, "minItems", "maxItems");
        json_object_set_new(o, "items", part(s->items, ref_prefix));
        break;
    case SCHEMA_EITHER:
        put_either(o, s, ref_prefix);
        break;
    case SCHEMA_ANY:
    case SCHEMA_NUMBER:
    case SCHEMA_BOOL:
        break;
    }
    return o;
}
