/* Resources by plain file I/O. */
#include <stdio.h>

static void try(const char *path)
{
    unsigned char buf[16] = {0};
    FILE *file = fopen(path, "r");
    if (!file) {
        printf("%s: no\n", path);
        return;
    }
    size_t n = fread(buf, 1, sizeof buf, file);
    int sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += buf[i];
    printf("%s: %zu bytes, %s\n", path, n, sum ? "not all zero" : "zero");
    fclose(file);
}

int main(void)
{
    printf("Content-Type: text/plain\n\n");
    try("/dev/null");
    try("/dev/zero");
    try("/dev/random");
    try("/dev/urandom");
    try("/net/zero/");
    try("/net/nonsense/x");
    return 0;
}
