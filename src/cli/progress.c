#include "cli/progress.h"

#include "base/clock.h"
#include "cli/show.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PATIENCE_US = 300 * 1000, /* what is faster needs no bar */
    REDRAW_US = 100 * 1000,
    WIDTH = 24,
    LABEL_MOST = 32,
};

void progress_begin(struct progress *p, const char *label, const char *then)
{
    *p = (struct progress){
        .label = isatty(STDERR_FILENO) ? label : NULL, .then = then, .begun_us = clock_mono_us()};
}

static void draw_bar(const struct progress *p, uint64_t done, uint64_t all)
{
    char bar[WIDTH + 1], sent[24], whole[24];
    unsigned filled = (unsigned)((double)done / (double)all * WIDTH);
    memset(bar, '-', WIDTH);
    memset(bar, '#', filled < WIDTH ? filled : WIDTH);
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r\033[K%.*s [%s] %3u %%  %s of %s", (int)LABEL_MOST, p->label, bar,
            (unsigned)((double)done / (double)all * 100), show_bytes(done, sent),
            show_bytes(all, whole));
}

void progress_show(struct progress *p, uint64_t done, uint64_t all)
{
    uint64_t now = clock_mono_us();
    if (!p->label || now - p->begun_us < PATIENCE_US || now - p->drawn_us < REDRAW_US)
        return;
    p->drawn_us = now;
    p->drawn = true;
    if (all && done < all)
        draw_bar(p, done, all);
    else
        fprintf(stderr, "\r\033[K%.*s: %s, %u s", (int)LABEL_MOST, p->label, p->then,
                (unsigned)((now - p->begun_us) / 1000000));
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
