/* Network.framework: its objects, and what is told on queues. */
#include "network.h"
#include <fcntl.h>

/* ---- errors, endpoints, parameters ---- */

error *make_error(int domain, int code) {
    error *made = make(a_error, sizeof(error), NULL);
    made->domain = domain;
    made->code = code;
    return made;
}

int nw_error_get_error_domain(error *one) { return one->domain; }
int nw_error_get_error_code(error *one) { return one->code; }

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

static int default_stream;
const void *_nw_content_context_default_stream = &default_stream;

pthread_mutex_t world = PTHREAD_MUTEX_INITIALIZER;
connection *started;
bool is_served;
int bell[2];

void ring(void) {
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

void tell_state(connection *this, int state, error *why) {
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

void tell_sent(connection *this, request *done, error *why) {
    job *one = make_job(this, done->told, run_sent);
    one->error = why;
    post(this->on, one, lateness(late_completions));
    release(done->content);
    free(done);
}

void tell_received(connection *this, data *content, bool is_complete, error *why) {
    request *asked = this->receives;
    this->receives = asked->next;
    job *one = make_job(this, asked->told, run_received);
    one->content = content;
    one->is_complete = is_complete;
    one->error = why;
    post(this->on, one, lateness(late_receives));
    free(asked);
}

error *posix(int code) { return make_error(POSIX_DOMAIN, code); }
error *fault(int code) { return make_error(code < 0 ? TLS_DOMAIN : POSIX_DOMAIN, code); }

/* Tell every send and receive that waits of an error. */
void end_requests(connection *this, int code) {
    while (this->sends) {
        request *one = this->sends;
        this->sends = one->next;
        tell_sent(this, one, posix(code));
    }
    while (this->receives) tell_received(this, NULL, false, posix(code));
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
