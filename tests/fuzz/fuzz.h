/* Fuzz targets: libFuzzer calls FUZZ(bytes) with whatever it makes up.
 *
 * The sanitizers find what goes wrong in memory; MUST states what has to be true besides. */
#pragma once

#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ(bytes)                                                                                \
    static void fuzz_one(struct slice bytes);                                                      \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)                                   \
    {                                                                                              \
        fuzz_one(slice_make(data, size));                                                          \
        return 0;                                                                                  \
    }                                                                                              \
    static void fuzz_one(struct slice bytes)
