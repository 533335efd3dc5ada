#include "test.h"

#include "route/route.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint8_t key[ROUTE_KEY_BYTES] = {1, 2, 3};
static const uint8_t other_key[ROUTE_KEY_BYTES] = {9};

static int temp_folder(char path[64])
{
    snprintf(path, 64, "/tmp/route-test-XXXXXX");
    return mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static void remove_folder(int folder, const char *path)
{
    struct err e;
    CHECK(!route_table_reset(folder, &e));
    close(folder);
    CHECK(rmdir(path) == 0);
}

static struct route_row example(const char *name, uint32_t number)
{
    struct route_row row = {.function = uuid_new(),
                            .project = uuid_new(),
                            .state = ROUTE_LIVE,
                            .concurrency = 32,
                            .version_count = 1};
    snprintf(row.name, sizeof row.name, "%s", name);
    row.versions[0] = (struct route_version){
        .id = uuid_new(),
        .number = number,
        .weight = 100,
        .response = RESPONSE_TEXT,
        .load = {.kind = ENGINE_PLAIN, .env = {"SECRET\0canary-4711", 19}, .args = {"hello", 6}}};
    limits_init(&row.versions[0].load.limits, false);
    memset(row.versions[0].load.digest, (int)number, DIGEST_BYTES);
    return row;
}

TEST(a_row_survives_the_table)
{
    char path[64];
    int folder = temp_folder(path);
    struct err e;
    struct route_table *w, *r;
    CHECK(!route_table_open(folder, true, key, &w, &e));
    CHECK(!route_table_open(folder, false, key, &r, &e));
    CHECK(route_generation(r) == 0);

    struct route_row row = example("hello", 7), got = {0};
    CHECK(!route_begin(w, &e) && !route_put(w, &row, &e));
    CHECK(route_get(r, SLICE("hello"), &got, &e) == ERR_NOT_FOUND); /* not before the commit */
    CHECK(!route_commit(w, 41, &e));
    CHECK(route_generation(r) == 41);
    CHECK(!route_get(r, SLICE("hello"), &got, &e));
    CHECK_STR(got.name, "hello");
    CHECK(uuid_eq(got.function, row.function) && uuid_eq(got.project, row.project));
    CHECK(got.version_count == 1 && got.versions[0].number == 7 && got.concurrency == 32);
    CHECK(got.versions[0].response == RESPONSE_TEXT);
    CHECK(slice_eq(got.versions[0].load.env, row.versions[0].load.env));
    CHECK(slice_eq(got.versions[0].load.args, row.versions[0].load.args));
    CHECK(!memcmp(got.versions[0].load.digest, row.versions[0].load.digest, DIGEST_BYTES));
    route_row_done(&got);

    CHECK(!route_begin(w, &e) && !route_delete(w, SLICE("hello"), &e));
    CHECK(!route_delete(w, SLICE("never"), &e) && !route_commit(w, 42, &e));
    CHECK(route_get(r, SLICE("hello"), &got, &e) == ERR_NOT_FOUND);
    CHECK(route_commit(w, 43, &e) && route_generation(r) == 42);

    char long_name[60];
    memset(long_name, 'a', sizeof long_name);
    CHECK(route_get(r, slice_make(long_name, 60), &got, &e) == ERR_NOT_FOUND);
    CHECK(route_get(r, SLICE(""), &got, &e) == ERR_NOT_FOUND);
    route_table_close(r);
    route_table_close(w);
    remove_folder(folder, path);
}

TEST(environments_are_sealed_on_disk)
{
    char path[64], file[96];
    int folder = temp_folder(path);
    struct err e;
    struct route_table *w, *r;
    struct route_row row = example("sealed", 1), got;
    CHECK(!route_table_open(folder, true, key, &w, &e));
    CHECK(!route_begin(w, &e) && !route_put(w, &row, &e) && !route_commit(w, 1, &e));
    snprintf(file, sizeof file, "%s/routes.mdb", path);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    CHECK(fstat(fd, &st) == 0 && st.st_size > 0);
    char *bytes = malloc((size_t)st.st_size);
    CHECK(read(fd, bytes, (size_t)st.st_size) == st.st_size);
    CHECK(memmem(bytes, (size_t)st.st_size, "sealed", 6) != NULL);
    CHECK(memmem(bytes, (size_t)st.st_size, "canary", 6) == NULL);
    free(bytes);
    close(fd);
    CHECK(!route_table_open(folder, false, other_key, &r, &e));
    CHECK(route_get(r, SLICE("sealed"), &got, &e) == ERR_CONFLICT && strstr(e.text, "seal"));
    route_table_close(r);
    route_table_close(w);
    remove_folder(folder, path);
}

TEST(previews_lie_beside_their_function)
{
    char path[64], name[ROUTE_KEY_NAME + 1];
    static const uint8_t public[ROUTE_PUBLIC_BYTES] = {7, 8};
    uint8_t read[ROUTE_PUBLIC_BYTES];
    int folder = temp_folder(path);
    struct err e;
    struct route_table *w;
    struct route_row got;
    CHECK(!route_table_open(folder, true, key, &w, &e));
    route_public_key_set(w, public);
    CHECK(!route_begin(w, &e));
    static const char *const names[] = {"a", "a-b", "ab"};
    for (int i = 0; i < 3; i++)
        for (uint32_t number = 0; number < 30; number += 10) {
            struct route_row row = example(names[i], number + 1);
            row.preview = number;
            row.open = number == 10;
            row.until_ms = number;
            CHECK(!route_put(w, &row, &e));
        }
    CHECK(!route_commit(w, 1, &e));
    route_public_key(w, read);
    CHECK(memcmp(read, public, sizeof read) == 0);
    CHECK(!route_get(w, SLICE("a--20"), &got, &e));
    CHECK(got.preview == 20 && !got.open && got.until_ms == 20 && got.versions[0].number == 21);
    CHECK_STR(got.name, "a");
    route_row_done(&got);
    CHECK(!route_begin(w, &e) && !route_delete_previews(w, "a", &e));
    CHECK(!route_delete_previews(w, "none", &e) && !route_commit(w, 2, &e));
    for (int i = 0; i < 3; i++)
        for (uint32_t number = 0; number < 30; number += 10) {
            bool gone = i == 0 && number;
            route_key_name(names[i], number, name);
            CHECK(route_get(w, slice_str(name), &got, &e) == (gone ? ERR_NOT_FOUND : ERR_OK));
            if (!gone)
                route_row_done(&got);
        }
    route_table_close(w);
    remove_folder(folder, path);
}

TEST(a_split_keeps_its_versions_apart)
{
    struct buf b;
    struct err e;
    struct route_row row = example("split", 1), got;
    row.version_count = ROUTE_VERSIONS;
    for (uint32_t i = 1; i < ROUTE_VERSIONS; i++) {
        row.versions[i] = row.versions[0];
        row.versions[i].number = i + 1;
        row.versions[i].weight = 10 * i;
        row.versions[i].load.env = slice_make("A\0"
                                              "1\0B\0"
                                              "2\0C\0"
                                              "3",
                                              4 * i);
    }
    buf_init(&b, 1 << 20);
    CHECK(route_row_write(&row, key, &b));
    CHECK(!route_row_read(buf_slice(&b), key, &got, &e));
    CHECK(got.version_count == ROUTE_VERSIONS);
    for (uint32_t i = 0; i < ROUTE_VERSIONS; i++) {
        CHECK(got.versions[i].number == i + 1 && got.versions[i].weight == row.versions[i].weight);
        CHECK(slice_eq(got.versions[i].load.env, row.versions[i].load.env));
    }
    route_row_done(&got);
    buf_done(&b);
}

TEST(every_damaged_byte_of_a_row_is_noticed)
{
    struct buf b;
    struct err e;
    struct route_row row = example("damaged", 3), got;
    buf_init(&b, 1 << 20);
    CHECK(route_row_write(&row, NULL, &b));
    CHECK(!route_row_read(buf_slice(&b), NULL, &got, &e));
    route_row_done(&got);
    for (size_t i = 0; i < buf_size(&b); i++) {
        buf_data(&b)[i] ^= 0x40;
        CHECK(route_row_read(buf_slice(&b), NULL, &got, &e) == ERR_CONFLICT);
        buf_data(&b)[i] ^= 0x40;
        struct slice cut = {buf_data(&b), i};
        CHECK(route_row_read(cut, NULL, &got, &e) == ERR_CONFLICT);
    }
    buf_done(&b);
}

TEST(a_file_that_is_no_table_is_refused_and_can_be_reset)
{
    char path[64], file[96], junk[8192];
    int folder = temp_folder(path);
    struct err e;
    struct route_table *w;
    memset(junk, 0x5a, sizeof junk);
    snprintf(file, sizeof file, "%s/routes.mdb", path);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    CHECK(write(fd, junk, sizeof junk) == sizeof junk);
    close(fd);
    CHECK(route_table_open(folder, true, key, &w, &e) == ERR_CONFLICT);
    CHECK(!route_table_reset(folder, &e));
    CHECK(!route_table_open(folder, true, key, &w, &e) && route_generation(w) == 0);
    route_table_close(w);
    remove_folder(folder, path);
}

TEST(a_look_through_the_table_finds_damage)
{
    char path[64], file[96], byte;
    int folder = temp_folder(path);
    struct err e;
    struct route_table *w, *r;
    struct route_row row = example("looked-at", 1);
    CHECK(!route_table_open(folder, true, key, &w, &e));
    CHECK(!route_table_check(w, &e)); /* an empty one */
    CHECK(!route_begin(w, &e) && !route_put(w, &row, &e) && !route_commit(w, 5, &e));
    CHECK(!route_table_open(folder, false, key, &r, &e));
    CHECK(!route_table_check(w, &e) && !route_table_replaced(r, folder));
    snprintf(file, sizeof file, "%s/routes.mdb", path);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    struct stat st;
    CHECK(fstat(fd, &st) == 0);
    char *bytes = malloc((size_t)st.st_size);
    CHECK(pread(fd, bytes, (size_t)st.st_size, 0) == st.st_size);
    /* the name in the row, not the one that is its key */
    char *key_at = memmem(bytes, (size_t)st.st_size, "looked-at", 9);
    char *name = memmem(key_at + 1, (size_t)(bytes + st.st_size - key_at - 1), "looked-at", 9);
    CHECK(key_at && name);
    byte = (char)(*name ^ 1);
    CHECK(pwrite(fd, &byte, 1, name - bytes) == 1);
    CHECK(route_table_check(w, &e) == ERR_CONFLICT && strstr(e.text, "checksum"));
    CHECK(pwrite(fd, name, 1, name - bytes) == 1 && !route_table_check(w, &e));
    CHECK(ftruncate(fd, 8192) == 0 && route_table_check(w, &e) == ERR_CONFLICT);
    CHECK(pwrite(fd, bytes, (size_t)st.st_size, 0) == st.st_size && !route_table_check(w, &e));
    free(bytes);
    close(fd);
    CHECK(!route_table_reset(folder, &e) && route_table_replaced(r, folder));
    route_table_close(r);
    route_table_close(w);
    remove_folder(folder, path);
}

TEST(a_killed_writer_leaves_the_last_publication)
{
    char path[64];
    int folder = temp_folder(path);
    struct err e;
    struct route_table *w;
    struct route_row row = example("steady", 1), got;
    CHECK(!route_table_open(folder, true, key, &w, &e));
    CHECK(!route_begin(w, &e) && !route_put(w, &row, &e) && !route_commit(w, 5, &e));
    route_table_close(w);
    pid_t pid = fork();
    if (pid == 0) {
        struct route_row half = example("half", 2);
        if (route_table_open(folder, true, key, &w, &e) || route_begin(w, &e) ||
            route_put(w, &half, &e))
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CHECK(!route_table_open(folder, true, key, &w, &e) && route_generation(w) == 5);
    CHECK(route_get(w, SLICE("half"), &got, &e) == ERR_NOT_FOUND);
    CHECK(!route_get(w, SLICE("steady"), &got, &e));
    route_row_done(&got);
    CHECK(!route_begin(w, &e)); /* the dead writer's lock is free */
    route_abort(w);
    route_table_close(w);
    remove_folder(folder, path);
}

TEST_MAIN(CASE(previews_lie_beside_their_function), CASE(a_split_keeps_its_versions_apart),
          CASE(a_row_survives_the_table), CASE(environments_are_sealed_on_disk),
          CASE(every_damaged_byte_of_a_row_is_noticed),
          CASE(a_file_that_is_no_table_is_refused_and_can_be_reset),
          CASE(a_look_through_the_table_finds_damage),
          CASE(a_killed_writer_leaves_the_last_publication))
