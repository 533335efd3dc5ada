/* Imports a function with another type than it has: refused at upload. */
#define CWA(name) __attribute__((import_module("cwa"), import_name(#name)))

CWA(log_write) void log_write(long long level, const char *text, int len);

__attribute__((export_name("cwa_main"))) int cwa_main(void)
{
    log_write(6, "hello", 5);
    return 0;
}
