/* Network.framework over plain sockets, which one thread serves. */
#include "double.h"
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

/* ---- errors, endpoints, parameters ---- */

enum { POSIX_DOMAIN = 1, DNS_DOMAIN = 2, TLS_DOMAIN = 3 };
enum { NO_SUCH_RECORD = -65554 };

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

static void end_options(void *one) {
    options *this = one;
    free(this->server_name);
    release(this->identity);
    _Block_release(this->verify);
    release(this->verify_on);
}

void nw_tcp_options_set_no_delay(options *of, bool value) { of->is_nodelay = value; }

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
    size_t done, most, tried; /* TLS wants what did not go to be tried again, all of it */
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
    session *session;
    int socket, broken; /* an errno, or a code of TLS */
    short shakes_on;    /* what a handshake waits for */
    long long ready_at;
    bool is_started, is_connecting, is_shaking, is_verified, is_ready, is_failed, is_ended, is_cancelled, is_forced;
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
static error *fault(int code) { return make_error(code < 0 ? TLS_DOMAIN : POSIX_DOMAIN, code); }

/* What a function of TLS returns: an errno, or a code of its own. */
static int code_of(ssize_t result) { return (int)(result > -1000 ? -result : result); }

static void close_socket(connection *this) {
    if (this->session) tls_end(this->session, this->is_ready && !this->broken && !this->is_forced);
    this->session = NULL;
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
    tell_state(this, FAILED, fault(code));
}

/* A connection that cannot be made: Apple's waits, for a change of the network. */
static void give_up(connection *this, error *why) {
    close_socket(this);
    this->is_connecting = this->is_shaking = false;
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

static void become_ready(connection *this) {
    this->is_ready = true;
    freeaddrinfo(this->addresses);
    this->addresses = NULL;
    tell_state(this, READY, NULL);
}

/* ---- TLS: whether to trust the server is asked on a queue, and answered in one's own time ---- */

typedef struct answer { /* a block that the verify block is given */
    block its;
    connection *of;
} answer;

static void copy_answer(void *to, const void *from) { ((answer *)to)->of = retain(((answer *)from)->of); }
static void dispose_answer(const void *one) { release(((answer *)one)->of); }
static descriptor of_answer = {0, sizeof(answer), copy_answer, dispose_answer};
static void ask_verdict(connection *this);

static void answered(answer *one, bool is_trusted) {
    connection *this = one->of;
    pthread_mutex_lock(&world);
    if (!this->is_shaking || this->is_cancelled) {
    } else if (!this->is_verified && does(verified_twice)) {
        this->is_verified = true;
        ask_verdict(this);
    } else {
        tls_answer(this->session, is_trusted);
        this->shakes_on = POLLOUT;
        ring();
    }
    pthread_mutex_unlock(&world);
}

static void run_verify(job *one) {
    static int metadata;
    block *asked = one->block;
    ((void (*)(void *, void *, void *, void *))asked->invoke)(asked, &metadata, one->content, one->context);
    _Block_release(one->context);
}

static void ask_verdict(connection *this) {
    answer asked = {{_NSConcreteStackBlock, HAS_COPY_DISPOSE, 0, (void (*)(void *, ...))(void (*)(void))answered, &of_answer}, this};
    job *one = calloc(1, sizeof(job));
    one->run = run_verify;
    one->block = _Block_copy(this->with->tls->verify);
    one->content = tls_copy_trust(this->session);
    one->context = _Block_copy(&asked);
    post(this->with->tls->verify_on, one, 0);
}

static void shake(connection *this) {
    int state = tls_shake(this->session);
    if (state < 0) {
        give_up(this, fault(code_of(state)));
    } else if (state == SHAKEN) {
        this->is_shaking = false;
        become_ready(this);
    } else if (state == WANTS_VERDICT) {
        this->shakes_on = 0;
        ask_verdict(this);
    } else {
        this->shakes_on = state == WANTS_IN ? POLLIN : POLLOUT;
    }
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
    if (!this->with->tls) {
        become_ready(this);
    } else if (!tls_exists()) {
        give_up(this, fault(HANDSHAKE_FAILED));
    } else {
        this->session = tls_begin(this->with->tls, this->to->host, this->socket);
        this->is_shaking = true;
        shake(this);
    }
}

static void broke(connection *this, int code) {
    if (this->broken == 0) this->broken = code;
}

/* Both return what a function of TLS does. */
static ssize_t give(connection *this, const char *bytes, size_t size) {
    if (this->session) return tls_give(this->session, bytes, size);
    ssize_t given = send(this->socket, bytes, size, MSG_NOSIGNAL);
    return given < 0 ? -errno : given;
}

static ssize_t take_in(connection *this, char *into, size_t most, bool leaves_it) {
    if (this->session) return tls_take(this->session, into, most, leaves_it);
    ssize_t got = recv(this->socket, into, most, leaves_it ? MSG_PEEK : 0);
    return got < 0 ? -errno : got;
}

static void send_more(connection *this) {
    while (this->sends && !this->broken) {
        request *one = this->sends;
        size_t left = one->content ? one->content->size - one->done : 0;
        if (left) {
            size_t some = left > 1 && does(short_sends) ? 1 + draw((unsigned)(left < 5000 ? left : 5000) - 1) : left;
            char *bytes = one->content->bytes + one->done;
            if (one->tried) some = one->tried;
            ssize_t sent = give(this, bytes, some);
            one->tried = sent == -EAGAIN && this->session ? some : 0;
            if (sent == -EAGAIN) return;
            if (sent < 0) {
                broke(this, code_of(sent));
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
    ssize_t got = take_in(this, buffer, most, false);
    if (got == -EAGAIN) return;
    if (got < 0) {
        broke(this, code_of(got));
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
        ssize_t ahead = take_in(this, &next, 1, true);
        if (ahead == 0) {
            this->is_ended = true; /* TLS tells it once */
            is_complete = does(end_with_content);
        } else if (ahead < 0 && ahead != -EAGAIN) {
            broke(this, code_of(ahead)); /* the kernel tells it once */
            this->is_ended = true;
            if (does(error_with_content)) why = fault(this->broken);
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
        tell_sent(this, one, fault(this->broken));
    }
    while (this->is_ended && this->receives) {
        if (this->broken) tell_received(this, NULL, false, fault(this->broken));
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
    if (this->is_shaking) return this->shakes_on;
    short events = 0;
    if (this->sends && !this->broken) events |= POLLOUT;
    if (this->receives && !this->is_ended) events |= POLLIN;
    return events;
}

static bool holds_bytes(connection *this) { return this->session && tls_holds_bytes(this->session); }

static void serve(connection *this, short events) {
    if (this->is_connecting && events && now() >= this->ready_at) go_on_connecting(this);
    else if (this->is_shaking && events) shake(this);
    if (!this->is_ready) return;
    if ((events & (POLLIN | POLLHUP | POLLERR) || holds_bytes(this)) && this->receives && !this->is_ended) receive_some(this);
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
            if (one->is_ready && one->receives && !one->is_ended && holds_bytes(one)) is_hurried = true;
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
