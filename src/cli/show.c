#include "cli/show.h"

#include <stdlib.h>
#include <unistd.h>

bool show_on_terminal(void)
{
    return isatty(STDOUT_FILENO);
}

void show_text(FILE *f, struct slice text)
{
    if (!isatty(fileno(f))) {
        fwrite(text.p, 1, text.n, f);
        return;
    }
    for (size_t i = 0; i < text.n; i++) {
        unsigned char b = (unsigned char)text.p[i];
        bool c1 =
            b == 0xc2 && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xa0; /* U+0080…9F */
        if ((b < ' ' && b != '\t') || b == 0x7f || c1)
            fprintf(f, "\\x%02x", b);
        else
            putc(b, f);
    }
}

const char *show_bytes(uint64_t bytes, char out[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t i = 0;
    while (value >= 1024 && i < 4)
        value /= 1024, i++;
    snprintf(out, 24, i && value < 100 ? "%.1f %s" : "%.0f %s", value, units[i]);
    return out;
}

const char *show_us(uint64_t us, char out[24])
{
    if (us < 1000)
        snprintf(out, 24, "%u µs", (unsigned)us);
    else if (us < 1000000)
        snprintf(out, 24, "%.1f ms", (double)us / 1e3);
    else
        snprintf(out, 24, "%.2f s", (double)us / 1e6);
    return out;
}

const char *show_time(const char *rfc3339, char out[24])
{
    snprintf(out, 24, "%.19s", *rfc3339 ? rfc3339 : "-");
    if (out[0] != '-' && strlen(out) > 10)
        out[10] = ' ';
    return out;
}

void show_row(struct show_table *t, const char *const head[], const char *const cells[])
{
    if (!t->head) {
        t->head = head;
        while (head[t->columns])
            t->columns++;
    }
    if (t->n + t->columns > t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->cells = realloc(t->cells, t->cap * sizeof *t->cells);
        if (!t->cells)
            abort();
    }
    for (size_t i = 0; i < t->columns; i++)
        if (!(t->cells[t->n++] = strdup(cells[i])))
            abort();
}

/* Columns on a terminal: UTF-8 continuation bytes take none. */
static size_t width(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void print_aligned(const char *const *cells, const size_t *widths, size_t columns)
{
    for (size_t i = 0; i < columns; i++) {
        show_text(stdout, slice_str(cells[i]));
        if (i + 1 < columns)
            printf("%*s", (int)(widths[i] - width(cells[i]) + 2), "");
    }
    putchar('\n');
}

void show_table(struct show_table *t, const char *empty)
{
    const char *const *cells = (const char *const *)t->cells;
    if (show_on_terminal() && t->n == 0)
        printf("%s\n", empty);
    else if (show_on_terminal()) {
        size_t widths[SHOW_COLUMNS] = {0};
        for (size_t i = 0; i < t->n + t->columns; i++) {
            size_t w = width(i < t->columns ? t->head[i] : cells[i - t->columns]);
            if (w > widths[i % t->columns])
                widths[i % t->columns] = w;
        }
        print_aligned(t->head, widths, t->columns);
        for (size_t i = 0; i < t->n; i += t->columns)
            print_aligned(cells + i, widths, t->columns);
    } else {
        for (size_t i = 0; i < t->n; i++)
            printf("%s%c", cells[i], (i + 1) % t->columns ? '\t' : '\n');
    }
    for (size_t i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct show_table){0};
}

void show_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
}
