/* function.yaml: whatever it is, it is read or refused with its place; what was read can be sent.
 */
#include "fuzz.h"

#include "cli/manifest.h"

FUZZ(bytes)
{
    struct manifest *m = NULL;
    struct err e = {0};
    if (manifest_parse(bytes, "function.yaml", NULL, NULL, &m, &e)) {
        MUST(e.code == ERR_INVALID || e.code == ERR_MEMORY);
        MUST(e.code == ERR_MEMORY || slice_starts(slice_str(e.text), SLICE("function.yaml:")));
        return;
    }
    char *text = json_dumps(m->settings, JSON_COMPACT);
    MUST(text);
    free(text);
    manifest_free(m);
}
