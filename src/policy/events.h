/* Events: YAML read one event at a time, with nothing taken silently.
 *
 * What policies and manifests have in common: one document, no anchors, aliases and tags, and every
 * mistake at its line and column. Nothing is built of the text: libyaml has the current event,
 * which the next one frees. */
#pragma once

#include "base/err.h"

#include <yaml.h>

struct events {
    const char *what;    /* "a policy", for messages */
    const char *file;    /* they begin with FILE:LINE:COLUMN; NULL: with "line 1, column 2" */
    const char *starred; /* is said where something begins with an asterisk */
    struct err *err;
    yaml_parser_t yaml;
    yaml_event_t event; /* the current one */
};

/* Begins to read a text, which stays the caller's; of *r what stands above is filled in. After
 * ERR_OK: events_end(). */
enum err_code events_begin(struct events *r, struct slice text) MUST_CHECK;
void events_end(struct events *r);

/* Goes on to the next event. ERR_INVALID with the place, ERR_MEMORY. */
enum err_code events_next(struct events *r) MUST_CHECK;

/* Reads all of the text: `root` is called with the document's first event and leaves its last one;
 * an empty document is none. */
enum err_code events_document(struct events *r, enum err_code (*root)(void *arg),
                              void *arg) MUST_CHECK;

/* ERR_INVALID, said of this place. */
enum err_code events_at(const struct events *r, yaml_mark_t mark, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define EVENT_AT(r, ...) events_at(r, (r)->event.start_mark, __VA_ARGS__)

static inline bool events_scalar(const struct events *r)
{
    return r->event.type == YAML_SCALAR_EVENT;
}

/* Of a scalar. */
static inline struct slice events_text(const struct events *r)
{
    return slice_make(r->event.data.scalar.value, r->event.data.scalar.length);
}

static inline bool events_plain(const struct events *r)
{
    return events_scalar(r) && r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* Nothing behind the colon. */
static inline bool events_missing(const struct events *r)
{
    return events_plain(r) && r->event.data.scalar.length == 0;
}
