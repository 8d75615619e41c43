/* CoreFoundation and Security, as far as TLS needs them: what is copied or created is the caller's to
 * release, what is got is not. */
#include "double.h"

/* ---- CoreFoundation ---- */

enum { IS_DATA, IS_STRING, IS_ARRAY, IS_DICTIONARY, IS_ERROR };
enum { UTF8 = 0x08000100 };

typedef struct core {
    object its;
    int type;
    size_t size; /* bytes, or values */
    char *bytes;
    void **keys, **values;
    long code;
} core;

int kCFTypeArrayCallBacks, kCFTypeDictionaryKeyCallBacks, kCFTypeDictionaryValueCallBacks;

static void end_core(void *one) {
    core *this = one;
    for (size_t i = 0; i < this->size && !this->bytes; i++) {
        release(this->values[i]);
        if (this->keys) release(this->keys[i]);
    }
    free(this->bytes);
    free(this->keys);
    free(this->values);
}

static core *make_core(int type, const char *bytes, size_t size) {
    core *made = make(a_core, sizeof(core), end_core);
    made->type = type;
    made->size = size;
    if (bytes) {
        made->bytes = malloc(size + 1);
        memcpy(made->bytes, bytes, size);
        made->bytes[size] = 0;
    }
    return made;
}

static core *of_type(const core *one, int type) {
    if (!one || one->its.kind != a_core || one->type != type) {
        fprintf(stderr, "double: not what CoreFoundation expects\n");
        abort();
    }
    return (core *)one;
}

void CFRelease(void *one) {
    if (!one) abort(); /* as the real one */
    release(one);
}

void *CFDataCreate(void *how, const char *bytes, long size) {
    (void)how;
    return make_core(IS_DATA, bytes, (size_t)size);
}

void *CFStringCreateWithCString(void *how, const char *text, unsigned encoding) {
    if (encoding != UTF8) abort();
    (void)how;
    return make_core(IS_STRING, text, strlen(text));
}

bool CFStringGetCString(core *text, char *into, long room, unsigned encoding) {
    if (encoding != UTF8) abort();
    if ((long)of_type(text, IS_STRING)->size >= room) return false;
    memcpy(into, text->bytes, text->size + 1);
    return true;
}

static void **retained(void **values, size_t count) {
    void **copy = malloc((count + 1) * sizeof(*copy));
    for (size_t i = 0; i < count; i++) copy[i] = retain(values[i]);
    return copy;
}

void *CFArrayCreate(void *how, void **values, long count, const void *callbacks) {
    if (callbacks != &kCFTypeArrayCallBacks) abort();
    (void)how;
    core *made = make_core(IS_ARRAY, NULL, (size_t)count);
    made->values = retained(values, made->size);
    return made;
}

long CFArrayGetCount(core *of) { return (long)of_type(of, IS_ARRAY)->size; }

void *CFArrayGetValueAtIndex(core *of, long index) {
    if (index < 0 || index >= CFArrayGetCount(of)) abort();
    return of->values[index];
}

void *CFDictionaryCreate(void *how, void **keys, void **values, long count, const void *of_keys, const void *of_values) {
    if (of_keys != &kCFTypeDictionaryKeyCallBacks || of_values != &kCFTypeDictionaryValueCallBacks) abort();
    (void)how;
    core *made = make_core(IS_DICTIONARY, NULL, (size_t)count);
    made->keys = retained(keys, made->size);
    made->values = retained(values, made->size);
    return made;
}

void *CFDictionaryGetValue(core *of, const void *key) {
    of_type(of, IS_DICTIONARY);
    for (size_t i = 0; i < of->size; i++)
        if (of->keys[i] == key) return of->values[i];
    return NULL;
}

long CFErrorGetCode(core *of) { return of_type(of, IS_ERROR)->code; }

void *CFErrorCopyDescription(core *of) {
    of_type(of, IS_ERROR);
    return make_core(IS_STRING, of->bytes, of->size);
}

/* Constants are never made, and never end. */
#define CONSTANT(name) \
    static core its_##name = {{a_core, 1 << 20, NULL}, IS_STRING, 0, "", NULL, NULL, 0}; \
    void *name = &its_##name;
CONSTANT(kCFBooleanTrue)
CONSTANT(kSecImportExportPassphrase)
CONSTANT(kSecImportToMemoryOnly)
CONSTANT(kSecImportItemIdentity)
CONSTANT(kSecImportItemCertChain)

/* ---- certificates, identities ---- */

typedef struct certificate {
    object its;
    void *x509;
} certificate;

static void end_certificate(void *one) { tls_release_certificate(((certificate *)one)->x509); }

static certificate *make_certificate(void *x509) {
    certificate *made = make(a_certificate, sizeof(certificate), end_certificate);
    made->x509 = x509;
    return made;
}

void *SecCertificateCreateWithData(void *how, core *data) {
    (void)how;
    void *found = tls_certificate(of_type(data, IS_DATA)->bytes, data->size);
    return found ? make_certificate(found) : NULL;
}

/* A SecIdentity, and what TLS makes of it. */
typedef struct identity {
    object its;
    void *key;
    struct identity *of;
    core *chain;
} identity;

static void end_identity(void *one) {
    identity *this = one;
    if (this->key) tls_release_key(this->key);
    release(this->of);
    release(this->chain);
}

enum { WRONG_PASSWORD = -25293, UNREADABLE = -26275 };

int SecPKCS12Import(core *file, core *how, core **items) {
    core *password = CFDictionaryGetValue(how, kSecImportExportPassphrase);
    void *key = NULL, *chain[8];
    *items = NULL;
    if (!of_type(password, IS_STRING)->size) return WRONG_PASSWORD; /* Apple has none that are empty */
    int count = tls_open_pkcs12(of_type(file, IS_DATA)->bytes, file->size, password->bytes, &key, chain, 8);
    if (count < 0) return count == -1 ? WRONG_PASSWORD : UNREADABLE;
    if (count == 0) return *items = CFArrayCreate(NULL, NULL, 0, &kCFTypeArrayCallBacks), 0;
    if (CFDictionaryGetValue(how, kSecImportToMemoryOnly) != kCFBooleanTrue) atomic_fetch_add(&alive[a_keychain_item], 1);
    for (int i = 0; i < count; i++) chain[i] = make_certificate(chain[i]);
    identity *found = make(a_identity, sizeof(identity), end_identity);
    found->key = key;
    void *keys[2] = {kSecImportItemIdentity, kSecImportItemCertChain};
    void *values[2] = {found, CFArrayCreate(NULL, chain, count, &kCFTypeArrayCallBacks)};
    void *item = CFDictionaryCreate(NULL, keys, values, 2, &kCFTypeDictionaryKeyCallBacks, &kCFTypeDictionaryValueCallBacks);
    *items = CFArrayCreate(NULL, &item, 1, &kCFTypeArrayCallBacks);
    for (int i = 0; i < count; i++) release(chain[i]);
    release(values[0]), release(values[1]), release(item);
    return 0;
}

void double_empty_keychain(void) { atomic_store(&alive[a_keychain_item], 0); }

void *sec_identity_create_with_certificates(identity *of, core *chain) {
    if (of->its.kind != a_identity || !CFArrayGetCount(chain)) abort();
    identity *made = make(a_identity, sizeof(identity), end_identity);
    made->of = retain(of);
    made->chain = retain(chain);
    return made;
}

void *identity_key(void *one) { return ((identity *)one)->of->key; }

size_t identity_chain(void *one, void **into, size_t room) {
    core *chain = ((identity *)one)->chain;
    size_t count = 0;
    while (count < room && count < chain->size) into[count] = ((certificate *)chain->values[count])->x509, count++;
    return count;
}

/* ---- trust ---- */

typedef struct policy {
    object its;
    core *host;
} policy;

typedef struct trust {
    object its;
    core *chain, *anchors;
    policy *by;
    bool no_others;
} trust;

static void end_policy(void *one) { release(((policy *)one)->host); }

void *SecPolicyCreateSSL(unsigned char of_server, core *host) {
    if (!of_server) abort();
    policy *made = make(a_policy, sizeof(policy), end_policy);
    made->host = retain(of_type(host, IS_STRING));
    return made;
}

static void end_trust(void *one) {
    trust *this = one;
    release(this->chain);
    release(this->anchors);
    release(this->by);
}

/* Take over a chain. Apple does not say whether a trust has the name of the host: this one has not, so
 * who forgets it is found out. */
void *make_trust(void **x509s, size_t count) {
    trust *made = make(a_trust, sizeof(trust), end_trust);
    made->chain = make_core(IS_ARRAY, NULL, count);
    made->chain->values = malloc((count + 1) * sizeof(void *));
    for (size_t i = 0; i < count; i++) made->chain->values[i] = make_certificate(x509s[i]);
    return made;
}

void *sec_trust_copy_ref(void *of) { return retain(of); }

int SecTrustSetPolicies(trust *of, policy *to) {
    if (of->its.kind != a_trust || to->its.kind != a_policy) abort();
    release(of->by);
    of->by = retain(to);
    return 0;
}

int SecTrustSetAnchorCertificates(trust *of, core *to) {
    of_type(to, IS_ARRAY);
    release(of->anchors);
    of->anchors = retain(to);
    of->no_others = true;
    return 0;
}

int SecTrustSetAnchorCertificatesOnly(trust *of, unsigned char no_others) {
    of->no_others = no_others;
    return 0;
}

static size_t x509s_of(core *array, void **into) {
    size_t count = array ? array->size < 8 ? array->size : 8 : 0;
    for (size_t i = 0; i < count; i++) into[i] = ((certificate *)array->values[i])->x509;
    return count;
}

bool SecTrustEvaluateWithError(trust *of, core **why) {
    void *chain[8], *anchors[8];
    char name[200] = "", text[300];
    size_t count = x509s_of(of->chain, chain), anchor_count = x509s_of(of->anchors, anchors);
    int code = tls_judge(chain, count, anchors, anchor_count, of->no_others, of->by ? of->by->host->bytes : NULL);
    if (code == 0) return true;
    tls_name(chain[0], name, sizeof(name));
    const char *says = code == EXPIRED ? "certificate is expired"
                       : code == OTHER_HOST ? "certificate name does not match input" : "certificate is not trusted";
    snprintf(text, sizeof(text), "\xe2\x80\x9c%s\xe2\x80\x9d %s", name, says);
    *why = make_core(IS_ERROR, text, strlen(text));
    (*why)->code = code == EXPIRED ? -67818 : code == OTHER_HOST ? -67602 : -67843;
    return false;
}

/* ---- the options of TLS ---- */

void *nw_tls_copy_sec_protocol_options(options *of) { return retain(of); }
void sec_release(void *one) { release(one); }

void sec_protocol_options_set_tls_server_name(options *of, const char *name) {
    free(of->server_name);
    of->server_name = strdup(name);
}

void sec_protocol_options_add_tls_application_protocol(options *of, const char *name) {
    size_t size = strlen(name);
    if (of->protocols_size + size + 1 > sizeof(of->protocols)) abort();
    of->protocols[of->protocols_size++] = (unsigned char)size;
    memcpy(of->protocols + of->protocols_size, name, size);
    of->protocols_size += (unsigned)size;
}

void sec_protocol_options_set_local_identity(options *of, void *to) {
    release(of->identity);
    of->identity = retain(to);
}

void sec_protocol_options_set_verify_block(options *of, block *asked, void *on) {
    of->verify = _Block_copy(asked);
    of->verify_on = retain(on);
}
