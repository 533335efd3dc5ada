/* Names: made up, or made from what there is. */
#pragma once

#include "base/slice.h"

enum { NAME_MOST = 40 /* bytes of a function's name, in [a-z0-9-] without "--" */ };

/* A random one from tables/words.def, "quiet-otter-42". */
void namegen(char out[NAME_MOST + 1]);

/* The name that a file's path suggests: "dist/Hello World.wasm" is "hello-world". false if nothing
 * valid is left of it. */
bool name_from_path(const char *path, char out[NAME_MOST + 1]);
