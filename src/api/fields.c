/* Reading what a request says: members of its JSON body and of its query. */
#include "api/request.h"

#include "base/log.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

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

bool api_limit(struct api_request *r, uint32_t normal, uint32_t most, uint32_t *ret_limit)
{
    char text[16];
    uint64_t n = normal;
    if (api_query(r, "limit", text, sizeof text) &&
        (!slice_u64(slice_str(text), &n) || n < 1 || n > most)) {
        api_refuse_field(r, "limit", "limit is a number from 1 to %u", most);
        return false;
    }
    *ret_limit = (uint32_t)n;
    return true;
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

bool api_time(struct api_request *r, const char *name, uint64_t *ret_ms)
{
    char text[40];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!api_query(r, name, text, sizeof text) ||
        read_when(text, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, ret_ms))
        return true;
    api_refuse_field(r, name, "%s is a time like 2026-01-31T12:00:00Z, or 15m, 2h, 1d ago", name);
    return false;
}

static bool refuse_unknown(struct api_request *r, struct slice name, const char *const *names,
                           const char *what)
{
    size_t n = 0;
    while (names[n])
        n++;
    char field[64];
    const char *near = nearest_word(name, names, n);
    snprintf(field, sizeof field, "%.*s", (int)(name.n < 60 ? name.n : 60), name.p);
    api_refuse_field(r, field, "there is no %s \"%s\" here%s%s%s", what, field,
                     near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return false;
}

static bool listed(struct slice name, const char *const *names)
{
    for (; *names; names++)
        if (slice_eq(name, slice_str(*names)))
            return true;
    return false;
}

bool api_known_fields(struct api_request *r, const char *const *names)
{
    const char *key;
    json_t *v;
    json_object_foreach(r->json, key, v)
    {
        if (!listed(slice_str(key), names))
            return refuse_unknown(r, slice_str(key), names, "field");
    }
    return true;
}

bool api_known_query(struct api_request *r, const char *const *names)
{
    struct slice rest = r->query;
    while (rest.p && rest.n) {
        struct slice value = slice_split(&rest, '&'), key = slice_split(&value, '=');
        if (key.n && !listed(key, names))
            return refuse_unknown(r, key, names, "parameter");
    }
    return true;
}

bool api_string(struct api_request *r, const char *name, struct slice *ret_text)
{
    json_t *v = json_object_get(r->json, name);
    if (!json_is_string(v)) {
        api_refuse_field(r, name, v ? "%s is not a string" : "%s is missing", name);
        return false;
    }
    *ret_text = slice_make(json_string_value(v), json_string_length(v));
    return true;
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
