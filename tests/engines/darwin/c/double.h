/* A double of what DarwinEngine calls of Apple's frameworks.
 *
 * objects.c has blocks and libdispatch, network.c Network.framework, security.c CoreFoundation and
 * Security. Below are plain sockets, served by one thread (sockets.c), and OpenSSL for TLS (tls.c);
 * callbacks run on the thread of their queue. What Apple's documentation leaves open is decided by switches
 * (`double_set`) and by a seed. Everything that is made is counted, so that tests can see that
 * nothing is left (`double_alive`).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>



/* ---- switches: what Apple may do, each with a count of how often it was done ---- */

#define SWITCHES(X) \
    X(late_completions)      /* a send is told as done some time after it was */ \
    X(late_receives)         /* what was received is told late: a state may pass it */ \
    X(pieces)                /* content comes in small pieces, of several regions each */ \
    X(short_sends)           /* the network takes a few bytes at a time */ \
    X(end_with_content)      /* the peer's end comes with the last bytes, not behind them */ \
    X(error_with_content)    /* an error comes with the last bytes, not behind them */ \
    X(failed_first)          /* the state passes the callbacks that tell of the same error */ \
    X(failed_never)          /* only callbacks tell of an error */ \
    X(waiting_first)         /* a connection waits for a network before it is ready */ \
    X(waiting_on)            /* a connection waits for a network that does not come */ \
    X(preparing_on)          /* a connection is prepared, and no more is heard of it */ \
    X(states_repeated)       /* a state is told twice */ \
    X(refused_fails)         /* a connection that is refused fails, instead of waiting */ \
    X(ready_after_cancelled) /* a state that was on its way comes behind the last one */ \
    X(verified_twice)        /* whether to trust a server is asked twice */

#define AS_NUMBER(name) name,
#define AS_TEXT(name) #name,
enum { SWITCHES(AS_NUMBER) SWITCH_COUNT };
extern atomic_int switches[SWITCH_COUNT];
extern atomic_long uses[SWITCH_COUNT];
unsigned draw(unsigned below);
bool does(int which);

/* ---- objects ---- */

#define KINDS(X) X(block) X(queue) X(data) X(endpoint) X(parameters) X(options) X(connection) \
    X(error) X(path) X(thread) X(socket) \
    X(core) X(certificate) X(identity) X(policy) X(trust) X(session) X(keychain_item)
#define AS_KIND(name) a_##name,
enum { KINDS(AS_KIND) KIND_COUNT };
extern atomic_long alive[KIND_COUNT];

typedef struct object {
    int kind;
    atomic_int references;
    void (*end)(void *);
} object;

void *make(int kind, size_t size, void (*end)(void *));
void *retain(void *one);
void release(void *one);

/* ---- blocks ---- */

typedef struct descriptor {
    unsigned long reserved, size;
    void (*copy)(void *, const void *);
    void (*dispose)(const void *);
} descriptor;

typedef struct block {
    void *isa;
    int flags, reserved;
    void (*invoke)(void *, ...);
    descriptor *descriptor;
} block;

enum { HAS_COPY_DISPOSE = 1 << 25, IS_GLOBAL = 1 << 28 };
extern void *_NSConcreteStackBlock[32];
void *_Block_copy(const void *given);
void _Block_release(const void *given);
extern block disabled;

/* ---- queues ---- */

typedef struct job {
    struct job *next;
    long long due; /* microseconds */
    void (*run)(struct job *);
    void *block, *connection, *content, *error, *context;
    int state;
    bool is_complete;
} job;

typedef struct queue queue;
long long now(void);
void post(queue *on, job *one, unsigned late);
void start_thread(void *(*serve)(void *), void *with);

/* ---- data: one region, or several behind one another ---- */

typedef struct data {
    object its;
    size_t size;
    struct data *parts[2];
    char *bytes;
} data;

void *dispatch_data_create(const void *bytes, size_t size, void *on, void *destructor);
data *concatenated(data *first, data *second);

/* ---- TLS ---- */

enum {
    CLOSED_ABORT = -9806,
    CHAIN_INVALID = -9807,
    BAD_CERTIFICATE = -9808,
    EXPIRED = -9814,
    CLOSED_NO_NOTIFY = -9816,
    PEER_FIRST = -9824, /* alerts of the peer's: errSSLPeerHandshakeFail and on */
    NO_COMMON_VERSION = -9836,
    OTHER_HOST = -9843,
    UNEXPECTED_RECORD = -9849,
    HANDSHAKE_FAILED = -9858,
    CERTIFICATE_REQUIRED = -9863,
};

typedef struct options {
    object its;
    bool is_nodelay;
    char *server_name;
    unsigned char protocols[64]; /* as on the wire: each with its length */
    unsigned protocols_size;
    void *identity;
    block *verify;
    queue *verify_on;
} options;

typedef struct session session;
enum { SHAKEN, WANTS_IN, WANTS_OUT, WANTS_VERDICT };

bool tls_exists(void);
session *tls_begin(options *with, const char *host, int socket);
int tls_shake(session *this); /* one of the above, -EAGAIN and its like, or a code of Apple's */
void *tls_copy_trust(session *this); /* what is to be verified */
void tls_answer(session *this, bool is_trusted);
ssize_t tls_take(session *this, void *into, size_t most, bool leaves_it); /* 0 is the end */
ssize_t tls_give(session *this, const void *from, size_t size);
bool tls_holds_bytes(session *this);
void tls_end(session *this, bool says_farewell);

void *tls_certificate(const void *der, size_t size);
void tls_release_certificate(void *one);
void tls_release_key(void *one);
void tls_name(void *certificate, char *into, size_t room);
int tls_judge(void **chain, size_t count, void **anchors, size_t anchor_count, bool no_others, const char *host);
int tls_open_pkcs12(const void *bytes, size_t size, const char *password, void **key, void **chain, int room);

/* What security.c has for TLS. */
void *make_trust(void **x509s, size_t count);
void *identity_key(void *one);
size_t identity_chain(void *one, void **into, size_t room);
