/* Judging a request before its handler sees it: route, token, rate, scope, project, function,
 * media type, length. What is refused here is refused the same way for every route. */
#include "api/kept.h"
#include "api/once.h"
#include "api/versions.h"

#include "base/brand.h"
#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the rate of a token ---- */

/* A bucket of five seconds' worth, filled at the rate. */
struct rate {
    struct uuid token;
    struct list node; /* api->rate_order */
    double left;
    uint64_t at_us;
};

enum { RATES = 4096 /* tokens remembered at once; a forgotten one starts with a full bucket */ };

static bool rate_take(struct api *api, struct uuid token)
{
    double per_s = (double)api->options->limits.v[LIMIT_API_RATE], burst = per_s * 5;
    uint64_t now = clock_mono_us();
    if (per_s <= 0)
        return true;
    struct rate *rate = map_get(&api->rates, slice_make(token.b, sizeof token.b));
    if (!rate) {
        if (api->rates.live >= RATES) {
            rate = LIST_ITEM(list_pop(&api->rate_order), struct rate, node);
            map_remove(&api->rates, slice_make(rate->token.b, sizeof rate->token.b));
        } else {
            rate = malloc(sizeof *rate);
        }
        if (!rate)
            return true;
        *rate = (struct rate){.token = token, .left = burst, .at_us = now};
        list_init(&rate->node);
        if (!map_put(&api->rates, slice_make(rate->token.b, sizeof rate->token.b), rate)) {
            free(rate);
            return true;
        }
    }
    rate->left += (double)(now - rate->at_us) / 1e6 * per_s;
    rate->left = rate->left < burst ? rate->left : burst;
    rate->at_us = now;
    list_remove(&rate->node);
    list_push(&api->rate_order, &rate->node);
    if (rate->left < 1)
        return false;
    rate->left -= 1;
    return true;
}

void api_init(struct api *api)
{
    request_json_init();
    list_init(&api->requests);
    list_init(&api->followers);
    list_init(&api->onces);
    list_init(&api->rate_order);
    list_init(&api->kept);
    verified_init(&api->verified);
}

void api_done(struct api *api)
{
    loop_timer_stop(api->loop, &api->watch);
    LIST_EACH(n, &api->requests)
    {
        struct api_request *r = LIST_ITEM(n, struct api_request, node);
        if (r->on_gone && !r->over) /* what it waits for may still come, and must not find it */
            r->on_gone(r);
        request_free(r);
    }
    LIST_EACH(n, &api->rate_order) free(LIST_ITEM(n, struct rate, node));
    map_done(&api->rates);
    kept_done(api);
    json_decref(api->openapi);
}

/* ---- matching ---- */

/* Does the path fit the pattern? Keeps what the named segments took. */
static bool fits(const char *pattern, struct slice path, struct slice *project,
                 struct slice *function, struct slice *id)
{
    struct slice p = slice_str(pattern);
    while (p.p && path.p) {
        struct slice want = slice_split(&p, '/'), have = slice_split(&path, '/');
        if (slice_starts(want, SLICE(":"))) {
            if (have.n == 0)
                return false;
            *(want.p[1] == 'p' ? project : want.p[1] == 'f' ? function : id) = have;
        } else if (!slice_eq(want, have)) {
            return false;
        }
    }
    return !p.p && !path.p;
}

/* The route, or NULL with the problem answered. */
static const struct api_route *find_route(struct api_request *r, struct slice *project)
{
    char allow[128] = "";
    size_t n = 0;
    bool head = slice_eq(r->method, SLICE("HEAD"));
    for (const struct api_route *route = api_routes; route->method; route++) {
        struct slice p = {0}, f = {0}, id = {0};
        if (!fits(route->path, r->path, &p, &f, &id))
            continue;
        if (slice_eq(r->method, slice_str(route->method)) ||
            (head && strcmp(route->method, "GET") == 0)) {
            *project = p;
            r->function_text = f;
            r->id_text = id;
            return route;
        }
        n += (size_t)snprintf(allow + n, sizeof allow - n, "%s%s", n ? ", " : "", route->method);
    }
    if (!n) {
        api_refuse(r, ERR_NOT_FOUND, "there is nothing at %.*s",
                   (int)(r->path.n < 200 ? r->path.n : 200), r->path.p);
        return NULL;
    }
    snprintf(r->extra, sizeof r->extra, "Allow: %s\n", allow);
    api_refuse(r, ERR_METHOD, "%.*s is not possible here; possible: %s",
               (int)(r->method.n < 16 ? r->method.n : 16), r->method.p, allow);
    return NULL;
}

/* ---- who asks ---- */

/* What the database says of a token now. */
static enum err_code known_token(const struct api *api, struct uuid id,
                                 struct store_token *ret_token, struct store_user *ret_user,
                                 struct err *e)
{
    enum err_code rc = store_token(api->store, id, ret_token, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_UNAUTHORIZED, "the token is not known here any more");
    if (rc)
        return rc;
    if (ret_token->revoked_ms)
        return err_set(e, ERR_UNAUTHORIZED, "the token was revoked");
    if (ret_token->expires_ms <= clock_real_us() / 1000)
        return err_set(e, ERR_UNAUTHORIZED, "the token has expired");
    rc = store_user(api->store, ret_token->user, ret_user, e);
    return rc == ERR_NOT_FOUND ? err_set(e, ERR_UNAUTHORIZED, "the token's user is gone") : rc;
}

static enum err_code authenticate(struct api_request *r, struct err *e)
{
    struct slice token = r->authorization, scheme = slice_split(&token, ' ');
    if (!r->authorization.n)
        return err_set(e, ERR_UNAUTHORIZED, "send a token: `Authorization: Bearer TOKEN`");
    if (!slice_ieq(scheme, SLICE("Bearer")) || !token.p)
        return err_set(e, ERR_UNAUTHORIZED, "the only scheme taken is Bearer");
    struct token_claims c;
    uint64_t now_ms = clock_real_us() / 1000;
    enum err_code rc =
        verified_token(&r->api->verified, &r->api->keys, slice_trim(token), now_ms / 1000, &c, e);
    if (rc == ERR_OK)
        rc = known_token(r->api, c.id, &r->token, &r->user, e);
    if (rc == ERR_OK && (!uuid_eq(r->token.user, c.user) || r->token.scopes != c.scopes))
        rc = err_set(e, ERR_UNAUTHORIZED, "the token does not say what the server knows of it");
    return rc;
}

/* ---- a user's share ---- */

/* Of the requests that control has at once, and of what is kept in memory for slow readers: nobody
 * takes the server from the others by asking much and reading slowly. */
static enum err_code judge_share(const struct api_request *r, struct err *e)
{
    const uint64_t *most = r->api->options->limits.v;
    unsigned count = 0;
    size_t bytes = 0;
    LIST_EACH(n, &r->api->requests)
    {
        const struct api_request *other = LIST_ITEM(n, struct api_request, node);
        if (other == r || !uuid_eq(other->user.id, r->user.id))
            continue;
        count++;
        bytes += buf_size(&other->out) + buf_size(&other->body) + other->keeps;
    }
    if (count >= most[LIMIT_API_OPEN])
        return err_set(e, ERR_RATE,
                       "you have %u requests open (limit \"api-open\"): end some of them first",
                       count);
    if (bytes >= most[LIMIT_API_UNREAD])
        return err_set(e, ERR_RATE,
                       "%zu MiB of answers wait to be read by you (limit \"api-unread\"): read "
                       "them first",
                       bytes >> 20);
    return ERR_OK;
}

static const char *scope_text(uint32_t scope)
{
    for (const struct scope_name *s = scope_names; s->name; s++)
        if (s->scope & scope)
            return s->name;
    return "?";
}

enum err_code request_function(struct api_request *r, struct slice name_or_id, struct err *e)
{
    enum err_code rc = store_function(r->api->store, r->project.id, name_or_id, &r->function, e);
    if (rc == ERR_OK)
        r->function_at = store_changes(r->api->store);
    return rc;
}

/* Is r->function what would be read now? */
static bool is_current(const struct api_request *r)
{
    return !uuid_is_zero(r->function.id) && r->function_at == store_changes(r->api->store);
}

enum err_code request_function_again(struct api_request *r, struct err *e)
{
    char id[UUID_TEXT + 1];
    if (is_current(r))
        return ERR_OK;
    uuid_text(r->function.id, id);
    return request_function(r, slice_make(id, UUID_TEXT), e);
}

/* What the path names, as far as this token reaches: foreign and missing are the same. */
static enum err_code resolve(struct api_request *r, struct slice project, struct err *e)
{
    enum err_code rc = ERR_OK;
    if (project.p) {
        rc = store_project(r->api->store, r->user.id, project, &r->project, e);
        if (rc == ERR_OK && !uuid_is_zero(r->token.project) &&
            !uuid_eq(r->token.project, r->project.id))
            rc = ERR_NOT_FOUND;
        if (rc == ERR_NOT_FOUND)
            return err_set(e, rc, "there is no project \"%.*s\"",
                           (int)(project.n < 64 ? project.n : 64), project.p);
    }
    if (rc == ERR_OK && r->function_text.p) {
        struct slice f = r->function_text;
        rc = request_function(r, f, e);
        if (rc == ERR_OK && r->function.deleted_ms && !r->route->deleted)
            rc = ERR_NOT_FOUND;
        if (rc == ERR_NOT_FOUND) {
            r->function = (struct store_function){0};
            rc = r->route->makes ? ERR_OK
                                 : err_set(e, rc, "there is no function \"%.*s\"",
                                           (int)(f.n < 64 ? f.n : 64), f.p);
        }
    }
    return rc;
}

enum err_code request_allowed(const struct api_request *r, struct err *e)
{
    struct store_token token;
    struct store_user user;
    struct store_project project;
    struct store_function function;
    char id[UUID_TEXT + 1];
    enum err_code rc = known_token(r->api, r->token.id, &token, &user, e);
    if (rc == ERR_OK && !uuid_is_zero(r->project.id)) {
        uuid_text(r->project.id, id);
        rc = store_project(r->api->store, user.id, slice_str(id), &project, e);
        if (rc == ERR_NOT_FOUND)
            err_set(e, rc, "there is no project \"%s\" any more", r->project.name);
    }
    if (rc == ERR_OK && !uuid_is_zero(r->function.id) && !r->route->makes) {
        uuid_text(r->function.id, id);
        rc = store_function(r->api->store, r->project.id, slice_str(id), &function, e);
        if (rc == ERR_NOT_FOUND || (rc == ERR_OK && function.deleted_ms && !r->route->deleted))
            rc = err_set(e, ERR_NOT_FOUND, "the function \"%s\" was deleted", r->function.name);
    }
    return rc;
}

/* ---- the body ---- */

static bool is_type(struct slice type, struct slice want)
{
    struct slice bare = slice_trim(slice_split(&type, ';'));
    return slice_ieq(bare, want);
}

static enum err_code judge_body(struct api_request *r, struct err *e)
{
    bool has = !r->body_over;
    if (has && r->route->takes != TAKES_NOTHING) {
        struct slice coding = slice_trim(api_var(r, "HTTP_CONTENT_ENCODING"));
        if (coding.n && !slice_ieq(coding, SLICE("identity")))
            return err_set(e, ERR_MEDIA_TYPE,
                           "bodies are taken as they are, without Content-Encoding: unpack it");
    }
    switch (r->route->takes) {
    case TAKES_NOTHING:
        if (has && r->body_length)
            return err_set(e, ERR_BAD_REQUEST, "this request takes no body");
        return ERR_OK;
    case TAKES_JSON:
        if (has && r->type.n && !is_type(r->type, SLICE("application/json")))
            return err_set(e, ERR_MEDIA_TYPE, "the body must be application/json");
        break;
    case TAKES_WASM:
    case TAKES_TAR: {
        bool tar = r->route->takes == TAKES_TAR;
        r->body_most = r->api->options->limits.v[r->route->body_limit];
        if (tar) /* heads and padding: 1 KiB and at most 511 bytes an entry; pax heads more */
            r->body_most += r->api->options->limits.v[LIMIT_ASSET_FILES] * 4096;
        if (!has)
            return err_set(e, ERR_BAD_REQUEST, "the body must be the %s",
                           tar ? "archive" : "module's bytes");
        /* `curl -T` names no type, `curl --data-binary` the one of forms */
        if (r->type.n && !is_type(r->type, SLICE("application/octet-stream")) &&
            !is_type(r->type, tar ? SLICE("application/x-tar") : SLICE("application/wasm")))
            return err_set(e, ERR_MEDIA_TYPE, "the body must be %s",
                           tar ? "application/x-tar (a tar archive, not compressed)"
                               : "application/wasm (the module's bytes as they are)");
        break;
    }
    case TAKES_ANY: {
        struct limits of_version; /* it is the request's body of a function */
        enum err_code rc = versions_limits(r, &of_version, e);
        if (rc)
            return rc;
        r->body_most = of_version.v[r->route->body_limit];
        break;
    }
    }
    if (r->body_length != UINT64_MAX && r->body_length > r->body_most) {
        char most[32];
        limit_format(LIMIT_MODULE, r->body_most, most); /* as any other number of bytes */
        return err_set(e, ERR_TOO_LARGE, "the body is over the limit of %s", most);
    }
    return ERR_OK;
}

/* ---- If-Match ---- */

enum { TAG = 48 };

static enum err_code read_revision(void *arg, const struct store_secret *s, struct err *e)
{
    (void)e;
    *(struct uuid *)arg = s->revision;
    return ERR_OK;
}

/* What the route is about as it is now: false if it isn't there. */
static bool tag_text(const struct api_request *r, char out[TAG])
{
    struct store *st = r->api->store;
    struct slice name = r->function_text.p ? r->function_text : slice_str(r->function.name);
    struct store_function f = r->function;
    struct uuid revision;
    struct err e;
    switch (r->route->tag) {
    case TAG_NONE:
        return false;
    case TAG_FUNCTION: /* two numbers: of what it answers with, and of its newest version */
        if ((!is_current(r) && store_function(st, r->project.id, name, &f, &e)) ||
            (f.deleted_ms && !r->route->deleted))
            return false;
        snprintf(out, TAG, "\"%llu-%u\"", (unsigned long long)f.generation, f.last_number);
        return true;
    case TAG_SECRET:
        if (store_secret(st, r->project.id, r->id_text, read_revision, &revision, &e))
            return false;
        shape_revision(revision, out);
        return true;
    }
    return false;
}

void request_tag(struct api_request *r)
{
    char tag[TAG];
    if (r->route && r->route->tag && tag_text(r, tag))
        api_header(r, "ETag: %s\n", tag);
}

/* An entity tag (RFC 9110 8.8.3), weak ones too: those match nothing here. */
static bool is_tag(struct slice s)
{
    if (slice_starts(s, SLICE("W/")))
        s = slice_from(s, 2);
    bool good = s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"';
    for (size_t i = 1; good && i + 1 < s.n; i++)
        good = s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '"';
    return good;
}

static bool is_tag_list(struct slice list)
{
    if (slice_eq(slice_trim(list), SLICE("*")))
        return true;
    while (list.p)
        if (!is_tag(slice_trim(slice_split(&list, ','))))
            return false;
    return true;
}

/* False: refused, for it is none. */
static bool judge_if_match(struct api_request *r)
{
    struct slice wanted = api_var(r, "HTTP_IF_MATCH");
    if (!wanted.p || is_tag_list(wanted))
        return true;
    api_refuse(r, ERR_BAD_REQUEST, "If-Match is *, or a list of what ETag said");
    return false;
}

/* RFC 9110 13.1.1, for every route: one of a list of strong tags, or * for anything that is there.
 * What has no tag matches none; whether it is there its handler says. */
static bool matches(const struct api_request *r, struct slice wanted)
{
    char tag[TAG];
    bool star = slice_eq(slice_trim(wanted), SLICE("*"));
    if (r->route->tag == TAG_NONE || !tag_text(r, tag))
        return star && r->route->tag == TAG_NONE;
    while (wanted.p && !star)
        if (slice_eq(slice_trim(slice_split(&wanted, ',')), slice_str(tag)))
            return true;
    return star;
}

/* False: refused. */
static bool judge_match(struct api_request *r)
{
    struct slice wanted = api_var(r, "HTTP_IF_MATCH");
    struct slice name = r->route->tag == TAG_SECRET ? r->id_text : r->function_text;
    if (!wanted.p || matches(r, wanted))
        return true;
    if (r->route->tag == TAG_NONE)
        api_refuse(r, ERR_PRECONDITION,
                   "there is no ETag of this, so If-Match can't be met: send it without");
    else
        api_refuse(r, ERR_PRECONDITION,
                   "\"%.*s\" is not as If-Match says: read it again, then change that",
                   (int)(name.n < 64 ? name.n : 64), name.p);
    return false;
}

bool request_held(const struct api_request *r)
{
    struct slice wanted = api_var(r, "HTTP_IF_MATCH");
    return wanted.p && !slice_eq(slice_trim(wanted), SLICE("*"));
}

bool request_again(struct api_request *r)
{
    struct err e;
    if (r->function_text.p && resolve(r, (struct slice){0}, &e)) {
        api_fail(r, &e);
        return false;
    }
    return judge_match(r);
}

/* ---- all of it ---- */

/* The body of a request whose answer is kept is only compared. */
static void swallow(struct api_request *r, struct slice bytes, bool last)
{
    if (!last)
        api_took(r, bytes.n);
}

void request_dispatch(struct api_request *r)
{
    struct err e;
    struct slice project = {0};
    r->route = find_route(r, &project);
    if (!r->route)
        return;
    if (!r->route->open) {
        if (authenticate(r, &e)) {
            api_fail(r, &e);
            return;
        }
        if (!rate_take(r->api, r->token.id)) {
            snprintf(r->extra, sizeof r->extra, "Retry-After: 1\n");
            api_refuse(r, ERR_RATE, "this token may send %llu requests a second",
                       (unsigned long long)r->api->options->limits.v[LIMIT_API_RATE]);
            return;
        }
        if (judge_share(r, &e)) {
            api_fail(r, &e);
            return;
        }
        if ((r->token.scopes & r->route->scope) != r->route->scope) {
            api_refuse(r, ERR_FORBIDDEN, "the token lacks the scope \"%s\"",
                       scope_text(r->route->scope & ~r->token.scopes));
            return;
        }
        /* What it says or does is about everybody's projects. */
        if (r->route->operators &&
            (strcmp(r->user.role, "operator") != 0 || !uuid_is_zero(r->token.project))) {
            api_refuse(r, ERR_FORBIDDEN, "only an operator's token for all projects may ask this");
            return;
        }
    }
    if (resolve(r, project, &e) || judge_body(r, &e)) {
        api_fail(r, &e);
        return;
    }
    if (!request_judge_query(r) || !judge_if_match(r) || !once_begin(r))
        return;
    if (r->body_over ? once_answered(r) : once_waits(r)) {
        r->on_body = swallow;
        return;
    }
    if (r->route->takes == TAKES_JSON && !r->body_over)
        return; /* the handler is called when the body is whole */
    if (r->route->takes == TAKES_JSON && !(r->json = json_object()))
        api_refuse(r, ERR_MEMORY, "no memory");
    else if (r->route->takes == TAKES_JSON)
        request_judge_json(r);
    else if (judge_match(r))
        r->route->handler(r);
}

void request_judge_json(struct api_request *r)
{
    struct err e;
    if (schema_check(r->route->body, r->json, r->field, &e))
        api_fail(r, &e);
    else if (request_again(r))
        r->route->handler(r);
}
