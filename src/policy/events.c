#include "policy/events.h"

#include <stdarg.h>
#include <stdio.h>

enum { REASON = 400 };

enum err_code events_at(const struct events *r, yaml_mark_t mark, const char *fmt, ...)
{
    char why[REASON];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    size_t line = mark.line + 1, column = mark.column + 1;
    return r->file ? err_set(r->err, ERR_INVALID, "%s:%zu:%zu: %s", r->file, line, column, why)
                   : err_set(r->err, ERR_INVALID, "line %zu, column %zu: %s", line, column, why);
}

static enum err_code no_memory(const struct events *r)
{
    return err_set(r->err, ERR_MEMORY, "no memory for reading %s", r->file ? r->file : r->what);
}

/* libyaml's complaint, in words for somebody who writes such a file. */
static enum err_code broken(const struct events *r)
{
    const yaml_parser_t *y = &r->yaml;
    const char *where = y->context ? y->context : "";
    if (y->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    if (y->error == YAML_READER_ERROR)
        return err_set(r->err, ERR_INVALID, "%s%sbyte %zu: it is not UTF-8 text%s%s",
                       r->file ? r->file : "", r->file ? ": " : "", y->problem_offset,
                       y->problem ? ": " : "", y->problem ? y->problem : "");
    if (strstr(where, "alias"))
        return events_at(r, y->context_mark, "%s", r->starred);
    return events_at(r, y->problem_mark, "this is not YAML: %s%s%s", where, *where ? ", " : "",
                     y->problem ? y->problem : "it can't be read");
}

static bool is_marked(const yaml_event_t *v)
{
    switch (v->type) {
    case YAML_SCALAR_EVENT:
        return v->data.scalar.anchor || v->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT:
        return v->data.sequence_start.anchor || v->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT:
        return v->data.mapping_start.anchor || v->data.mapping_start.tag;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_ALIAS_EVENT:
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        break;
    }
    return false;
}

enum err_code events_next(struct events *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->yaml, &r->event))
        return broken(r);
    if (r->event.type == YAML_ALIAS_EVENT)
        return EVENT_AT(r, "%s", r->starred);
    if (is_marked(&r->event))
        return EVENT_AT(r, "anchors (&) and tags (!) have no place in %s; quote the text", r->what);
    return ERR_OK;
}

enum err_code events_document(struct events *r, enum err_code (*root)(void *arg), void *arg)
{
    enum err_code rc = events_next(r); /* the stream's start */
    if (!rc)
        rc = events_next(r);
    if (rc || r->event.type == YAML_STREAM_END_EVENT)
        return rc;
    rc = events_next(r);
    if (!rc && !events_missing(r))
        rc = root(arg);
    if (!rc)
        rc = events_next(r); /* the document's end */
    if (!rc)
        rc = events_next(r);
    if (!rc && r->event.type != YAML_STREAM_END_EVENT)
        rc = EVENT_AT(r, "a second document begins here: %s is one", r->what);
    return rc;
}

enum err_code events_begin(struct events *r, struct slice text)
{
    if (!yaml_parser_initialize(&r->yaml))
        return no_memory(r);
    yaml_parser_set_encoding(&r->yaml, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->yaml, (const unsigned char *)text.p, text.n);
    return ERR_OK;
}

void events_end(struct events *r)
{
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->yaml);
}
