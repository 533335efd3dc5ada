/* libcurl, opened when it is first needed.
 *
 * Linked in, its thirty libraries would be mapped into every exec process,
 * where none may be used. So the command line's API client and the egress role
 * call it through this table of function pointers; this is the only place that
 * includes its header. */
#pragma once

#include "base/err.h"

#include <curl/curl.h>

struct curl_api {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    CURLcode (*easy_perform)(CURL *);
    void (*easy_reset)(CURL *); /* forgets the options, keeps the connections */
    void (*easy_cleanup)(CURL *);
    const char *(*easy_strerror)(CURLcode);
    CURLcode (*easy_pause)(CURL *, int bitmask);
    CURLcode (*easy_send)(CURL *, const void *, size_t, size_t *);
    CURLcode (*easy_recv)(CURL *, void *, size_t, size_t *);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
    /* many transfers at once, on somebody's event loop */
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_cleanup)(CURLM *);
    CURLMcode (*multi_setopt)(CURLM *, CURLMoption, ...);
    CURLMcode (*multi_add_handle)(CURLM *, CURL *);
    CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
    CURLMcode (*multi_assign)(CURLM *, curl_socket_t, void *);
    CURLMcode (*multi_socket_action)(CURLM *, curl_socket_t, int events, int *running);
    CURLMsg *(*multi_info_read)(CURLM *, int *left);
    /* one transfer and something else to wait for */
    CURLMcode (*multi_perform)(CURLM *, int *running);
    CURLMcode (*multi_poll)(CURLM *, struct curl_waitfd *, unsigned n, int timeout_ms, int *ready);
};

/* A function of a library that libcurl itself uses, NULL if there is none of this name. After
 * curl_open(). */
void *curl_symbol(const char *name);

/* The table, loaded once and kept for the life of the process. Without libcurl on this machine:
 * ERR_IO saying which package has it. Main thread. */
enum err_code curl_open(const struct curl_api **ret_api, struct err *e) MUST_CHECK;
