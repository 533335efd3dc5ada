/* Files of secrets: every line that is taken can be set as it stands, and no refusal repeats what
 * is in the file. */
#include "fuzz.h"

#include "cli/secrets_file.h"

FUZZ(bytes)
{
    struct secrets_file f = {.count = 0};
    struct err e = {0};
    if (secrets_parse(bytes, "f", &f, &e)) {
        MUST(e.code == ERR_INVALID && utf8_valid(slice_str(e.text)));
        MUST(strstr(e.text, ": line ") && !f.lines);
        return;
    }
    for (size_t i = 0; i < f.count; i++) {
        const struct field *line = &f.lines[i];
        char name[SECRET_LINE_MOST + 1];
        MUST(line->value.n && utf8_valid(line->value) &&
             !memchr(line->value.p, '\0', line->value.n));
        MUST(slice_copy(line->name, name, sizeof name) && secrets_find(&f, name) == line);
    }
    secrets_done(&f);
}
