/* Explaining an end: why, where, after which host call, and what to do about it.
 *
 * All that Wasmtime tells about the guest's stack is one long text, with the names of Rust and C++
 * demangled: it is taken apart here. None of this runs for a guest that ended well. */
#include "engine/private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum {
    REST = 400, /* bytes that the stack leaves for what follows it */
    NAME = 120, /* bytes of a function's name */
};

static const struct trap_text {
    const char *why, *advice;
} traps[] = {
    [WASMTIME_TRAP_CODE_STACK_OVERFLOW] =
        {"it used up its stack",
         "look for a recursion without an end; an operator can raise the limit stack"},
    [WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS] = {"it read or wrote outside of its memory",
                                                 "look for a pointer that was never set, was "
                                                 "freed, or comes from an allocation that failed"},
    [WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS] =
        {"it called a function pointer that points nowhere",
         "look for a function pointer that was overwritten or never set"},
    [WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL] =
        {"it called a null function pointer",
         "look for a function pointer that was never set, or an object that is gone"},
    [WASMTIME_TRAP_CODE_BAD_SIGNATURE] =
        {"it called a function pointer with another type than the function has",
         "look for a cast between function types, or a function without a prototype"},
    [WASMTIME_TRAP_CODE_INTEGER_OVERFLOW] =
        {"an integer division or conversion overflowed",
         "check the operands first: the least number by -1, or a float that is too large"},
    [WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO] = {"it divided an integer by zero",
                                                     "check the divisor first"},
    [WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER] =
        {"it converted a float that is no number to an integer",
         "check it first, or build with saturating conversions (-mnontrapping-fptoint)"},
    [WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED] =
        {"it reached an unreachable instruction",
         "it gave up by itself (panic, abort, failed assertion): its log may say why"},
    [WASMTIME_TRAP_CODE_OUT_OF_FUEL] = {"it executed as many instructions as its gas allows",
                                        "look for a loop without an end, or raise the limit: "
                                        "--limit gas=COUNT"},
};

struct text {
    char *p;
    size_t n, size;
};

/* Appends; what does not fit is left out whole. */
__attribute__((format(printf, 2, 3))) static void say(struct text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->p + t->n, t->size - t->n, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < t->size - t->n)
        t->n += (size_t)n;
    t->p[t->n] = '\0';
}

/* The row of what it trapped with; NULL if it has none. */
static const struct trap_text *trap_text(const struct instance *i)
{
    wasmtime_trap_code_t code;
    bool known = i->trap && !i->end.by_host && wasmtime_trap_code(i->trap, &code) &&
                 code < sizeof traps / sizeof *traps && traps[code].why;
    return known ? &traps[code] : NULL;
}

/* The bytes before the first of `stops`; all if there is none. */
static struct slice until(struct slice s, const char *stops)
{
    size_t n = 0;
    while (n < s.n && !strchr(stops, s.p[n]))
        n++;
    return slice_make(s.p, n);
}

/* Is the end of a Rust name "::h" and 16 digits? Nobody wants to read that. */
static struct slice without_hash(struct slice name)
{
    static const char hex[] = "0123456789abcdef";
    enum { HASH = 19 };
    if (name.n <= HASH || memcmp(name.p + name.n - HASH, "::h", 3))
        return name;
    for (size_t k = name.n - 16; k < name.n; k++)
        if (!memchr(hex, name.p[k], 16))
            return name;
    return slice_make(name.p, name.n - HASH);
}

/* Not longer than NAME, no character cut in two. */
static struct slice shortened(struct slice name)
{
    if (name.n <= NAME)
        return name;
    size_t n = NAME;
    while (n && ((unsigned char)name.p[n] & 0xc0) == 0x80)
        n--;
    return slice_make(name.p, n);
}

/* "\n  at FUNCTION (0x12)" for the line "  0: 0x12 - MODULE!FUNCTION" of a backtrace. */
static void add_frame(struct slice line, struct text *out)
{
    struct slice number = until(line, ":"), module = until(line, "!");
    if (!line.n || line.p[0] < '0' || line.p[0] > '9' || module.n == line.n)
        return;
    struct slice function = shortened(without_hash(slice_from(line, module.n + 1)));
    struct slice place = until(slice_trim(slice_from(line, number.n + 1)), " ");
    bool placed = slice_starts(place, SLICE("0x")); /* the innermost of a full stack isn't */
    say(out, "%s  at %.*s", out->n ? "\n" : "", SLICE_ARG(function));
    if (placed)
        say(out, " (%.*s)", SLICE_ARG(place));
}

/* Is one of them there again and again? */
static bool add_frames(struct slice lines, struct text *out)
{
    struct slice last = SLICE("");
    bool same = false, recursion = false;
    while (lines.p && out->n + REST < out->size) {
        struct slice line = slice_trim(slice_split(&lines, '\n'));
        struct slice frame = slice_from(line, until(line, ":").n); /* without its number */
        if (frame.n && slice_eq(frame, last)) {
            same = recursion = true;
            continue;
        }
        if (same)
            say(out, "\n  … over and over");
        same = false;
        last = frame;
        add_frame(line, out);
    }
    return recursion;
}

/* "memory fault at wasm address 0x10000 in linear memory of size 0x10000", made readable. */
static void add_address(struct slice causes, struct text *out)
{
    static const char said[] = "memory fault at wasm address ";
    const char *at = memmem(causes.p, causes.n, said, sizeof said - 1);
    uint64_t address, size;
    char text[128];
    if (at &&
        slice_copy(until(slice_make(at, (size_t)(causes.p + causes.n - at)), "\n"), text,
                   sizeof text) &&
        sscanf(text + sizeof said - 1, "%" SCNx64 " in linear memory of size %" SCNx64, &address,
               &size) == 2)
        say(out, ": address %" PRIu64 " of %" PRIu64 " bytes", address, size);
}

/* What Wasmtime says of an error that is no trap: its first cause. */
static void add_cause(struct slice causes, struct text *out)
{
    while (causes.n && strchr(" \n", causes.p[0]))
        causes = slice_from(causes, 1);
    causes = until(causes, "\n");
    say(out, "%.*s", SLICE_ARG(causes));
}

static void add_call(const struct instance *i, struct text *out)
{
    const struct binding *b = i->binding;
    if (!b)
        return;
    const struct host_function *f = &host_functions[b->function];
    char number[HOST_NUMBER];
    say(out, "%slast host call: %s(", out->n ? "\n" : "", f->label);
    for (int k = 0; f->params[k]; k++) {
        say(out, "%s", k ? ", " : "");
        say(out, "%s", host_number(f->params[k], i->call.arg[k], number));
    }
    say(out, ")");
    if (i->call_over && f->result[0])
        say(out, " -> %s", host_number(f->result[0], i->call.result, number));
    else if (!i->call_over && !i->end.by_host)
        say(out, ", for which it waited");
}

void instance_explain(const struct instance *i, struct slice why, struct slice advice, char *text,
                      size_t size)
{
    static const char caused[] = "Caused by:";
    const struct trap_text *known = trap_text(i);
    struct text t = {.p = text, .size = size}, *out = &t;
    wasm_name_t message = {0};
    text[0] = '\0';
    if (i->trap)
        wasm_trap_message(i->trap, &message);
    else if (i->error)
        wasmtime_error_message(i->error, &message);
    struct slice causes = message.size ? slice_make(message.data, message.size) : SLICE("");
    struct slice frames = SLICE("");
    const char *split = memmem(causes.p, causes.n, caused, sizeof caused - 1);
    if (split) {
        frames = slice_make(causes.p, (size_t)(split - causes.p));
        causes = slice_from(causes, frames.n + sizeof caused - 1);
    }
    if (why.n)
        say(out, "%.*s", SLICE_ARG(why));
    else if (known) {
        say(out, "%s", known->why);
        add_address(causes, out);
    } else if (i->end.reason) {
        add_cause(causes, out);
    }
    bool recursion = add_frames(frames, out);
    add_call(i, out);
    /* C's own stack lies in memory: one that is used up runs into what is beside it, or out. */
    if (!advice.n && recursion && known == &traps[WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS])
        advice =
            SLICE("look for a recursion without an end; the stack of a C or Rust program is part "
                  "of its memory: link with -z stack-size=BYTES for a larger one");
    if (!advice.n && known)
        advice = slice_str(known->advice);
    if (advice.n)
        say(out, "%shint: %.*s", out->n ? "\n" : "", SLICE_ARG(advice));
    if (message.data)
        wasm_byte_vec_delete(&message);
}
