/* Modules written byte by byte, for tests of the judge, its fuzz target and the mutation test. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct build {
    uint8_t bytes[4096];
    size_t n;
};

static inline void build_start(struct build *b)
{
    memcpy(b->bytes, "\0asm\1\0\0\0", 8);
    b->n = 8;
}

/* Appends bytes: hexadecimal digits in pairs, spaces ignored, 'text' as it is. */
static inline void build_raw(struct build *b, const char *hex)
{
    while (*hex) {
        if (*hex == ' ') {
            hex++;
        } else if (*hex == '\'') {
            for (hex++; *hex != '\''; hex++)
                b->bytes[b->n++] = (uint8_t)*hex;
            hex++;
        } else {
            char pair[3] = {hex[0], hex[1], 0};
            b->bytes[b->n++] = (uint8_t)strtoul(pair, NULL, 16);
            hex += 2;
        }
    }
}

/* Appends a section of fewer than 128 bytes. */
static inline void build_hex(struct build *b, uint8_t id, const char *hex)
{
    size_t head = b->n;
    b->n += 2;
    build_raw(b, hex);
    b->bytes[head] = id;
    b->bytes[head + 1] = (uint8_t)(b->n - head - 2);
}

/* A program with something in every section: prints nothing, imports two functions. */
static inline void build_program(struct build *b)
{
    build_start(b);
    build_hex(b, 1, "03 60 00 00 60 00 01 7f 60 03 7f7f7f 01 7f");
    build_hex(b, 2, "02 03 'cwa' 0d 'io_get_stdout' 00 01 03 'cwa' 0e 'resource_write' 00 02");
    build_hex(b, 3, "01 00");
    build_hex(b, 4, "01 70 00 05");
    build_hex(b, 5, "01 00 02");
    build_hex(b, 6, "01 7f 01 41 8080c000 0b");
    build_hex(b, 7, "02 06 'memory' 02 00 06 '_start' 00 02");
    build_hex(b, 9, "01 00 41 01 0b 01 02");
    build_hex(b, 12, "01");
    build_hex(b, 10, "01 08 00 02 40 0b 23 00 1a 0b"); /* block, end, drop the global */
    build_hex(b, 11, "01 00 41 10 0b 05 'hello'");
}
