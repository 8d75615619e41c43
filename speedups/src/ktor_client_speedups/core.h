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

/* Keep an object in a place that may have one. */
void keep(PyObject **place, PyObject *object);

/* What a deque does, without the calls that lead there; only for exact deques. */
extern PyObject *deque_type;
extern PyCFunction deque_append, deque_extend, deque_popleft;

/* --- frames.c --- */

extern PyTypeObject *text_frame, *binary_frame;
int adopt_text_frame(PyTypeObject *type);
int adopt_binary_frame(PyTypeObject *type);
/* What a default session hands out for a frame: its text, or its data. */
PyObject *content_of(PyObject *frame);
PyObject *new_text(PyObject *module, PyObject *text);
PyObject *new_binary(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *new_room(PyObject *module, PyObject *size);
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
} Road;

int make_ready_type(PyObject *module);
/* An awaitable that has not begun; `item` may be NULL. */
PyObject *new_ready(const Road *road, PyObject *owner, PyObject *item);

/* --- receiving.c --- */

int adopt_incoming(PyTypeObject *type);
int adopt_messages(PyTypeObject *type);

/* --- sending.c --- */

int adopt_sender(PyTypeObject *type);
int adopt_sending(PyTypeObject *type);
int adopt_session(PyTypeObject *type);

#endif
