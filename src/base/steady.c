#include "base/steady.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BOOT_ID = 40 };

static struct steady here;
static char boot_id[BOOT_ID]; /* of the machine's start, by which boot times can be compared */

uint64_t steady_at(struct steady *s, uint64_t real_ms, uint64_t boot_ms)
{
    uint64_t expected = s->real_ms + (boot_ms - s->boot_ms);
    if (!s->real_ms || real_ms <= expected + STEADY_SLACK_MS) {
        *s = (struct steady){.real_ms = real_ms, .boot_ms = boot_ms};
        return real_ms;
    }
    if (!s->leapt_ms)
        s->leapt_ms = boot_ms + !boot_ms;
    if (boot_ms < s->leapt_ms + STEADY_DOUBT_MS)
        return expected;
    *s = (struct steady){.real_ms = real_ms, .boot_ms = boot_ms};
    return real_ms;
}

static uint64_t boot_ms(void)
{
    return clock_us(CLOCK_BOOTTIME) / 1000;
}

uint64_t steady_ms(void)
{
    return steady_at(&here, clock_real_us() / 1000, boot_ms());
}

bool steady_leapt(void)
{
    (void)steady_ms();
    return here.leapt_ms != 0;
}

void steady_save(char out[STEADY_TEXT])
{
    (void)steady_ms();
    snprintf(out, STEADY_TEXT, "%llu %llu %llu %s", (unsigned long long)here.real_ms,
             (unsigned long long)here.boot_ms, (unsigned long long)here.leapt_ms, boot_id);
}

void steady_restore(const char *text)
{
    unsigned long long real, boot, leapt;
    char id[BOOT_ID] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, boot_id, sizeof boot_id - 1);
    boot_id[n > 0 ? n : 0] = '\0';
    boot_id[strcspn(boot_id, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
    if (sscanf(text, "%llu %llu %llu %39s", &real, &boot, &leapt, id) < 3)
        return;
    if (id[0] && strcmp(id, boot_id) == 0 && boot <= boot_ms())
        here = (struct steady){.real_ms = real, .boot_ms = boot, .leapt_ms = leapt};
    else /* how long the machine was off is what the wall clock says: a leap like others */
        here = (struct steady){.real_ms = real, .boot_ms = boot_ms()};
}
