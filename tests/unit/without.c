/* `without FENCE COMMAND…`: runs a command on a kernel that lacks what a fence needs.
 *
 * A filter answers the fence's system calls as a kernel without them would, for the command and all
 * it starts. Not a test itself: tests/api/test_fences.py uses it. Needs root, as a filter without
 * no_new_privs does. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CONDITIONS = 2 };

static const struct {
    const char *fence;
    int call, error;
    struct scmp_arg_cmp when[CONDITIONS];
} rows[] = {
    {"seccomp", SCMP_SYS(seccomp), ENOSYS, {{0}}},
    {"seccomp", SCMP_SYS(prctl), EINVAL, {{0, SCMP_CMP_EQ, PR_SET_SECCOMP, 0}}},
    {"no-new-privs", SCMP_SYS(prctl), EINVAL, {{0, SCMP_CMP_EQ, PR_SET_NO_NEW_PRIVS, 0}}},
    {"not-dumpable", SCMP_SYS(prctl), EINVAL, {{0, SCMP_CMP_EQ, PR_SET_DUMPABLE, 0}}},
    {"landlock", SCMP_SYS(landlock_create_ruleset), ENOSYS, {{0}}},
    {"network-namespace",
     SCMP_SYS(unshare),
     EPERM,
     {{0, SCMP_CMP_MASKED_EQ, CLONE_NEWNET, CLONE_NEWNET}}},
    {"mount-namespace",
     SCMP_SYS(unshare),
     EPERM,
     {{0, SCMP_CMP_MASKED_EQ, CLONE_NEWNS, CLONE_NEWNS}}},
    /* one of them is enough, and sanitizers set others for themselves */
    {"rlimits", SCMP_SYS(setrlimit), EPERM, {{0, SCMP_CMP_EQ, RLIMIT_NPROC, 0}}},
    {"rlimits",
     SCMP_SYS(prlimit64),
     EPERM,
     {{1, SCMP_CMP_EQ, RLIMIT_NPROC, 0}, {2, SCMP_CMP_NE, 0, 0}}},
    {"capabilities", SCMP_SYS(capset), EPERM, {{0}}},
};

int main(int argc, char **argv)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int added = 0;
    for (size_t i = 0; f && argc > 2 && i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].fence, argv[1]) != 0)
            continue;
        unsigned conditions = 0;
        while (conditions < CONDITIONS && rows[i].when[conditions].op != 0)
            conditions++;
        added += seccomp_rule_add_array(f, SCMP_ACT_ERRNO((uint32_t)rows[i].error), rows[i].call,
                                        conditions, rows[i].when) == 0;
    }
    if (!added) {
        fprintf(stderr, "usage: without FENCE COMMAND…\n");
        return 125;
    }
    seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);
    int rc = seccomp_load(f);
    if (rc < 0) {
        fprintf(stderr, "without: %s\n", strerror(-rc));
        return 125;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
