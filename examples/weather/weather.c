/* A program that asks another server: the weather at ?latitude=52.5&longitude=13.4.
 *
 * Everything is a URL, and a URL is a file: /net/https/HOST/PATH is https://HOST/PATH. What is read
 * from it is the answer as HTTP/1.1, head and body. The function may open what its policy allows,
 * policy.yaml here, and nothing else. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number after `name=` in the query; `otherwise` when there is none. */
static double number(const char *query, const char *name, double otherwise)
{
    const char *at = query ? strstr(query, name) : NULL;
    return at ? atof(at + strlen(name)) : otherwise;
}

static int failed(const char *what)
{
    printf("Status: 502 Bad Gateway\nContent-Type: text/plain\n\n%s\n", what);
    return 0;
}

int main(void)
{
    const char *query = getenv("QUERY_STRING"), *server = getenv("WEATHER_SERVER");
    double latitude = number(query, "latitude=", 52.52), longitude = number(query, "longitude=", 13.41);
    char path[256], answer[16384];
    snprintf(path, sizeof path, "/net/%s/v1/forecast?latitude=%.2f&longitude=%.2f&current=temperature_2m",
             server ? server : "https/api.open-meteo.com", latitude, longitude);

    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return failed("the weather's server can't be opened");
    ssize_t length = 0, n;
    while ((n = read(fd, answer + length, sizeof answer - 1 - (size_t)length)) > 0)
        length += n;
    close(fd);
    answer[length] = 0;

    const char *body = strstr(answer, "\r\n\r\n");
    const char *current = body ? strstr(body, "\"current\":") : NULL;
    const char *temperature = current ? strstr(current, "\"temperature_2m\":") : NULL;
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0 || !temperature)
        return failed("the weather's server gave no temperature");
    printf("Content-Type: text/plain\n\n%.1f degrees at %.2f, %.2f\n",
           atof(temperature + strlen("\"temperature_2m\":")), latitude, longitude);
    return 0;
}
