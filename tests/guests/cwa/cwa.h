/* The CWA calls, and the little that guests without a C library need.
 *
 * Guests here are told what to do by their query string: `param` reads a number from it. */
#pragma once

#ifndef CWA_MODULE
#define CWA_MODULE "cwa" /* or "env": both names offer the same functions */
#endif
#define CWA(name) __attribute__((import_module(CWA_MODULE), import_name(#name)))
#define ENTRY __attribute__((export_name("cwa_main"))) int cwa_main(void)

CWA(env_get) int env_get(const char *key, int key_len, char *value, int len);
CWA(io_get_stdin) int io_get_stdin(void);
CWA(io_get_stdout) int io_get_stdout(void);
CWA(io_get_stderr) int io_get_stderr(void);
CWA(log_write) void log_write(int level, const char *text, int len);
CWA(random_i32) int random_i32(void);
CWA(random_i64) long long random_i64(void);
CWA(resource_open) int resource_open(const char *url, int len);
CWA(resource_close) void resource_close(int fd);
CWA(resource_read) int resource_read(int fd, void *buf, int len);
CWA(resource_write) int resource_write(int fd, const void *buf, int len);
CWA(resource_flush) int resource_flush(int fd);
CWA(runtime_exit) void runtime_exit(int status);
CWA(runtime_msleep) void runtime_msleep(int ms);
CWA(runtime_name) int runtime_name(char *buf, int len);
CWA(runtime_spec_major) int runtime_spec_major(void);
CWA(runtime_spec_minor) int runtime_spec_minor(void);
CWA(startup_arg_len) int startup_arg_len(void);
CWA(startup_arg_at) int startup_arg_at(int i, char *buf, int len);
CWA(time_now) long long time_now(void);

static inline int length(const char *s)
{
    int n = 0;
    while (s[n])
        n++;
    return n;
}

static inline void put_bytes(const char *bytes, int len)
{
    int fd = io_get_stdout();
    while (len > 0) {
        int n = resource_write(fd, bytes, len);
        if (n <= 0)
            return;
        bytes += n;
        len -= n;
    }
}

static inline void put(const char *s)
{
    put_bytes(s, length(s));
}

static inline void put_number(long long number)
{
    char text[24], *at = text + sizeof text;
    unsigned long long n = number < 0 ? 0ull - (unsigned long long)number : (unsigned long long)number;
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    if (number < 0)
        *--at = '-';
    put_bytes(at, (int)(text + sizeof text - at));
}

static inline void put_text_head(void)
{
    put("Content-Type: text/plain\n\n");
}

/* The query string, terminated; its first 8191 bytes. */
static inline char *query(void)
{
    static char text[8192];
    int n = env_get("QUERY_STRING", 12, text, sizeof text - 1);
    text[n < 0 || n > (int)sizeof text - 1 ? 0 : n] = 0;
    return text;
}

/* The number after `name=` in the query; `other` when it isn't there. */
static inline int param(const char *name, int other)
{
    int len = length(name);
    for (const char *at = query(); *at; at++) {
        int i = 0;
        while (i < len && at[i] == name[i])
            i++;
        if (i < len || at[len] != '=')
            continue;
        int number = 0;
        for (at += len + 1; *at >= '0' && *at <= '9'; at++)
            number = number * 10 + (*at - '0');
        return number;
    }
    return other;
}
