/* The verbs of `wasmcloud policy` that have files of their own. */
#pragma once

#include "policy/policy.h"

int policy_get(int argc, char **argv);
int policy_set(int argc, char **argv);
int policy_allow_command(int argc, char **argv);
int policy_learn_command(int argc, char **argv);

/* Prints it as YAML or JSON; the exit status. */
int policy_show(const struct policy *p, bool json);
