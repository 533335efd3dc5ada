/* `wasmcloud namegen`: a free-standing name for a function. */
#include "cli/namegen.h"

#include "base/uuid.h"
#include "cli/args.h"

#include <stdio.h>

static const char *const adjectives[] = {
#define ADJECTIVE(word) word,
#define NOUN(word)
#include "tables/words.def"
#undef ADJECTIVE
#undef NOUN
};
static const char *const nouns[] = {
#define ADJECTIVE(word)
#define NOUN(word) word,
#include "tables/words.def"
#undef ADJECTIVE
#undef NOUN
};

void namegen(char out[NAME_MOST + 1])
{
    uint32_t r[3]; /* the bias of a remainder of 32 bits is of no matter here */
    random_bytes(r, sizeof r);
    snprintf(out, NAME_MOST + 1, "%s-%s-%u",
             adjectives[r[0] % (sizeof adjectives / sizeof *adjectives)],
             nouns[r[1] % (sizeof nouns / sizeof *nouns)], r[2] % 90 + 10);
}

bool name_from_path(const char *path, char out[NAME_MOST + 1])
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    struct slice rest = slice_str(base), suffix = SLICE(".wasm");
    if (rest.n > suffix.n && slice_ieq(slice_from(rest, rest.n - suffix.n), suffix))
        rest.n -= suffix.n;
    size_t n = 0;
    for (size_t i = 0; i < rest.n && n < NAME_MOST; i++) {
        char c = rest.p[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain)
            out[n++] = c;
        else if (n && out[n - 1] != '-')
            out[n++] = '-';
    }
    while (n && out[n - 1] == '-')
        n--;
    out[n] = '\0';
    return n > 0;
}

int cmd_namegen(int argc, char **argv)
{
    bool json = false;
    const struct flag flags[] = {
        {.name = "json", .help = "print it as JSON", .on = &json},
        {0},
    };
    struct words words;
    int status = args_parse("namegen", argc, argv, flags, &words, 0, 0);
    if (status >= 0)
        return status;
    char name[NAME_MOST + 1];
    namegen(name);
    printf(json ? "{\"name\":\"%s\"}\n" : "%s\n", name);
    return 0;
}
