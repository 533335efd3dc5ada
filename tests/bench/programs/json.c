/* Branches, pointers, small strings: a JSON text is parsed into a tree and printed, again and again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 200, RECORDS = 8000, ARENA = 24 << 20, TEXT = 4 << 20 };

enum kind { NIL, TRUE, FALSE, NUMBER, STRING, ARRAY, OBJECT };

struct value {
    enum kind kind;
    double number;
    const char *text; /* of a string, with its escapes resolved */
    size_t length;
    const char *name; /* of an object's member */
    size_t name_length;
    struct value *first, *next;
};

static char arena[ARENA];
static size_t used;

static void *take(size_t n)
{
    void *p = arena + used;
    used += (n + 7) & ~(size_t)7;
    if (used > ARENA)
        abort();
    return p;
}

/* ---- Parsing ---- */

static const char *at;

static void space(void)
{
    while (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')
        at++;
}

static const char *string(size_t *length)
{
    char *out = take(strcspn(at + 1, "\"") + 64), *to = out;
    for (at++; *at != '"'; at++) {
        if (*at != '\\')
            *to++ = *at;
        else if (*++at == 'n')
            *to++ = '\n';
        else
            *to++ = *at;
    }
    at++;
    *length = (size_t)(to - out);
    return out;
}

static double number(void)
{
    double sign = 1, value = 0, scale = 1;
    if (*at == '-')
        sign = -1, at++;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (*at - '0');
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++)
            value += (*at - '0') * (scale /= 10);
    return sign * value;
}

static struct value *parse(void)
{
    struct value *v = take(sizeof *v);
    memset(v, 0, sizeof *v);
    space();
    switch (*at) {
    case '{':
    case '[': {
        struct value **end = &v->first;
        char close = *at == '{' ? '}' : ']';
        v->kind = *at++ == '{' ? OBJECT : ARRAY;
        for (space(); *at != close; space()) {
            const char *name = NULL;
            size_t length = 0;
            if (close == '}') {
                name = string(&length);
                space();
                at++; /* the colon */
            }
            *end = parse();
            (*end)->name = name;
            (*end)->name_length = length;
            end = &(*end)->next;
            space();
            if (*at == ',')
                at++;
        }
        at++;
        break;
    }
    case '"':
        v->kind = STRING;
        v->text = string(&v->length);
        break;
    case 't':
        v->kind = TRUE, at += 4;
        break;
    case 'f':
        v->kind = FALSE, at += 5;
        break;
    case 'n':
        v->kind = NIL, at += 4;
        break;
    default:
        v->kind = NUMBER;
        v->number = number();
    }
    return v;
}

/* ---- Printing ---- */

static char *out;

static void print_text(const char *p, size_t n)
{
    *out++ = '"';
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '"' || p[i] == '\\')
            *out++ = '\\', *out++ = p[i];
        else if (p[i] == '\n')
            *out++ = '\\', *out++ = 'n';
        else
            *out++ = p[i];
    }
    *out++ = '"';
}

static void print_word(const char *word)
{
    size_t n = strlen(word);
    memcpy(out, word, n);
    out += n;
}

/* Two digits after the point at most, which is what there is here. */
static void print_number(double number)
{
    char digits[24], *to = digits + sizeof digits;
    long long hundredths = (long long)(number < 0 ? -number * 100 + 0.5 : number * 100 + 0.5);
    long long whole = hundredths / 100, rest = hundredths % 100;
    if (rest) {
        if (rest % 10)
            *--to = (char)('0' + rest % 10);
        *--to = (char)('0' + rest / 10);
        *--to = '.';
    }
    do
        *--to = (char)('0' + whole % 10);
    while (whole /= 10);
    if (number < 0)
        *--to = '-';
    memcpy(out, to, (size_t)(digits + sizeof digits - to));
    out += digits + sizeof digits - to;
}

static void print(const struct value *v)
{
    switch (v->kind) {
    case NIL:
        print_word("null");
        break;
    case TRUE:
        print_word("true");
        break;
    case FALSE:
        print_word("false");
        break;
    case NUMBER:
        print_number(v->number);
        break;
    case STRING:
        print_text(v->text, v->length);
        break;
    case ARRAY:
    case OBJECT:
        *out++ = v->kind == ARRAY ? '[' : '{';
        for (const struct value *each = v->first; each; each = each->next) {
            if (each != v->first)
                *out++ = ',';
            if (v->kind == OBJECT) {
                print_text(each->name, each->name_length);
                *out++ = ':';
            }
            print(each);
        }
        *out++ = v->kind == ARRAY ? ']' : '}';
    }
}

static char text[TEXT], printed[TEXT];

int main(void)
{
    char *to = text;
    *to++ = '[';
    for (int i = 0; i < RECORDS; i++)
        to += snprintf(to, 512,
                       "%s{\"id\":%d,\"name\":\"somebody number %d\",\"tags\":[\"a\",\"bc\",\"d\\\"e\\n\"],"
                       "\"score\":%d.%d,\"active\":%s,\"place\":{\"x\":-%d.5,\"y\":%d,\"z\":null}}",
                       i ? "," : "", i, i * 7, i % 1000, i % 9 + 1, i % 3 ? "true" : "false", i % 180, i % 90);
    *to++ = ']';
    *to = 0;
    size_t same = 0;
    for (int round = 0; round < ROUNDS; round++) {
        used = 0;
        at = text;
        out = printed;
        print(parse());
        same += (size_t)(out - printed) == strlen(text) && memcmp(printed, text, strlen(text)) == 0;
    }
    printf("%zu of %d, %zu bytes\n", same, ROUNDS, strlen(text));
    return same != ROUNDS;
}
