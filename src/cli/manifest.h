/* Manifests: a function's folder has a function.yaml, which says what `deploy` makes of it.
 *
 * One table of keys (manifest_keys.c) is what the reader dispatches by and what the JSON Schema for
 * editors is made of; docs/function-yaml.md is held to it by a test. Whatever is wrong is named by
 * FILE:LINE:COLUMN and the rule that it breaks, before anything is built or sent: keys that are
 * unknown or there twice, values of another kind, names and limits that the server would refuse.
 * Nothing is taken silently: no anchors, tags and second documents. */
#pragma once

#include "policy/policy.h"

#include <jansson.h>

#define MANIFEST_FILE "function.yaml"
#define MANIFEST_SCHEMA ".wasmcloud/function.schema.json" /* beside it; its first line names it */

enum { MANIFEST_TEXT = POLICY_TEXT + (256 << 10) /* bytes of a manifest, at most */ };

/* What a file says; what it doesn't name is NULL. All of it is the manifest's. */
struct manifest {
    char *file;   /* as it is called in messages */
    char *folder; /* which it is in: paths start there */
    char *name, *project, *build;
    char *module, *assets, *policy_path; /* as written */
    json_t *settings; /* of a version, as the API takes them, but for policy and assets */
    struct policy *policy;
};

enum manifest_kind {
    MANIFEST_OWN,       /* text, for us: a member of the struct */
    MANIFEST_SETTING,   /* text, for the API */
    MANIFEST_SWITCH,    /* true or false */
    MANIFEST_NAMES,     /* a list of names of secrets */
    MANIFEST_VARIABLES, /* names and texts; null takes one away */
    MANIFEST_LIMITS,    /* rows of limits.def and values */
    MANIFEST_POLICY,    /* the policy itself, or the path of its file */
    MANIFEST_LATER,     /* known, and refused: `help` says what to do instead */
};

struct manifest_key {
    const char *name;
    enum manifest_kind kind;
    size_t offset;            /* OWN: of the char * in struct manifest */
    const char *const *words; /* OWN, SETTING: one of these; NULL: any text */
    const char *example;      /* a value, for the schema */
    enum err_code (*judge)(struct slice text, struct err *e); /* OWN, SETTING: may be NULL */
    const char *help;
};
extern const struct manifest_key manifest_keys[]; /* ends with name == NULL */

/* Reads a text. `file` is how messages call it, its folder is where the file lies; a policy's path
 * stays a path. ERR_INVALID with "FILE:LINE:COLUMN: reason", ERR_MEMORY. `note` may be NULL. */
enum err_code manifest_parse(struct slice text, const char *file, policy_note note, void *arg,
                             struct manifest **ret_manifest, struct err *e) MUST_CHECK;
/* Reads a file, and that of its policy. ERR_NOT_FOUND if there is none. */
enum err_code manifest_read(const char *file, struct manifest **ret_manifest,
                            struct err *e) MUST_CHECK;
void manifest_free(struct manifest *m); /* accepts NULL */

/* Is this a value of the key, which is one of text? ERR_INVALID with the reason. */
enum err_code manifest_judge(const char *key, struct slice text, struct err *e) MUST_CHECK;

/* `path` as seen from where we are; the caller's. NULL without memory. */
char *manifest_at(const struct manifest *m, const char *path);

/* The JSON Schema (2020-12) of the table; the caller's. NULL without memory. */
json_t *manifest_schema(void);
