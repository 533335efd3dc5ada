#include "api/causes.h"

#include "base/brand.h"
#include "base/buf.h"

#include <ctype.h>
#include <stdio.h>

enum { WORD = 256, SENTENCE = 1024 };

/* What a row found, for its texts. */
struct found {
    char url[2 * WORD], rule[WORD], name[WORD], what[2 * WORD];
    enum limit_id limit;
    bool by_operator;
};

struct cause_row {
    const char *code;
    enum err_code cause; /* fits a run of this cause, or … */
    bool (*fits)(const struct evidence *ev, struct found *f);
    enum limit_id limit; /* LIMIT_COUNT: none */
    /* {function} {run} {url} {rule} {name} {what} {status} {limit} {value} {more} are put in. */
    const char *sentence, *hint, *command;
};

/* ---- the ledger's text ---- */

struct end_text end_text(struct slice text)
{
    const struct slice at = SLICE("  at "), over = SLICE("  … over and over"),
                       call = SLICE("last host call: "), hint = SLICE("hint: ");
    struct end_text t = {SLICE(""), SLICE(""), SLICE(""), SLICE("")};
    while (text.p && text.n) {
        struct slice line = slice_split(&text, '\n');
        if (slice_starts(line, at) || slice_starts(line, over)) {
            if (!t.frames.n)
                t.frames = line;
            else
                t.frames.n = (size_t)(line.p + line.n - t.frames.p);
        } else if (slice_starts(line, call)) {
            t.call = slice_from(line, call.n);
        } else if (slice_starts(line, hint)) {
            t.hint = slice_from(line, hint.n);
        } else if (!t.why.n) {
            t.why = line;
        }
    }
    return t;
}

/* ---- what may be found ---- */

static const char *member(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

/* The program's own end, which something else may have led to. */
static bool own_end(enum err_code cause)
{
    return cause == ERR_EXIT_STATUS || cause == ERR_TRAP || cause == ERR_BAD_CGI ||
           cause == ERR_BAD_POINTER || cause == ERR_BAD_DESCRIPTOR;
}

static bool refused(const struct evidence *ev, struct found *f, bool by_operator)
{
    const json_t *last = json_array_get(ev->refusals, json_array_size(ev->refusals) - 1);
    if (!last || (ev->cause != ERR_POLICY && !own_end(ev->cause)) ||
        (strcmp(member(last, "layer"), "operator") == 0) != by_operator)
        return false;
    struct slice url = slice_str(member(last, "url"));
    slice_copy(slice_split(&url, '?'), f->url, sizeof f->url);
    snprintf(f->rule, sizeof f->rule, "%s", member(last, "rule"));
    return true;
}

static bool refused_by_policy(const struct evidence *ev, struct found *f)
{
    return refused(ev, f, false);
}

static bool refused_by_operator(const struct evidence *ev, struct found *f)
{
    return refused(ev, f, true);
}

/* The runtime's own line: `the limit "opens" is reached: …`. */
static bool open_over_limit(const struct evidence *ev, struct found *f)
{
    json_t *line;
    size_t i;
    if (!own_end(ev->cause) && ev->cause != ERR_EGRESS_LIMIT)
        return false;
    json_array_foreach(ev->log, i, line)
    {
        const char *text = member(line, "text"), *at = strstr(text, "the limit \"");
        struct slice rest = slice_str(at ? at + strlen("the limit \"") : "");
        struct slice name = slice_split(&rest, '"');
        if (at && slice_starts(rest, SLICE(" is reached")) && limit_find(name, &f->limit)) {
            slice_copy(name, f->name, sizeof f->name);
            return true;
        }
    }
    return false;
}

/* The runtime's own line: `https://host/path: what went wrong`. */
static bool open_failed(const struct evidence *ev, struct found *f)
{
    static const char *const schemes[] = {"https://", "http://", "gemini://"};
    json_t *line;
    size_t i;
    bool any = false;
    if (!own_end(ev->cause))
        return false;
    json_array_foreach(ev->log, i, line)
    {
        struct slice text = slice_str(member(line, "text"));
        const char *colon = text.n ? memmem(text.p, text.n, ": ", 2) : NULL;
        for (size_t k = 0; colon && k < 3; k++)
            if (slice_starts(text, slice_str(schemes[k])) &&
                strcmp(member(line, "source"), "log") == 0) {
                slice_copy(slice_make(text.p, (size_t)(colon - text.p)), f->url, sizeof f->url);
                snprintf(f->what, sizeof f->what, "%.*s",
                         (int)(text.n - (size_t)(colon - text.p) - 2), colon + 2);
                any = true;
            }
    }
    return any;
}

/* ---- a variable that is missed ---- */

static bool named(const json_t *env, const json_t *secrets, const char *name)
{
    json_t *secret;
    size_t i;
    if (json_object_get(env, name))
        return true;
    json_array_foreach(secrets, i, secret)
    {
        if (strcmp(json_string_value(secret), name) == 0)
            return true;
    }
    return false;
}

/* Does the line speak of something that isn't there? */
static bool complains(const char *line)
{
    static const char *const words[] = {"not set",     "missing", "unset",     "undefined",
                                        "required",    "must be", "not found", "no such",
                                        "environment", "needs",   "empty",     NULL};
    for (const char *const *w = words; *w; w++)
        if (strcasestr(line, *w))
            return true;
    return false;
}

/* A word in capitals that could be a variable's name, which the version doesn't have. One without
 * an underscore has to have been a variable of the last good version: "ERROR" is a word, too. */
static bool misses(const struct evidence *ev, const char *line, char name[WORD])
{
    for (const char *p = line; *p;) {
        if (!isupper((unsigned char)*p)) {
            while (isalnum((unsigned char)*p) || *p == '_')
                p++;
            p += *p != '\0' && !isupper((unsigned char)*p);
            continue;
        }
        size_t n = 0;
        bool joined = false;
        while (isupper((unsigned char)p[n]) || isdigit((unsigned char)p[n]) || p[n] == '_')
            joined |= p[n++] == '_';
        bool whole = !islower((unsigned char)p[n]);
        if (whole && n > 2 && n < WORD) {
            memcpy(name, p, n);
            name[n] = '\0';
            if (!named(ev->env, ev->secrets, name) &&
                (joined || named(ev->good_env, ev->good_secrets, name)))
                return true;
        }
        p += n;
        while (isalnum((unsigned char)*p) || *p == '_')
            p++;
    }
    return false;
}

static bool missing_variable(const struct evidence *ev, struct found *f)
{
    if (!own_end(ev->cause) || !ev->env)
        return false;
    for (size_t i = json_array_size(ev->log); i-- > 0;) {
        const json_t *line = json_array_get(ev->log, i);
        const char *text = member(line, "text");
        if (strcmp(member(line, "source"), "platform") != 0 && complains(text) &&
            misses(ev, text, f->name)) {
            snprintf(f->what, sizeof f->what, "%s", text);
            return true;
        }
    }
    return false;
}

static bool memory_used_up(const struct evidence *ev, struct found *f)
{
    return ev->cause == ERR_TRAP && ev->limits &&
           ev->memory_peak >= ev->limits->v[LIMIT_MEMORY] / 8 * 7;
}

static bool ended_well(const struct evidence *ev, struct found *f)
{
    return ev->cause == ERR_OK;
}

/* A limit of the edge's is named in the text, or is the first of its cause. */
static bool wall(const struct evidence *ev, struct found *f)
{
    if (ev->cause != ERR_WALL_LIMIT)
        return false;
    f->limit = LIMIT_WALL;
    for (int id = 0; id < LIMIT_COUNT; id++) {
        const char *name = limit_rows[id].name;
        if (limit_rows[id].cause == ERR_WALL_LIMIT && strcmp(name, "wall") != 0 &&
            memmem(ev->text.p, ev->text.n, name, strlen(name)))
            f->limit = (enum limit_id)id;
    }
    return true;
}

/* ---- the table ---- */

#define LOGS BRAND_COMMAND " logs {function} --run {run}"
#define RAISE BRAND_COMMAND " limits set {function} {limit}={more}"

static const struct cause_row rows[] = {
    {.code = "policy",
     .fits = refused_by_policy,
     .limit = LIMIT_COUNT,
     .sentence = "Its policy refused to open {url}, decided by: {rule}.",
     .hint = "If it should open that, allow it; a new version is made and promoted.",
     .command = BRAND_COMMAND " policy allow {url} {function}"},
    {.code = "policy",
     .fits = refused_by_operator,
     .limit = LIMIT_COUNT,
     .sentence = "This server refuses to open {url}: {rule}.",
     .hint = "Only the server's operator can allow it.",
     .command = LOGS},
    {.code = "egress_limit",
     .fits = open_over_limit,
     .limit = LIMIT_COUNT,
     .sentence = "It reached its limit {limit} of {value} for what it opens.",
     .hint = "Open less in one run, or raise the limit.",
     .command = RAISE},
    {.code = "unreachable",
     .fits = open_failed,
     .limit = LIMIT_COUNT,
     .sentence = "It could not reach {url}: {what}.",
     .hint = "Look whether that server answers; a program should expect that one doesn't.",
     .command = LOGS},
    {.code = "missing_variable",
     .fits = missing_variable,
     .limit = LIMIT_COUNT,
     .sentence = "It misses the variable {name}, which this version does not have: it said "
                 "\"{what}\".",
     .hint = "Set the variable; for a secret, `" BRAND_COMMAND " secret set {name}` first and then "
             "`" BRAND_COMMAND " env set {function} --secret {name}`.",
     .command = BRAND_COMMAND " env set {function} {name}=VALUE"},
    {.code = "memory_limit",
     .fits = memory_used_up,
     .limit = LIMIT_MEMORY,
     .sentence = "It used up its memory, {value}, and trapped: an allocation has failed.",
     .hint = "Use less memory in one run, or raise the limit.",
     .command = RAISE},
    {.code = "trap",
     .cause = ERR_TRAP,
     .limit = LIMIT_COUNT,
     .sentence = "The program trapped: {why}.",
     .command = LOGS},
    {.code = "stack_overflow",
     .cause = ERR_STACK_OVERFLOW,
     .limit = LIMIT_STACK,
     .sentence = "The program used up its stack of {value}.",
     .hint = "Look for a recursion without an end; only the operator can raise the limit.",
     .command = LOGS},
    {.code = "bad_pointer",
     .cause = ERR_BAD_POINTER,
     .limit = LIMIT_COUNT,
     .sentence = "The program passed memory that it does not have: {why}.",
     .hint = "Check the pointer and the length of its last host call.",
     .command = LOGS},
    {.code = "bad_descriptor",
     .cause = ERR_BAD_DESCRIPTOR,
     .limit = LIMIT_COUNT,
     .sentence = "The program closed a descriptor that is not open: {why}.",
     .hint = "It closed one twice, or one that it never opened.",
     .command = LOGS},
    {.code = "memory_limit",
     .cause = ERR_MEMORY_LIMIT,
     .limit = LIMIT_MEMORY,
     .sentence = "The program needs more memory than its limit of {value}.",
     .hint = "Use less memory in one run, or raise the limit.",
     .command = RAISE},
    {.code = "cpu_limit",
     .cause = ERR_CPU_LIMIT,
     .limit = LIMIT_CPU,
     .sentence = "It used up its CPU time of {value}.",
     .hint = "Look for a loop without an end, do less in one run, or raise the limit.",
     .command = RAISE},
    {.code = "wall_limit",
     .fits = wall,
     .limit = LIMIT_COUNT,
     .sentence = "It took longer than its limit {limit} of {value}.",
     .hint = "Look for what it waits for, or raise the limit.",
     .command = RAISE},
    {.code = "gas_limit",
     .cause = ERR_GAS_LIMIT,
     .limit = LIMIT_GAS,
     .sentence = "It used up its gas: {value} instructions.",
     .hint = "Look for a loop without an end, do less in one run, or raise the limit.",
     .command = RAISE},
    {.code = "output_limit",
     .cause = ERR_OUTPUT_LIMIT,
     .limit = LIMIT_RESPONSE_BODY,
     .sentence = "It wrote a longer response than its limit of {value}.",
     .hint = "Write less, or raise the limit; 0 is unlimited.",
     .command = RAISE},
    {.code = "too_large",
     .cause = ERR_TOO_LARGE,
     .limit = LIMIT_REQUEST_BODY,
     .sentence = "The request's body grew over its limit of {value}.",
     .hint = "Send less in one request, or raise the limit.",
     .command = RAISE},
    {.code = "egress_limit",
     .cause = ERR_EGRESS_LIMIT,
     .limit = LIMIT_EGRESS_RUN,
     .sentence = "It moved more bytes by what it opened than its limit of {value}.",
     .hint = "Move less in one run, or raise the limit.",
     .command = RAISE},
    {.code = "policy",
     .cause = ERR_POLICY,
     .limit = LIMIT_COUNT,
     .sentence = "The program opened what its policy forbids: {why}.",
     .hint = "Its log names the rule, and the command that would allow it.",
     .command = LOGS},
    {.code = "bad_cgi",
     .cause = ERR_BAD_CGI,
     .limit = LIMIT_COUNT,
     .sentence = "What it printed is no CGI response: {why}.",
     .hint = "Print a header and an empty line before the body, or let all that it prints be the "
             "body.",
     .command = BRAND_COMMAND " deploy FILE.wasm --name {function} --response text"},
    {.code = "exit_status",
     .cause = ERR_EXIT_STATUS,
     .limit = LIMIT_COUNT,
     .sentence = "The program ended itself with status {status}.",
     .hint = "Its log may say why.",
     .command = LOGS},
    {.code = "exec_died",
     .cause = ERR_EXEC_DIED,
     .limit = LIMIT_COUNT,
     .sentence = "The process that ran it died: another run in it may have been the reason.",
     .hint = "If it happens again with the same request, tell the server's operator.",
     .command = BRAND_COMMAND " runs {function} --cause exec_died"},
    {.code = "busy",
     .cause = ERR_BUSY,
     .limit = LIMIT_CONCURRENCY,
     .sentence = "There was no place to run it: at most {value} runs of a function are at work on "
                 "one edge at once.",
     .hint = "Make runs shorter, or raise the limit.",
     .command = RAISE},
    {.code = "cancelled",
     .cause = ERR_CANCELLED,
     .limit = LIMIT_COUNT,
     .sentence = "The client went away before the answer was whole.",
     .hint = "Nothing is wrong with the program; a slow answer makes clients leave.",
     .command = BRAND_COMMAND " runs {function} --slower 1s"},
    {.code = "ok",
     .fits = ended_well,
     .limit = LIMIT_COUNT,
     .sentence = "It ended well, with status {status}.",
     .command = BRAND_COMMAND " runs show {run}"},
};

/* ---- making texts ---- */

/* As one word for a shell. */
static bool add_quoted(struct buf *b, const char *text)
{
    bool plain = *text != '\0', fits = true;
    for (const char *p = text; *p && plain; p++)
        plain = isalnum((unsigned char)*p) || strchr("-_./:=%@+,", *p);
    if (plain)
        return buf_add(b, text, strlen(text));
    fits = buf_add(b, "'", 1);
    for (const char *p = text; *p && fits; p++)
        fits = *p == '\'' ? buf_add(b, "'\\''", 4) : buf_add(b, p, 1);
    return fits && buf_add(b, "'", 1);
}

/* "128MiB", "2s": twice the limit, or its maximum, as `limits set` takes it. */
static void raised(const struct evidence *ev, enum limit_id id, char out[32])
{
    uint64_t now = ev->limits ? ev->limits->v[id] : limit_rows[id].normal;
    uint64_t more = now > UINT64_MAX / 2 ? now : now * 2, most = limit_rows[id].maximum;
    char text[32];
    size_t n = 0;
    limit_format(id, most && more > most ? most : more, text);
    for (const char *p = text; *p; p++)
        if (*p != ' ')
            out[n++] = *p;
    out[n] = '\0';
}

static bool put_word(struct buf *b, struct slice word, const struct evidence *ev,
                     const struct found *f, bool quote)
{
    char text[SENTENCE] = "";
    struct slice why = end_text(ev->text).why;
    if (slice_eq(word, SLICE("function")))
        snprintf(text, sizeof text, "%s", ev->function);
    else if (slice_eq(word, SLICE("run")))
        snprintf(text, sizeof text, "%s", ev->run);
    else if (slice_eq(word, SLICE("url")))
        snprintf(text, sizeof text, "%s", f->url);
    else if (slice_eq(word, SLICE("rule")))
        snprintf(text, sizeof text, "%s", f->rule);
    else if (slice_eq(word, SLICE("name")))
        snprintf(text, sizeof text, "%s", f->name);
    else if (slice_eq(word, SLICE("what")))
        snprintf(text, sizeof text, "%s", f->what);
    else if (slice_eq(word, SLICE("why")))
        snprintf(text, sizeof text, "%.*s", SLICE_ARG(why.n ? why : SLICE("it does not say why")));
    else if (slice_eq(word, SLICE("status")))
        snprintf(text, sizeof text, "%lld",
                 (long long)(ev->cause == ERR_EXIT_STATUS ? ev->exit_status : (int64_t)ev->status));
    else if (slice_eq(word, SLICE("limit")))
        snprintf(text, sizeof text, "%s", limit_rows[f->limit].name);
    else if (slice_eq(word, SLICE("value")) && ev->limits)
        limit_format(f->limit, ev->limits->v[f->limit], text);
    else if (slice_eq(word, SLICE("value")))
        snprintf(text, sizeof text, "what was set then");
    else if (slice_eq(word, SLICE("more")))
        raised(ev, f->limit, text);
    return quote ? add_quoted(b, text) : buf_add(b, text, strlen(text));
}

/* A template with its {words} put in; null for none. `quote`: they are words for a shell. */
static json_t *say(const char *template, const struct evidence *ev, const struct found *f,
                   bool quote)
{
    struct slice rest = slice_str(template ? template : "");
    struct buf b;
    bool fits = true;
    if (!template)
        return json_null();
    buf_init(&b, 8 * SENTENCE);
    while (rest.p && rest.n && fits) {
        struct slice plain = slice_split(&rest, '{');
        fits = buf_add(&b, plain.p, plain.n);
        if (rest.p && fits)
            fits = put_word(&b, slice_split(&rest, '}'), ev, f, quote);
    }
    json_t *text = json_stringn(buf_size(&b) ? buf_data(&b) : "", buf_size(&b));
    buf_done(&b);
    return text ? text : json_null();
}

/* Nothing above has a row for it. */
static json_t *other(const struct evidence *ev)
{
    return json_pack("{s:s, s:s, s:n, s:n}", "code", err_slug(ev->cause), "sentence",
                     err_title(ev->cause), "hint", "command");
}

json_t *causes_find(const struct evidence *ev, enum limit_id *ret_limit)
{
    json_t *list = json_array();
    *ret_limit = LIMIT_COUNT;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct found f = {.limit = rows[i].limit};
        bool fits = rows[i].fits ? rows[i].fits(ev, &f) : rows[i].cause == ev->cause;
        if (!fits)
            continue;
        /* One that names the end in other words than the finding before it adds nothing. */
        const char *first = member(json_array_get(list, 0), "code");
        if (strcmp(first, rows[i].code) == 0)
            continue;
        struct slice hint = end_text(ev->text).hint;
        if (json_array_size(list) == 0)
            *ret_limit = f.limit;
        json_t *advice = rows[i].hint ? say(rows[i].hint, ev, &f, false)
                         : hint.n     ? json_stringn(hint.p, hint.n)
                                      : NULL;
        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:o}", "code", rows[i].code,
                                              "sentence", say(rows[i].sentence, ev, &f, false),
                                              "hint", advice ? advice : json_null(), "command",
                                              say(rows[i].command, ev, &f, true)));
    }
    if (json_array_size(list) == 0)
        json_array_append_new(list, other(ev));
    return list;
}
