/* Showing: what people see of numbers, times, lists and foreign text.
 *
 * On a terminal: aligned columns with a head, units, control bytes escaped. In
 * a pipe: the same cells between tabs, one line a row, nothing else. */
#pragma once

#include "base/slice.h"

#include <jansson.h>
#include <stdio.h>

/* Standard output is a terminal. */
bool show_on_terminal(void);

/* Writes text from a guest or server; on a terminal each control byte as \xNN. */
void show_text(FILE *f, struct slice text);
/* The same of what we say ourselves of such text, in lines of our own. */
void show_lines(FILE *f, struct slice text);

/* Writes a word as a POSIX shell takes it (2.2.2): in single quotes, unless it is plain. */
void show_word(FILE *f, const char *word);

/* "1.2 MiB", "640 B"; "412 µs", "1.2 ms", "3.4 s". Return `out`. */
const char *show_bytes(uint64_t bytes, char out[24]);
const char *show_us(uint64_t us, char out[24]);
/* "2026-11-22T14:53:55.123Z" as "2026-11-22 14:53:55"; "" gives "-". Returns `out`. */
const char *show_time(const char *rfc3339, char out[24]);

enum { SHOW_COLUMNS = 9 };
struct show_table {
    const char *const *head; /* NULL-terminated, at most SHOW_COLUMNS */
    char **cells;            /* owned, row by row */
    size_t columns, n, cap;
};
/* Copies a row: as many strings as there are columns. */
void show_row(struct show_table *t, const char *const head[], const char *const cells[]);
/* Prints and frees it. `empty` is said on a terminal when it has no rows. */
void show_table(struct show_table *t, const char *empty);

/* What a run used: its record (api/record.h), as the API and `run --json` have it, for people. */
void show_ledger(FILE *f, const json_t *record);

/* JSON on standard output, as it came, readable. */
void show_json(const json_t *json);
