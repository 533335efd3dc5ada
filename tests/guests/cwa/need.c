/* Ends with a failure of its own when something that it needs isn't there: `open` opens the URL in
 * the variable NEED_URL and ends with 1 if that fails, `name` wants the variable DATABASE_URL and
 * says that it is not set; otherwise it answers. */
#include "cwa.h"

static void fail(const char *why, int status)
{
    log_write(1, why, length(why));
    runtime_exit(status);
}

ENTRY
{
    static char value[1024], answer[16];
    const char *what = query();
    if (what[0] == 'o') {
        int n = env_get("NEED_URL", 8, value, sizeof value);
        int fd = n > 0 ? resource_open(value, n) : -1;
        if (fd < 0 || resource_read(fd, answer, sizeof answer) < 0)
            fail("the other side does not answer", 1);
    } else if (env_get("DATABASE_URL", 12, value, sizeof value) < 0) {
        fail("ERROR: DATABASE_URL is not set", 2);
    }
    put_text_head();
    put("all is there\n");
    return 0;
}
