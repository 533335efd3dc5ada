/* The request body, through stdio. */
#include <stdio.h>

int main(void)
{
    static char buf[32768];
    size_t n;
    printf("Content-Type: application/octet-stream\n\n");
    while ((n = fread(buf, 1, sizeof buf, stdin)))
        fwrite(buf, 1, n, stdout);
    return ferror(stdin) ? 1 : 0;
}
