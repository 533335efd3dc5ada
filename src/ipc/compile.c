#include "ipc/compile.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

const char *const compile_words[COMPILE_JOBS] = {
    [COMPILE_PLAIN] = "", [COMPILE_FUEL] = "fuel", [COMPILE_ASSETS] = "assets"};

static enum err_code over(const struct limits *limits, enum limit_id id, struct err *e)
{
    char value[32];
    limit_format(id, limits->v[id], value);
    return err_set(e, ERR_COMPILE_LIMIT,
                   "compiling the module is over the limit \"%s\" (%s): make it smaller or simpler",
                   limit_rows[id].name, value);
}

static enum err_code why_dead(int wait_status, const struct limits *limits, struct err *e)
{
    int sig = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    if (sig == SIGXCPU)
        return over(limits, LIMIT_COMPILE_CPU, e);
    if (sig == SIGALRM || sig == SIGKILL) /* its own alarm, or who waits for it */
        return over(limits, LIMIT_COMPILE_WALL, e);
    if (sig == SIGABRT) /* how Rust ends when an allocation fails */
        return over(limits, LIMIT_COMPILE_MEMORY, e);
    if (sig)
        return err_set(e, ERR_COMPILE, "the compiler crashed on this module (%s)", strsignal(sig));
    return err_set(e, ERR_INTERNAL, "the compile job ended with status %d and no result",
                   WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : wait_status);
}

enum err_code compile_outcome(struct slice bytes, int wait_status, const struct limits *limits,
                              struct compile_result *ret_result, struct err *e)
{
    struct compile_result r;
    if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) || bytes.n == 0)
        return why_dead(wait_status, limits, e);
    if (bytes.n < sizeof r)
        return err_set(e, ERR_PROTOCOL, "a compile result of %zu bytes", bytes.n);
    memcpy(&r, bytes.p, sizeof r);
    r.text[sizeof r.text - 1] = '\0';
    r.entry[sizeof r.entry - 1] = '\0';
    if (r.interface_bytes > COMPILE_INTERFACE || bytes.n != sizeof r + r.interface_bytes)
        return err_set(e, ERR_PROTOCOL, "a compile result of %zu bytes", bytes.n);
    if (r.magic != COMPILE_MAGIC || r.code >= ERR_COUNT || r.entry_returns > 1)
        return err_set(e, ERR_PROTOCOL, "a compile result whose parts don't add up");
    *ret_result = r;
    if (r.code)
        return err_set(e, (enum err_code)r.code, "%s", r.text);
    return ERR_OK;
}

struct slice compile_interface(struct slice bytes)
{
    return slice_from(bytes, sizeof(struct compile_result));
}
