/* What isn't offered answers with the right errno and harms nothing. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRY(call) (errno = 0, (long)(call), printf("%s: %d\n", #call, errno))

int main(void)
{
    char buf[4];
    struct stat st;
    printf("Content-Type: text/plain\n\nbadf %d spipe %d\n", EBADF, ESPIPE);
    TRY(open("/etc/passwd", O_RDONLY));
    TRY(open("new", O_WRONLY | O_CREAT, 0600));
    TRY(read(99, buf, sizeof buf));
    TRY(write(99, buf, sizeof buf));
    TRY(close(99));
    TRY(lseek(0, 0, SEEK_SET));
    TRY(fstat(1, &st));
    TRY(mkdir("folder", 0700));
    TRY(unlink("new"));
    return 0;
}
