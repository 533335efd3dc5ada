/* Rules, as the folder's own files see them.
 *
 * A rule is a glob, taken apart into the parts of a URL so that a `*` in the host can never reach
 * into the path, or a compiled regular expression. Both come with the pairs of bytes that any match
 * must have: most rules are ruled out by them. */
#pragma once

#include "policy/pairs.h"
#include "policy/policy.h"

#include <pcre2.h>
#include <stdatomic.h>

enum {
    POLICY_REGEXES = 200,        /* of a policy */
    POLICY_REGEX_CODE = 1 << 20, /* bytes of all compiled expressions of a policy */
    POLICY_METHODS = 32,
    POLICY_METHOD = 32,  /* bytes of a method */
    POLICY_FRAME = 2048, /* bytes of the canonical form that aren't rules, at most */
    /* What a decision may cost: some milliseconds at the very worst. 50 globs that go through all
     * of the longest URL stay below it. */
    GLOB_STEPS = 1 << 19,     /* of all globs together */
    REGEX_STEPS = 10000,      /* of one expression (PCRE2's match limit), or, if that is less, */
    REGEX_STEPS_ALL = 200000, /* its share of this */
    REGEX_DEPTH = 1000,       /* nested backtracking points */
    REGEX_HEAP = 256,         /* KiB */
};

/* The normal form of a glob, part by part. Slices point into `text`. */
struct glob {
    char *text; /* owned */
    struct slice scheme, host, path, query;
    uint16_t port;             /* 0: the scheme's own */
    bool any_port, everything; /* "host:*"; `**` alone */
    bool local, any_host;      /* a scheme without hosts; nothing but "**" for one */
    bool has_query;
};

/* Reads a glob. ERR_INVALID with the reason and what to write instead. */
enum err_code glob_parse(struct slice text, struct glob *ret_glob, struct err *e) MUST_CHECK;
void glob_pairs(const struct glob *g, struct pairs *ret_pairs);
void glob_done(struct glob *g);
/* Takes what it does from *steps; when that has become 0 the answer means nothing. */
bool glob_match(const struct glob *g, const struct url *u, uint32_t *steps);
/* Surely matches everything that `narrow` matches; false when that isn't plain to see. */
bool glob_covers(const struct glob *wide, const struct glob *narrow);

enum err_code regex_parse(struct slice text, pcre2_code **ret_code, struct err *e) MUST_CHECK;
void regex_pairs(struct slice text, struct pairs *ret_pairs);
size_t regex_code_bytes(const pcre2_code *code);
/* Matches anything at all, by its looks: ".*", "^", "^.*$". */
bool regex_catches_all(struct slice text);

struct rule {
    struct slice text; /* as written, owned */
    struct pairs pairs;
    bool is_regex;
    struct glob glob;
    pcre2_code *regex;
};

struct rules {
    struct rule *at;
    size_t n, cap;
};

struct policy {
    struct rules allow, disallow;
    char *methods[POLICY_METHODS]; /* owned; none: every method */
    size_t method_count;
    uint64_t memory, gas;
    bool continues;                         /* on_violation: error */
    size_t regexes, code_bytes, text_bytes; /* counted against the limits above */
    pcre2_match_context *limits;            /* NULL without regular expressions */
    /* Matching needs working memory. One is kept; who finds it taken makes its own. */
    pcre2_match_data *matching;
    atomic_flag matching_taken;
};

struct policy *policy_new(void); /* the empty policy; NULL: no memory */
/* Appends a rule; one that is there already is left out. ERR_INVALID with the reason. */
enum err_code policy_add(struct policy *p, struct rules *rules, struct slice text, bool is_regex,
                         struct err *e) MUST_CHECK;
enum err_code policy_add_method(struct policy *p, struct slice method, struct err *e) MUST_CHECK;
/* A copy that may be added to. */
enum err_code policy_copy(const struct policy *p, struct policy **ret_policy,
                          struct err *e) MUST_CHECK;

enum verdict_of_rule { RULE_NO, RULE_MATCHES, RULE_TOO_HARD };
/* A URL to decide about, and what that may still cost. */
struct question {
    const struct url *url;
    struct pairs pairs;
    uint32_t steps;
};
struct question question_about(const struct url *url);
enum verdict_of_rule rule_match(const struct policy *p, const struct rule *r, struct question *q);
/* As glob_covers, for any two rules. */
bool rule_covers(const struct rule *wide, const struct rule *narrow);
/* null, zero, random, log and fd need no rule. */
bool scheme_is_free(struct slice scheme);

/* The forms. Positions in errors count from 1. */
enum err_code policy_parse_yaml(struct slice text, struct policy *p, struct err *e) MUST_CHECK;
enum err_code policy_parse_olin(struct slice text, struct policy *p, policy_note note, void *arg,
                                struct err *e) MUST_CHECK;
enum err_code policy_error_at(struct err *e, size_t line, size_t column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Tells what is accepted but looks wrong. `note` is not NULL. */
void policy_review(const struct policy *p, policy_note note, void *arg);
