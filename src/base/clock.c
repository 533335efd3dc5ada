#include "base/clock.h"

#include <stdio.h>
#include <string.h>

static char *put_digits(char *p, unsigned n, unsigned v)
{
    for (unsigned i = n; i--; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

/* Without gmtime_r(), which asks for the time zone under a lock: lists have hundreds of times. Days
 * are counted from the 1st of March of year 0, so that a leap day is the last one of its year; 400
 * years have 146,097 days, and the months from March on 31, 30, 31, 30, 31 days and again. */
void clock_rfc3339(uint64_t real_us, char out[25])
{
    static const char marks[] = "--T::.";
    uint64_t s = real_us / 1000000u, days = s / 86400 + 719468;
    unsigned clock = (unsigned)(s % 86400), era = (unsigned)(days / 146097),
             day = (unsigned)(days % 146097),
             year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    unsigned month = (5 * day + 2) / 153; /* 0: March */
    const unsigned parts[] = {month < 10 ? month + 3 : month - 9, day - (153 * month + 2) / 5 + 1,
                              clock / 3600, clock / 60 % 60, clock % 60};
    char *p = put_digits(out, 4, era * 400 + year + (month >= 10));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *p++ = marks[i];
        p = put_digits(p, 2, parts[i]);
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
