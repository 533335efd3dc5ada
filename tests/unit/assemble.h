/* An assembler of a few words, for guests that a test makes up.
 *
 *   assemble(&a, "_start", "", "1 8 5 cwa.resource_write drop")
 *
 * Words: a number is an i32.const (NL: i64.const); a label of base/host.h calls that import, which
 * is added; the others are in the table below, some followed by an immediate number. There is one
 * memory, exported; the text of `data` lies at address 8; four i32 locals. */
#pragma once

#include "base/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct assemble {
    unsigned pages, most_pages; /* of memory; most 0: none given */
    struct slice data;
    uint8_t bytes[8192];
    size_t n;
};

struct assemble_word {
    const char *word;
    uint8_t code[4];
    uint8_t size;
    bool immediate;
};

static const struct assemble_word assemble_words[] = {
    {"unreachable", {0x00}, 1, false}, {"block", {0x02, 0x40}, 2, false},
    {"loop", {0x03, 0x40}, 2, false},  {"if", {0x04, 0x40}, 2, false},
    {"end", {0x0b}, 1, false},         {"br", {0x0c}, 1, true},
    {"br_if", {0x0d}, 1, true},        {"return", {0x0f}, 1, false},
    {"drop", {0x1a}, 1, false},        {"get", {0x20}, 1, true},
    {"set", {0x21}, 1, true},          {"load", {0x28, 2, 0}, 3, false},
    {"store", {0x36, 2, 0}, 3, false}, {"grow", {0x40, 0}, 2, false},
    {"size", {0x3f, 0}, 2, false},     {"eqz", {0x45}, 1, false},
    {"eq", {0x46}, 1, false},          {"add", {0x6a}, 1, false},
    {"sub", {0x6b}, 1, false},         {"fill", {0xfc, 0x0b, 0}, 3, false},
};

static inline size_t assemble_leb(uint8_t *out, int64_t v)
{
    size_t n = 0;
    for (;;) {
        uint8_t byte = v & 127;
        v >>= 7;
        if ((v == 0 && !(byte & 64)) || (v == -1 && (byte & 64))) {
            out[n++] = byte;
            return n;
        }
        out[n++] = byte | 128;
    }
}

/* Unsigned, always five bytes: so that a size can be filled in later. */
static inline void assemble_u32(uint8_t *out, uint32_t v)
{
    for (int i = 0; i < 5; i++, v >>= 7)
        out[i] = (uint8_t)((v & 127) | (i < 4 ? 128 : 0));
}

static inline void assemble_put(struct assemble *a, const void *p, size_t n)
{
    if (a->n + n > sizeof a->bytes)
        abort();
    if (n)
        memcpy(a->bytes + a->n, p, n);
    a->n += n;
}

static inline void assemble_number(struct assemble *a, uint32_t v)
{
    uint8_t leb[5];
    assemble_u32(leb, v);
    assemble_put(a, leb, 5);
}

static inline void assemble_name(struct assemble *a, const char *s)
{
    assemble_number(a, (uint32_t)strlen(s));
    assemble_put(a, s, strlen(s));
}

static inline size_t assemble_section(struct assemble *a, uint8_t id)
{
    assemble_put(a, &id, 1);
    assemble_number(a, 0);
    return a->n;
}

static inline void assemble_end(struct assemble *a, size_t begun)
{
    assemble_u32(a->bytes + begun - 5, (uint32_t)(a->n - begun));
}

static inline int assemble_host(const char *word)
{
    for (int i = 0; i < HOST_COUNT; i++)
        if (strcmp(word, host_functions[i].label) == 0)
            return i;
    return -1;
}

static inline void assemble_type(struct assemble *a, const char *params, const char *result)
{
    uint8_t form = 0x60;
    assemble_put(a, &form, 1);
    for (int k = 0; k < 2; k++) {
        const char *types = k ? result : params;
        assemble_number(a, (uint32_t)strlen(types));
        for (; *types; types++) {
            uint8_t type = *types == 'I' ? 0x7e : 0x7f;
            assemble_put(a, &type, 1);
        }
    }
}

/* One word of code; `imports` are the host functions imported so far. */
static inline size_t assemble_word(const char *word, char **rest, uint8_t *out, int *imports,
                                   int *import_count)
{
    int host = assemble_host(word);
    char *end;
    if (host >= 0) {
        int k = 0;
        while (k < *import_count && imports[k] != host)
            k++;
        if (k == *import_count)
            imports[(*import_count)++] = host;
        out[0] = 0x10;
        return 1 + assemble_leb(out + 1, k);
    }
    int64_t v = strtoll(word, &end, 0);
    if (end != word) {
        out[0] = *end == 'L' ? 0x42 : 0x41;
        return 1 + assemble_leb(out + 1, *end == 'L' ? v : (int32_t)v);
    }
    for (size_t i = 0; i < sizeof assemble_words / sizeof *assemble_words; i++) {
        const struct assemble_word *w = &assemble_words[i];
        if (strcmp(word, w->word))
            continue;
        memcpy(out, w->code, w->size);
        return w->size + (w->immediate ? assemble_leb(out + w->size,
                                                      strtol(strtok_r(NULL, " ", rest), NULL, 0))
                                       : 0);
    }
    /* `self`: the entry point calls itself; which number it has is known at the end. */
    if (strcmp(word, "self") == 0) {
        out[0] = 0x10;
        memset(out + 1, 0xff, 5);
        return 6;
    }
    fprintf(stderr, "assemble: %s?\n", word);
    abort();
}

/* The module's bytes, valid while *a is. `result` is "" or "i". */
static inline struct slice assemble(struct assemble *a, const char *entry, const char *result,
                                    const char *code)
{
    int imports[HOST_COUNT], import_count = 0;
    uint8_t body[4096];
    size_t size = 0;
    char *text = strdup(code), *rest;
    for (char *w = strtok_r(text, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        size += assemble_word(w, &rest, body + size, imports, &import_count);
    free(text);
    for (size_t i = 0; i + 6 <= size; i++)
        if (body[i] == 0x10 && memcmp(body + i + 1, "\xff\xff\xff\xff\xff", 5) == 0)
            assemble_u32(body + i + 1, (uint32_t)import_count);

    a->n = 0;
    assemble_put(a, "\0asm\1\0\0\0", 8);
    size_t s = assemble_section(a, 1);
    assemble_number(a, (uint32_t)import_count + 1);
    for (int i = 0; i < import_count; i++)
        assemble_type(a, host_functions[imports[i]].params, host_functions[imports[i]].result);
    assemble_type(a, "", result);
    assemble_end(a, s);

    s = assemble_section(a, 2);
    assemble_number(a, (uint32_t)import_count);
    for (int i = 0; i < import_count; i++) {
        assemble_name(a, host_functions[imports[i]].module);
        assemble_name(a, host_functions[imports[i]].name);
        assemble_put(a, "\0", 1);
        assemble_number(a, (uint32_t)i);
    }
    assemble_end(a, s);

    s = assemble_section(a, 3);
    assemble_number(a, 1);
    assemble_number(a, (uint32_t)import_count);
    assemble_end(a, s);

    s = assemble_section(a, 5);
    assemble_number(a, 1);
    assemble_put(a, a->most_pages ? "\1" : "\0", 1);
    assemble_number(a, a->pages ? a->pages : 1);
    if (a->most_pages)
        assemble_number(a, a->most_pages);
    assemble_end(a, s);

    s = assemble_section(a, 7);
    assemble_number(a, 2);
    assemble_name(a, "memory");
    assemble_put(a, "\2\0", 2);
    assemble_name(a, entry);
    assemble_put(a, "\0", 1);
    assemble_number(a, (uint32_t)import_count);
    assemble_end(a, s);

    s = assemble_section(a, 10);
    assemble_number(a, 1);
    assemble_number(a, (uint32_t)size + 8);
    assemble_put(a, "\1\4\x7f", 3); /* four locals */
    assemble_put(a, body, size);
    assemble_put(a, "\x0b", 1);
    a->bytes[a->n] = 0;
    /* the body's size: locals (3), code, end (1) */
    assemble_u32(a->bytes + a->n - size - 1 - 3 - 5, (uint32_t)size + 4);
    assemble_end(a, s);

    s = assemble_section(a, 11);
    assemble_number(a, 1);
    assemble_put(a, "\0\x41\x08\x0b", 4);
    assemble_number(a, (uint32_t)a->data.n);
    assemble_put(a, a->data.p, a->data.n);
    assemble_end(a, s);
    return slice_make(a->bytes, a->n);
}
