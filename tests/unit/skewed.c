/* `skewed`: the program itself, with a wall clock that a test can set.
 *
 * Its definitions of the functions that tell the time come before libc's. They add the number of
 * seconds that stands in the file beside the program, PROGRAM.skew (8 bytes), which each role maps
 * before it is locked in; writing to the file sets all clocks at once. Without the file it is the
 * plain program. Not a test itself: tests/api/test_clock.py uses it. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t none;
static const volatile int64_t *skew = &none;

__attribute__((constructor)) static void map_skew(void)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof ".skew");
    if (n <= 0)
        return;
    memcpy(path + n, ".skew", sizeof ".skew");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    void *p = mmap(NULL, sizeof *skew, PROT_READ, MAP_SHARED, fd, 0);
    if (p != MAP_FAILED)
        skew = p;
    close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int rc = real(id, t);
    if (rc == 0 && id == CLOCK_REALTIME)
        t->tv_sec += *skew;
    return rc;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *t = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
