/* Serves the files below "/": the answer is the file that the request's path names. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    static char piece[65536];
    const char *path = getenv("PATH_INFO");
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, piece, sizeof piece);
    if (n < 0) {
        printf("Status: 404 Not Found\nContent-Type: text/plain\n\n%s: %s\n", path,
               strerror(errno));
        return 0;
    }
    printf("Content-Type: application/octet-stream\n\n");
    for (; n > 0; n = read(fd, piece, sizeof piece))
        fwrite(piece, 1, (size_t)n, stdout);
    return 0;
}
