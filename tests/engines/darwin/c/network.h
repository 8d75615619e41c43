/* What network.c (objects, what is told on queues, what Apple's functions do) and sockets.c (the thread
 * that serves connections) share. */
#include "double.h"
#include <netdb.h>
#include <sys/socket.h>

enum { POSIX_DOMAIN = 1, DNS_DOMAIN = 2, TLS_DOMAIN = 3 };

typedef struct error {
    object its;
    int domain, code;
} error;

typedef struct endpoint {
    object its;
    char *host, *port;
} endpoint;

typedef struct parameters {
    object its;
    options *tcp, *tls;
} parameters;

enum { WAITING = 1, PREPARING, READY, FAILED, CANCELLED };

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

extern pthread_mutex_t world; /* held for all that connections have */
extern connection *started;   /* served, one after another */
extern bool is_served;        /* whether the thread runs */
extern int bell[2];           /* wakes who serves */
void ring(void);
void *serve_sockets(void *nothing);

error *make_error(int domain, int code);
error *posix(int code);
error *fault(int code); /* an errno, or a code of TLS */
void tell_state(connection *this, int state, error *why);
void tell_sent(connection *this, request *done, error *why);
void tell_received(connection *this, data *content, bool is_complete, error *why);
void end_requests(connection *this, int code);
