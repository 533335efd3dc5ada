/* The migrations, embedded from ../migrations/ when the program is built, in their order. */
#pragma once

#include <stddef.h>

struct migration {
    const char *name; /* "001_start" */
    const char *sql;
};
extern const struct migration migrations[]; /* ends with name == NULL */
