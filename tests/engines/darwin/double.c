/* A double of what DarwinEngine calls of Apple's frameworks: blocks, libdispatch, Network.framework.
 *
 * Below are plain sockets, served by one thread; callbacks run on the thread of their queue. What
 * Apple's documentation leaves open is decided by switches (`double_set`) and by a seed. Everything
 * that is made is counted, so that tests can see that nothing is left (`double_alive`).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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
    X(ready_after_cancelled) /* a state that was on its way comes behind the last one */

#define AS_NUMBER(name) name,
#define AS_TEXT(name) #name,
enum { SWITCHES(AS_NUMBER) SWITCH_COUNT };
static const char *const switch_names[] = {SWITCHES(AS_TEXT)};
static atomic_int switches[SWITCH_COUNT];
static atomic_long uses[SWITCH_COUNT];
static atomic_ullong randomness = 1;

static unsigned draw(unsigned below) {
    unsigned long long x = atomic_load(&randomness), next;
    do {
        next = x ^ (x << 13);
        next ^= next >> 7;
        next ^= next << 17;
    } while (!atomic_compare_exchange_weak(&randomness, &x, next));
    return below ? (unsigned)(next >> 33) % below : 0;
}

/* Whether a switch does something now: 1 always, n once in n times. */
static bool does(int which) {
    int chance = atomic_load(&switches[which]);
    if (chance == 0 || draw((unsigned)chance) != 0) return false;
    atomic_fetch_add(&uses[which], 1);
    return true;
}

static int switch_of(const char *name) {
    for (int i = 0; i < SWITCH_COUNT; i++)
        if (strcmp(name, switch_names[i]) == 0) return i;
    return -1;
}

int double_set(const char *name, int chance) {
    int which = switch_of(name);
    if (which >= 0) atomic_store(&switches[which], chance), atomic_store(&uses[which], 0);
    return which;
}

long double_uses(const char *name) { return atomic_load(&uses[switch_of(name)]); }
const char *double_switch(int number) { return number < SWITCH_COUNT ? switch_names[number] : NULL; }
void double_seed(unsigned long long seed) { atomic_store(&randomness, seed * 2654435761u + 88172645463325252ull); }

/* ---- objects ---- */

#define KINDS(X) X(block) X(queue) X(data) X(endpoint) X(parameters) X(options) X(connection) \
    X(error) X(path) X(thread) X(socket)
#define AS_KIND(name) a_##name,
enum { KINDS(AS_KIND) KIND_COUNT };
static const char *const kind_names[] = {KINDS(AS_TEXT)};
static atomic_long alive[KIND_COUNT];

long double_alive(const char *name) {
    for (int i = 0; i < KIND_COUNT; i++)
        if (strcmp(name, kind_names[i]) == 0) return atomic_load(&alive[i]);
    return -1;
}
const char *double_kind(int number) { return number < KIND_COUNT ? kind_names[number] : NULL; }

typedef struct object {
    int kind;
    atomic_int references;
    void (*end)(void *);
} object;

static void *make(int kind, size_t size, void (*end)(void *)) {
    object *made = calloc(1, size);
    made->kind = kind;
    made->references = 1;
    made->end = end;
    atomic_fetch_add(&alive[kind], 1);
    return made;
}

static void *retain(void *one) {
    if (one) atomic_fetch_add(&((object *)one)->references, 1);
    return one;
}

static void release(void *one) {
    object *its = one;
    if (!its) return;
    int before = atomic_fetch_sub(&its->references, 1);
    if (before < 1) {
        fprintf(stderr, "double: released too often: %s\n", kind_names[its->kind]);
        abort();
    }
    if (before == 1 && its->kind == a_queue) {
        its->end(one); /* its thread does the rest */
    } else if (before == 1) {
        if (its->end) its->end(one);
        atomic_fetch_sub(&alive[its->kind], 1);
        free(one);
    }
}

void *nw_retain(void *one) { return retain(one); }
void nw_release(void *one) { release(one); }
void dispatch_retain(void *one) { retain(one); }
void dispatch_release(void *one) { release(one); }

/* ---- blocks ---- */

typedef struct block {
    void *isa;
    int flags, reserved;
    void (*invoke)(void *, ...);
    struct descriptor {
        unsigned long reserved, size;
        void (*copy)(void *, const void *);
        void (*dispose)(const void *);
    } *descriptor;
} block;

enum { HAS_COPY_DISPOSE = 1 << 25, IS_GLOBAL = 1 << 28 };
void *_NSConcreteStackBlock[32], *_NSConcreteMallocBlock[32], *_NSConcreteGlobalBlock[32];

typedef struct counted { atomic_int references; } counted;
#define HEAD 16 /* before a copied block */
static counted *count_of(block *one) { return (counted *)((char *)one - HEAD); }

void *_Block_copy(const void *given) {
    block *one = (block *)given;
    if (!one || one->flags & IS_GLOBAL) return one;
    if (one->isa == _NSConcreteMallocBlock) {
        atomic_fetch_add(&count_of(one)->references, 1);
        return one;
    }
    block *copy = (block *)((char *)calloc(1, HEAD + one->descriptor->size) + HEAD);
    memcpy(copy, one, one->descriptor->size);
    copy->isa = _NSConcreteMallocBlock;
    count_of(copy)->references = 1;
    atomic_fetch_add(&alive[a_block], 1);
    if (one->flags & HAS_COPY_DISPOSE) one->descriptor->copy(copy, one);
    return copy;
}

void _Block_release(const void *given) {
    block *one = (block *)given;
    if (!one || one->flags & IS_GLOBAL) return;
    if (atomic_fetch_sub(&count_of(one)->references, 1) != 1) return;
    if (one->flags & HAS_COPY_DISPOSE) one->descriptor->dispose(one);
    memset(one, 0xee, one->descriptor->size); /* whoever comes later crashes */
    free(count_of(one));
    atomic_fetch_sub(&alive[a_block], 1);
}

static void do_nothing(void *one, ...) { (void)one; }
static struct descriptor plain = {0, sizeof(block), NULL, NULL};
static block default_configuration = {_NSConcreteGlobalBlock, IS_GLOBAL, 0, do_nothing, &plain};
static block disabled = {_NSConcreteGlobalBlock, IS_GLOBAL, 0, do_nothing, &plain};
const void *_nw_parameters_configure_protocol_default_configuration = &default_configuration;
const void *_nw_parameters_configure_protocol_disable = &disabled;

/* ---- queues: a thread that runs one job after another ---- */

typedef struct job {
    struct job *next;
    long long due; /* microseconds */
    void (*run)(struct job *);
    void *block, *connection, *content, *error, *context;
    int state;
    bool is_complete;
} job;

typedef struct queue {
    object its;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    job *jobs;
    bool is_over;
} queue;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000ll + time.tv_nsec / 1000;
}

/* The first job that is due; a late one lets others pass. */
static job *take(queue *on) {
    for (;;) {
        long long time = now(), first = 0;
        for (job **at = &on->jobs; *at; at = &(*at)->next) {
            if ((*at)->due <= time) {
                job *found = *at;
                *at = found->next;
                return found;
            }
            if (!first || (*at)->due < first) first = (*at)->due;
        }
        if (!first && on->is_over) return NULL;
        if (!first) {
            pthread_cond_wait(&on->changed, &on->lock);
        } else {
            struct timespec until = {first / 1000000, first % 1000000 * 1000};
            pthread_cond_timedwait(&on->changed, &on->lock, &until);
        }
    }
}

static void *serve_queue(void *given) {
    queue *on = given;
    pthread_mutex_lock(&on->lock);
    for (job *one; (one = take(on));) {
        pthread_mutex_unlock(&on->lock);
        one->run(one);
        _Block_release(one->block);
        release(one->content);
        release(one->error);
        release(one->connection);
        free(one);
        pthread_mutex_lock(&on->lock);
    }
    pthread_mutex_unlock(&on->lock);
    atomic_fetch_sub(&alive[a_queue], 1);
    atomic_fetch_sub(&alive[a_thread], 1);
    free(on);
    return NULL;
}

static void start_thread(void *(*serve)(void *), void *with) {
    pthread_t thread;
    atomic_fetch_add(&alive[a_thread], 1);
    pthread_create(&thread, NULL, serve, with);
    pthread_detach(thread);
}

static void end_queue(void *one) {
    queue *this = one;
    pthread_mutex_lock(&this->lock);
    this->is_over = true;
    pthread_cond_signal(&this->changed);
    pthread_mutex_unlock(&this->lock);
}

void *dispatch_queue_create(const char *label, void *attribute) {
    (void)label, (void)attribute;
    queue *made = make(a_queue, sizeof(queue), end_queue);
    pthread_condattr_t clock;
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&made->changed, &clock);
    start_thread(serve_queue, made);
    return made;
}

static void post(queue *on, job *one, unsigned late) {
    one->due = late ? now() + late : 0;
    pthread_mutex_lock(&on->lock);
    job **at = &on->jobs;
    while (*at) at = &(*at)->next;
    *at = one;
    pthread_cond_signal(&on->changed);
    pthread_mutex_unlock(&on->lock);
}

typedef struct errand {
    job its;
    void (*function)(void *);
    void *with;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
} errand;

static void run_errand(job *one) {
    errand *this = one->context;
    this->function(this->with);
    pthread_mutex_lock(&this->lock);
    this->is_done = true;
    pthread_cond_signal(&this->changed);
    pthread_mutex_unlock(&this->lock);
}

void dispatch_sync_f(void *on, void *with, void (*function)(void *)) {
    errand this = {.function = function, .with = with};
    pthread_mutex_init(&this.lock, NULL);
    pthread_cond_init(&this.changed, NULL);
    job *one = calloc(1, sizeof(job));
    one->run = run_errand;
    one->context = &this;
    post(on, one, 0);
    pthread_mutex_lock(&this.lock);
    while (!this.is_done) pthread_cond_wait(&this.changed, &this.lock);
    pthread_mutex_unlock(&this.lock);
}

/* ---- data: one region, or several behind one another ---- */

typedef struct data {
    object its;
    size_t size;
    struct data *parts[2];
    char *bytes;
} data;

static void end_data(void *one) {
    data *this = one;
    release(this->parts[0]);
    release(this->parts[1]);
    free(this->bytes);
}

void *dispatch_data_create(const void *bytes, size_t size, void *on, void *destructor) {
    (void)on, (void)destructor;
    data *made = make(a_data, sizeof(data), end_data);
    made->size = size;
    made->bytes = malloc(size ? size : 1);
    memcpy(made->bytes, bytes, size);
    return made;
}

static data *concatenated(data *first, data *second) {
    data *made = make(a_data, sizeof(data), end_data);
    made->size = first->size + second->size;
    made->parts[0] = first;
    made->parts[1] = second;
    return made;
}

static void gather(data *one, char *into) {
    if (one->bytes) {
        memcpy(into, one->bytes, one->size);
    } else {
        gather(one->parts[0], into);
        gather(one->parts[1], into + one->parts[0]->size);
    }
}

size_t dispatch_data_get_size(data *one) { return one->size; }

void *dispatch_data_create_map(data *one, const void **bytes, size_t *size) {
    data *made = make(a_data, sizeof(data), end_data);
    made->size = one->size;
    made->bytes = malloc(one->size ? one->size : 1);
    gather(one, made->bytes);
    *bytes = made->bytes;
    *size = one->size;
    return made;
}

/* ---- errors, endpoints, parameters ---- */

enum { POSIX_DOMAIN = 1, DNS_DOMAIN = 2, TLS_DOMAIN = 3 };
enum { NO_SUCH_RECORD = -65554, NO_COMMON_VERSION = -9836 };

typedef struct error {
    object its;
    int domain, code;
} error;

static error *make_error(int domain, int code) {
    error *made = make(a_error, sizeof(error), NULL);
    made->domain = domain;
    made->code = code;
    return made;
}

int nw_error_get_error_domain(error *one) { return one->domain; }
int nw_error_get_error_code(error *one) { return one->code; }

typedef struct endpoint {
    object its;
    char *host, *port;
} endpoint;

static void end_endpoint(void *one) {
    free(((endpoint *)one)->host);
    free(((endpoint *)one)->port);
}

void *nw_endpoint_create_host(const char *host, const char *port) {
    endpoint *made = make(a_endpoint, sizeof(endpoint), end_endpoint);
    made->host = strdup(host);
    made->port = strdup(port);
    return made;
}

char *nw_endpoint_copy_address_string(endpoint *one) { return strdup(one->host); }
uint16_t nw_endpoint_get_port(endpoint *one) { return (uint16_t)atoi(one->port); }

typedef struct options {
    object its;
    bool is_nodelay;
    char *server_name, *protocol;
} options;

static void end_options(void *one) {
    free(((options *)one)->server_name);
    free(((options *)one)->protocol);
}

void nw_tcp_options_set_no_delay(options *of, bool value) { of->is_nodelay = value; }

/* TLS is left out: its options are taken, and its handshake fails. */
void *nw_tls_copy_sec_protocol_options(options *of) { return retain(of); }
void sec_release(void *one) { release(one); }

static void set(char **text, const char *to) {
    free(*text);
    *text = strdup(to);
}

void sec_protocol_options_set_tls_server_name(options *of, const char *name) { set(&of->server_name, name); }
void sec_protocol_options_add_tls_application_protocol(options *of, const char *name) { set(&of->protocol, name); }

typedef struct parameters {
    object its;
    options *tcp, *tls;
} parameters;

static void end_parameters(void *one) {
    release(((parameters *)one)->tcp);
    release(((parameters *)one)->tls);
}

void *nw_parameters_create_secure_tcp(block *tls, block *tcp) {
    parameters *made = make(a_parameters, sizeof(parameters), end_parameters);
    made->tcp = make(a_options, sizeof(options), end_options);
    tcp->invoke(tcp, made->tcp);
    if (tls != &disabled) {
        made->tls = make(a_options, sizeof(options), end_options);
        tls->invoke(tls, made->tls);
    }
    return made;
}

/* ---- connections ---- */

enum { WAITING = 1, PREPARING, READY, FAILED, CANCELLED };
static int default_stream;
const void *_nw_content_context_default_stream = &default_stream;

typedef struct request { /* a send, or a receive */
    struct request *next;
    block *told;
    data *content;
    size_t done, most;
    bool is_complete;
} request;

typedef struct connection {
    object its;
    struct connection *next;
    endpoint *to;
    parameters *with;
    queue *on;
    block *told;
    request *sends, *receives;
    struct addrinfo *addresses, *address;
    int socket, broken; /* an errno */
    long long ready_at;
    bool is_started, is_connecting, is_ready, is_failed, is_ended, is_cancelled, is_forced;
} connection;

static pthread_mutex_t world = PTHREAD_MUTEX_INITIALIZER;
static connection *started;
static bool is_served;
static int bell[2];

static void ring(void) {
    ssize_t written = write(bell[1], "", 1);
    (void)written;
}

static void end_connection(void *one) {
    connection *this = one;
    release(this->to);
    release(this->with);
    release(this->on);
    _Block_release(this->told);
}

void *nw_connection_create(void *to, void *with) {
    connection *made = make(a_connection, sizeof(connection), end_connection);
    made->to = retain(to);
    made->with = retain(with);
    made->socket = -1;
    return made;
}

void nw_connection_set_queue(connection *this, void *on) { this->on = retain(on); }

void nw_connection_set_state_changed_handler(connection *this, block *told) {
    block *copy = _Block_copy(told);
    pthread_mutex_lock(&world);
    block *before = this->told;
    this->told = copy;
    pthread_mutex_unlock(&world);
    _Block_release(before);
}

static job *make_job(connection *this, block *told, void (*run)(job *)) {
    job *made = calloc(1, sizeof(job));
    made->connection = retain(this);
    made->block = told;
    made->run = run;
    return made;
}

static void run_state(job *one) {
    block *told = one->block;
    ((void (*)(void *, int, void *))told->invoke)(told, one->state, one->error);
}

static void run_sent(job *one) {
    block *told = one->block;
    ((void (*)(void *, void *))told->invoke)(told, one->error);
}

static void run_received(job *one) {
    block *told = one->block;
    ((void (*)(void *, void *, const void *, bool, void *))told->invoke)(
        told, one->content, one->error ? NULL : &default_stream, one->is_complete, one->error);
}

static void tell_state(connection *this, int state, error *why) {
    int times = does(states_repeated) ? 2 : 1;
    for (int i = 0; i < times && this->told; i++) {
        job *one = make_job(this, _Block_copy(this->told), run_state);
        one->state = state;
        one->error = retain(why);
        post(this->on, one, 0);
    }
    release(why);
}

static unsigned lateness(int which) { return does(which) ? 1 + draw(2000) : 0; }

static void tell_sent(connection *this, request *done, error *why) {
    job *one = make_job(this, done->told, run_sent);
    one->error = why;
    post(this->on, one, lateness(late_completions));
    release(done->content);
    free(done);
}

static void tell_received(connection *this, data *content, bool is_complete, error *why) {
    request *asked = this->receives;
    this->receives = asked->next;
    job *one = make_job(this, asked->told, run_received);
    one->content = content;
    one->is_complete = is_complete;
    one->error = why;
    post(this->on, one, lateness(late_receives));
    free(asked);
}

static error *posix(int code) { return make_error(POSIX_DOMAIN, code); }

static void close_socket(connection *this) {
    if (this->socket < 0) return;
    close(this->socket);
    this->socket = -1;
    atomic_fetch_sub(&alive[a_socket], 1);
}

/* Tell every send and receive that waits of an error. */
static void end_requests(connection *this, int code) {
    while (this->sends) {
        request *one = this->sends;
        this->sends = one->next;
        tell_sent(this, one, posix(code));
    }
    while (this->receives) tell_received(this, NULL, false, posix(code));
}

static void tell_failed(connection *this, int code) {
    if (this->is_failed || does(failed_never)) return;
    this->is_failed = true;
    tell_state(this, FAILED, posix(code));
}

/* A connection that cannot be made: Apple's waits, for a change of the network. */
static void give_up(connection *this, error *why) {
    close_socket(this);
    this->is_connecting = false;
    if (this->addresses) freeaddrinfo(this->addresses);
    this->addresses = NULL;
    this->is_failed = does(refused_fails);
    tell_state(this, this->is_failed ? FAILED : WAITING, why);
}

static void try_next(connection *this, int last) {
    while (this->address) {
        struct addrinfo *to = this->address;
        this->address = to->ai_next;
        int made = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol);
        if (made < 0) {
            last = errno;
            continue;
        }
        close_socket(this);
        this->socket = made;
        atomic_fetch_add(&alive[a_socket], 1);
        int nodelay = this->with->tcp->is_nodelay;
        setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof(nodelay));
        if (connect(made, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS) return;
        last = errno;
    }
    give_up(this, posix(last));
}

static void begin(connection *this) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    this->is_connecting = true;
    tell_state(this, PREPARING, NULL);
    if (does(waiting_first)) {
        tell_state(this, WAITING, posix(ENETDOWN));
        tell_state(this, PREPARING, NULL);
        this->ready_at = now() + 1 + draw(1000);
    }
    if (does(waiting_on)) {
        tell_state(this, WAITING, posix(ENETDOWN));
        return;
    }
    if (does(preparing_on)) return;
    if (getaddrinfo(this->to->host, this->to->port, &hints, &this->addresses) != 0) {
        give_up(this, make_error(DNS_DOMAIN, NO_SUCH_RECORD));
        return;
    }
    this->address = this->addresses;
    try_next(this, 0);
}

static void go_on_connecting(connection *this) {
    int code = 0;
    socklen_t size = sizeof(code);
    getsockopt(this->socket, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code != 0) {
        try_next(this, code);
        return;
    }
    this->is_connecting = false;
    if (this->with->tls) {
        this->is_failed = true;
        tell_state(this, FAILED, make_error(TLS_DOMAIN, NO_COMMON_VERSION));
        return;
    }
    this->is_ready = true;
    freeaddrinfo(this->addresses);
    this->addresses = NULL;
    tell_state(this, READY, NULL);
}

static void broke(connection *this, int code) {
    if (this->broken == 0) this->broken = code;
}

static void send_more(connection *this) {
    while (this->sends && !this->broken) {
        request *one = this->sends;
        size_t left = one->content ? one->content->size - one->done : 0;
        if (left) {
            size_t some = left > 1 && does(short_sends) ? 1 + draw((unsigned)(left < 5000 ? left : 5000) - 1) : left;
            char *bytes = one->content->bytes + one->done;
            ssize_t sent = send(this->socket, bytes, some, MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) return;
            if (sent < 0) {
                broke(this, errno);
                return;
            }
            one->done += (size_t)sent;
            if (one->done < one->content->size) return; /* when it is asked again */
        }
        if (one->is_complete) shutdown(this->socket, SHUT_WR);
        this->sends = one->next;
        tell_sent(this, one, NULL);
    }
}

/* Read once; tell what came, the end, or an error: each alone, or the last bytes with either. */
static void receive_some(connection *this) {
    static char buffer[256 * 1024];
    size_t most = this->receives->most < sizeof(buffer) ? this->receives->most : sizeof(buffer);
    if (most > 1 && does(pieces)) most = 1 + draw((unsigned)(most < 3000 ? most : 3000) - 1);
    ssize_t got = recv(this->socket, buffer, most, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) {
        broke(this, errno);
        this->is_ended = true;
        return;
    }
    if (got == 0) {
        this->is_ended = true;
        if (!this->broken) tell_received(this, NULL, true, NULL);
        return;
    }
    data *content = dispatch_data_create(buffer, (size_t)got, NULL, NULL);
    if (got > 1 && atomic_load(&switches[pieces])) {
        size_t at = 1 + draw((unsigned)got - 1);
        release(content);
        content = concatenated(dispatch_data_create(buffer, at, NULL, NULL),
                               dispatch_data_create(buffer + at, (size_t)got - at, NULL, NULL));
    }
    bool is_complete = false;
    error *why = NULL;
    if (atomic_load(&switches[end_with_content]) || atomic_load(&switches[error_with_content])) {
        char next;
        usleep(300); /* what follows at once is to be here */
        ssize_t ahead = recv(this->socket, &next, 1, MSG_PEEK);
        if (ahead == 0 && does(end_with_content)) {
            is_complete = this->is_ended = true;
        } else if (ahead < 0 && errno != EAGAIN) {
            broke(this, errno); /* the kernel tells it once */
            this->is_ended = true;
            if (does(error_with_content)) why = posix(this->broken);
        }
    }
    tell_received(this, content, is_complete, why);
}

/* After an error: sends fail; what the peer has sent before can still be received. */
static void tell_broken(connection *this) {
    if (this->broken && atomic_load(&switches[failed_first]) && !this->is_failed) {
        atomic_fetch_add(&uses[failed_first], 1);
        tell_failed(this, this->broken);
    }
    while (this->broken && this->sends) {
        request *one = this->sends;
        this->sends = one->next;
        tell_sent(this, one, posix(this->broken));
    }
    while (this->is_ended && this->receives) {
        if (this->broken) tell_received(this, NULL, false, posix(this->broken));
        else tell_received(this, NULL, true, NULL);
    }
    if (this->broken) tell_failed(this, this->broken);
}

static void end_cancelled(connection *this) {
    if (this->is_forced && this->socket >= 0) {
        struct linger at_once = {1, 0};
        setsockopt(this->socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    close_socket(this);
    if (this->addresses) freeaddrinfo(this->addresses);
    this->addresses = NULL;
    end_requests(this, ECANCELED);
    tell_state(this, CANCELLED, NULL);
    if (does(ready_after_cancelled)) tell_state(this, READY, NULL);
}

/* What a connection waits for; 0 for nothing. */
static short wants(connection *this) {
    if (this->socket < 0) return 0;
    if (this->is_connecting) return POLLOUT;
    short events = 0;
    if (this->sends && !this->broken) events |= POLLOUT;
    if (this->receives && !this->is_ended) events |= POLLIN;
    return events;
}

static void serve(connection *this, short events) {
    if (this->is_connecting && events && now() >= this->ready_at) go_on_connecting(this);
    if (!this->is_ready) return;
    if (events & (POLLIN | POLLHUP | POLLERR) && this->receives && !this->is_ended) receive_some(this);
    if (events & (POLLOUT | POLLERR) && this->sends) send_more(this);
    tell_broken(this);
}

static void *serve_sockets(void *nothing) {
    struct pollfd *polled = NULL;
    connection **whose = NULL;
    size_t room = 0;
    (void)nothing;
    pthread_mutex_lock(&world);
    while (started) {
        size_t count = 1;
        bool is_hurried = false;
        for (connection *one = started; one; one = one->next) count++;
        if (count > room) {
            room = 2 * count;
            polled = realloc(polled, room * sizeof(*polled));
            whose = realloc(whose, room * sizeof(*whose));
        }
        polled[0] = (struct pollfd){bell[0], POLLIN, 0};
        count = 1;
        for (connection *one = started; one; one = one->next) {
            short events = wants(one);
            if (!one->is_started || one->is_cancelled) is_hurried = true;
            if (one->is_ready && (one->broken || one->is_ended) && (one->sends || one->receives)) is_hurried = true;
            if (one->is_connecting && one->ready_at) is_hurried = true;
            polled[count] = (struct pollfd){events ? one->socket : -1, events, 0};
            whose[count++] = one;
        }
        pthread_mutex_unlock(&world);
        poll(polled, count, is_hurried ? 1 : -1);
        pthread_mutex_lock(&world);
        if (polled[0].revents) {
            char rung[512];
            ssize_t got = read(bell[0], rung, sizeof(rung));
            (void)got;
        }
        for (size_t i = 1; i < count; i++) {
            connection *one = whose[i];
            if (!one->is_started) {
                one->is_started = true;
                if (!one->is_cancelled) begin(one);
            } else if (!one->is_cancelled) {
                serve(one, polled[i].revents);
            }
        }
        for (connection **at = &started; *at;) {
            connection *one = *at;
            if (one->is_cancelled) {
                *at = one->next;
                end_cancelled(one);
                release(one);
            } else {
                at = &one->next;
            }
        }
    }
    is_served = false;
    free(polled);
    free(whose);
    atomic_fetch_sub(&alive[a_thread], 1);
    pthread_mutex_unlock(&world);
    return NULL;
}

void nw_connection_start(connection *this) {
    pthread_mutex_lock(&world);
    if (bell[1] == 0 && pipe2(bell, O_CLOEXEC | O_NONBLOCK) != 0) abort();
    retain(this);
    this->next = started;
    started = this;
    if (!is_served) {
        is_served = true;
        start_thread(serve_sockets, NULL);
    }
    ring();
    pthread_mutex_unlock(&world);
}

static void append(connection *this, request **to, request *one) {
    pthread_mutex_lock(&world);
    while (*to) to = &(*to)->next;
    *to = one;
    if (this->is_cancelled) end_requests(this, ECANCELED);
    else ring();
    pthread_mutex_unlock(&world);
}

void nw_connection_receive(connection *this, uint32_t least, uint32_t most, block *told) {
    (void)least;
    request *one = calloc(1, sizeof(request));
    one->told = _Block_copy(told);
    one->most = most;
    append(this, &this->receives, one);
}

void nw_connection_send(connection *this, data *content, const void *context, bool is_complete, block *told) {
    if (context != &default_stream) abort();
    request *one = calloc(1, sizeof(request));
    one->told = _Block_copy(told);
    one->content = retain(content);
    one->is_complete = is_complete;
    append(this, &this->sends, one);
}

static void cancel(connection *this, bool is_forced) {
    pthread_mutex_lock(&world);
    this->is_forced = this->is_forced || is_forced;
    this->is_cancelled = true;
    ring();
    pthread_mutex_unlock(&world);
}

void nw_connection_cancel(connection *this) { cancel(this, false); }
void nw_connection_force_cancel(connection *this) { cancel(this, true); }

/* ---- paths ---- */

typedef struct path {
    object its;
    endpoint *peer;
} path;

static void end_path(void *one) { release(((path *)one)->peer); }

void *nw_connection_copy_current_path(connection *this) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    char host[NI_MAXHOST], port[NI_MAXSERV];
    pthread_mutex_lock(&world);
    bool is_known = this->socket >= 0 && getpeername(this->socket, (struct sockaddr *)&peer, &size) == 0;
    pthread_mutex_unlock(&world);
    if (!is_known) return NULL;
    getnameinfo((struct sockaddr *)&peer, size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    path *made = make(a_path, sizeof(path), end_path);
    made->peer = nw_endpoint_create_host(host, port);
    return made;
}

void *nw_path_copy_effective_remote_endpoint(path *one) { return retain(one->peer); }
