/* The bytes that the compiler gets.
 *
 * Sections are copied as they are, except: custom ones but `name` (which gives
 * traps their function names) are left out, so that debug information costs
 * neither compile time nor image; and a module that doesn't export its memory
 * gets the export `memory`, because host functions reach guests through it. Old
 * Dagger modules need that. */
#include "module/module.h"

enum { SECTION_CUSTOM = 0, SECTION_EXPORT = 7 };

/* The parser accepted these bytes: numbers are whole and within. */
static uint32_t read_leb(const uint8_t **p)
{
    uint32_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t b = *(*p)++;
        value |= (uint32_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return value;
    }
}

static size_t write_leb(uint32_t value, char out[5])
{
    size_t n = 0;
    do {
        out[n] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (out[n++] & 0x80);
    return n;
}

/* The export section with "memory" added to the `count` exports encoded in `rest`. */
static bool put_exports(struct buf *out, uint32_t count, struct slice rest)
{
    static const char memory[] = "\6memory\2\0"; /* name, kind memory, index 0 */
    char head[11] = {SECTION_EXPORT}, number[5];
    size_t number_size = write_leb(count + 1, number);
    size_t body = number_size + rest.n + sizeof memory - 1;
    size_t head_size = 1 + write_leb((uint32_t)body, head + 1);
    return buf_add(out, head, head_size) && buf_add(out, number, number_size) &&
           buf_add(out, rest.p, rest.n) && buf_add(out, memory, sizeof memory - 1);
}

enum err_code module_prepare(const struct module *m, struct buf *out, struct err *e)
{
    const uint8_t *p = (const uint8_t *)m->bytes.p, *end = p + m->bytes.n;
    bool missing = m->memory_count > 0 && !module_find_export(m, SLICE("memory"), EXTERN_MEMORY);
    bool ok = buf_add(out, p, 8);
    p += 8;
    while (p < end && ok) {
        const uint8_t *start = p;
        uint8_t id = *p++;
        uint32_t size = read_leb(&p);
        const uint8_t *body = p;
        p += size;
        /* start, elements, data count, code and data come after exports; their ids are higher */
        if (missing && id > SECTION_EXPORT) {
            ok = put_exports(out, 0, SLICE(""));
            missing = false;
        }
        if (id == SECTION_CUSTOM) {
            uint32_t n = read_leb(&body);
            if (!slice_eq(slice_make(body, n), SLICE("name")))
                continue;
        }
        if (id == SECTION_EXPORT && missing) {
            uint32_t count = read_leb(&body);
            ok = put_exports(out, count, slice_make(body, (size_t)(p - body)));
            missing = false;
        } else {
            ok = ok && buf_add(out, start, (size_t)(p - start));
        }
    }
    if (ok && missing)
        ok = put_exports(out, 0, SLICE(""));
    return ok ? ERR_OK : err_set(e, ERR_MEMORY, "no memory to prepare the module");
}
