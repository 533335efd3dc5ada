#include "cli/opens.h"

#include "base/brand.h"
#include "cli/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SHOWN = 20 /* rules that open, of many */ };

/* ---- policies of the API ---- */

enum err_code opens_to_json(const struct policy *p, json_t **ret_json, struct err *e)
{
    struct buf text;
    buf_init(&text, POLICY_TEXT);
    bool ok = policy_write(p, &text);
    json_t *json = !ok               ? NULL
                   : buf_size(&text) ? json_loadb(buf_data(&text), buf_size(&text), 0, NULL)
                                     : json_object();
    buf_done(&text);
    if (!json)
        return err_set(e, ERR_INVALID, "the policy's normal form is over %d KiB",
                       POLICY_TEXT >> 10);
    *ret_json = json;
    return ERR_OK;
}

enum err_code opens_of_version(const json_t *version, struct policy **ret_policy, struct err *e)
{
    const json_t *policy = json_object_get(version, "policy");
    if (!json_is_object(policy)) {
        *ret_policy = NULL;
        return ERR_OK;
    }
    char *text = json_dumps(policy, JSON_COMPACT);
    struct err why;
    enum err_code rc =
        text ? policy_parse(slice_str(text), POLICY_YAML, NULL, NULL, ret_policy, &why)
             : err_set(&why, ERR_MEMORY, "out of memory");
    free(text);
    return rc ? err_set(e, rc, "the live version's policy: %s", why.text) : ERR_OK;
}

enum err_code opens_base(struct client *c, const char *name, json_t **ret_version, bool *ret_live,
                         struct err *e)
{
    json_t *list = NULL;
    struct client_request one = {.path = "{P}/functions/{}/versions/live", .at = {name}};
    enum err_code rc = client_call(c, &one, ret_version, NULL, e);
    *ret_live = rc == ERR_OK;
    if (rc != ERR_NOT_FOUND)
        return rc;
    struct client_request all = {
        .path = "{P}/functions/{}/versions", .at = {name}, .query = {{"limit", "1"}}};
    rc = client_call(c, &all, &list, NULL, e);
    if (rc == ERR_OK)
        *ret_version = json_incref(json_array_get(json_object_get(list, "items"), 0));
    json_decref(list);
    return rc;
}

/* ---- agreeing ---- */

struct listing {
    const char *name;
    unsigned n;
};

static void list_rule(void *arg, const char *rule)
{
    struct listing *l = arg;
    if (l->n++ == 0)
        fprintf(stderr, "%s: this version may newly open\n", l->name);
    if (l->n > SHOWN)
        return;
    fputs("  ", stderr);
    show_text(stderr, slice_str(rule));
    fputc('\n', stderr);
}

/* The command line that agrees. */
static void print_next(const struct opens *typed)
{
    fprintf(stderr, "next: %s %s --yes", BRAND_COMMAND, typed->verb);
    for (int i = 1; i < typed->argc; i++) {
        putc(' ', stderr);
        show_word(stderr, typed->argv[i]);
    }
    putc('\n', stderr);
}

static bool ask(void)
{
    char answer[16];
    fputs("deploy it? [y/N] ", stderr);
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int opens_fail(const struct client_request *request, const struct opens *typed, const struct err *e)
{
    int status = client_fail(request, e);
    if (e->code == ERR_NEEDS_AGREEMENT && !typed->refused)
        print_next(typed);
    return status;
}

enum err_code opens_agreed(struct client *c, const char *name, const struct policy *after,
                           struct opens *typed, struct err *e)
{
    struct policy *before = NULL;
    struct listing l = {.name = name};
    json_t *base = NULL;
    bool live = false;
    enum err_code rc = opens_base(c, name, &base, &live, e);
    if (rc == ERR_NOT_FOUND)
        rc = ERR_OK; /* the function is made, too */
    if (rc == ERR_OK && live)
        rc = opens_of_version(base, &before, e);
    json_decref(base);
    if (rc)
        return rc;
    policy_opens(before, after, list_rule, &l);
    policy_free(before);
    if (l.n > SHOWN)
        fprintf(stderr, "  and %u more\n", l.n - SHOWN);
    if (l.n == 0 || !live || typed->yes)
        return ERR_OK;
    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
        typed->refused = !ask();
        return typed->refused ? err_set(e, ERR_NEEDS_AGREEMENT, "nothing was changed") : ERR_OK;
    }
    return err_set(e, ERR_NEEDS_AGREEMENT,
                   "%s was not deployed: nobody agreed to what it newly opens", name);
}

enum err_code opens_version_agreed(struct client *c, const char *name, const char *number,
                                   struct opens *typed, struct err *e)
{
    json_t *version = NULL;
    struct policy *after = NULL;
    enum err_code rc = client_call(
        c, &(struct client_request){.path = "{P}/functions/{}/versions/{}", .at = {name, number}},
        &version, NULL, e);
    if (rc == ERR_OK)
        rc = opens_of_version(version, &after, e);
    if (rc == ERR_OK && after)
        rc = opens_agreed(c, name, after, typed, e);
    policy_free(after);
    json_decref(version);
    return rc;
}
