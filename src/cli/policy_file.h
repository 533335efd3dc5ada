/* Policy files: read and judged where a person wrote them. */
#pragma once

#include "policy/policy.h"

/* Reads the policy in a file ("-": standard input): Olin's form if its name ends in ".policy",
 * else YAML or JSON. ERR_NOT_FOUND; ERR_INVALID with "FILE:LINE:COLUMN: reason". `note` may be
 * NULL. */
enum err_code policy_file(const char *path, policy_note note, void *arg, struct policy **ret_policy,
                          struct err *e) MUST_CHECK;
/* As policy_file, in this form whatever its name. */
enum err_code policy_file_as(const char *path, enum policy_form form, policy_note note, void *arg,
                             struct policy **ret_policy, struct err *e) MUST_CHECK;

/* Adds a rule as policy_allow() does, to a file that need not be there yet. Its comments and order
 * stay where it is YAML in block style; else it is written anew. *ret_changed: it was not allowed
 * before. Olin's form is not changed: ERR_USAGE. */
enum err_code policy_file_allow(const char *path, const char *url, bool *ret_changed,
                                struct err *e) MUST_CHECK;

/* A policy_note that prints on standard error; `arg` is the file's name. */
void policy_file_note(void *arg, const char *text);

/* The name ends in `ending`, such as ".policy". */
bool policy_file_ends(const char *path, const char *ending);
