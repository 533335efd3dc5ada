#include "roles/config.h"

#include "base/brand.h"
#include "http/address.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yaml.h>

enum { CONFIG_VALUE = 65536 };

struct reader {
    yaml_document_t doc;
    const char *path;
    struct options *options;
    struct err *err;
    /* config_check(): every mistake goes there; NULL: the first one ends it */
    void (*each)(void *arg, const struct config_problem *p);
    void *arg;
    size_t problems;
};

static struct slice text_of(const yaml_node_t *n)
{
    return slice_make(n->data.scalar.value, n->data.scalar.length);
}

static enum err_code at_mark(struct reader *r, yaml_mark_t mark, const char *text)
{
    r->problems++;
    if (r->each)
        r->each(r->arg, &(struct config_problem){mark.line + 1, mark.column + 1, text});
    return err_set(r->err, ERR_USAGE, "%s, line %zu: %s", r->path, mark.line + 1, text);
}

static enum err_code at_line(struct reader *r, const yaml_node_t *n, const char *text)
{
    return at_mark(r, n->start_mark, text);
}

/* One entry of the mapping `limits`, so that a mistake in it has its own line. */
static enum err_code judge_limit(struct reader *r, const yaml_node_t *key, struct slice value)
{
    struct limits scratch;
    struct err why;
    limits_init(&scratch, false);
    if (limits_set(&scratch, text_of(key), value, LIMIT_WHO_OPERATOR, &why))
        return at_line(r, key, why.text);
    return ERR_OK;
}

/* A sequence as "a,b", a mapping as "a=1,b=2", a scalar as it is. */
static enum err_code flatten(struct reader *r, struct slice option, const yaml_node_t *value,
                             struct buf *out)
{
    bool fits = true, limits = slice_eq(option, slice_str(option_rows[OPTION_LIMITS].name));
    enum err_code rc = ERR_OK;
    switch (value->type) {
    case YAML_SCALAR_NODE:
        fits = buf_add(out, value->data.scalar.value, value->data.scalar.length);
        break;
    case YAML_SEQUENCE_NODE:
        for (yaml_node_item_t *i = value->data.sequence.items.start;
             i < value->data.sequence.items.top && fits; i++) {
            const yaml_node_t *item = yaml_document_get_node(&r->doc, *i);
            if (item->type != YAML_SCALAR_NODE)
                return at_line(r, item, "a plain value is expected here");
            struct slice t = text_of(item);
            fits = buf_addf(out, "%s%.*s", buf_size(out) ? "," : "", SLICE_ARG(t));
        }
        break;
    case YAML_MAPPING_NODE:
        for (yaml_node_pair_t *p = value->data.mapping.pairs.start;
             p < value->data.mapping.pairs.top && fits; p++) {
            const yaml_node_t *k = yaml_document_get_node(&r->doc, p->key);
            const yaml_node_t *v = yaml_document_get_node(&r->doc, p->value);
            if (k->type != YAML_SCALAR_NODE || v->type != YAML_SCALAR_NODE)
                return at_line(r, k, "a plain name and value are expected here");
            struct slice name = text_of(k), t = text_of(v);
            if (limits && judge_limit(r, k, t)) {
                rc = ERR_USAGE;
                if (!r->each)
                    return rc;
            }
            fits = buf_addf(out, "%s%.*s=%.*s", buf_size(out) ? "," : "", SLICE_ARG(name),
                            SLICE_ARG(t));
        }
        break;
    case YAML_NO_NODE:
        break;
    }
    return fits ? rc : at_line(r, value, "the value is too long");
}

static bool shape_fits(struct slice key, yaml_node_type_t type)
{
    if (type == YAML_SCALAR_NODE)
        return true;
    for (int i = 0; i < OPTION_COUNT; i++)
        if (slice_eq(key, slice_str(option_rows[i].name)))
            return (option_rows[i].kind == OPTION_KIND_CIDRS && type == YAML_SEQUENCE_NODE) ||
                   ((option_rows[i].kind == OPTION_KIND_LIMITS ||
                     option_rows[i].kind == OPTION_KIND_PRICES) &&
                    type == YAML_MAPPING_NODE);
    return true; /* options_set() says that there is no such option */
}

/* What is otherwise judged where it is used: networks, and the operator's files. */
static enum err_code judge_more(struct slice option, struct slice value, struct err *e)
{
    char path[4096];
    bool file = slice_eq(option, slice_str(option_rows[OPTION_EGRESS_CA].name)) ||
                slice_eq(option, slice_str(option_rows[OPTION_POLICY].name));
    if (slice_eq(option, slice_str(option_rows[OPTION_TRUSTED_PROXIES].name)) ||
        slice_eq(option, slice_str(option_rows[OPTION_EGRESS_ADDRESSES].name))) {
        struct cidr_list list = {0};
        enum err_code rc = cidr_parse(value, &list, e);
        if (rc == ERR_OK)
            cidr_done(&list);
        return rc;
    }
    if (file && value.n && slice_copy(value, path, sizeof path) && access(path, R_OK) < 0)
        return err_errno(e, "can't read %s", path);
    return ERR_OK;
}

static enum err_code read_pair(struct reader *r, const yaml_node_t *map, const yaml_node_pair_t *p)
{
    const yaml_node_t *key = yaml_document_get_node(&r->doc, p->key);
    const yaml_node_t *value = yaml_document_get_node(&r->doc, p->value);
    if (key->type != YAML_SCALAR_NODE)
        return at_line(r, key, "an option's name is expected here");
    struct slice name = text_of(key);
    for (const yaml_node_pair_t *q = map->data.mapping.pairs.start; q < p; q++)
        if (slice_eq(text_of(yaml_document_get_node(&r->doc, q->key)), name))
            return at_line(r, key, "this option is already set above");
    if (!shape_fits(name, value->type))
        return at_line(r, value, "a plain value is expected here");

    struct buf flat;
    struct err why = {0};
    buf_init(&flat, CONFIG_VALUE);
    enum err_code rc = flatten(r, name, value, &flat);
    if (rc == ERR_OK && options_set(r->options, name, buf_slice(&flat), &why))
        rc = at_line(r, key, why.text);
    if (rc == ERR_OK && r->each && judge_more(name, buf_slice(&flat), &why))
        rc = at_line(r, value, why.text);
    buf_done(&flat);
    return rc;
}

static enum err_code read_document(struct reader *r)
{
    const yaml_node_t *map = yaml_document_get_root_node(&r->doc);
    if (!map || (map->type == YAML_SCALAR_NODE && map->data.scalar.length == 0))
        return ERR_OK; /* an empty file */
    if (map->type != YAML_MAPPING_NODE)
        return at_line(r, map, "lines of the form `option: value` are expected");
    enum err_code rc = ERR_OK;
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start;
         p < map->data.mapping.pairs.top && (rc == ERR_OK || r->each); p++)
        rc = read_pair(r, map, p);
    return r->problems ? ERR_USAGE : rc;
}

static enum err_code read_file(struct reader *r, FILE *file)
{
    yaml_parser_t parser;
    enum err_code rc;
    if (!yaml_parser_initialize(&parser))
        return err_set(r->err, ERR_MEMORY, "no memory for reading %s", r->path);
    yaml_parser_set_input_file(&parser, file);
    if (!yaml_parser_load(&parser, &r->doc) && ferror(file)) {
        rc = err_errno(r->err, "can't read the configuration file %s", r->path);
    } else if (parser.error) {
        rc = at_mark(r, parser.problem_mark, parser.problem ? parser.problem : "can't be read");
    } else {
        rc = read_document(r);
        yaml_document_delete(&r->doc);
    }
    yaml_parser_delete(&parser);
    return rc;
}

enum err_code config_read(struct options *o, const char *path, struct err *e)
{
    struct reader r = {.path = path ? path : BRAND_CONFIG, .options = o, .err = e};
    FILE *file = fopen(r.path, "re");
    if (!file && !path && errno == ENOENT)
        return ERR_OK;
    if (!file)
        return err_errno(e, "can't read the configuration file %s", r.path);
    enum err_code rc = read_file(&r, file);
    fclose(file);
    return rc;
}

enum err_code config_check(const char *path,
                           void (*each)(void *arg, const struct config_problem *p), void *arg,
                           struct err *e)
{
    struct options options;
    struct reader r = {.path = path, .options = &options, .err = e, .each = each, .arg = arg};
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "there is no file %s", path)
                               : err_errno(e, "can't read the configuration file %s", path);
    options_init(&options);
    enum err_code rc = read_file(&r, file);
    options_done(&options);
    fclose(file);
    return rc;
}
