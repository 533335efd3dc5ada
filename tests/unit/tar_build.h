/* Archives and bundles that a test makes up. */
#pragma once

#include "module/bundle.h"
#include "module/tar.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static inline void tar_put(struct buf *tar, const void *p, size_t n)
{
    if (!buf_add(tar, p, n))
        abort();
}

/* One entry as `tar` writes it; `name` of 100 bytes at most. */
static inline void tar_add(struct buf *tar, char type, const char *name, struct slice content)
{
    static const char zeros[TAR_BLOCK];
    char block[TAR_BLOCK] = {0};
    unsigned sum = 0;
    memcpy(block, name, strnlen(name, 100));
    snprintf(block + 124, 12, "%011o", (unsigned)content.n);
    memset(block + 148, ' ', 8);
    block[156] = type;
    memcpy(block + 257,
           "ustar\0"
           "00",
           8);
    for (int i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    tar_put(tar, block, TAR_BLOCK);
    tar_put(tar, content.p, content.n);
    tar_put(tar, zeros, (TAR_BLOCK - content.n % TAR_BLOCK) % TAR_BLOCK);
}

static inline void tar_end(struct buf *tar)
{
    static const char end[2 * TAR_BLOCK];
    tar_put(tar, end, sizeof end);
}

/* The bundle of these files: names and contents by turns, NULL at the end. */
static inline struct bundle *tar_bundle(const char *const *files)
{
    struct limits limits;
    struct buf tar, out;
    struct bundle *b = NULL;
    struct err e;
    uint32_t count;
    char name[32];
    limits_init(&limits, false);
    buf_init(&tar, 1 << 24);
    buf_init(&out, 1 << 24);
    for (; files[0]; files += 2)
        tar_add(&tar, '0', files[0], slice_str(files[1]));
    tar_end(&tar);
    int fd = memfd_create("bundle", MFD_CLOEXEC);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (bundle_make(buf_slice(&tar), &limits, &out, &count, &e) ||
        write(fd, buf_data(&out), buf_size(&out)) != (ssize_t)buf_size(&out) ||
        bundle_open(name, &b, &e)) {
        fprintf(stderr, "bundle: %s\n", e.text);
        abort();
    }
    close(fd);
    buf_done(&tar);
    buf_done(&out);
    return b;
}
