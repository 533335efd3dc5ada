#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static char *put_digits(char *p, unsigned n, unsigned v)
{
    for (unsigned i = n; i--; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

void clock_rfc3339(uint64_t real_us, char out[25])
{
    static const char marks[] = "--T::.";
    time_t s = (time_t)(real_us / 1000000u);
    struct tm tm;
    gmtime_r(&s, &tm);
    const int parts[] = {tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec};
    char *p = put_digits(out, 4, (unsigned)tm.tm_year + 1900);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *p++ = marks[i];
        p = put_digits(p, 2, (unsigned)parts[i]);
    }
    *p++ = marks[sizeof parts / sizeof *parts];
    p = put_digits(p, 3, (unsigned)(real_us / 1000u % 1000u));
    memcpy(p, "Z", 2);
}

void clock_http_date(uint64_t real_us, char out[30])
{
    static const char day[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char month[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t s = (time_t)(real_us / 1000000u);
    struct tm tm;
    gmtime_r(&s, &tm);
    char text[64];
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", day[tm.tm_wday], tm.tm_mday,
             month[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    snprintf(out, 30, "%.29s", text);
}
