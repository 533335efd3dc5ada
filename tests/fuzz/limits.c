/* Limits and options as people write them: `NAME=VALUE` a line. */
#include "base/options.h"
#include "fuzz.h"

FUZZ(bytes)
{
    struct options o;
    struct limits l;
    options_init(&o);
    limits_init(&l, false);
    for (struct slice rest = bytes; rest.p;) {
        struct slice value = slice_split(&rest, '\n');
        struct slice name = slice_split(&value, '=');
        if (!limits_set(&l, name, value, LIMIT_WHO_FUNCTION, NULL)) {
            enum limit_id id;
            MUST(limit_find(name, &id));
            MUST(!limit_rows[id].maximum || l.v[id] <= limit_rows[id].maximum);
            char text[32];
            limit_format(id, l.v[id], text);
        }
        (void)!options_set(&o, name, value, NULL);
    }
    (void)!options_finish(&o, NULL);
    options_done(&o);
}
