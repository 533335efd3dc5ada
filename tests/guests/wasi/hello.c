/* The usual first program. */
#include <stdio.h>

int main(void)
{
    printf("Content-Type: text/plain\n\nhello world\n");
    return 0;
}
