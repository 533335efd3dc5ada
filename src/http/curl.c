#include "http/curl.h"

#include <dlfcn.h>

static struct curl_api api;
static void *library;

static const struct {
    const char *symbol;
    void *slot; /* where its address goes */
} symbols[] = {
    {"curl_global_init", &api.global_init},
    {"curl_easy_init", &api.easy_init},
    {"curl_easy_setopt", &api.easy_setopt},
    {"curl_easy_getinfo", &api.easy_getinfo},
    {"curl_easy_perform", &api.easy_perform},
    {"curl_easy_reset", &api.easy_reset},
    {"curl_easy_cleanup", &api.easy_cleanup},
    {"curl_easy_strerror", &api.easy_strerror},
    {"curl_easy_pause", &api.easy_pause},
    {"curl_easy_send", &api.easy_send},
    {"curl_easy_recv", &api.easy_recv},
    {"curl_slist_append", &api.slist_append},
    {"curl_slist_free_all", &api.slist_free_all},
    {"curl_multi_init", &api.multi_init},
    {"curl_multi_cleanup", &api.multi_cleanup},
    {"curl_multi_setopt", &api.multi_setopt},
    {"curl_multi_add_handle", &api.multi_add_handle},
    {"curl_multi_remove_handle", &api.multi_remove_handle},
    {"curl_multi_assign", &api.multi_assign},
    {"curl_multi_socket_action", &api.multi_socket_action},
    {"curl_multi_info_read", &api.multi_info_read},
    {"curl_multi_perform", &api.multi_perform},
    {"curl_multi_poll", &api.multi_poll},
};

enum err_code curl_open(const struct curl_api **ret_api, struct err *e)
{
    static bool ready;
    if (!ready) {
        library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
        if (!library)
            library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
        if (!library)
            return err_set(e, ERR_IO, "libcurl is missing (%s); install the package libcurl4",
                           dlerror());
        for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
            void *address = dlsym(library, symbols[i].symbol);
            if (!address)
                return err_set(e, ERR_IO, "libcurl is too old: it has no %s", symbols[i].symbol);
            memcpy(symbols[i].slot, &address, sizeof address);
        }
        if (api.global_init(CURL_GLOBAL_DEFAULT))
            return err_set(e, ERR_IO, "libcurl can't start");
        ready = true;
    }
    *ret_api = &api;
    return ERR_OK;
}

void *curl_symbol(const char *name)
{
    return library ? dlsym(library, name) : NULL;
}
