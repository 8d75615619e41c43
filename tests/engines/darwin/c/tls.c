/* TLS by OpenSSL's libraries, which Python has too: found when first needed, so that nothing of theirs
 * but they themselves must be installed. Where they are not, a handshake fails, and tests say so. */
#include "double.h"
#include <dlfcn.h>

typedef void OBJECT; /* whatever of theirs */
typedef int (*verifier)(OBJECT *, void *);

#define OF_SSL(X) \
    X(OBJECT *, TLS_client_method, (void)) \
    X(OBJECT *, SSL_CTX_new, (OBJECT *)) \
    X(void, SSL_CTX_free, (OBJECT *)) \
    X(long, SSL_CTX_ctrl, (OBJECT *, int, long, void *)) \
    X(void, SSL_CTX_set_verify, (OBJECT *, int, void *)) \
    X(void, SSL_CTX_set_cert_verify_callback, (OBJECT *, verifier, void *)) \
    X(int, SSL_CTX_use_certificate, (OBJECT *, OBJECT *)) \
    X(int, SSL_CTX_use_PrivateKey, (OBJECT *, OBJECT *)) \
    X(int, SSL_CTX_set_alpn_protos, (OBJECT *, const unsigned char *, unsigned)) \
    X(OBJECT *, SSL_new, (OBJECT *)) \
    X(void, SSL_free, (OBJECT *)) \
    X(int, SSL_set_fd, (OBJECT *, int)) \
    X(long, SSL_ctrl, (OBJECT *, int, long, void *)) \
    X(int, SSL_connect, (OBJECT *)) \
    X(int, SSL_get_error, (OBJECT *, int)) \
    X(int, SSL_read, (OBJECT *, void *, int)) \
    X(int, SSL_peek, (OBJECT *, void *, int)) \
    X(int, SSL_write, (OBJECT *, const void *, int)) \
    X(int, SSL_pending, (OBJECT *)) \
    X(int, SSL_shutdown, (OBJECT *))
#define OF_CRYPTO(X) \
    X(unsigned long, ERR_get_error, (void)) \
    X(void, ERR_clear_error, (void)) \
    X(OBJECT *, d2i_X509, (OBJECT **, const unsigned char **, long)) \
    X(int, X509_up_ref, (OBJECT *)) \
    X(void, X509_free, (OBJECT *)) \
    X(OBJECT *, X509_get_subject_name, (OBJECT *)) \
    X(int, X509_NAME_get_text_by_NID, (OBJECT *, int, char *, int)) \
    X(OBJECT *, X509_STORE_new, (void)) \
    X(void, X509_STORE_free, (OBJECT *)) \
    X(int, X509_STORE_add_cert, (OBJECT *, OBJECT *)) \
    X(OBJECT *, X509_STORE_CTX_new, (void)) \
    X(void, X509_STORE_CTX_free, (OBJECT *)) \
    X(int, X509_STORE_CTX_init, (OBJECT *, OBJECT *, OBJECT *, OBJECT *)) \
    X(int, X509_STORE_CTX_set_default, (OBJECT *, const char *)) \
    X(OBJECT *, X509_STORE_CTX_get0_param, (OBJECT *)) \
    X(OBJECT *, X509_STORE_CTX_get0_untrusted, (OBJECT *)) \
    X(int, X509_STORE_CTX_get_error, (OBJECT *)) \
    X(int, X509_VERIFY_PARAM_set_flags, (OBJECT *, unsigned long)) \
    X(int, X509_VERIFY_PARAM_set1_host, (OBJECT *, const char *, size_t)) \
    X(int, X509_VERIFY_PARAM_set1_ip_asc, (OBJECT *, const char *)) \
    X(int, X509_verify_cert, (OBJECT *)) \
    X(OBJECT *, OPENSSL_sk_new_null, (void)) \
    X(int, OPENSSL_sk_push, (OBJECT *, const void *)) \
    X(int, OPENSSL_sk_num, (OBJECT *)) \
    X(void *, OPENSSL_sk_value, (OBJECT *, int)) \
    X(void, OPENSSL_sk_free, (OBJECT *)) \
    X(OBJECT *, d2i_PKCS12, (OBJECT **, const unsigned char **, long)) \
    X(int, PKCS12_parse, (OBJECT *, const char *, OBJECT **, OBJECT **, OBJECT **)) \
    X(void, PKCS12_free, (OBJECT *)) \
    X(void, EVP_PKEY_free, (OBJECT *))

/* Of their headers. */
enum {
    SET_MODE = 33, SET_SERVER_NAME = 55, ADD1_CHAIN_CERTIFICATE = 89, SET_MIN_VERSION = 123, RETRY_VERIFY = 136,
    PARTIAL_WRITE = 1, MOVING_BUFFER = 2, TLS_1_2 = 0x303, VERIFY_PEER = 1, PARTIAL_CHAIN = 0x80000,
    ERROR_SSL = 1, ERROR_IN = 2, ERROR_OUT = 3, ERROR_SYSCALL = 5, ERROR_END = 6, ERROR_RETRY_VERIFY = 12,
    VERIFY_FAILED = 134, WRONG_VERSION = 267, UNEXPECTED_EOF = 294, ALERTS = 1000,
    HAS_EXPIRED = 10, HOST_MISMATCH = 62, ADDRESS_MISMATCH = 64, COMMON_NAME = 13, ORGANIZATION = 17,
};

#define AS_POINTER(result, name, arguments) static result (*name) arguments;
OF_SSL(AS_POINTER)
OF_CRYPTO(AS_POINTER)

static bool are_found;

static void find(void) {
    void *crypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    void *ssl = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    are_found = crypto && ssl;
#define FOUND(library, name) are_found = are_found && (*(void **)&name = dlsym(library, #name));
#define IN_SSL(result, name, arguments) FOUND(ssl, name)
#define IN_CRYPTO(result, name, arguments) FOUND(crypto, name)
    OF_SSL(IN_SSL)
    OF_CRYPTO(IN_CRYPTO)
}

bool tls_exists(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find);
    return are_found;
}

/* ---- certificates, and whom to trust ---- */

void *tls_certificate(const void *der, size_t size) {
    const unsigned char *at = der;
    if (!tls_exists()) return NULL;
    void *found = d2i_X509(NULL, &at, (long)size);
    ERR_clear_error();
    if (found && at == (const unsigned char *)der + size) return found;
    X509_free(found);
    return NULL;
}

void tls_release_certificate(void *one) { X509_free(one); }
void tls_release_key(void *one) { EVP_PKEY_free(one); }

void tls_name(void *certificate, char *into, size_t room) {
    void *name = X509_get_subject_name(certificate);
    if (X509_NAME_get_text_by_NID(name, COMMON_NAME, into, (int)room) <= 0)
        X509_NAME_get_text_by_NID(name, ORGANIZATION, into, (int)room);
}

static void *of_the_system[8]; /* certificates that the system trusts */
static pthread_mutex_t system_lock = PTHREAD_MUTEX_INITIALIZER;

/* Let the system trust a certificate more; none of them if there is none. */
void double_trust(const void *der, size_t size) {
    pthread_mutex_lock(&system_lock);
    void **at = of_the_system;
    while (*at) at++;
    if (der) *at = tls_certificate(der, size);
    else while (at > of_the_system) X509_free(*--at), *at = NULL;
    pthread_mutex_unlock(&system_lock);
}

int tls_judge(void **chain, size_t count, void **anchors, size_t anchor_count, bool no_others, const char *host) {
    OBJECT *store = X509_STORE_new(), *context = X509_STORE_CTX_new(), *others = OPENSSL_sk_new_null();
    for (size_t i = 0; i < anchor_count; i++) X509_STORE_add_cert(store, anchors[i]);
    pthread_mutex_lock(&system_lock);
    for (void **at = of_the_system; *at && !no_others; at++) X509_STORE_add_cert(store, *at);
    pthread_mutex_unlock(&system_lock);
    for (size_t i = 1; i < count; i++) OPENSSL_sk_push(others, chain[i]);
    X509_STORE_CTX_init(context, store, chain[0], others);
    X509_STORE_CTX_set_default(context, "ssl_server");
    OBJECT *how = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_flags(how, PARTIAL_CHAIN);
    if (host && !X509_VERIFY_PARAM_set1_ip_asc(how, host)) X509_VERIFY_PARAM_set1_host(how, host, 0);
    int fault = X509_verify_cert(context) == 1 ? 0 : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    OPENSSL_sk_free(others);
    ERR_clear_error();
    if (fault == 0) return 0;
    if (fault == HAS_EXPIRED) return EXPIRED;
    return fault == HOST_MISMATCH || fault == ADDRESS_MISMATCH ? OTHER_HOST : CHAIN_INVALID;
}

/* Give the key and the chain of a PKCS#12 file, and how many these are: 0 without a key, -1 for another
 * password, -2 for no such file. */
int tls_open_pkcs12(const void *bytes, size_t size, const char *password, void **key, void **chain, int room) {
    const unsigned char *at = bytes;
    OBJECT *leaf = NULL, *others = NULL;
    OBJECT *file = tls_exists() ? d2i_PKCS12(NULL, &at, (long)size) : NULL;
    if (!file) return -2;
    int count = PKCS12_parse(file, password, key, &leaf, &others) ? 0 : -1;
    if (leaf) {
        chain[count++] = leaf;
        for (int i = 0; others && i < OPENSSL_sk_num(others); i++) {
            void *one = OPENSSL_sk_value(others, i);
            if (count < room) chain[count++] = one;
            else X509_free(one);
        }
    }
    if (others) OPENSSL_sk_free(others);
    PKCS12_free(file);
    ERR_clear_error();
    return count;
}

/* ---- sessions ---- */

struct session {
    OBJECT *context, *ssl;
    const char *host;
    void *chain[8];
    size_t count;
    int verdict; /* 0, or why the server is not trusted */
    bool asks, is_judged, is_broken;
};

/* OpenSSL asks whether to trust a chain: the verify block may take its time to answer. */
static int verify(OBJECT *about, void *arg) {
    session *this = arg;
    OBJECT *chain = X509_STORE_CTX_get0_untrusted(about);
    if (!this->count) {
        for (int i = 0; i < OPENSSL_sk_num(chain) && i < 8; i++) {
            this->chain[this->count++] = OPENSSL_sk_value(chain, i);
            X509_up_ref(this->chain[i]);
        }
    }
    if (!this->is_judged && this->asks) {
        SSL_ctrl(this->ssl, RETRY_VERIFY, 0, NULL);
        return 1; /* as this way of asking again wants it */
    }
    if (!this->is_judged) {
        this->verdict = tls_judge(this->chain, this->count, NULL, 0, false, this->host);
        this->is_judged = true;
    }
    return this->verdict == 0;
}

session *tls_begin(options *with, const char *host, int socket) {
    session *made = calloc(1, sizeof(session));
    atomic_fetch_add(&alive[a_session], 1);
    made->host = with->server_name ? with->server_name : host;
    made->asks = with->verify != NULL;
    made->context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_ctrl(made->context, SET_MIN_VERSION, TLS_1_2, NULL);
    SSL_CTX_ctrl(made->context, SET_MODE, PARTIAL_WRITE | MOVING_BUFFER, NULL);
    SSL_CTX_set_verify(made->context, VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(made->context, verify, made);
    if (with->protocols_size) SSL_CTX_set_alpn_protos(made->context, with->protocols, with->protocols_size);
    if (with->identity) {
        void *chain[8];
        size_t count = identity_chain(with->identity, chain, 8);
        SSL_CTX_use_certificate(made->context, chain[0]);
        SSL_CTX_use_PrivateKey(made->context, identity_key(with->identity));
        for (size_t i = 1; i < count; i++) SSL_CTX_ctrl(made->context, ADD1_CHAIN_CERTIFICATE, 1, chain[i]);
    }
    made->ssl = SSL_new(made->context);
    SSL_set_fd(made->ssl, socket);
    if (!strchr(made->host, ':') && strspn(made->host, "0123456789.") < strlen(made->host))
        SSL_ctrl(made->ssl, SET_SERVER_NAME, 0, (void *)made->host);
    return made;
}

/* What has gone wrong: -EAGAIN and its like, or a code of Apple's. */
static int fault(session *this, int result, int before) {
    int number = errno, how = SSL_get_error(this->ssl, result);
    unsigned long error = ERR_get_error();
    int reason = error & 0x7fffff;
    ERR_clear_error();
    if (how == ERROR_IN || how == ERROR_OUT) return -EAGAIN;
    this->is_broken = true;
    if (how == ERROR_SYSCALL) return number ? -number : before;
    if (reason == VERIFY_FAILED) return this->asks ? BAD_CERTIFICATE : this->verdict;
    if (reason == UNEXPECTED_EOF) return before;
    if (reason == WRONG_VERSION) return UNEXPECTED_RECORD;
    if (reason == ALERTS + 40) return PEER_FIRST;
    if (reason >= ALERTS + 42 && reason <= ALERTS + 48) return PEER_FIRST - 1 - (reason - ALERTS - 42);
    if (reason == ALERTS + 70) return NO_COMMON_VERSION;
    if (reason == ALERTS + 116) return CERTIFICATE_REQUIRED;
    return HANDSHAKE_FAILED;
}

int tls_shake(session *this) {
    errno = 0;
    ERR_clear_error();
    int result = SSL_connect(this->ssl);
    if (result == 1) return SHAKEN;
    switch (SSL_get_error(this->ssl, result)) {
    case ERROR_IN: return WANTS_IN;
    case ERROR_OUT: return WANTS_OUT;
    case ERROR_RETRY_VERIFY: return WANTS_VERDICT;
    }
    return fault(this, result, CLOSED_ABORT);
}

void *tls_copy_trust(session *this) {
    for (size_t i = 0; i < this->count; i++) X509_up_ref(this->chain[i]);
    return make_trust(this->chain, this->count);
}

void tls_answer(session *this, bool is_trusted) {
    this->is_judged = true;
    this->verdict = is_trusted ? 0 : BAD_CERTIFICATE;
}

ssize_t tls_take(session *this, void *into, size_t most, bool leaves_it) {
    errno = 0;
    ERR_clear_error();
    int got = leaves_it ? SSL_peek(this->ssl, into, (int)most) : SSL_read(this->ssl, into, (int)most);
    if (got > 0) return got;
    if (SSL_get_error(this->ssl, got) == ERROR_END) return 0;
    return fault(this, got, CLOSED_NO_NOTIFY);
}

ssize_t tls_give(session *this, const void *from, size_t size) {
    errno = 0;
    ERR_clear_error();
    int given = SSL_write(this->ssl, from, (int)size);
    return given > 0 ? given : fault(this, given, CLOSED_ABORT);
}

bool tls_holds_bytes(session *this) { return SSL_pending(this->ssl) > 0; }

void tls_end(session *this, bool says_farewell) {
    if (says_farewell && !this->is_broken) SSL_shutdown(this->ssl);
    ERR_clear_error();
    SSL_free(this->ssl);
    SSL_CTX_free(this->context);
    while (this->count) X509_free(this->chain[--this->count]);
    free(this);
    atomic_fetch_sub(&alive[a_session], 1);
}
