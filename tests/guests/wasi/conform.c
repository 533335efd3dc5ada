/* WASI preview 1 as its documents have it: what the public conformance programs look at, as far as
 * nothing must be written. The first argument is the check to make. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wasi/api.h>

enum { IN, OUT, ERR, ROOT, NEVER = 77 };

static int failures;
static const char *check;

static void expect(int line, const char *what, int ok, int got)
{
    if (ok)
        return;
    failures++;
    printf("%s:%d: %s (%d)\n", check, line, what, got);
}
#define IS(call, want)                                                                             \
    do {                                                                                           \
        int got_ = (int)(call);                                                                    \
        expect(__LINE__, #call, got_ == (int)(want), got_);                                        \
    } while (0)
#define TRUE(cond) expect(__LINE__, #cond, (cond), 0)

static char buffer[4096];
static size_t count;
static uint64_t place;
static const __wasi_iovec_t into = {(uint8_t *)buffer, sizeof buffer};
static const __wasi_ciovec_t empty = {(const uint8_t *)"", 0};

static int argument_count;
static char **arguments;

static void args(void)
{
    size_t n, bytes;
    IS(__wasi_args_sizes_get(&n, &bytes), 0);
    TRUE((int)n == argument_count);
    uint8_t **at = calloc(n + 1, sizeof *at), *text = malloc(bytes);
    IS(__wasi_args_get(at, text), 0);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        TRUE(at[i] >= text && at[i] < text + bytes);
        TRUE(strcmp((char *)at[i], arguments[i]) == 0);
        used += strlen((char *)at[i]) + 1;
    }
    TRUE(used == bytes);
}

static void environment(void)
{
    size_t n, bytes;
    IS(__wasi_environ_sizes_get(&n, &bytes), 0);
    uint8_t **at = calloc(n + 1, sizeof *at), *text = malloc(bytes + 1);
    IS(__wasi_environ_get(at, text), 0);
    int found = 0;
    for (size_t i = 0; i < n; i++) {
        TRUE(strchr((char *)at[i], '=') != NULL);
        found += strcmp((char *)at[i], "COLOUR=deep blue") == 0;
    }
    TRUE(found == 1);
    TRUE(getenv("COLOUR") && strcmp(getenv("COLOUR"), "deep blue") == 0);
    TRUE(getenv("NOTHING") == NULL);
}

static void clocks(void)
{
    uint64_t resolution, first, second;
    for (__wasi_clockid_t id = 0; id < 2; id++) {
        IS(__wasi_clock_res_get(id, &resolution), 0);
        TRUE(resolution == 1000000); /* a millisecond */
        IS(__wasi_clock_time_get(id, 1, &first), 0);
        IS(__wasi_clock_time_get(id, 0, &second), 0);
        TRUE(first % resolution == 0 && second >= first);
    }
    IS(__wasi_clock_time_get(__WASI_CLOCKID_REALTIME, 1, &first), 0);
    TRUE(first > UINT64_C(1700000000) * 1000000000);
    TRUE(__wasi_clock_time_get(99, 1, &first) != 0);
    TRUE(__wasi_clock_res_get(99, &first) != 0);
}

static void random_bytes(void)
{
    enum { HUGE = 64 << 20, PIECE = 1 << 20 };
    IS(__wasi_random_get((uint8_t *)buffer, 0), 0);
    uint8_t *all = malloc(HUGE);
    TRUE(all != NULL);
    IS(__wasi_random_get(all, HUGE), 0);
    for (size_t i = 0; i < HUGE; i += PIECE) {
        uint8_t set = 0, clear = 0xff;
        for (size_t k = i + PIECE - 64; k < i + PIECE; k++) { /* up to the end of each piece */
            set |= all[k];
            clear &= all[k];
        }
        TRUE(set == 0xff && clear == 0);
    }
    free(all);
}

static __wasi_subscription_t clock_in(uint64_t userdata, uint64_t ns, int flags)
{
    __wasi_subscription_t s = {.userdata = userdata, .u.tag = __WASI_EVENTTYPE_CLOCK};
    s.u.u.clock.id = __WASI_CLOCKID_MONOTONIC;
    s.u.u.clock.timeout = ns;
    s.u.u.clock.flags = (__wasi_subclockflags_t)flags;
    return s;
}

static __wasi_subscription_t ready(uint64_t userdata, __wasi_fd_t fd, int to_write)
{
    __wasi_subscription_t s = {.userdata = userdata};
    s.u.tag = to_write ? __WASI_EVENTTYPE_FD_WRITE : __WASI_EVENTTYPE_FD_READ;
    s.u.u.fd_read.file_descriptor = fd;
    return s;
}

static void poll_clocks(void)
{
    __wasi_subscription_t s[2];
    __wasi_event_t e[2];
    uint64_t before, after;
    IS(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &before), 0);
    s[0] = clock_in(7, 20000000, 0);
    IS(__wasi_poll_oneoff(s, e, 1, &count), 0);
    IS(__wasi_clock_time_get(__WASI_CLOCKID_MONOTONIC, 1, &after), 0);
    TRUE(count == 1 && e[0].userdata == 7 && e[0].error == 0 &&
         e[0].type == __WASI_EVENTTYPE_CLOCK);
    TRUE(after - before >= 19000000);
    /* the sooner of two */
    s[0] = clock_in(1, UINT64_C(3600) * 1000000000, 0);
    s[1] = clock_in(2, 1000000, 0);
    IS(__wasi_poll_oneoff(s, e, 2, &count), 0);
    TRUE(count == 1 && e[0].userdata == 2);
    /* times that have gone by, on both clocks */
    s[0] = clock_in(3, before, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
    s[1] = clock_in(4, 1, __WASI_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME);
    s[1].u.u.clock.id = __WASI_CLOCKID_REALTIME;
    IS(__wasi_poll_oneoff(s, e, 2, &count), 0);
    TRUE(count == 2 && e[0].userdata == 3 && e[1].userdata == 4);
    IS(__wasi_poll_oneoff(s, e, 0, &count), __WASI_ERRNO_INVAL);
}

/* Standard input ends after the word "ready". */
static void poll_stdio(void)
{
    __wasi_subscription_t s[5] = {ready(1, IN, 0), ready(2, OUT, 1), ready(3, ERR, 1),
                                  ready(4, NEVER, 0), ready(5, OUT, 0)};
    __wasi_event_t e[5];
    IS(__wasi_poll_oneoff(s, e, 1, &count), 0);
    TRUE(count == 1 && e[0].userdata == 1 && e[0].error == 0 &&
         e[0].type == __WASI_EVENTTYPE_FD_READ && e[0].fd_readwrite.nbytes > 0);
    size_t have = 0;
    do {
        IS(__wasi_fd_read(IN, &into, 1, &count), 0);
        have += count;
    } while (count);
    TRUE(have == 5);
    IS(__wasi_poll_oneoff(s, e, 1, &count), 0);
    TRUE(count == 1 && e[0].fd_readwrite.nbytes == 0 &&
         e[0].fd_readwrite.flags == __WASI_EVENTRWFLAGS_FD_READWRITE_HANGUP);
    IS(__wasi_poll_oneoff(s + 1, e, 4, &count), 0);
    TRUE(count == 4 && e[0].error == 0 && e[1].error == 0);
    TRUE(e[2].error == __WASI_ERRNO_BADF && e[3].error != 0);
    s[0] = clock_in(9, UINT64_C(3600) * 1000000000, 0);
    IS(__wasi_poll_oneoff(s, e, 2, &count), 0); /* what is ready comes before an hour is over */
    TRUE(count == 1 && e[0].userdata == 2);
}

static void stdio(void)
{
    __wasi_fdstat_t stat;
    __wasi_filestat_t file;
    for (__wasi_fd_t fd = IN; fd <= ERR; fd++) {
        IS(__wasi_fd_seek(fd, 0, __WASI_WHENCE_CUR, &place), __WASI_ERRNO_SPIPE);
        IS(__wasi_fd_tell(fd, &place), __WASI_ERRNO_SPIPE);
        IS(__wasi_fd_pread(fd, &into, 1, 0, &count), __WASI_ERRNO_SPIPE);
        IS(__wasi_fd_pwrite(fd, &empty, 1, 0, &count), __WASI_ERRNO_SPIPE);
        IS(__wasi_fd_advise(fd, 0, 0, 0), __WASI_ERRNO_SPIPE);
        TRUE(__wasi_fd_allocate(fd, 0, 1) != 0);
        TRUE(__wasi_fd_filestat_set_size(fd, 0) != 0);
        IS(__wasi_fd_fdstat_get(fd, &stat), 0);
        IS(stat.fs_filetype, __WASI_FILETYPE_CHARACTER_DEVICE);
        TRUE(!!(stat.fs_rights_base & __WASI_RIGHTS_FD_READ) == (fd == IN));
        TRUE(!!(stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE) == (fd != IN));
        TRUE(!(stat.fs_rights_base & (__WASI_RIGHTS_FD_SEEK | __WASI_RIGHTS_FD_TELL)));
        IS(__wasi_fd_filestat_get(fd, &file), 0);
        IS(file.filetype, __WASI_FILETYPE_CHARACTER_DEVICE);
        IS(__wasi_fd_readdir(fd, (uint8_t *)buffer, 100, 0, &count), __WASI_ERRNO_NOTDIR);
    }
    IS(__wasi_fd_read(OUT, &into, 1, &count), __WASI_ERRNO_BADF);
    IS(__wasi_fd_read(ERR, &into, 1, &count), __WASI_ERRNO_BADF);
    IS(__wasi_fd_write(IN, &empty, 1, &count), __WASI_ERRNO_BADF);
    IS(__wasi_fd_write(OUT, &empty, 1, &count), 0);
    IS(__wasi_fd_write(OUT, NULL, 0, &count), 0);
    IS(__wasi_fd_fdstat_set_rights(OUT, 0, 0), __WASI_ERRNO_NOTSUP);
    IS(__wasi_fd_sync(OUT), 0);
    IS(__wasi_fd_datasync(OUT), 0);
    IS(__wasi_fd_fdstat_set_flags(IN, __WASI_FDFLAGS_NONBLOCK), 0);
    IS(__wasi_fd_fdstat_get(IN, &stat), 0);
    IS(stat.fs_flags, __WASI_FDFLAGS_NONBLOCK);
    IS(__wasi_fd_fdstat_set_flags(IN, 0), 0);
}

/* Each function of descriptors, on one that was never open and one that was closed. */
static void closed(void)
{
    __wasi_fd_t fd;
    __wasi_fdstat_t stat;
    __wasi_filestat_t file;
    __wasi_prestat_t prestat;
    IS(__wasi_path_open(ROOT, 0, "dev/null", 0, 0, 0, 0, &fd), 0);
    IS(__wasi_fd_close(fd), 0);
    const __wasi_fd_t none[] = {fd, NEVER, UINT32_MAX};
    for (int i = 0; i < 3; i++) {
        fd = none[i];
        IS(__wasi_fd_close(fd), __WASI_ERRNO_BADF);
        IS(__wasi_fd_read(fd, &into, 1, &count), __WASI_ERRNO_BADF);
        IS(__wasi_fd_write(fd, &empty, 1, &count), __WASI_ERRNO_BADF);
        IS(__wasi_fd_pread(fd, &into, 1, 0, &count), __WASI_ERRNO_BADF);
        IS(__wasi_fd_pwrite(fd, &empty, 1, 0, &count), __WASI_ERRNO_BADF);
        IS(__wasi_fd_seek(fd, 0, __WASI_WHENCE_SET, &place), __WASI_ERRNO_BADF);
        IS(__wasi_fd_tell(fd, &place), __WASI_ERRNO_BADF);
        IS(__wasi_fd_sync(fd), __WASI_ERRNO_BADF);
        IS(__wasi_fd_datasync(fd), __WASI_ERRNO_BADF);
        IS(__wasi_fd_advise(fd, 0, 0, 0), __WASI_ERRNO_BADF);
        IS(__wasi_fd_allocate(fd, 0, 1), __WASI_ERRNO_BADF);
        IS(__wasi_fd_fdstat_get(fd, &stat), __WASI_ERRNO_BADF);
        IS(__wasi_fd_fdstat_set_flags(fd, 0), __WASI_ERRNO_BADF);
        IS(__wasi_fd_fdstat_set_rights(fd, 0, 0), __WASI_ERRNO_BADF);
        IS(__wasi_fd_filestat_get(fd, &file), __WASI_ERRNO_BADF);
        IS(__wasi_fd_filestat_set_size(fd, 0), __WASI_ERRNO_BADF);
        IS(__wasi_fd_filestat_set_times(fd, 0, 0, 0), __WASI_ERRNO_BADF);
        IS(__wasi_fd_prestat_get(fd, &prestat), __WASI_ERRNO_BADF);
        IS(__wasi_fd_prestat_dir_name(fd, (uint8_t *)buffer, 10), __WASI_ERRNO_BADF);
        IS(__wasi_fd_readdir(fd, (uint8_t *)buffer, 100, 0, &count), __WASI_ERRNO_BADF);
        IS(__wasi_fd_renumber(fd, OUT), __WASI_ERRNO_BADF);
        IS(__wasi_fd_renumber(OUT, fd), __WASI_ERRNO_BADF);
        IS(__wasi_path_open(fd, 0, "x", 0, 0, 0, 0, &fd), __WASI_ERRNO_BADF);
        fd = none[i];
        IS(__wasi_path_create_directory(fd, "x"), __WASI_ERRNO_BADF);
    }
}

static void renumber(void)
{
    __wasi_fd_t zero, null;
    IS(__wasi_path_open(ROOT, 0, "dev/zero", 0, 0, 0, 0, &zero), 0);
    IS(__wasi_path_open(ROOT, 0, "dev/null", 0, 0, 0, 0, &null), 0);
    IS(__wasi_fd_renumber(zero, zero), 0);
    IS(__wasi_fd_renumber(zero, null), 0);
    IS(__wasi_fd_close(zero), __WASI_ERRNO_BADF);
    IS(__wasi_fd_read(null, &into, 1, &count), 0);
    TRUE(count == sizeof buffer); /* of zero */
    IS(__wasi_fd_close(null), 0);
}

static void prestat(void)
{
    __wasi_prestat_t p;
    IS(__wasi_fd_prestat_get(ROOT, &p), 0);
    TRUE(p.tag == __WASI_PREOPENTYPE_DIR && p.u.dir.pr_name_len == 1);
    IS(__wasi_fd_prestat_dir_name(ROOT, (uint8_t *)buffer, 1), 0);
    TRUE(buffer[0] == '/');
    IS(__wasi_fd_prestat_dir_name(ROOT, (uint8_t *)buffer, 20), 0);
    IS(__wasi_fd_prestat_dir_name(ROOT, (uint8_t *)buffer, 0), __WASI_ERRNO_NAMETOOLONG);
    IS(__wasi_fd_prestat_get(ROOT + 1, &p), __WASI_ERRNO_BADF);
    IS(__wasi_fd_prestat_get(OUT, &p), __WASI_ERRNO_BADF);
}

/* Needs no file: "." and ".." are in every folder. */
static void lists(void)
{
    uint8_t text[200];
    __wasi_dirent_t entry;
    IS(__wasi_fd_readdir(ROOT, text, sizeof text, 0, &count), 0);
    TRUE(count >= 2 * sizeof entry + 3);
    memcpy(&entry, text, sizeof entry);
    TRUE(entry.d_namlen == 1 && text[sizeof entry] == '.' &&
         entry.d_type == __WASI_FILETYPE_DIRECTORY);
    /* from the second on; then cut in the middle of a head, of a name */
    IS(__wasi_fd_readdir(ROOT, text, sizeof text, entry.d_next, &count), 0);
    memcpy(&entry, text, sizeof entry);
    TRUE(entry.d_namlen == 2 && memcmp(text + sizeof entry, "..", 2) == 0);
    IS(__wasi_fd_readdir(ROOT, text, 10, 0, &count), 0);
    TRUE(count == 10);
    IS(__wasi_fd_readdir(ROOT, text, sizeof entry, 0, &count), 0);
    TRUE(count == sizeof entry);
    IS(__wasi_fd_readdir(ROOT, text, sizeof text, UINT64_MAX, &count), 0);
    TRUE(count == 0);
}

static void folders(void)
{
    __wasi_fdstat_t stat;
    __wasi_fd_t fd;
    IS(__wasi_fd_fdstat_get(ROOT, &stat), 0);
    IS(stat.fs_filetype, __WASI_FILETYPE_DIRECTORY);
    IS(__wasi_fd_read(ROOT, &into, 1, &count), __WASI_ERRNO_BADF);
    IS(__wasi_fd_pread(ROOT, &into, 1, 0, &count), __WASI_ERRNO_BADF);
    IS(__wasi_fd_write(ROOT, &empty, 1, &count), __WASI_ERRNO_BADF);
    IS(__wasi_fd_pwrite(ROOT, &empty, 1, 0, &count), __WASI_ERRNO_BADF);
    IS(__wasi_fd_seek(ROOT, 0, __WASI_WHENCE_SET, &place), __WASI_ERRNO_BADF);
    IS(__wasi_fd_tell(ROOT, &place), __WASI_ERRNO_BADF);
    IS(__wasi_fd_allocate(ROOT, 0, 0), __WASI_ERRNO_BADF);
    IS(__wasi_fd_filestat_set_size(ROOT, 0), __WASI_ERRNO_BADF);
    IS(__wasi_path_open(ROOT, 0, ".", 0, stat.fs_rights_base, stat.fs_rights_inheriting, 0, &fd),
       0);
    IS(__wasi_fd_close(fd), 0);
    IS(__wasi_path_open(ROOT, 0, ".", __WASI_OFLAGS_DIRECTORY, __WASI_RIGHTS_FD_READ, 0, 0, &fd),
       0);
    IS(__wasi_fd_close(fd), 0);
    IS(__wasi_path_open(ROOT, 0, ".", __WASI_OFLAGS_DIRECTORY,
                        __WASI_RIGHTS_FD_READ | __WASI_RIGHTS_FD_WRITE, 0, 0, &fd),
       __WASI_ERRNO_ISDIR);
}

static void paths(void)
{
    __wasi_fd_t fd;
    __wasi_filestat_t stat;
    static char text[5000];
    memset(text, 'a', sizeof text - 1);
    IS(__wasi_path_open(ROOT, 0, text, 0, 0, 0, 0, &fd), __WASI_ERRNO_NAMETOOLONG);
    IS(__wasi_path_open(ROOT, 0, "..", 0, 0, 0, 0, &fd), __WASI_ERRNO_NOTCAPABLE);
    IS(__wasi_path_open(ROOT, 0, "dev/../../etc", 0, 0, 0, 0, &fd), __WASI_ERRNO_NOTCAPABLE);
    IS(__wasi_path_open(ROOT, 0, "nothing", 0, 0, 0, 0, &fd), __WASI_ERRNO_NOENT);
    IS(__wasi_path_open(OUT, 0, "nothing", 0, 0, 0, 0, &fd), __WASI_ERRNO_NOTDIR);
    IS(__wasi_path_filestat_get(ROOT, 0, "nothing", &stat), __WASI_ERRNO_NOENT);
    IS(__wasi_path_filestat_get(ROOT, 0, "dev", &stat), 0);
    IS(stat.filetype, __WASI_FILETYPE_DIRECTORY);
    IS(__wasi_path_filestat_get(ROOT, 0, "dev/null/", &stat), __WASI_ERRNO_NOTDIR);
    IS(__wasi_path_readlink(ROOT, "nothing", (uint8_t *)buffer, 10, &count), __WASI_ERRNO_NOENT);
    IS(__wasi_path_readlink(ROOT, "dev", (uint8_t *)buffer, 10, &count), __WASI_ERRNO_INVAL);
}

/* What would write ends with an errno that says why. */
static void writing(void)
{
    __wasi_fd_t fd;
    IS(__wasi_path_create_directory(ROOT, "new"), __WASI_ERRNO_ROFS);
    IS(__wasi_path_remove_directory(ROOT, "dev"), __WASI_ERRNO_ROFS);
    IS(__wasi_path_unlink_file(ROOT, "dev/null"), __WASI_ERRNO_ROFS);
    IS(__wasi_path_rename(ROOT, "dev", ROOT, "new"), __WASI_ERRNO_ROFS);
    IS(__wasi_path_link(ROOT, 0, "dev/null", ROOT, "new"), __WASI_ERRNO_ROFS);
    IS(__wasi_path_symlink("dev/null", ROOT, "new"), __WASI_ERRNO_ROFS);
    IS(__wasi_path_filestat_set_times(ROOT, 0, "dev", 0, 0, 0), __WASI_ERRNO_ROFS);
    IS(__wasi_path_open(ROOT, 0, "new", __WASI_OFLAGS_CREAT, __WASI_RIGHTS_FD_WRITE, 0, 0, &fd),
       __WASI_ERRNO_ROFS);
    IS(__wasi_fd_filestat_set_times(ROOT, 0, 0, 0), __WASI_ERRNO_ROFS);
}

/* The C library's way to files, on the assets that tests/api/test_wasi.py gives. */
static void files(void)
{
    struct stat index, large;
    char text[16] = "";
    int fd = open("index.html", O_RDONLY), other = open("/large", O_RDONLY), names = 0;
    TRUE(fd > ROOT && other > fd);
    TRUE(fstat(fd, &index) == 0 && fstat(other, &large) == 0);
    TRUE(index.st_dev == large.st_dev && index.st_ino != large.st_ino);
    TRUE(S_ISREG(index.st_mode) && index.st_size == 13 && large.st_size == 1000000);
    TRUE(pread(fd, text, 5, 3) == 5 && memcmp(text, "hello", 5) == 0);
    TRUE(pread(fd, text, 5, 13) == 0 && pread(fd, text, 5, 100) == 0);
    TRUE(lseek(fd, 0, SEEK_CUR) == 0); /* where it was */
    TRUE(lseek(fd, -5, SEEK_END) == 8 && read(fd, text, sizeof text) == 5);
    TRUE(lseek(fd, -1, SEEK_SET) == -1 && errno == EINVAL);
    TRUE(pwrite(fd, text, 1, 0) == -1 && errno == EBADF);
    TRUE(ftruncate(fd, 0) == -1);
    TRUE(open("index.html", O_RDWR) == -1 && errno == EROFS);
    TRUE(open("index.html", O_RDONLY | O_TRUNC) == -1 && errno == EROFS);
    TRUE(open("index.html", O_RDONLY | O_DIRECTORY) == -1 && errno == ENOTDIR);
    TRUE(open("index.html/x", O_RDONLY) == -1 && errno == ENOTDIR);
    TRUE(access("/index.html", R_OK) == 0 && access("/none", R_OK) == -1);
    DIR *folder = opendir("/folder");
    TRUE(folder != NULL);
    while (folder && readdir(folder))
        names++;
    TRUE(names == 302);
    FILE *file = fopen("folder/123", "r");
    TRUE(file && fgets(text, sizeof text, file) && strcmp(text, "123") == 0);
}

static void sockets(void)
{
    __wasi_fd_t fd;
    __wasi_roflags_t flags;
    IS(__wasi_sock_accept(NEVER, 0, &fd), __WASI_ERRNO_BADF);
    IS(__wasi_sock_recv(NEVER, &into, 1, 0, &count, &flags), __WASI_ERRNO_BADF);
    IS(__wasi_sock_send(NEVER, &empty, 1, 0, &count), __WASI_ERRNO_BADF);
    IS(__wasi_sock_shutdown(NEVER, __WASI_SDFLAGS_RD), __WASI_ERRNO_BADF);
    for (fd = IN; fd <= ROOT; fd++) {
        __wasi_fd_t other;
        IS(__wasi_sock_accept(fd, 0, &other), __WASI_ERRNO_NOTSOCK);
        IS(__wasi_sock_recv(fd, &into, 1, 0, &count, &flags), __WASI_ERRNO_NOTSOCK);
        IS(__wasi_sock_send(fd, &empty, 1, 0, &count), __WASI_ERRNO_NOTSOCK);
        IS(__wasi_sock_shutdown(fd, __WASI_SDFLAGS_RD), __WASI_ERRNO_NOTSOCK);
    }
}

static void yield(void)
{
    for (int i = 0; i < 100; i++)
        IS(__wasi_sched_yield(), 0);
}

/* The last: it takes the root away. */
static void close_root(void)
{
    __wasi_fd_t fd;
    __wasi_prestat_t p;
    IS(__wasi_fd_close(ROOT), 0);
    IS(__wasi_fd_prestat_get(ROOT, &p), __WASI_ERRNO_BADF);
    IS(__wasi_path_open(ROOT, 0, "dev/null", 0, 0, 0, 0, &fd), __WASI_ERRNO_BADF);
}

static void leave(void)
{
    __wasi_proc_exit(33);
}

static const struct {
    const char *name;
    void (*run)(void);
} checks[] = {{"args", args},
              {"environment", environment},
              {"clocks", clocks},
              {"random", random_bytes},
              {"poll-clocks", poll_clocks},
              {"poll-stdio", poll_stdio},
              {"stdio", stdio},
              {"closed", closed},
              {"renumber", renumber},
              {"prestat", prestat},
              {"readdir", lists},
              {"folders", folders},
              {"paths", paths},
              {"writing", writing},
              {"files", files},
              {"sockets", sockets},
              {"yield", yield},
              {"close-root", close_root},
              {"exit", leave}};

int main(int argc, char **argv)
{
    argument_count = argc;
    arguments = argv;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        if (argc < 2 || strcmp(argv[1], checks[i].name) != 0)
            continue;
        check = checks[i].name;
        checks[i].run();
        if (!failures)
            printf("%s ok\n", check);
        return failures > 0;
    }
    printf("which check?\n");
    return 2;
}
