#include "cli/upload.h"

#include "base/buf.h"
#include "base/limits.h"
#include "cli/files.h"
#include "module/bundle.h"

#include <sys/stat.h>
#include <unistd.h>

/* What a file is that is no core module, by its first bytes; NULL: let the server judge. */
static const char *mistaken_for(struct slice head)
{
    static const struct {
        struct slice start;
        const char *what;
    } kinds[] = {
        {{"\0asm\x0d\0\1\0", 8},
         "a WebAssembly component, and only core modules run here: build for "
         "wasip1 instead of wasip2, or without the component step"},
        {{"\0asm\1\0\0\0", 8}, NULL},
        {{"\0asm", 4}, "a WebAssembly module of another version than 1"},
        {{"\x7f"
          "ELF",
          4},
         "a program for this machine: build it for WebAssembly (for example "
         "GOOS=wasip1 GOARCH=wasm go build)"},
        {{"PK\3\4", 4}, "a zip archive: give the .wasm file in it"},
        {{"\x1f\x8b", 2}, "compressed: unpack it first"},
        {{"{", 1}, "JSON: give the .wasm file that your build makes"},
        {{"[", 1}, "JSON: give the .wasm file that your build makes"},
        {{"(", 1}, "WebAssembly text: turn it into a module with `wat2wasm FILE.wat -o FILE.wasm`"},
        {{"#!", 2}, "a script: only WebAssembly modules run here"},
        {{"", 0}, "not a WebAssembly module (those begin with \\0asm)"},
    };
    if (head.n == 0)
        return "empty";
    while (head.n && (*head.p == ' ' || *head.p == '\t' || *head.p == '\n' || *head.p == '\r'))
        head = slice_from(head, 1);
    for (size_t i = 0;; i++)
        if (slice_starts(head, kinds[i].start))
            return kinds[i].what;
}

static enum err_code judge_module(const char *file, int fd, struct err *e)
{
    struct stat st;
    char head[64];
    if (fstat(fd, &st))
        return err_errno(e, "can't read %s", file);
    if (!S_ISREG(st.st_mode))
        return ERR_OK;
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n < 0)
        return err_errno(e, "can't read %s", file);
    const char *what = mistaken_for(slice_make(head, (size_t)n));
    return what ? err_set(e, ERR_NOT_A_MODULE, "%s is %s", file, what) : ERR_OK;
}

enum err_code upload_open_module(const char *file, int *ret_fd, struct err *e)
{
    if (strcmp(file, "-") == 0) {
        *ret_fd = STDIN_FILENO;
        return ERR_OK;
    }
    int fd;
    enum err_code rc = file_open(file, &fd, e);
    if (rc)
        return rc;
    rc = judge_module(file, fd, e);
    if (rc)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

static enum err_code digest_of(int fd, char ret_digest[DIGEST_TEXT + 1], struct err *e)
{
    uint8_t digest[DIGEST_BYTES];
    uint64_t size;
    enum err_code rc = blob_hash(fd, digest, &size, e);
    if (rc == ERR_OK)
        digest_text(digest, ret_digest);
    return rc;
}

enum err_code upload_open_assets(const char *folder, int *ret_fd, char ret_digest[DIGEST_TEXT + 1],
                                 struct err *e)
{
    struct limits most;
    struct buf tar, bundle;
    uint32_t files;
    limits_init(&most, true);
    size_t room = most.v[LIMIT_ASSETS] + most.v[LIMIT_ASSET_FILES] * 4096;
    buf_init(&tar, room);
    buf_init(&bundle, room);
    int fd = -1, made = -1;
    enum err_code rc = bundle_pack(folder, &most, &tar, e);
    if (rc == ERR_OK)
        rc = bundle_make(buf_slice(&tar), &most, &bundle, &files, e);
    if (rc == ERR_OK)
        rc = file_of(buf_slice(&bundle), &made, e);
    if (rc == ERR_OK)
        rc = file_of(buf_slice(&tar), &fd, e);
    if (rc == ERR_OK)
        rc = digest_of(made, ret_digest, e);
    buf_done(&tar);
    buf_done(&bundle);
    if (made >= 0)
        close(made);
    if (rc == ERR_OK)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return rc;
}

enum err_code upload_digest(int fd, char ret_digest[DIGEST_TEXT + 1], struct err *e)
{
    struct stat st;
    *ret_digest = '\0';
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? digest_of(fd, ret_digest, e) : ERR_OK;
}

enum err_code upload_store(struct client *c, const char *path, const char *type, const char *label,
                           int fd, json_t **ret_stored, struct err *e)
{
    const char *slash = strrchr(label, '/');
    return client_call(c,
                       &(struct client_request){.method = "POST",
                                                .path = path,
                                                .content_type = type,
                                                .fd = fd,
                                                .progress = slash && slash[1] ? slash + 1 : label,
                                                .progress_then = "compiling"},
                       ret_stored, NULL, e);
}
