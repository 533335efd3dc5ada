/* Imports a function that nobody offers: refused at upload. */
#include "cwa.h"

CWA(make_coffee) int make_coffee(int cups);

ENTRY
{
    return make_coffee(2);
}
