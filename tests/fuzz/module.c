/* Modules as uploaded: read, judged, prepared; what was prepared must be accepted again. */
#include "fuzz.h"
#include "module/module.h"

FUZZ(bytes)
{
    struct limits limits;
    struct module m, again;
    struct verdict verdict;
    struct buf out;
    limits_init(&limits, false);
    if (module_parse(bytes, &limits, &m, NULL))
        return;
    bool accepted = module_judge(&m, &limits, &verdict, NULL) == ERR_OK;
    for (uint32_t i = 0; i < m.function_count; i++) {
        char text[40];
        module_type_text(module_function_type(&m, i), text, sizeof text);
    }
    buf_init(&out, bytes.n + 64);
    if (accepted) {
        MUST(memchr(verdict.entry, 0, sizeof verdict.entry));
        MUST(module_prepare(&m, &out, NULL) == ERR_OK);
        MUST(module_parse(buf_slice(&out), &limits, &again, NULL) == ERR_OK);
        MUST(module_judge(&again, &limits, &verdict, NULL) == ERR_OK);
        module_done(&again);
    }
    buf_done(&out);
    module_done(&m);
}
