/* The whole environment, and the arguments. */
#include <stdio.h>

extern char **environ;

int main(int argc, char **argv)
{
    printf("Content-Type: text/plain\n\n");
    for (int i = 0; i < argc; i++)
        printf("argv[%d]=%s\n", i, argv[i]);
    for (char **at = environ; *at; at++)
        printf("%s\n", *at);
    return 0;
}
