/* Common WebAssembly: a program that needs nothing but the host's calls. 300 bytes of module. */
#define CWA(name) __attribute__((import_module("cwa"), import_name(#name)))

CWA(io_get_stdout) int io_get_stdout(void);
CWA(resource_write) int resource_write(int fd, const void *bytes, int len);
CWA(log_write) void log_write(int level, const char *text, int len);

__attribute__((export_name("cwa_main"))) int cwa_main(void)
{
    static const char answer[] = "Content-Type: text/plain\n\nHello from Common WebAssembly\n";
    log_write(6, "said hello", 10);
    resource_write(io_get_stdout(), answer, sizeof answer - 1);
    return 0;
}
