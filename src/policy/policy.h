/* Policies: what a guest may open, decided on normalised URLs.
 *
 * A policy is a set of rules that says allow or disallow; `disallow` wins, and
 * what no rule allows is refused, except the local schemes null, zero, random,
 * log and fd (the standard streams), which only a `disallow` rule refuses. Rules are globs (`*`:
 * within one path segment or host, `**`: the rest) or regular expressions (PCRE2 without JIT,
 * anchored at the start, with match and depth limits: one that backtracks too far refuses and says
 * so). A policy never changes once made; any thread may ask it.
 *
 * Specification: docs/policy.md. */
#pragma once

#include "base/buf.h"
#include "policy/url.h"

struct policy;

enum {
    POLICY_TEXT = 256 << 10, /* bytes of a policy's text, at most */
    POLICY_RULES = 1000,     /* rules of a policy, at most */
    POLICY_RULE = 1024,      /* bytes of a rule */
    POLICY_DIGEST = 32,      /* bytes: SHA-256 of policy_write() */
    POLICY_WHY = 256,
};

enum policy_form {
    POLICY_YAML, /* YAML, and so JSON */
    POLICY_OLIN, /* Olin's .policy files */
};

/* Hears of what was accepted but looks wrong: rules that hide others, an Olin rule dropped. */
typedef void (*policy_note)(void *arg, const char *text);

/* Reads a policy. ERR_INVALID with "line L, column C: reason"; `note` may be NULL. */
enum err_code policy_parse(struct slice text, enum policy_form form, policy_note note, void *arg,
                           struct policy **ret_policy, struct err *e) MUST_CHECK;

struct events;
/* The same of a policy inside of another text (policy/events.h): the current event is its mapping's
 * start, afterwards its end. Errors are at their place in that text. */
enum err_code policy_read(struct events *y, policy_note note, void *arg,
                          struct policy **ret_policy) MUST_CHECK;
void policy_free(struct policy *p); /* accepts NULL */

/* Appends the canonical form: compact JSON with sorted members, equal for equal policies. It is
 * what versions store, what LOAD and POLICY frames carry, and what policy_parse reads as YAML; an
 * empty slice is the empty policy. False if the buffer is at its limit. */
bool policy_write(const struct policy *p, struct buf *out) MUST_CHECK;
/* Appends it for people: YAML in the order of the rules as given. */
bool policy_print(const struct policy *p, struct buf *out) MUST_CHECK;
void policy_digest(const struct policy *p, uint8_t ret_digest[POLICY_DIGEST]);

/* What Olin's ram-page-limit and gas-limit said: bytes and instructions; 0: nothing. */
uint64_t policy_memory(const struct policy *p);
uint64_t policy_gas(const struct policy *p);
/* on_violation: end (the default) or error? */
bool policy_ends(const struct policy *p);

struct policy_decision {
    bool allowed;
    char why[POLICY_WHY]; /* the rule that decided, as written (such as "allow gemini://…"), or "no
                             rule allows it", "methods: GET, POST"; NUL-terminated */
};

/* May `url` be opened (method empty), or be requested with `method`? NULL is the empty policy.
 * Below 2 µs for 50 rules. */
void policy_decide(const struct policy *p, const struct url *url, struct slice method,
                   struct policy_decision *ret_decision);

/* What `after` may open and `before` may not: `each` gets the rules as written ("allow X", "no
 * longer disallows Y", "methods: any"). Returns how many. Either may be NULL. */
unsigned policy_opens(const struct policy *before, const struct policy *after,
                      void (*each)(void *arg, const char *rule), void *arg);

/* The least policy, as globs, that allows all these URLs and what `base` (may be NULL) allows.
 * URLs that differ only in a path segment from the third on become one `*`, in many, `**`. */
enum err_code policy_learn(const struct policy *base, const struct slice *urls, size_t n,
                           struct policy **ret_policy, struct err *e) MUST_CHECK;
/* `base` with one more allow rule: the URL itself without its query, or, with a pattern in it, as
 * it is. */
enum err_code policy_allow(const struct policy *base, struct slice url, struct policy **ret_policy,
                           struct err *e) MUST_CHECK;
