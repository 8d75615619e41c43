/* What `waking.c`, which calls back, and `waiter.c`, the future that it is for, share. */

#ifndef KTOR_CLIENT_SPEEDUPS_WAKING_H
#define KTOR_CLIENT_SPEEDUPS_WAKING_H

#include "core.h"

typedef enum { PENDING, HAS_RESULT, HAS_ERROR, CANCELLED } State;

typedef struct Waiter Waiter;

/* A link's: what its reads have woken. */
typedef struct {
    PyObject_HEAD
    PyObject *loop;
    Waiter *due; /* whose task the read under way steps at its end */
    int is_reading;
} Wakeups;

/* A future, as far as tasks and channels ask for one. */
struct Waiter {
    PyObject_HEAD
    Wakeups *wakeups;
    PyObject *callback, *context; /* the first, as a rule the only one: a task's */
    PyObject *others;             /* a list of callbacks with their contexts, or NULL */
    PyObject *outcome;            /* the result, the error, or the message of who cancelled */
    State state;
    char is_blocking; /* what asyncio asks for to tell a future by `await` from a bare `yield` */
    char is_entered;  /* the callback's context was entered */
};

/* --- waking.c --- */

extern PyObject *copy_context;
/* Leave a call to the loop: `loop.call_soon(function, argument)`, in a context or in this one. */
int call_soon(PyObject *loop, PyObject *function, PyObject *argument, PyObject *context);
/* Tell those who wait for a waiter that is done. */
int announce(Waiter *self);

/* --- waiter.c --- */

int make_waiter_type(void);
/* What a waiter does when it is called, within the context of its callback: call that. */
PyObject *call_back(Waiter *self, PyObject *args, PyObject *names);

#endif
