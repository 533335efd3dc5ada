/* Adding a rule to a policy file.
 *
 * What a person wrote should stay as it was written, comments and all, so the
 * rule goes behind the last one of the file's `allow` list as a line of its own.
 * Whether that did it is judged by reading the result: if it isn't the policy
 * that was wanted (a list in flow style, JSON), the file is written anew. */
#include "cli/policy_file.h"

#include "base/brand.h"
#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT = 2 * POLICY_TEXT };

static bool same(const struct policy *a, const struct policy *b)
{
    uint8_t x[POLICY_DIGEST], y[POLICY_DIGEST];
    policy_digest(a, x);
    policy_digest(b, y);
    return memcmp(x, y, sizeof x) == 0;
}

static bool is_policy(struct slice text, const struct policy *wanted)
{
    struct policy *p = NULL;
    struct err e;
    bool is = policy_parse(text, POLICY_YAML, NULL, NULL, &p, &e) == ERR_OK && same(p, wanted);
    policy_free(p);
    return is;
}

/* The rule as a line of YAML, its newline included: what a policy of it alone prints last. */
static bool rule_line(const char *url, struct buf *printed, struct slice *ret_line)
{
    struct policy *one = NULL;
    struct err e;
    bool ok = policy_allow(NULL, slice_str(url), &one, &e) == ERR_OK && policy_print(one, printed);
    policy_free(one);
    struct slice rest = ok ? buf_slice(printed) : SLICE(""), line = slice_split(&rest, '\n');
    if (!ok || !slice_eq(line, SLICE("allow:")))
        return false;
    *ret_line = rest;
    return true;
}

/* "allow:" and nothing more, but perhaps a comment. */
static bool begins_list(struct slice line)
{
    static const struct slice name = SLICE("allow:");
    if (!slice_starts(line, name))
        return false;
    struct slice rest = slice_trim(slice_from(line, name.n));
    return rest.n == 0 || *rest.p == '#';
}

/* Where the line goes: the offset behind the last item of `allow`, and how items are indented;
 * false if the file has no such list. */
static bool find_list(struct slice text, size_t *ret_at, size_t *ret_indent)
{
    struct slice rest = text;
    bool inside = false, found = false;
    while (rest.n) {
        struct slice line = slice_split(&rest, '\n');
        size_t indent = 0;
        while (indent < line.n && line.p[indent] == ' ')
            indent++;
        bool item = indent < line.n && line.p[indent] == '-';
        bool blank = indent == line.n || line.p[indent] == '#';
        if (inside && item) {
            found = true;
            *ret_indent = indent;
            *ret_at = rest.p ? (size_t)(rest.p - text.p) : text.n;
        } else if (!blank) {
            inside = begins_list(line);
        }
        if (!rest.p)
            break;
    }
    return found;
}

/* The file's text with the rule in it. */
static bool insert(struct slice text, const char *url, struct buf *out)
{
    struct buf printed;
    struct slice line;
    size_t at = text.n, indent = 2;
    buf_init(&printed, TEXT);
    bool ok = rule_line(url, &printed, &line);
    bool list = ok && find_list(text, &at, &indent);
    ok = ok && buf_add(out, text.p, at);
    if (ok && at && text.p[at - 1] != '\n')
        ok = buf_add(out, "\n", 1);
    if (ok && !list)
        ok = buf_addf(out, "allow:\n");
    ok = ok && buf_addf(out, "%*s", (int)indent, "");
    line = slice_trim(slice_split(&line, '\n'));
    ok = ok && buf_add(out, line.p, line.n) && buf_add(out, "\n", 1) &&
         buf_add(out, text.p + at, text.n - at);
    buf_done(&printed);
    return ok;
}

/* Beside the file and renamed: a crash leaves the old or the new. */
static enum err_code write_file(const char *path, struct slice text, struct err *e)
{
    struct stat st;
    char *beside;
    mode_t mode = stat(path, &st) == 0 ? st.st_mode & 0777 : 0644;
    if (asprintf(&beside, "%s.%ld.new", path, (long)getpid()) < 0)
        return err_set(e, ERR_MEMORY, "out of memory");
    enum err_code rc = ERR_OK;
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    while (fd >= 0 && text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno != EINTR)
            break;
        text = slice_from(text, n > 0 ? (size_t)n : 0);
    }
    if (fd < 0 || text.n || rename(beside, path) < 0) {
        rc = err_errno(e, "can't write %s", path);
        if (fd >= 0)
            unlink(beside);
    }
    if (fd >= 0)
        close(fd);
    free(beside);
    return rc;
}

/* All of it anew: as JSON where the name says so. */
static bool write_anew(const char *path, const struct policy *p, struct buf *out)
{
    buf_clear(out);
    return policy_file_ends(path, ".json") ? policy_write(p, out) && buf_add(out, "\n", 1)
                                           : policy_print(p, out);
}

enum err_code policy_file_allow(const char *path, const char *url, bool *ret_changed, struct err *e)
{
    struct policy *before = NULL, *after = NULL;
    struct buf text, changed;
    if (policy_file_ends(path, ".policy"))
        return err_set(e, ERR_USAGE,
                       "%s is in Olin's form: `" BRAND_COMMAND " policy convert %s > policy.yaml` "
                       "and change that",
                       path, path);
    buf_init(&text, POLICY_TEXT);
    buf_init(&changed, TEXT);
    enum err_code rc = policy_file(path, NULL, NULL, &before, e);
    if (rc == ERR_OK)
        rc = file_read(path, &text, e);
    else if (rc == ERR_NOT_FOUND)
        rc = ERR_OK;
    if (rc == ERR_OK)
        rc = policy_allow(before, slice_str(url), &after, e);
    if (rc)
        goto out;
    *ret_changed = policy_opens(before, after, NULL, NULL) > 0;
    if (!*ret_changed)
        goto out;
    if (!(insert(buf_slice(&text), url, &changed) && is_policy(buf_slice(&changed), after)) &&
        !write_anew(path, after, &changed))
        rc = err_set(e, ERR_INVALID, "the policy would be over %d KiB", POLICY_TEXT >> 10);
    else
        rc = write_file(path, buf_slice(&changed), e);
out:
    policy_free(before);
    policy_free(after);
    buf_done(&text);
    buf_done(&changed);
    return rc;
}
