/* Files from elsewhere that the operator's commands read: projects, backups, secrets. Whatever is
 * wrong with one is found before anything is done with it, and said. */
#include "cli/backup_file.h"
#include "cli/project_file.h"
#include "cli/secrets_file.h"
#include "ipc/spec.h"

#include "tar_build.h"
#include "test.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err e;
static struct buf tar;

static void begin(void)
{
    buf_done(&tar);
    buf_init(&tar, 1 << 26);
    e = (struct err){0};
}

static void digest_of(struct slice s, char out[DIGEST_TEXT + 1])
{
    uint8_t hash[DIGEST_BYTES];
    crypto_hash_sha256(hash, (const unsigned char *)s.p, s.n);
    digest_text(hash, out);
}

/* Did it fail, with this in what it says, in words that can be printed? */
static bool refused(enum err_code rc, enum err_code want, const char *text)
{
    bool right =
        rc == want && e.code == want && strstr(e.text, text) && utf8_valid(slice_str(e.text));
    if (!right)
        fprintf(stderr, "got %s: %s; want %s: %s\n", err_slug(rc), e.text, err_slug(want), text);
    return right;
}

/* ---- projects ---- */

#define SETTINGS                                                                                   \
    "\"response\":\"cgi\",\"check\":\"GET "                                                        \
    "/\",\"env\":{},\"limits\":{},\"policy\":null,\"assets\":null,"                                \
    "\"timing\":false,\"secrets\":[],\"preview\":\"members\",\"capture\":\"none\""
#define VERSION(number) "{\"number\":" number ",\"digest\":\"%s\",\"disabled\":false," SETTINGS "}"
#define FUNCTION(name, live, split, versions)                                                      \
    "{\"name\":\"" name "\",\"live\":" live ",\"split\":" split ",\"versions\":[" versions "]}"
#define PROJECT(functions) "{\"format\":1,\"project\":\"p\",\"functions\":[" functions "]}"

static const char module_bytes[] = "the module";

/* An archive with this project.json, in which each %s is the module's digest, and the module. */
static void project(const char *json)
{
    char digest[DIGEST_TEXT + 1], name[128], text[16 << 10];
    size_t n = 0;
    begin();
    digest_of(slice_str(module_bytes), digest);
    for (const char *p = json; *p && n + DIGEST_TEXT < sizeof text; p++)
        if (strncmp(p, "%s", 2) == 0) {
            memcpy(text + n, digest, DIGEST_TEXT);
            n += DIGEST_TEXT;
            p++;
        } else {
            text[n++] = *p;
        }
    snprintf(name, sizeof name, "modules/%s", digest);
    tar_add(&tar, '0', "project.json", slice_make(text, n));
    tar_add(&tar, '0', name, slice_str(module_bytes));
}

static enum err_code read_project(void)
{
    struct project_file *f = NULL;
    enum err_code rc = project_file_read(buf_slice(&tar), &f, &e);
    project_file_close(f);
    return rc;
}

static enum err_code ended(void)
{
    tar_end(&tar);
    return read_project();
}

TEST(a_project_that_is_one)
{
    struct project_file *f = NULL;
    char digest[DIGEST_TEXT + 1];
    project(PROJECT(FUNCTION("one", "2", "{\"1\":50,\"2\":50}", VERSION("1") "," VERSION("2"))));
    tar_end(&tar);
    CHECK(project_file_read(buf_slice(&tar), &f, &e) == ERR_OK);
    digest_of(slice_str(module_bytes), digest);
    CHECK(f && slice_eq(project_file_blob(f, false, digest), slice_str(module_bytes)));
    CHECK(f && !project_file_blob(f, true, digest).p && !project_file_blob(f, false, "x").p);
    project_file_close(f);
    project(PROJECT(""));
    CHECK(ended() == ERR_OK);
    project(PROJECT(FUNCTION("reserved-name", "null", "null", "")));
    CHECK(ended() == ERR_OK);
}

TEST(what_a_project_may_not_say)
{
    static const struct {
        const char *json, *says;
        enum err_code rc;
    } cases[] = {
        {"{\"format\":2,\"project\":\"p\",\"functions\":[]}", "another format", ERR_CONFLICT},
        {"{\"format\":\"1\",\"project\":\"p\",\"functions\":[]}", "another format", ERR_CONFLICT},
        {"{\"format\":1,\"format\":1,\"project\":\"p\",\"functions\":[]}", "not readable", 0},
        {"[1]", "not readable", 0},
        {"{\"format\":1,\"project\":\"p\\u0000q\",\"functions\":[]}", "not readable", 0},
        {"{\"format\":1,\"project\":\"\xff\",\"functions\":[]}", "not readable", 0},
        {"{\"format\":1,\"project\":\"p\",\"functions\":{}}", "describes no project", 0},
        {"{\"format\":1,\"project\":7,\"functions\":[]}", "describes no project", 0},
        {"{\"format\":1,\"project\":\"p\",\"functions\":[],\"plan\":1}", "describes no project", 0},
        {PROJECT("7"), "describes no project", 0},
        {PROJECT("{\"name\":\"a\",\"live\":1,\"versions\":[]}"), "describes no project", 0},
        {PROJECT(FUNCTION("a", "null", "null", "7")), "not in order", 0},
        {PROJECT(FUNCTION("../a", "null", "null", "")), "of the name", 0},
        {PROJECT(FUNCTION("admin", "null", "null", "")), "reserved", 0},
        {PROJECT(FUNCTION("\\u001b[2J", "null", "null", "")), "of the name", 0},
        {PROJECT(FUNCTION("a", "null", "null", "") "," FUNCTION("a", "null", "null", "")), "twice",
         0},
        {PROJECT(FUNCTION("a", "1", "null", "")), "no version of it", 0},
        {PROJECT(FUNCTION("a", "2", "null", VERSION("1"))), "no version of it", 0},
        {PROJECT(FUNCTION("a", "\"1\"", "null", VERSION("1"))), "no version of it", 0},
        {PROJECT(FUNCTION("a", "null", "{\"1\":100}", VERSION("1"))), "no version of it", 0},
        {PROJECT(FUNCTION("a", "1", "{\"1\":50,\"3\":50}", VERSION("1"))), "no version of it", 0},
        {PROJECT(FUNCTION("a", "1", "{\"1\":5000}", VERSION("1"))), "no version of it", 0},
        {PROJECT(FUNCTION("a", "1", "7", VERSION("1"))), "no version of it", 0},
        {PROJECT(FUNCTION("a", "1", "null", VERSION("2") "," VERSION("1"))), "not in order", 0},
        {PROJECT(FUNCTION("a", "1", "null", VERSION("1") "," VERSION("1"))), "not in order", 0},
        {PROJECT(FUNCTION("a", "0", "null", VERSION("0"))), "not in order", 0},
        {PROJECT(FUNCTION("a", "1", "null", VERSION("-1"))), "not in order", 0},
        {PROJECT(FUNCTION("a", "1", "null", VERSION("1.5"))), "not in order", 0},
        {PROJECT(FUNCTION("a", "1", "null", VERSION("2147483648"))), "number", 0},
        {PROJECT(FUNCTION("a", "1", "null", VERSION("1, \"schedule\":\"daily\""))), "schedule", 0},
        {PROJECT(FUNCTION("a", "1", "null", "{\"number\":1,\"digest\":\"%s\"," SETTINGS "}")),
         "disabled", 0},
        {PROJECT(FUNCTION("a", "1", "null",
                          "{\"number\":1,\"digest\":\"%s\",\"disabled\":false,\"env\":{}}")),
         "is missing", 0},
        {PROJECT(FUNCTION("a", "1", "null",
                          "{\"number\":1,\"digest\":\"ab\",\"disabled\":false," SETTINGS "}")),
         "digest", 0},
        {PROJECT(FUNCTION("a", "1", "null",
                          "{\"number\":1,\"digest\":"
                          "\"0000000000000000000000000000000000000000000000000000000000000000\","
                          "\"disabled\":false," SETTINGS "}")),
         "lacks the module", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        project(cases[i].json);
        CHECK(refused(ended(), cases[i].rc ? cases[i].rc : ERR_DAMAGED, cases[i].says));
    }
}

TEST(entries_that_a_project_does_not_have)
{
    static const struct {
        char type;
        const char *name, *content, *says;
    } cases[] = {
        {'0', "../x", "", "none of a project"},
        {'0', "/etc/passwd", "", "none of a project"},
        {'0', "modules/../../x", "", "blob of the name"},
        {'0', "modules/", "", "none of a project"},
        {'5', "modules/", "", "none of a project"},
        {'0', "modules/ab", "x", "blob of the name"},
        {'0', "modules/\xff\x1b[2J", "x", "blob of the name"},
        {'0', "project.json", "{}", "none of a project"},
        {'0', "keys/secrets", "x", "none of a project"},
        {'0', "assets/0000000000000000000000000000000000000000000000000000000000000000", "x",
         "not those of"},
        {'0', "modules/E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", "",
         "blob of the name"},
        {'1', "modules/x", "", "a hard link"},
        {'2', "project.json", "", "a symbolic link"},
        {'3', "modules/x", "", "a device"},
        {'6', "modules/x", "", "a pipe"},
        {'S', "modules/x", "", "a sparse file"},
        {'Z', "modules/x", "", "not known"},
    };
    char name[128], digest[DIGEST_TEXT + 1];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        project(PROJECT(""));
        tar_add(&tar, cases[i].type, cases[i].name, slice_str(cases[i].content));
        CHECK(refused(ended(), ERR_DAMAGED, cases[i].says));
    }
    project(PROJECT(""));
    digest_of(slice_str(module_bytes), digest);
    snprintf(name, sizeof name, "modules/%s", digest);
    tar_add(&tar, '0', name, slice_str(module_bytes));
    CHECK(refused(ended(), ERR_DAMAGED, "twice"));
    begin();
    tar_add(&tar, '0', name, slice_str(module_bytes));
    CHECK(refused(ended(), ERR_DAMAGED, "none of a project"));
    begin();
    CHECK(refused(ended(), ERR_DAMAGED, ""));
}

/* A header's size that says more than there is, up to what overflows. */
TEST(sizes_that_lie)
{
    static const char *const sizes[] = {"00000001000",
                                        "77777777777",
                                        "7777777777777",
                                        "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
                                        "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
                                        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                                        "-1"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *p;
        unsigned sum = 0;
        project(PROJECT(""));
        tar_end(&tar);
        p = buf_data(&tar);
        memset(p + 124, 0, 12);
        memcpy(p + 124, sizes[i], (unsigned char)sizes[i][0] & 0x80 ? 12 : strnlen(sizes[i], 12));
        memset(p + 148, ' ', 8);
        for (int j = 0; j < 512; j++)
            sum += (uint8_t)p[j];
        snprintf(p + 148, 8, "%06o", sum);
        CHECK(refused(read_project(), ERR_DAMAGED, ""));
    }
}

TEST(a_project_cut_anywhere)
{
    project(PROJECT(FUNCTION("one", "1", "null", VERSION("1"))));
    tar_end(&tar);
    struct slice whole = buf_slice(&tar);
    struct project_file *f = NULL;
    for (size_t n = 0; n < whole.n; n++) {
        /* One block of zeros is an end, too. */
        bool enough = n == whole.n - 512;
        char *part = malloc(n + 1); /* what is read too far is found by the sanitizer */
        memcpy(part, whole.p, n);
        enum err_code rc = project_file_read(slice_make(part, n), &f, &e);
        CHECK(rc == ERR_DAMAGED || (rc == ERR_OK && (enough || n > whole.n - 512)));
        if (rc == ERR_OK)
            project_file_close(f);
        free(part);
    }
    for (size_t i = 0; i < whole.n - 1024; i++) { /* a bit flipped anywhere */
        buf_data(&tar)[i] ^= 1;
        if (project_file_read(whole, &f, &e) == ERR_OK)
            project_file_close(f);
        else
            CHECK(e.text[0]);
        buf_data(&tar)[i] ^= 1;
    }
}

/* ---- backups ---- */

static char folder[64];
static int folder_fd;

static int files_in(const char *path)
{
    char command[160], answer[16] = "";
    snprintf(command, sizeof command, "find %s -mindepth 1 | wc -l", path);
    FILE *p = popen(command, "r");
    if (!p || !fgets(answer, sizeof answer, p))
        answer[0] = '\0';
    if (p)
        pclose(p);
    return atoi(answer);
}

/* Unpacks the archive into the folder, and then removes what it made. */
static enum err_code unpacked(void)
{
    struct backup_facts facts;
    char path[64];
    int fd = memfd_create("backup", MFD_CLOEXEC);
    struct slice s = buf_slice(&tar);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, s.p, s.n) != (ssize_t)s.n)
        return ERR_INTERNAL;
    enum err_code rc = backup_unpack(path, folder_fd, folder, &facts, &e);
    backup_unpack_remove(folder_fd);
    close(fd);
    return rc;
}

TEST(what_is_no_backup)
{
    static const struct {
        char type;
        const char *name, *content, *says;
    } cases[] = {
        {'0', "../x", "x", "none of a backup"},
        {'0', "/x", "x", "none of a backup"},
        {'0', "db.sqlite/../../x", "x", "none of a backup"},
        {'0', "blobs/../x", "x", "none of a backup"},
        {'0', "blobs/\xff", "x", "none of a backup"},
        {'0', "blobs/0000000000000000000000000000000000000000000000000000000000000000", "x",
         "another hash"},
        {'0', "keys/../x", "x", "none of a backup"},
        {'0', "keys/other", "x", "none of a backup"},
        {'0', "keys/node", "x", "is none"},
        {'0', "db.sqlite", "x", "another order"},
        {'0', "manifest.json", "{", "not readable"},
        {'0', "manifest.json", "{}", "another format"},
        {'0', "manifest.json", "{\"format\":2}", "another format"},
        {'0', "manifest.json", "{\"format\":1}", "another hash"},
        {'0', "manifest.json", "{\"failed\":\"the disk\",\"format\":1}", "not completed: the disk"},
        {'5', "blobs", "", "none of a backup"},
        {'1', "blobs/x", "", "a hard link"},
        {'2', "db.sqlite", "", "a symbolic link"},
        {'4', "keys/node", "", "a device"},
    };
    snprintf(folder, sizeof folder, "/tmp/archive-test-XXXXXX");
    CHECK(mkdtemp(folder));
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin();
        tar_add(&tar, '0', "db.sqlite", SLICE("no database"));
        tar_add(&tar, cases[i].type, cases[i].name, slice_str(cases[i].content));
        tar_end(&tar);
        enum err_code want = strstr(cases[i].says, "format") ? ERR_CONFLICT : ERR_DAMAGED;
        CHECK(refused(unpacked(), want, cases[i].says));
        CHECK(files_in(folder) == 0);
    }
    begin();
    tar_add(&tar, '0', "db.sqlite", SLICE("no database"));
    tar_end(&tar);
    CHECK(refused(unpacked(), ERR_DAMAGED, "no manifest"));
    begin();
    tar_add(&tar, '0', "manifest.json", SLICE("{}"));
    tar_end(&tar);
    CHECK(refused(unpacked(), ERR_DAMAGED, "another order"));
    close(folder_fd);
    CHECK(rmdir(folder) == 0);
}

/* ---- secrets ---- */

TEST(lines_of_secrets)
{
    struct secrets_file f = {.count = 0};
    struct slice text = SLICE("# of the shop\n\n  \n KEY = two words \r\nB=a=b==\nC_9=\"x\"");
    CHECK(secrets_parse(text, "f", &f, &e) == ERR_OK && f.count == 3);
    CHECK(slice_eq(secrets_find(&f, "KEY")->value, SLICE(" two words ")));
    CHECK(slice_eq(secrets_find(&f, "B")->value, SLICE("a=b==")));
    CHECK(slice_eq(secrets_find(&f, "C_9")->value, SLICE("\"x\"")));
    CHECK(!secrets_find(&f, "C"));
    secrets_done(&f);
    CHECK(secrets_parse(SLICE(""), "f", &f, &e) == ERR_OK && f.count == 0);
    secrets_done(&f);
}

TEST(lines_that_are_none)
{
    static const struct {
        struct slice text;
        const char *says;
    } cases[] = {
        {SLICE("A=1\n\nhunter2\n"), "f: line 3 is not NAME=VALUE"},
        {SLICE("=hunter2"), "line 1 has a name that is none"},
        {SLICE("9A=hunter2"), "line 1 has a name"},
        {SLICE("export A=hunter2"), "nothing stands before it"},
        {SLICE("\xef\xbb\xbf"
               "A=hunter2"),
         "line 1 has a name"},
        {SLICE("A\0B=hunter2"), "line 1 has a name"},
        {SLICE("A="), "no value"},
        {SLICE("A=\r\n"), "no value"},
        {SLICE("A=hunter2\0"), "has a NUL"},
        {SLICE("A=hunter2\xff"), "not UTF-8"},
        {SLICE("A=1\nB=2\n A =hunter2"), "line 3 has a name that was there already"},
    };
    struct secrets_file f = {.count = 0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(refused(secrets_parse(cases[i].text, "f", &f, &e), ERR_INVALID, cases[i].says));
        CHECK(!strstr(e.text, "hunter2") && !f.lines);
    }
    begin();
    CHECK(buf_addf(&tar, "A=%05120d", 7));
    CHECK(refused(secrets_parse(buf_slice(&tar), "f", &f, &e), ERR_INVALID, "5 KiB"));
    begin();
    for (int i = 0; i <= SECRETS_MOST; i++)
        CHECK(buf_addf(&tar, "A%d=x\n", i));
    CHECK(refused(secrets_parse(buf_slice(&tar), "f", &f, &e), ERR_INVALID, "line 1001"));
}

TEST(files_of_secrets)
{
    struct secrets_file f = {.count = 0};
    char path[] = "/tmp/secrets-test-XXXXXX";
    int fd = mkstemp(path), line[2];
    CHECK(fd >= 0 && write(fd, "A=1\n", 4) == 4);
    CHECK(secrets_read(path, true, &f, &e) == ERR_OK && f.count == 1);
    secrets_done(&f);
    static const mode_t open_modes[] = {0644, 0640, 0604, 0620, 0601};
    for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
        fchmod(fd, open_modes[i]);
        CHECK(refused(secrets_read(path, true, &f, &e), ERR_FORBIDDEN, "chmod 600"));
    }
    CHECK(secrets_read(path, false, &f, &e) == ERR_OK);
    secrets_done(&f);
    fchmod(fd, 0600);
    CHECK(ftruncate(fd, SECRETS_FILE_MOST + 1) == 0);
    CHECK(refused(secrets_read(path, true, &f, &e), ERR_TOO_LARGE, "1048576"));
    CHECK(unlink(path) == 0);
    CHECK(refused(secrets_read(path, true, &f, &e), ERR_NOT_FOUND, "no file"));
    CHECK(refused(secrets_read("/tmp", false, &f, &e), ERR_INVALID, "a folder"));
    CHECK(pipe2(line, O_CLOEXEC) == 0 && write(line[1], "B=2", 3) == 3);
    close(line[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", line[0]);
    CHECK(secrets_read(path, true, &f, &e) == ERR_OK && secrets_find(&f, "B"));
    secrets_done(&f);
    close(line[0]);
    close(fd);
}

TEST_MAIN(CASE(a_project_that_is_one), CASE(what_a_project_may_not_say),
          CASE(entries_that_a_project_does_not_have), CASE(sizes_that_lie),
          CASE(a_project_cut_anywhere), CASE(what_is_no_backup), CASE(lines_of_secrets),
          CASE(lines_that_are_none), CASE(files_of_secrets))
