/* The standard streams: the request's body, the answer, and the function's log. */
#include "guest/resource.h"
#include "guest/tape.h"

static int32_t input_read(struct guest *g, struct descriptor *d, void *p, uint32_t n)
{
    bool end = false;
    size_t got = g->host->input(g, p, n, &end);
    (void)d;
    if (!got && !end) {
        g->waits |= GUEST_WAITS_INPUT;
        return RESOURCE_WAIT;
    }
    g->bytes_in += got;
    return got ? (int32_t)got : RESOURCE_END;
}

static bool input_ready(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                        bool *ret_end)
{
    (void)d, (void)to_write;
    *ret_bytes = g->host->input_ready(g, ret_end);
    if (*ret_bytes || *ret_end)
        return true;
    g->waits |= GUEST_WAITS_INPUT;
    return false;
}

static int32_t output_write(struct guest *g, struct descriptor *d, const void *p, uint32_t n)
{
    size_t took = g->host->output(g, p, n);
    (void)d;
    if (!took) {
        g->waits |= GUEST_WAITS_OUTPUT;
        return RESOURCE_WAIT;
    }
    g->bytes_out += took;
    if (g->tape)
        tape_output(g, p, took);
    return (int32_t)took;
}

static bool output_ready(struct guest *g, struct descriptor *d, bool to_write, uint64_t *ret_bytes,
                         bool *ret_end)
{
    (void)d, (void)to_write, (void)ret_bytes, (void)ret_end;
    if (g->host->output_ready(g))
        return true;
    g->waits |= GUEST_WAITS_OUTPUT;
    return false;
}

static int32_t error_write(struct guest *g, struct descriptor *d, const void *p, uint32_t n)
{
    (void)d;
    guest_log_bytes(g, GUEST_INFO, GUEST_STDERR, SLICE(""), &g->log.error, slice_make(p, n));
    return (int32_t)n;
}

static void error_close(struct guest *g, struct descriptor *d)
{
    (void)d;
    guest_log_flush(g, GUEST_INFO, GUEST_STDERR, SLICE(""), &g->log.error);
}

static const struct scheme input = {.read = input_read, .ready = input_ready};
static const struct scheme output = {.write = output_write, .ready = output_ready};
static const struct scheme error = {.write = error_write, .close = error_close};

const struct scheme *const scheme_stdio[3] = {&input, &output, &error};
