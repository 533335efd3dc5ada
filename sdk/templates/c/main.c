/* {{name}}: answers each request with a greeting. A CGI program (RFC 3875): the request is in
 * environment variables and standard input, the answer is header fields, an empty line and a body
 * on standard output. Standard error is the function's log. */
#include <stdio.h>
#include <stdlib.h>

static const char *variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

int main(void)
{
    fprintf(stderr, "%s %s\n", variable("REQUEST_METHOD", "GET"), variable("PATH_INFO", "/"));
    printf("Content-Type: text/plain; charset=utf-8\n\n");
    printf("%s from {{name}}\n", variable("GREETING", "Hello"));
    return 0;
}
