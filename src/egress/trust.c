#include "egress/trust.h"

#include <limits.h>
#include <stdlib.h>

/* OpenSSL's functions, found where libcurl has them: we link with no TLS library. Their types are
 * opaque to us. */
static struct {
    void *(*bio_new)(const void *, int);
    int (*bio_free)(void *);
    void *(*pem_read)(void *bio, void **x, void *callback, void *arg);
    void (*certificate_free)(void *);
    void *(*store_new)(void);
    int (*store_add)(void *store, void *certificate);
    int (*store_flags)(void *store, unsigned long flags);
    void (*store_free)(void *);
    void (*use_store)(void *context, void *store); /* takes a reference */
    void (*clear_errors)(void);
} ssl;

static const struct {
    const char *symbol;
    void *slot; /* where its address goes */
} symbols[] = {
    {"BIO_new_mem_buf", &ssl.bio_new},           {"BIO_free", &ssl.bio_free},
    {"PEM_read_bio_X509", &ssl.pem_read},        {"X509_free", &ssl.certificate_free},
    {"X509_STORE_new", &ssl.store_new},          {"X509_STORE_add_cert", &ssl.store_add},
    {"X509_STORE_set_flags", &ssl.store_flags},  {"X509_STORE_free", &ssl.store_free},
    {"SSL_CTX_set1_cert_store", &ssl.use_store}, {"ERR_clear_error", &ssl.clear_errors},
};

/* X509_V_FLAG_PARTIAL_CHAIN, which libcurl sets too: an authority need not be a root. */
static const unsigned long partial_chain = 0x80000;

struct trust {
    const struct curl_api *curl;
    struct slice pem;
    bool shares; /* one store among all connections; else libcurl reads `pem` itself */
    void *store; /* made at the first TLS connection: it takes some 10 ms */
};

static bool find_symbols(void)
{
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *address = curl_symbol(symbols[i].symbol);
        if (!address)
            return false;
        memcpy(symbols[i].slot, &address, sizeof address);
    }
    return true;
}

static void *make_store(struct slice pem)
{
    void *certificate, *store = ssl.store_new();
    void *bio = store && pem.n <= INT_MAX ? ssl.bio_new(pem.p, (int)pem.n) : NULL;
    if (!bio) {
        if (store)
            ssl.store_free(store);
        return NULL;
    }
    while ((certificate = ssl.pem_read(bio, NULL, NULL, NULL))) {
        ssl.store_add(store, certificate); /* one that is there twice counts once */
        ssl.certificate_free(certificate);
    }
    ssl.store_flags(store, partial_chain);
    ssl.clear_errors(); /* the end of the bundle is one */
    ssl.bio_free(bio);
    return store;
}

enum err_code trust_new(const struct curl_api *curl, struct slice pem, struct trust **ret_trust,
                        struct err *e)
{
    struct trust *t = calloc(1, sizeof *t);
    if (!t)
        return err_set(e, ERR_MEMORY, "no memory for certificates");
    t->curl = curl;
    t->pem = pem.n ? pem : SLICE("none");
    t->shares = find_symbols();
    *ret_trust = t;
    return ERR_OK;
}

void trust_free(struct trust *t)
{
    if (t && t->store)
        ssl.store_free(t->store);
    free(t);
}

static CURLcode on_context(CURL *easy, void *context, void *arg)
{
    struct trust *t = arg;
    (void)easy;
    if (!t->store && !(t->store = make_store(t->pem)))
        return CURLE_OUT_OF_MEMORY;
    ssl.use_store(context, t->store);
    return CURLE_OK;
}

bool trust_set(struct trust *t, CURL *easy)
{
    const struct curl_api *curl = t->curl;
    struct curl_blob pem = {
        .data = (void *)(uintptr_t)t->pem.p, .len = t->pem.n, .flags = CURL_BLOB_NOCOPY};
    if (curl->easy_setopt(easy, CURLOPT_CAPATH, NULL))
        return false;
    if (!t->shares)
        return !curl->easy_setopt(easy, CURLOPT_CAINFO_BLOB, &pem);
    return !curl->easy_setopt(easy, CURLOPT_CAINFO, NULL) &&
           !curl->easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context) &&
           !curl->easy_setopt(easy, CURLOPT_SSL_CTX_DATA, t);
}
