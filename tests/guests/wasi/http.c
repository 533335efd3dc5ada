/* A program that knows nothing of URLs but files: copies the file of its query (`/net/http/…`) to
 * standard output. With a request on standard input, writes that into the file first. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char buf[65536];

static int copy_file(const char *name)
{
    FILE *f = fopen(name, "r");
    if (!f) {
        printf("fopen: %s\n", strerror(errno));
        return 0;
    }
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        fwrite(buf, 1, n, stdout);
    if (ferror(f))
        printf("\nfread: %s\n", strerror(errno));
    fclose(f);
    return 0;
}

int main(void)
{
    const char *name = getenv("QUERY_STRING"), *length = getenv("CONTENT_LENGTH");
    if (!length || strcmp(length, "0") == 0)
        return copy_file(name);
    int fd = open(name, O_RDWR);
    if (fd < 0) {
        printf("open: %s\n", strerror(errno));
        return 0;
    }
    ssize_t n;
    while ((n = read(0, buf, sizeof buf)) > 0)
        if (write(fd, buf, (size_t)n) != n) {
            printf("write: %s\n", strerror(errno));
            return 0;
        }
    while ((n = read(fd, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    if (n < 0)
        printf("\nread: %s\n", strerror(errno));
    close(fd);
    return 0;
}
