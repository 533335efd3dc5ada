/* Reading what a request says: members of its JSON body and of its query. */
#include "api/request.h"

#include "base/clock.h"
#include "base/log.h"

#include <ctype.h>
#include <time.h>

enum { VALUE_MOST = 1024 /* bytes of a member of the query, decoded, with its NUL */ };

static int hex(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* application/x-www-form-urlencoded: + is a space. */
static bool decode(struct slice s, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i] == '+' ? ' ' : s.p[i];
        if (c == '%' && s.n - i > 2 && hex(s.p[i + 1]) >= 0 && hex(s.p[i + 2]) >= 0) {
            c = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
            i += 2;
        }
        if (n + 1 >= cap || c == '\0')
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return true;
}

bool api_query(const struct api_request *r, const char *name, char *out, size_t cap)
{
    struct slice rest = r->query;
    while (rest.p && rest.n) {
        struct slice value = slice_split(&rest, '&'), key = slice_split(&value, '=');
        if (slice_eq(key, slice_str(name)))
            return decode(value.p ? value : SLICE(""), out, cap);
    }
    return false;
}

uint64_t api_number(const struct api_request *r, const char *name, uint64_t normal)
{
    char text[24];
    uint64_t n;
    return api_query(r, name, text, sizeof text) && slice_u64(slice_str(text), &n) ? n : normal;
}

bool api_flag(const struct api_request *r, const char *name)
{
    char text[8];
    return api_query(r, name, text, sizeof text) &&
           (strcmp(text, "true") == 0 || strcmp(text, "1") == 0);
}

struct uuid api_uuid(const struct api_request *r, const char *name)
{
    char text[UUID_TEXT + 1];
    struct uuid id = {{0}};
    if (!api_query(r, name, text, sizeof text) || !uuid_parse(slice_str(text), &id))
        return (struct uuid){{0}};
    return id;
}

/* RFC 3339, or Unix seconds, or "15m" / "2h" / "1d" / "30s" ago. */
static bool read_when(const char *text, uint64_t now_ms, uint64_t *ret_ms)
{
    struct slice s = slice_str(text);
    uint64_t n;
    struct tm tm = {0};
    if (s.n > 1 && strchr("smhd", s.p[s.n - 1]) && slice_u64(slice_make(s.p, s.n - 1), &n)) {
        char unit = s.p[s.n - 1];
        uint64_t ms = unit == 's' ? 1000 : unit == 'm' ? 60000 : unit == 'h' ? 3600000 : 86400000;
        if (n > now_ms / ms)
            n = now_ms / ms;
        *ret_ms = now_ms - n * ms;
        return true;
    }
    if (slice_u64(s, &n)) {
        *ret_ms = n * 1000;
        return n < UINT64_MAX / 1000;
    }
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end)
        return false;
    uint64_t ms = 0, scale = 100;
    if (*end == '.')
        for (end++; isdigit((unsigned char)*end); end++, scale /= 10)
            ms += (uint64_t)(*end - '0') * scale;
    time_t t = timegm(&tm);
    if (strcmp(end, "Z") != 0 || t < 0)
        return false;
    *ret_ms = (uint64_t)t * 1000 + ms;
    return true;
}

bool api_time_parse(struct slice text, uint64_t *ret_ms)
{
    char copy[40];
    return slice_copy(text, copy, sizeof copy) && read_when(copy, clock_real_us() / 1000, ret_ms);
}

uint64_t api_time(const struct api_request *r, const char *name)
{
    char text[40];
    uint64_t ms;
    return api_query(r, name, text, sizeof text) && api_time_parse(slice_str(text), &ms) ? ms : 0;
}

struct slice api_text(const struct api_request *r, const char *name)
{
    json_t *v = json_object_get(r->json, name);
    return json_is_string(v) ? slice_make(json_string_value(v), json_string_length(v))
                             : (struct slice){0};
}

/* ---- judging a query ---- */

static const struct schema_field *find_member(const struct schema_field *f, struct slice name)
{
    for (; f && f->name; f++)
        if (slice_eq(name, slice_str(f->name)))
            return f;
    return NULL;
}

static enum err_code judge_member(const struct schema_field *f, struct slice text, struct err *e)
{
    char value[VALUE_MOST];
    if (!decode(text, value, sizeof value) || !utf8_valid(slice_str(value)))
        return err_set(e, ERR_INVALID, "%s is no text of at most %d bytes", f->name,
                       VALUE_MOST - 1);
    return schema_check_text(f->schema, slice_str(value), f->name, e);
}

static enum err_code judge_query(const struct api_request *r, struct slice *ret_name, struct err *e)
{
    const struct schema_field *fields = r->route->query;
    uint64_t seen = 0;
    struct slice rest = r->query;
    while (rest.p && rest.n) {
        struct slice value = slice_split(&rest, '&'), name = slice_split(&value, '=');
        if (!name.n && !value.p)
            continue; /* && */
        const struct schema_field *f = find_member(fields, name);
        *ret_name = name;
        if (!f)
            return schema_unknown(fields, name, "parameter", e);
        uint64_t bit = UINT64_C(1) << (f - fields);
        if (seen & bit)
            return err_set(e, ERR_INVALID, "%s is there twice", f->name);
        seen |= bit;
        enum err_code rc = judge_member(f, value.p ? value : SLICE(""), e);
        if (rc)
            return rc;
    }
    for (const struct schema_field *f = fields; f && f->name; f++) {
        if (!f->required || seen & UINT64_C(1) << (f - fields))
            continue;
        *ret_name = slice_str(f->name);
        return err_set(e, ERR_INVALID, "%s is missing", f->name);
    }
    return ERR_OK;
}

bool request_judge_query(struct api_request *r)
{
    struct slice name;
    struct err e;
    if (judge_query(r, &name, &e) == ERR_OK)
        return true;
    slice_copy(slice_make(name.p, name.n < 60 ? name.n : 60), r->field, sizeof r->field);
    api_fail(r, &e);
    return false;
}

struct store_actor api_actor(const struct api_request *r)
{
    return (struct store_actor){.user = r->user.id, .token = r->token.id};
}

void api_drain(struct api_request *r)
{
    struct err e;
    if (!r->again && r->api->backend->drain(r->api, &e))
        log_line(LOG_WARNING, "api_drain", "error=\"%s\"", e.text);
}
