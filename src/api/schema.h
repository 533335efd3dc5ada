/* Schemas: what a request may hold and what an answer looks like, as data.
 *
 * One vocabulary for three uses: the dispatcher judges every body and query by
 * its route's schema before the handler runs (unknown members are refused, each
 * message names the member and the rule), OpenAPI 3.1 is made of the same rows
 * (openapi.c), and the tests hold every answer to them. Shapes are a subset of
 * JSON Schema 2020-12, which is what OpenAPI 3.1 uses. All data is static. */
#pragma once

#include "base/err.h"

#include <jansson.h>

enum schema_type {
    SCHEMA_ANY,     /* any JSON */
    SCHEMA_TEXT,    /* string; least and most count its characters */
    SCHEMA_INTEGER, /* least and most are its bounds */
    SCHEMA_NUMBER,
    SCHEMA_BOOL,
    SCHEMA_OBJECT, /* `fields`, nothing else */
    SCHEMA_MAP,    /* any names, values of `items`; least and most count them */
    SCHEMA_LIST,   /* of `items`; least and most count them */
    SCHEMA_EITHER, /* one of the NULL-ended `either` */
};

struct schema {
    const char *name; /* "FunctionCreate": a component of OpenAPI; NULL: written out in place */
    enum schema_type type;
    bool nullable;
    int64_t least, most;      /* both 0: no bounds */
    const char *const *words; /* TEXT: one of these; ends with NULL */
    const char *pattern;      /* TEXT: for OpenAPI (ECMA 262); `judge` enforces it */
    const char *format;       /* TEXT: "date-time", "uuid", "uri", … for OpenAPI */
    /* TEXT, MAP (each name): ERR_INVALID says which rule is broken; may be NULL. */
    enum err_code (*judge)(struct slice text, struct err *e);
    const struct schema_field *fields;  /* OBJECT; ends with name == NULL */
    const struct schema *items;         /* LIST, MAP */
    const struct schema *const *either; /* EITHER */
    const char *help;                   /* one line */
};

struct schema_field {
    const char *name;
    const struct schema *schema;
    bool required;
    const char *help; /* instead of the schema's */
};

/* Judges `value`. ERR_INVALID: `field` (of 128 bytes, NUL-terminated) says where: "env.PORT",
 * "secrets[2]", "" for the whole, and *e which rule. Any thread. */
enum err_code schema_check(const struct schema *s, const json_t *value, char field[128],
                           struct err *e) MUST_CHECK;

/* As schema_check for a value that arrives as text (a member of a query): numbers are decimal,
 * true and false may be 1 and 0. `field` is what messages call it. */
enum err_code schema_check_text(const struct schema *s, struct slice text, const char *field,
                                struct err *e) MUST_CHECK;

/* ERR_INVALID for a name that is none of `fields` (NULL: there are none), with the nearest one.
 * `what` it is: "field", "parameter". */
enum err_code schema_unknown(const struct schema_field *fields, struct slice name, const char *what,
                             struct err *e);

/* Are there at most `most` objects and lists inside each other? */
bool schema_nested(const json_t *v, int most) MUST_CHECK;

/* The schema as JSON Schema 2020-12; named ones inside it as {"$ref": PREFIX NAME}. The caller's
 * reference; NULL without memory. */
json_t *schema_json(const struct schema *s, const char *ref_prefix);
