/* Everything that the runtime tells about itself. */
#include "cwa.h"

ENTRY
{
    char buf[256];
    put_text_head();
    put_bytes(buf, runtime_name(buf, sizeof buf));
    put(" ");
    put_number(runtime_spec_major());
    put(".");
    put_number(runtime_spec_minor());
    put("\n");
    put_number(time_now());
    put("\n");
    for (int i = 0; i < startup_arg_len(); i++) {
        put_bytes(buf, startup_arg_at(i, buf, sizeof buf));
        put("\n");
    }
    put_number(startup_arg_at(startup_arg_len(), buf, sizeof buf));
    put("\n");
    return 0;
}
