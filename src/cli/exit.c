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
    {ERR_CANCELLED, SIGHUP},
};

const char exit_help[] = "exit status: the program's own; 125 own failure, 126 module refused, "
                         "127 no such file;\n"
                         "ended for it: 134 trap, 137 memory, 139 stack or bad pointer, 142 wall "
                         "time, 152 CPU, 153 output, 159 policy";

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
