/* Drives an exec process as an edge would: for its unit test and the benchmark.
 *
 * The process is a fork that calls role_exec() with the descriptors of
 * roles/roles.h. Images are compiled here, into a folder that goes away at the
 * end. Reads block; a test that would hang is ended by its runner's timeout. */
#pragma once

#include "engine/image.h"
#include "ipc/frame.h"
#include "ipc/ledger.h"
#include "ipc/spec.h"
#include "module/bundle.h"
#include "roles/roles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct driver {
    char folder[64];
    struct uuid project;
    struct limits limits;
    struct engine *compiler;
    int images;
    pid_t pid;
    int leash, edge, egress; /* our ends of its sockets */
    struct buf in, out;
};

static void driver_die(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", what, e && e->text[0] ? e->text : strerror(errno));
    exit(1);
}

static void driver_init(struct driver *d, bool unlimited)
{
    struct err e = {0};
    char path[128], id[UUID_TEXT + 1];
    *d = (struct driver){.project = uuid_new(), .leash = -1, .edge = -1, .egress = -1};
    limits_init(&d->limits, unlimited);
    snprintf(d->folder, sizeof d->folder, "/tmp/exec-XXXXXX");
    if (!mkdtemp(d->folder) || chmod(d->folder, 0755))
        driver_die(d->folder, NULL);
    d->images = open(d->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uuid_text(d->project, id);
    snprintf(path, sizeof path, "%s/%s", d->folder, id);
    if (mkdir(path, 0755))
        driver_die(path, NULL);
    if (engine_new(ENGINE_PLAIN, ENGINE_TO_COMPILE, &d->limits, &d->compiler, &e))
        driver_die("engine", &e);
    buf_init(&d->in, 8 << 20);
    buf_init(&d->out, 8 << 20);
}

/* Compiles under a digest that is `number` and zeros. */
static void driver_compile(struct driver *d, uint8_t number, struct slice module)
{
    struct err e = {0};
    char path[256], id[UUID_TEXT + 1], digest[DIGEST_TEXT + 1];
    uint64_t size;
    uuid_text(d->project, id);
    digest_text((uint8_t[DIGEST_BYTES]){number}, digest);
    snprintf(path, sizeof path, "%s/%s/%s", d->folder, id, digest);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0)
        driver_die(path, NULL);
    if (image_compile(d->compiler, module, fd, &size, &e))
        driver_die("compile", &e);
    close(fd);
}

/* Puts a bundle, with one file, under a digest that is `number` and zeros. */
static inline void driver_assets(struct driver *d, uint8_t number, const char *file,
                                 struct slice content)
{
    struct err e = {0};
    struct buf tar, bundle;
    char path[256], folder[128], id[UUID_TEXT + 1], digest[DIGEST_TEXT + 1];
    uint32_t files;
    buf_init(&tar, 1 << 20);
    buf_init(&bundle, 1 << 20);
    uuid_text(d->project, id);
    digest_text((uint8_t[DIGEST_BYTES]){number}, digest);
    snprintf(folder, sizeof folder, "%s/%s/assets", d->folder, id);
    if (mkdir(folder, 0755))
        driver_die(folder, NULL);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0 || write(fd, content.p, content.n) != (ssize_t)content.n || close(fd))
        driver_die(path, NULL);
    if (bundle_pack(folder, &d->limits, &tar, &e) ||
        bundle_make(buf_slice(&tar), &d->limits, &bundle, &files, &e))
        driver_die("bundle", &e);
    unlink(path);
    snprintf(path, sizeof path, "%s/%s", folder, digest);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0 || write(fd, buf_data(&bundle), buf_size(&bundle)) != (ssize_t)buf_size(&bundle) ||
        close(fd))
        driver_die(path, NULL);
    buf_done(&tar);
    buf_done(&bundle);
}

/* Starts the process; `strict` also asks for every required fence. */
static void driver_start(struct driver *d, bool strict)
{
    int leash[2], edge[2], egress[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, leash) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, edge) ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, egress))
        driver_die("socketpair", NULL);
    int size = 1 << 20;
    setsockopt(edge[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    setsockopt(edge[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    fcntl(edge[1], F_SETFL, O_NONBLOCK);
    fcntl(leash[1], F_SETFL, O_NONBLOCK);
    fcntl(egress[1], F_SETFL, O_NONBLOCK);
    d->pid = fork();
    if (d->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* Out of the way first, so that no target is overwritten before it is copied. */
        int from[4] = {fcntl(leash[1], F_DUPFD, 20), fcntl(edge[1], F_DUPFD, 20),
                       fcntl(d->images, F_DUPFD, 20), fcntl(egress[1], F_DUPFD, 20)};
        static const int to[4] = {ROLE_LEASH, EXEC_FRAMES, EXEC_IMAGES, EXEC_EGRESS};
        for (int i = 0; i < 4; i++) {
            dup2(from[i], to[i]);
            close(from[i]);
        }
        for (int fd = EXEC_EGRESS + 1; fd < 64; fd++)
            close(fd);
        char *argv[] = {(char *)"exec",
                        (char *)(strict ? "--isolation=strict" : "--isolation=relaxed"), NULL};
        _exit(role_exec(2, argv));
    }
    close(leash[1]);
    close(edge[1]);
    close(egress[1]);
    d->leash = leash[0];
    d->edge = edge[0];
    d->egress = egress[0];
    buf_clear(&d->in);
    buf_clear(&d->out);
}

static void driver_put(struct driver *d, enum frame_type type, uint16_t flags, uint64_t id,
                       const void *p, size_t n)
{
    if (!frame_put(&d->out, type, flags, id, p, n))
        driver_die("frame_put", NULL);
}

static void driver_flush(struct driver *d)
{
    while (buf_size(&d->out)) {
        ssize_t n = send(d->edge, buf_data(&d->out), buf_size(&d->out), MSG_NOSIGNAL);
        if (n <= 0)
            return; /* it ended; reading will tell */
        buf_consume(&d->out, (size_t)n);
    }
}

static void driver_bind(struct driver *d)
{
    driver_put(d, FRAME_BIND, 0, 0, &d->project, sizeof d->project);
}

/* `assets`: the number of a bundle; 0: none. */
static void driver_load_assets(struct driver *d, uint32_t slot, uint8_t number, uint8_t assets,
                               const struct limits *limits, struct slice env, struct slice args)
{
    struct version_load v = {
        .digest = {number}, .assets = {assets}, .limits = *limits, .env = env, .args = args};
    struct buf b;
    buf_init(&b, FRAME_LOAD_MOST);
    if (!version_load_write(&v, &b))
        driver_die("version_load_write", NULL);
    driver_put(d, FRAME_LOAD, 0, slot, buf_data(&b), buf_size(&b));
    buf_done(&b);
}

static void driver_load(struct driver *d, uint32_t slot, uint8_t number,
                        const struct limits *limits, struct slice env, struct slice args)
{
    driver_load_assets(d, slot, number, 0, limits, env, args);
}

static void driver_begin(struct driver *d, uint64_t id, uint32_t slot, struct slice pairs,
                         bool body)
{
    char payload[8192];
    memcpy(payload, &slot, 4);
    memcpy(payload + 4, pairs.p, pairs.n);
    driver_put(d, FRAME_BEGIN, body ? 0 : FRAME_LAST, id, payload, 4 + pairs.n);
}

/* The next frame; false: the process closed. The payload is valid until the next call. */
static bool driver_next(struct driver *d, struct frame *ret_frame, struct slice *ret_payload)
{
    static size_t last; /* bytes of the frame handed out before */
    if (buf_size(&d->in) == 0)
        last = 0;
    buf_consume(&d->in, last);
    last = 0;
    for (;;) {
        struct err e = {0};
        size_t size;
        if (frame_peek(buf_slice(&d->in), FRAME_BACK, ret_frame, &size, &e))
            driver_die("frame", &e);
        if (size) {
            *ret_payload = slice_make(buf_data(&d->in) + FRAME_HEAD, ret_frame->length);
            last = size;
            return true;
        }
        char *at = buf_reserve(&d->in, 256 << 10);
        ssize_t n = recv(d->edge, at, 256 << 10, 0);
        if (n <= 0) {
            return false;
        }
        buf_commit(&d->in, (size_t)n);
    }
}

/* Closes the process's socket and waits for it; its wait status. */
static int driver_stop(struct driver *d)
{
    int status = 0;
    close(d->edge);
    close(d->leash);
    close(d->egress);
    waitpid(d->pid, &status, 0);
    return status;
}

static void driver_done(struct driver *d)
{
    char command[128];
    engine_free(d->compiler);
    close(d->images);
    buf_done(&d->in);
    buf_done(&d->out);
    snprintf(command, sizeof command, "rm -rf %s", d->folder);
    if (system(command))
        perror("rm");
}
