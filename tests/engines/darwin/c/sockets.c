/* Connections on plain sockets, with TLS above where it is wanted: one thread serves all of them. */
#include "network.h"
#include <netinet/tcp.h>
#include <poll.h>

enum { NO_SUCH_RECORD = -65554 };

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

void *serve_sockets(void *nothing) {
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
