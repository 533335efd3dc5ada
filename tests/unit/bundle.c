/* Bundles of assets: what an archive may hold, what the bundle then says, and that damage shows. */
#include "base/crc32c.h"
#include "module/bundle.h"
#include "module/bundle_format.h"

#include "tar_build.h"
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct limits limits;
static struct err e;
static struct buf tar, out;
static char folder[64], path[96];

static void begin(void)
{
    limits_init(&limits, false);
    buf_done(&tar);
    buf_done(&out);
    buf_init(&tar, 1 << 24);
    buf_init(&out, 1 << 24);
    e = (struct err){0};
}

static void entry(char type, const char *name, const char *content)
{
    tar_add(&tar, type, name, slice_str(content));
}

static enum err_code made(void)
{
    uint32_t files;
    tar_end(&tar);
    return bundle_make(buf_slice(&tar), &limits, &out, &files, &e);
}

static void write_file(const char *name, struct slice s)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, s.p, s.n) == (ssize_t)s.n);
    close(fd);
}

static enum err_code opened(struct slice bytes, struct bundle **ret_bundle)
{
    write_file(path, bytes);
    enum err_code rc = bundle_open(path, ret_bundle, &e);
    unlink(path);
    return rc;
}

static const char *content(const struct bundle *b, const char *name)
{
    static char text[200];
    struct bundle_entry found;
    if (!bundle_find(b, slice_str(name), &found))
        return "(none)";
    if (found.folder)
        return "(folder)";
    CHECK(slice_copy(found.content, text, sizeof text));
    return text;
}

TEST(tree)
{
    struct bundle *b;
    struct bundle_entry found;
    begin();
    entry('5', "./", "");
    entry('0', "./index.html", "<p>");
    entry('5', "./a/", "");
    entry('0', "./a-b/x", "1"); /* '-' sorts before '/' */
    entry('0', "./a/x", "2");
    entry('0', "./a/deep/er/y.txt", "3");
    entry('\0', "old/", "");
    entry('0', "empty", "");
    CHECK(made() == ERR_OK);
    CHECK(opened(buf_slice(&out), &b) == ERR_OK);
    CHECK_STR(content(b, "index.html"), "<p>");
    CHECK_STR(content(b, "a-b/x"), "1");
    CHECK_STR(content(b, "a/x"), "2");
    CHECK_STR(content(b, "a/deep/er/y.txt"), "3");
    CHECK_STR(content(b, "empty"), "");
    CHECK_STR(content(b, ""), "(folder)");
    CHECK_STR(content(b, "a/deep"), "(folder)");
    CHECK_STR(content(b, "old"), "(folder)");
    CHECK_STR(content(b, "a/"), "(none)");
    CHECK_STR(content(b, "nothing"), "(none)");
    CHECK_STR(content(b, "index.html/x"), "(none)");
    static const char *const names[] = {"a", "a-b", "empty", "index.html", "old"};
    for (uint32_t i = 0; i < 5; i++)
        CHECK(bundle_list(b, 0, i, &found) && slice_eq(found.name, slice_str(names[i])));
    CHECK(!bundle_list(b, 0, 5, &found));
    CHECK(bundle_find(b, SLICE("index.html"), &found) && !bundle_list(b, found.index, 0, &found));
    CHECK(!bundle_list(b, UINT32_MAX, 0, &found));
    bundle_close(b);
    bundle_close(NULL);
}

/* The order and form of the archive don't matter. */
TEST(same)
{
    struct buf first;
    begin();
    entry('0', "b/c", "1");
    entry('0', "a", "2");
    CHECK(made() == ERR_OK);
    first = out;
    out = (struct buf){0};
    begin();
    entry('5', "b", "");
    entry('x', "", "17 mtime=1.23456\n");
    entry('0', "./a", "2");
    entry('L', "././@LongLink", "b//./c");
    entry('7', "whatever", "1");
    CHECK(made() == ERR_OK);
    CHECK(slice_eq(buf_slice(&first), buf_slice(&out)));
    buf_done(&first);
}

TEST(long_names)
{
    char name[1100], record[1200];
    struct bundle *b;
    begin();
    memset(name, 'n', sizeof name);
    for (int i = 200; i < 1024; i += 200)
        name[i] = '/';
    name[1024] = '\0';
    snprintf(record, sizeof record, "%d path=%s\n", 1024 + 11, name);
    entry('x', "", record);
    entry('0', "short", "found");
    CHECK(made() == ERR_OK);
    CHECK(opened(buf_slice(&out), &b) == ERR_OK);
    CHECK_STR(content(b, name), "found");
    bundle_close(b);

    begin();
    snprintf(record, sizeof record, "%d path=%sx\n", 1025 + 11, name);
    entry('x', "", record);
    entry('0', "short", "");
    CHECK(made() == ERR_INVALID && strstr(e.text, "1024"));
}

TEST(refused)
{
    static const struct {
        char type;
        const char *name, *part;
    } rows[] = {{'0', "/etc/passwd", "absolute"},
                {'0', "../x", "\"..\""},
                {'0', "a/../x", "\"..\""},
                {'5', "a/..", "\"..\""},
                {'0', "a\xff", "UTF-8"},
                {'0', "", "without a name"},
                {'0', ".", "without a name"},
                {'1', "x", "hard link"},
                {'2', "x", "symbolic link"},
                {'3', "x", "a device"},
                {'4', "x", "a device"},
                {'6', "x", "a pipe"},
                {'S', "x", "sparse"},
                {'K', "x", "not known"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin();
        entry('0', "before", "1");
        entry(rows[i].type, rows[i].name, "");
        CHECK(made() == ERR_INVALID);
        CHECK(strstr(e.text, rows[i].part) != NULL);
    }
    static const char *const twice[][2] = {{"a", "a"}, {"a", "./a"}, {"a/b", "a"}, {"a", "a/b"}};
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
        begin();
        entry('0', twice[i][0], "1");
        entry('0', twice[i][1], "1");
        CHECK(made() == ERR_INVALID);
    }
    static const char *const records[] = {"12 path=a\n",
                                          "4 a=\n",
                                          "x",
                                          "10 path=a",
                                          "0 path=a\n",
                                          "99999999999999999999 path=a\n",
                                          "11 size=zz\n",
                                          "24 GNU.sparse.major=1 0\n"};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        begin();
        entry('x', "", records[i]);
        entry('0', "a", "");
        CHECK(made() == ERR_INVALID);
    }
    begin();
    entry('g', "", "10 path=a\n");
    entry('0', "b", "");
    CHECK(made() == ERR_INVALID);
    begin();
    entry('x', "", "10 path=a\n");
    CHECK(made() == ERR_INVALID);
    static const char nul[] = "11 path=a\0\n";
    begin();
    entry('x', "", "12345678901");
    memcpy(tar.p + TAR_BLOCK, nul, 11);
    entry('0', "b", "");
    CHECK(made() == ERR_INVALID && strstr(e.text, "NUL"));
}

TEST(damaged_archives)
{
    uint32_t files;
    begin();
    entry('0', "a", "content");
    entry('0', "b", "content");
    CHECK(made() == ERR_OK);
    struct slice whole = buf_slice(&tar);
    for (size_t n = 0; n < 4 * TAR_BLOCK; n += 64) { /* cut short */
        buf_clear(&out);
        CHECK(bundle_make(slice_make(whole.p, n), &limits, &out, &files, &e) == ERR_INVALID);
    }
    for (size_t i = 0; i < TAR_BLOCK; i++) { /* the sum covers each byte of a header */
        tar.p[i] ^= 0x40;
        buf_clear(&out);
        CHECK(bundle_make(whole, &limits, &out, &files, &e) == ERR_INVALID);
        tar.p[i] ^= 0x40;
    }
    CHECK(buf_add(&tar, "more", 4));
    CHECK(bundle_make(buf_slice(&tar), &limits, &out, &files, &e) == ERR_INVALID);
    CHECK(bundle_make(SLICE(""), &limits, &out, &files, &e) == ERR_INVALID);
    CHECK(bundle_make(SLICE("\x1f\x8b\b"), &limits, &out, &files, &e) == ERR_INVALID);
    CHECK(strstr(e.text, "gzip") != NULL);
}

/* A number in GNU's binary form is longer than the field of the sum: one there is none, and what lies
 * behind the archive is not looked at. */
TEST(binary_number_for_a_sum)
{
    uint32_t files;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(two != MAP_FAILED && mprotect(two + page, page, PROT_NONE) == 0);
    char *block = two + page - TAR_BLOCK;
    block[0] = 'a';
    block[148] = (char)0x80;
    begin();
    CHECK(bundle_make(slice_make(block, TAR_BLOCK), &limits, &out, &files, &e) == ERR_INVALID);
    munmap(two, 2 * page);
}

TEST(limited)
{
    begin();
    limits.v[LIMIT_ASSETS] = 3;
    entry('0', "a", "12");
    entry('0', "b", "3");
    CHECK(made() == ERR_OK);
    begin();
    limits.v[LIMIT_ASSETS] = 3;
    entry('0', "a", "12");
    entry('0', "b", "34");
    CHECK(made() == ERR_TOO_LARGE && strstr(e.text, "\"assets\""));
    begin();
    limits.v[LIMIT_ASSET_FILES] = 3;
    entry('0', "a/b/c", "");
    CHECK(made() == ERR_OK);
    begin();
    limits.v[LIMIT_ASSET_FILES] = 3;
    entry('0', "a/b/c/d", "");
    CHECK(made() == ERR_TOO_LARGE && strstr(e.text, "\"asset-files\""));
}

/* Makes the sum of what is in `out` right again. */
static void add_sum(void)
{
    struct bundle_header h;
    memcpy(&h, out.p, sizeof h);
    h.sum = 0;
    memcpy(out.p, &h, sizeof h);
    h.sum = crc32c(0, buf_slice(&out));
    memcpy(out.p, &h, sizeof h);
}

/* Any bit that changed is found; and a head that is wrong from the start, with the right sum, is
 * refused or still has its form. */
TEST(damaged_bundles)
{
    struct bundle *b;
    struct bundle_entry found;
    begin();
    entry('0', "a/b", "content");
    entry('0', "a/c", "more");
    entry('0', "d", "more");
    CHECK(made() == ERR_OK);
    size_t head = buf_size(&out) - strlen("contentmoremore");
    unsigned refused = 0;
    for (size_t i = 0; i < head * 8; i++) {
        out.p[i / 8] ^= (char)(1 << i % 8);
        add_sum();
        if (opened(buf_slice(&out), &b) == ERR_OK) {
            for (uint32_t k = 0; bundle_list(b, 0, k, &found); k++)
                CHECK(found.index && found.content.n < 100);
            bundle_close(b);
        } else {
            CHECK(e.code == ERR_CONFLICT);
            refused++;
        }
        out.p[i / 8] ^= (char)(1 << i % 8);
    }
    CHECK(refused > head * 8 - 4 * 8 - 32); /* four bytes are names, four the sum */
    add_sum();
    for (size_t i = 0; i < buf_size(&out) * 8; i++) {
        out.p[i / 8] ^= (char)(1 << i % 8);
        CHECK(opened(buf_slice(&out), &b) == ERR_CONFLICT);
        out.p[i / 8] ^= (char)(1 << i % 8);
    }
    for (size_t n = 0; n < buf_size(&out); n++)
        CHECK(opened(slice_make(out.p, n), &b) == ERR_CONFLICT);
    CHECK(bundle_open("/nowhere/at/all", &b, &e) == ERR_NOT_FOUND);
}

static const char *in_folder(const char *name)
{
    static char text[2][256];
    static int at;
    at = !at;
    snprintf(text[at], sizeof text[at], "%s/%s", folder, name);
    return text[at];
}

TEST(packed)
{
    struct bundle *b;
    uint32_t files = 0;
    char deep[130];
    begin();
    memset(deep, 'd', sizeof deep);
    deep[129] = '\0';
    mkdir(folder, 0700);
    mkdir(in_folder("sub"), 0700);
    mkdir(in_folder("empty"), 0700);
    write_file(in_folder("index.html"), SLICE("<p>"));
    write_file(in_folder("sub/x"), SLICE("1"));
    mkdir(in_folder(deep), 0700);
    CHECK(symlink("sub/x", in_folder("link")) == 0);
    CHECK(symlink("sub", in_folder("other")) == 0);
    CHECK(bundle_pack(folder, &limits, &tar, &e) == ERR_OK);
    CHECK(bundle_make(buf_slice(&tar), &limits, &out, &files, &e) == ERR_OK && files == 4);
    CHECK(opened(buf_slice(&out), &b) == ERR_OK);
    CHECK_STR(content(b, "index.html"), "<p>");
    CHECK_STR(content(b, "link"), "1");
    CHECK_STR(content(b, "other/x"), "1");
    CHECK_STR(content(b, "empty"), "(folder)");
    CHECK_STR(content(b, deep), "(folder)");
    bundle_close(b);

    CHECK(symlink("/etc/passwd", in_folder("sub/out")) == 0);
    CHECK(bundle_pack(folder, &limits, &tar, &e) == ERR_INVALID && strstr(e.text, "out of"));
    unlink(in_folder("sub/out"));
    CHECK(symlink("../", in_folder("sub/out")) == 0);
    CHECK(bundle_pack(folder, &limits, &tar, &e) == ERR_INVALID && strstr(e.text, "above"));
    unlink(in_folder("sub/out"));
    CHECK(mkfifo(in_folder("sub/out"), 0600) == 0);
    CHECK(bundle_pack(folder, &limits, &tar, &e) == ERR_INVALID && strstr(e.text, "no file"));
    unlink(in_folder("sub/out"));
    limits.v[LIMIT_ASSETS] = 3;
    CHECK(bundle_pack(folder, &limits, &tar, &e) == ERR_TOO_LARGE);
    limits_init(&limits, false);
    limits.v[LIMIT_ASSET_FILES] = 6;
    CHECK(bundle_pack(folder, &limits, &tar, &e) == ERR_TOO_LARGE);
    CHECK(bundle_pack("/nowhere", &limits, &tar, &e) == ERR_NOT_FOUND);
    static const char *const made_here[] = {"link", "other", "index.html", "sub/x", "sub", "empty"};
    for (size_t i = 0; i < sizeof made_here / sizeof *made_here; i++)
        CHECK(remove(in_folder(made_here[i])) == 0);
    CHECK(rmdir(in_folder(deep)) == 0 && rmdir(folder) == 0);
}

int main(void)
{
    static const struct test_case cases[] = {CASE(tree),
                                             CASE(same),
                                             CASE(long_names),
                                             CASE(refused),
                                             CASE(damaged_archives),
                                             CASE(binary_number_for_a_sum),
                                             CASE(limited),
                                             CASE(damaged_bundles),
                                             CASE(packed)};
    snprintf(folder, sizeof folder, "/tmp/bundle-test-%d", (int)getpid());
    snprintf(path, sizeof path, "/tmp/bundle-test-%d.file", (int)getpid());
    int rc = test_main(cases, sizeof cases / sizeof *cases);
    buf_done(&tar);
    buf_done(&out);
    return rc;
}
