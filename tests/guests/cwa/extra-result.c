/* Imports functions without a result as if they had one, as some toolchains do: served with 0. */
#define ENV(name) __attribute__((import_module("env"), import_name(#name)))

ENV(io_get_stdout) int io_get_stdout(void);
ENV(log_write) int log_write(int level, const char *text, int len);
ENV(resource_close) int resource_close(int fd);
ENV(resource_open) int resource_open(const char *url, int len);
ENV(resource_write) int resource_write(int fd, const void *buf, int len);

__attribute__((export_name("cwa_main"))) int cwa_main(void)
{
    char answer[] = "Content-Type: text/plain\n\n? ?\n";
    answer[26] = (char)('0' + log_write(6, "hello", 5));
    answer[28] = (char)('0' + resource_close(resource_open("null://", 7)));
    resource_write(io_get_stdout(), answer, sizeof answer - 1);
    return 0;
}
