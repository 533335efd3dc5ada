/* Ends with 3 before it has printed anything. */
#include <stdlib.h>

int main(void)
{
    exit(3);
}
