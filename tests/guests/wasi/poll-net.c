/* Waits for two resources at once with poll(): the first never answers, the second sends lines. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char text[4096];
    struct pollfd fds[2] = {{.events = POLLIN}, {.events = POLLIN}};
    if (argc != 3)
        return 2;
    fds[0].fd = open(argv[1], O_RDONLY);
    if (fds[0].fd < 0 || poll(fds, 1, 30) != 0)
        return 3;
    printf("silent\n");
    fflush(stdout);
    fds[1].fd = open(argv[2], O_RDONLY);
    for (ssize_t n = 1; n > 0;) {
        if (poll(fds, 2, -1) != 1 || fds[0].revents || !fds[1].revents)
            return 4;
        n = read(fds[1].fd, text, sizeof text);
        if (n > 0)
            fwrite(text, 1, (size_t)n, stdout);
        fflush(stdout);
    }
    printf("end\n");
    return 0;
}
