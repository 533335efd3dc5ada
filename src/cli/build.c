#include "cli/build.h"

#include "base/brand.h"
#include "cli/show.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Tools that templates use, and where they come from. */
static const struct {
    const char *tool, *remedy;
} tools[] = {
    {"clang", "on Debian: apt install clang lld wasi-libc libclang-rt-dev-wasm32"},
    {"go", "Go 1.24 or newer, from https://go.dev/dl"},
    {"rustc", "Rust and its WebAssembly library: https://rustup.rs, then rustup target add "
              "wasm32-wasip1"},
    {"wat2wasm", "on Debian: apt install wabt"},
};

/* As sh looks it up (POSIX, 2.9.1.1): in the folders of PATH. */
static bool is_installed(const char *tool)
{
    const char *path = getenv("PATH");
    char file[4096];
    for (struct slice rest = slice_str(path ? path : "/usr/bin:/bin"); rest.p;) {
        struct slice folder = slice_split(&rest, ':');
        int n = snprintf(file, sizeof file, "%.*s/%s", SLICE_ARG(folder), tool);
        if (n > 0 && (size_t)n < sizeof file && access(file, X_OK) == 0)
            return true;
    }
    return false;
}

/* Is `tool` a word of `command`? */
static bool mentions(const char *command, const char *tool)
{
    size_t n = strlen(tool);
    for (const char *p = command; (p = strstr(p, tool)); p += n) {
        bool begins = p == command || strchr(" \t\n;&|(", p[-1]);
        if (begins && (p[n] == '\0' || strchr(" \t\n;&|)", p[n])))
            return true;
    }
    return false;
}

bool build_lacks(const char *command)
{
    bool lacks = false;
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        if (mentions(command, tools[i].tool) && !is_installed(tools[i].tool)) {
            fprintf(stderr, "%s: %s is not installed; %s\n", BRAND_COMMAND, tools[i].tool,
                    tools[i].remedy);
            lacks = true;
        }
    return lacks;
}

int build_run(const struct manifest *m)
{
    int status;
    if (!m->build)
        return 0;
    fputs("building: ", stderr);
    show_lines(stderr, slice_str(m->build));
    fputc('\n', stderr);
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (dup2(STDERR_FILENO, STDOUT_FILENO) >= 0 && chdir(m->folder) == 0)
            execl("/bin/sh", "sh", "-c", m->build, (char *)NULL);
        fprintf(stderr, "%s: can't run the build in %s: %s\n", BRAND_COMMAND, m->folder,
                strerror(errno));
        _exit(125);
    }
    if (pid < 0) {
        fprintf(stderr, "%s: can't run the build: %s\n", BRAND_COMMAND, strerror(errno));
        return err_cli(ERR_INTERNAL);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (status == 0)
        return 0;
    fprintf(stderr, "%s: the build failed with status %d; nothing was deployed\n", BRAND_COMMAND,
            status);
    build_lacks(m->build);
    return status;
}
