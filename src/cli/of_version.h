/* What a version has: commands of the form NAME [--version NUMBER] that show a part of it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* Parses `verb`'s arguments, asks for the version (without a number the live one) and has `show`
 * print its part of what the API says of it; the exit status. */
int of_version(const char *verb, int argc, char **argv,
               int (*show)(const json_t *version, bool json));
