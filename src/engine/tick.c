/* The tick: a timer on the guest thread's own CPU clock.
 *
 * Each expiry makes the engine's epoch older by one, and a guest that runs
 * looks at the epoch at every loop and call: it yields to the loop, which
 * judges its CPU limit. Being a CPU clock it never wakes a process that sleeps
 * and costs nothing while no guest runs. The kernel looks at such timers at
 * its own ticks (4 ms at 250 Hz), so a shorter period would be no finer. */
#include "engine/private.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_NS = 5 * 1000 * 1000,
    TICK_SIGNAL = SIGVTALRM,
    SIGNAL_STACK = 256 << 10, /* Wasmtime asks for this much, else it makes its own */
};

static wasm_engine_t *ticking;
static timer_t timer;

static void on_tick(int signal)
{
    (void)signal;
    int saved = errno;
    if (ticking)
        wasmtime_engine_increment_epoch(ticking);
    errno = saved;
}

/* The signal may come while a guest's stack is nearly full, so it has its own. */
static enum err_code make_signal_stack(struct err *e)
{
    stack_t old;
    if (sigaltstack(NULL, &old) == 0 && !(old.ss_flags & SS_DISABLE) && old.ss_size >= SIGNAL_STACK)
        return ERR_OK;
    void *p = mmap(NULL, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_errno(e, "mmap of the signal stack");
    stack_t own = {.ss_sp = p, .ss_size = SIGNAL_STACK};
    if (sigaltstack(&own, NULL) < 0)
        return err_errno(e, "sigaltstack");
    return ERR_OK;
}

enum err_code engine_tick_start(struct engine *engine, struct err *e)
{
    enum err_code rc = make_signal_stack(e);
    if (rc)
        return rc;
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    if (sigaction(TICK_SIGNAL, &action, NULL) < 0)
        return err_errno(e, "sigaction");
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL};
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) < 0)
        return err_errno(e, "timer_create");
    ticking = engine->wasm;
    struct itimerspec every = {.it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS};
    if (timer_settime(timer, 0, &every, NULL) < 0)
        return err_errno(e, "timer_settime");
    return ERR_OK;
}

void engine_tick_stop(void)
{
    if (!ticking)
        return;
    timer_delete(timer);
    ticking = NULL;
}
