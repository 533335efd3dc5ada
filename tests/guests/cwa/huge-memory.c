/* Wants almost 4 GiB to begin with: refused at upload.
 * ldflags: -Wl,--initial-memory=4294901760 */
#include "cwa.h"

ENTRY
{
    put_text_head();
    return 0;
}
