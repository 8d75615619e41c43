/* What the rooms of the compiled core share.

   Python owns the objects; what is here reads and fills their slots, and calls the Python method
   (its "reference") for everything that is not the straight road. So types, messages and causes of
   errors, and whatever happens seldom are the same in both twins.

   Only CPython's limited API is used. All of it runs under the GIL of the main interpreter. */

#ifndef KTOR_CLIENT_SPEEDUPS_CORE_H
#define KTOR_CLIENT_SPEEDUPS_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* A slot of an instance: NULL while it is unset. */
#define SLOT(object, offset) (*(PyObject **)((char *)(object) + (offset)))

/* --- core.c --- */

/* Find slots of a class by name: `names` ends with NULL. Return -1 with an exception. */
int find_slots(PyTypeObject *type, const char *const *names, Py_ssize_t *offsets);

/* A method of a class: what stands in for it, and the reference that it was. */
typedef struct {
    PyMethodDef definition;
    PyObject *reference;
} Twin;

/* Put a method of ours in the place of the class's, with its docstring. */
int replace_method(PyTypeObject *type, Twin *twin);

/* A number that the module of a class has under a name; -1 with an exception. */
Py_ssize_t number_of_module(PyTypeObject *type, const char *name);

/* Keep what a module has under a name. */
int find_in(const char *module_name, const char *name, PyObject **place);

/* Keep a name. */
int intern(PyObject **place, const char *name);

/* Whether a loop runs in this thread. */
int is_running(PyObject *loop);

/* Add to a slot with a number. */
int add_to(PyObject **slot, Py_ssize_t amount);

/* Keep an object in a place that may have one. */
void keep(PyObject **place, PyObject *object);

/* What a deque does, without the calls that lead there; only for exact deques. */
extern PyObject *deque_type;
extern PyCFunction deque_append, deque_popleft, deque_clear;

/* --- frames.c --- */

extern PyTypeObject *text_frame, *binary_frame;
int adopt_text_frame(PyTypeObject *type);
int adopt_binary_frame(PyTypeObject *type);
/* What a default session hands out for a frame: its text, or its data. */
PyObject *content_of(PyObject *frame);
PyObject *new_text(PyObject *module, PyObject *text);
PyObject *new_binary(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *new_room(PyObject *module, PyObject *size);
/* Take whole frames from a position on; return the position behind the last one, or -1. */
Py_ssize_t take(const unsigned char *data, Py_ssize_t end, Py_ssize_t position,
                long long max_size, PyObject *messages);
PyObject *take_plain(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *take_copied(PyObject *module, PyObject *const *args, Py_ssize_t count);

/* --- masking.c --- */

#define LONG 0x10000
PyObject *mask_bytes(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *forget_keys(PyObject *module, PyObject *nothing);
/* The bytes of a final masked frame of less than LONG bytes. */
PyObject *masked_frame(unsigned char first, const char *payload, Py_ssize_t size);

/* --- ready.c --- */

/* What an awaitable does: how its coroutine is called, the straight road, and the reference. */
typedef struct Road {
    const char *name;
    /* 1: `result` is there; 0: the reference decides; -1: an exception is set. */
    int (*go)(PyObject *owner, PyObject *item, PyObject **result);
    PyObject **reference;
    /* What to wait for if the straight road is closed: a waiter of ours; NULL without an exception:
       the reference decides. And what becomes of it when nobody waits any more. */
    PyObject *(*wait)(PyObject *owner);
    int (*leave)(PyObject *owner, PyObject *waiter);
    /* What its result, which is stolen, means for the owner; NULL: what it is. And its error. */
    PyObject *(*convert)(PyObject *result);
    void (*explain)(PyObject *owner);
} Road;

int make_ready_type(PyObject *module);
/* An awaitable that has not begun; `item` may be NULL. */
PyObject *new_ready(const Road *road, PyObject *owner, PyObject *item);
/* Raise StopIteration with a result, which is stolen; then forget it when its owner is gone. */
PyObject *stop_with(PyObject *result);
void forget_result(void);

/* --- receiving.c --- */

int make_iterator_type(PyObject *module);
int adopt_incoming(PyTypeObject *type);
int adopt_messages(PyTypeObject *type);

/* --- sending.c --- */

int adopt_sender(PyTypeObject *type);
int adopt_sending(PyTypeObject *type);
int adopt_session(PyTypeObject *type);

extern Py_ssize_t sender_slots[10];
enum {
    WRITABLE, PLAIN, SCHEDULED, OUT, OUT_SIZE, STEPPED, LOOP, TRANSPORT, FRAMES_SENT, BYTES_SENT,
};

/* --- reading.c --- */

int adopt_link(PyTypeObject *type);
int adopt_decoder(PyTypeObject *type);
int adopt_core(PyTypeObject *type);

/* --- waking.c --- */

PyObject *new_wakeups(PyObject *module, PyObject *loop);
/* Around a read: whether it may step a task at its end. */
int begin_read(PyObject *wakeups);
void end_read(PyObject *wakeups);
/* Whether something is a waiter of ours that has heard nothing; then give it its result. */
int is_waiting(PyObject *waiter);
PyObject *result_of(PyObject *waiter);
/* What makes waiters, if they are of ours: NULL without an exception if they are not. */
PyObject *wakeups_of(PyObject *create_future);
PyObject *loop_of(PyObject *wakeups);
PyObject *new_waiter(PyObject *wakeups);
int give(PyObject *waiter, PyObject *result);

#endif
