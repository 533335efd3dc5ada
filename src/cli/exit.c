#include "cli/exit.h"

#include <signal.h>

static const struct {
    enum err_code cause;
    int signal;
} signals[] = {
    {ERR_TRAP, SIGABRT},           {ERR_BAD_DESCRIPTOR, SIGABRT}, {ERR_BAD_POINTER, SIGSEGV},
    {ERR_STACK_OVERFLOW, SIGSEGV}, {ERR_MEMORY_LIMIT, SIGKILL},   {ERR_EXEC_DIED, SIGKILL},
    {ERR_CPU_LIMIT, SIGXCPU},      {ERR_GAS_LIMIT, SIGXCPU},      {ERR_WALL_LIMIT, SIGALRM},
    {ERR_OUTPUT_LIMIT, SIGXFSZ},   {ERR_EGRESS_LIMIT, SIGXFSZ},   {ERR_POLICY, SIGSYS},
    {ERR_TOO_LARGE, SIGXFSZ},      {ERR_CANCELLED, SIGHUP},
};

const char exit_help[] = "0-124  the program's own (2: or wrong usage)\n"
                         "125    it could not be run: no server, no such function, a fence is missing\n"
                         "126    the module was refused\n"
                         "127    there is no such file\n"
                         "134    ended by a trap\n"
                         "137    ended at its memory limit, or its process died\n"
                         "139    ended at its stack limit, or for a bad pointer\n"
                         "141    nobody reads its output\n"
                         "142    ended at its wall time limit\n"
                         "152    ended at its CPU limit\n"
                         "153    ended at its output limit, or when its input was over its limit\n"
                         "159    ended by its policy";

int exit_of_run(enum err_code cause, int exit_status)
{
    if (cause == ERR_OK || cause == ERR_EXIT_STATUS)
        return exit_status & 0xff;
    if (cause == ERR_BAD_CGI)
        return exit_status & 0xff ? exit_status & 0xff : 1;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (signals[i].cause == cause)
            return 128 + signals[i].signal;
    return EXIT_OWN_FAILURE;
}
