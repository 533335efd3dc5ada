/* Builds: the command of a function's folder that makes its module. */
#pragma once

#include "cli/manifest.h"

/* Runs the manifest's build command, if it has one, by sh in its folder; what it prints goes to
 * standard error. Returns 0, or its exit status (128 + n: signal n ended it) after saying so, with
 * the package to install when its first tool is missing. */
int build_run(const struct manifest *m) MUST_CHECK;

/* Says how to install the tools of `command` that aren't there; false if all are. */
bool build_lacks(const char *command);
