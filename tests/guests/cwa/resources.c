/* Each local scheme, an unknown one and a bad URL: one line of results for each. */
#include "cwa.h"

static void try(const char *url)
{
    char buf[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    int fd = resource_open(url, length(url));
    put(url);
    put(" open ");
    put_number(fd < 0 ? fd : 0);
    if (fd >= 0) {
        put(" write ");
        put_number(resource_write(fd, "line\n", 5));
        put(" read ");
        put_number(resource_read(fd, buf, sizeof buf));
        put(" first ");
        put_number(buf[0] == 0);
        put(" flush ");
        put_number(resource_flush(fd));
        resource_close(fd);
    }
    put("\n");
}

ENTRY
{
    put_text_head();
    try("null://");
    try("zero://");
    try("random://");
    try("log://?prefix=P");
    try("http://example.com/");
    try("nonsense://");
    try("no url at all");
    return 0;
}
