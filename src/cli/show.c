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

void show_word(FILE *f, const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=@%+,";
    if (*word && word[strspn(word, plain)] == '\0') {
        fputs(word, f);
        return;
    }
    putc('\'', f);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", f);
        else
            putc(*word, f);
    putc('\'', f);
}

void show_lines(FILE *f, struct slice text)
{
    while (text.p) {
        show_text(f, slice_split(&text, '\n'));
        if (text.p)
            putc('\n', f);
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

static const char *text_of(const json_t *object, const char *name)
{
    const char *s = json_string_value(json_object_get(object, name));
    return s ? s : "";
}

static uint64_t count_of(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

static void show_uses(FILE *f, const json_t *record)
{
    const json_t *opened = json_object_get(record, "descriptors"),
                 *refused = json_object_get(record, "refusals"), *use;
    char a[24], b[24];
    size_t i;
    if (count_of(record, "opens"))
        fprintf(f, "opened    %ju\n", (uintmax_t)count_of(record, "opens"));
    json_array_foreach(opened, i, use)
    {
        fprintf(f, "  %10ju  ", (uintmax_t)count_of(use, "fd"));
        show_text(f, slice_str(text_of(use, "url")));
        fprintf(f, ": %s in, %s out", show_bytes(count_of(use, "bytes_in"), a),
                show_bytes(count_of(use, "bytes_out"), b));
        if (count_of(use, "requests"))
            fprintf(f, ", requests %ju", (uintmax_t)count_of(use, "requests"));
        fputc('\n', f);
    }
    if (count_of(record, "refused"))
        fprintf(f, "refused   %ju\n", (uintmax_t)count_of(record, "refused"));
    json_array_foreach(refused, i, use)
    {
        fprintf(f, "  %10ju  ", (uintmax_t)count_of(use, "times"));
        show_text(f, slice_str(text_of(use, "url")));
        fputs(": ", f);
        show_text(f, slice_str(text_of(use, "rule")));
        fprintf(f, "%s\n",
                strcmp(text_of(use, "layer"), "operator") == 0 ? " (the operator's policy)" : "");
    }
    if (count_of(record, "uses_lost"))
        fprintf(f, "  %10ju  more, only counted\n", (uintmax_t)count_of(record, "uses_lost"));
}

void show_ledger(FILE *f, const json_t *record)
{
    char a[24], b[24];
    const char *name;
    json_t *value;
    fprintf(f, "time      %s of CPU, %s in all\n", show_us(count_of(record, "cpu_us"), a),
            show_us(count_of(record, "wall_us"), b));
    if (count_of(record, "start_ns"))
        fprintf(f, "start     %.1f µs of it made the instance\n",
                (double)count_of(record, "start_ns") / 1000);
    if (count_of(record, "gas"))
        fprintf(f, "gas       %ju instructions\n", (uintmax_t)count_of(record, "gas"));
    fprintf(f, "memory    %s\n", show_bytes(count_of(record, "memory_peak"), a));
    fprintf(f, "bytes     %s in, %s out\n", show_bytes(count_of(record, "bytes_in"), a),
            show_bytes(count_of(record, "bytes_out"), b));
    if (count_of(record, "egress_bytes_in") || count_of(record, "egress_bytes_out"))
        fprintf(f, "network   %s in, %s out\n", show_bytes(count_of(record, "egress_bytes_in"), a),
                show_bytes(count_of(record, "egress_bytes_out"), b));
    fprintf(f, "log       %ju lines, %ju lost\n", (uintmax_t)count_of(record, "log_lines"),
            (uintmax_t)count_of(record, "log_lost"));
    show_uses(f, record);
    fprintf(f, "calls     %ju\n", (uintmax_t)count_of(record, "calls"));
    json_object_foreach(json_object_get(record, "host_calls"), name, value)
        fprintf(f, "  %10ju  %s\n", (uintmax_t)json_integer_value(value), name);
}

void show_json(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
}
