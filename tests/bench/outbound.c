/* The yardstick of outbound requests: `outbound URL REQUESTS AT_ONCE` with curl's multi interface.
 *
 * As many transfers as AT_ONCE are under way until REQUESTS answers were read to their end, each by
 * an easy handle that is used again; connections are kept. Prints the seconds it took. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static size_t take(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    *(size_t *)arg += size * n;
    return size * n;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: outbound URL REQUESTS AT_ONCE\n");
        return 2;
    }
    long left = atol(argv[2]), at_once = atol(argv[3]), failed = 0;
    size_t bytes = 0;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, at_once);
    double begin = now();
    for (long i = 0; i < at_once && left > 0; i++, left--) {
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
        curl_multi_add_handle(multi, easy);
    }
    for (int running = 1; running;) {
        curl_multi_perform(multi, &running);
        int queued;
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &queued));) {
            CURL *easy = message->easy_handle;
            failed += message->data.result != CURLE_OK;
            curl_multi_remove_handle(multi, easy);
            if (left > 0) {
                left--;
                running = 1;
                curl_multi_add_handle(multi, easy);
            } else {
                curl_easy_cleanup(easy);
            }
        }
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    printf("%.6f\n", now() - begin);
    curl_multi_cleanup(multi);
    if (failed)
        fprintf(stderr, "outbound: %ld transfers failed\n", failed);
    return failed != 0;
}
