/* Backups: the input is an archive, and after that the database of one that fits in all else.
 *
 * Whatever it is, it is unpacked into its folder or refused in words; outside of the folder nothing
 * changes, and inside it nothing stays but what belongs to a backup. */
#include "fuzz.h"

#include "cli/backup_file.h"
#include "fuzz_tar.h"
#include "ipc/spec.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char outer[64], folder[80];
static int outer_fd, folder_fd, file_fd;
static char file[32];

static void prepare(void)
{
    snprintf(outer, sizeof outer, "/dev/shm/fuzz-backup-XXXXXX");
    MUST(mkdtemp(outer) ||
         (snprintf(outer, sizeof outer, "/tmp/fuzz-backup-XXXXXX"), mkdtemp(outer)));
    snprintf(folder, sizeof folder, "%s/inner", outer);
    MUST(mkdir(folder, 0700) == 0);
    outer_fd = open(outer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    file_fd = memfd_create("backup", MFD_CLOEXEC);
    MUST(outer_fd >= 0 && folder_fd >= 0 && file_fd >= 0);
    snprintf(file, sizeof file, "/proc/self/fd/%d", file_fd);
}

static void clean_up(void)
{
    rmdir(folder);
    rmdir(outer);
}

static int entries(int fd)
{
    int n = 0, again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fdopendir(again);
    MUST(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static void look(struct slice archive)
{
    struct backup_facts facts;
    struct err e = {0};
    MUST(ftruncate(file_fd, 0) == 0 &&
         pwrite(file_fd, archive.p, archive.n, 0) == (ssize_t)archive.n);
    if (backup_unpack(file, folder_fd, folder, &facts, &e))
        MUST(e.code && e.text[0]); /* SQLite's words quote the database: any bytes */
    else
        MUST(faccessat(folder_fd, "db.sqlite", F_OK, 0) == 0);
    backup_unpack_remove(folder_fd);
    MUST(entries(folder_fd) == 0 && entries(outer_fd) == 1);
}

static void digest_of(struct slice s, char out[DIGEST_TEXT + 1])
{
    uint8_t hash[DIGEST_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)s.p, s.n);
    digest_text(hash, out);
}

FUZZ(bytes)
{
    char whole[DIGEST_TEXT + 1], one[DIGEST_TEXT + 1], blob[DIGEST_TEXT + 8], manifest[640];
    struct buf out;
    if (!file_fd) {
        prepare();
        atexit(clean_up);
    }
    buf_init(&out, 1 << 20);
    MUST(buf_add(&out, bytes.p, bytes.n));
    if (bytes.n) /* else there is no memory yet */
        fuzz_sums((uint8_t *)buf_data(&out), bytes.n);
    look(buf_slice(&out));
    buf_clear(&out);
    digest_of(bytes, whole);
    fuzz_entry(&out, "db.sqlite", bytes);
    digest_of(SLICE("module"), one);
    snprintf(blob, sizeof blob, "blobs/%s", one);
    fuzz_entry(&out, blob, SLICE("module"));
    snprintf(manifest, sizeof manifest,
             "{\"format\":1,\"database\":{\"size\":%zu,\"sha256\":\"%s\"},\"blobs\":{\"count\":1,"
             "\"bytes\":6},\"keys\":{\"included\":false,\"signing\":\"%s\",\"secrets\":\"%s\","
             "\"node\":\"%s\"},\"created_at\":\"\",\"version\":\"\",\"failed\":null}",
             bytes.n, whole, one, one, one);
    fuzz_entry(&out, "manifest.json", slice_str(manifest));
    fuzz_end(&out);
    look(buf_slice(&out));
    buf_done(&out);
}
