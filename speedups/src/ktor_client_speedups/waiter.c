/* What a receiver waits for: a future, as far as tasks and channels ask for one. */

#include "waking.h"

#include <structmember.h>

static PyTypeObject *waiter_type;
static PyObject *cancelled_error, *invalid_state_error;

static PyObject *set_result(Waiter *self, PyObject *result);

PyObject *new_waiter(PyObject *self)
{
    Waiter *waiter = PyObject_GC_New(Waiter, waiter_type);
    if (waiter == NULL) {
        return NULL;
    }
    waiter->wakeups = (Wakeups *)Py_NewRef(self);
    waiter->callback = waiter->context = waiter->others = waiter->outcome = NULL;
    waiter->state = PENDING;
    waiter->is_blocking = waiter->is_entered = 0;
    PyObject_GC_Track(waiter);
    return (PyObject *)waiter;
}

static int traverse_waiter(Waiter *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->wakeups);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->others);
    Py_VISIT(self->outcome);
    return 0;
}

static int clear_waiter(Waiter *self)
{
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->others);
    Py_CLEAR(self->outcome);
    return 0; /* `wakeups` stays: methods count on it, and it does not refer to waiters for long */
}

static void deallocate_waiter(Waiter *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    forget_result();
    clear_waiter(self);
    Py_DECREF((PyObject *)self->wakeups);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *state_error(const char *why)
{
    PyErr_SetString(invalid_state_error, why);
    return NULL;
}

static PyObject *get_result(Waiter *self, PyObject *nothing)
{
    switch (self->state) {
    case HAS_RESULT:
        return Py_NewRef(self->outcome == NULL ? Py_None : self->outcome);
    case HAS_ERROR:
        if (self->outcome != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(self->outcome), self->outcome);
            return NULL;
        }
        return state_error("Exception is gone.");
    case CANCELLED: {
        PyObject *error = PyObject_CallFunctionObjArgs(cancelled_error, self->outcome, NULL);
        if (error != NULL) {
            PyErr_SetObject(cancelled_error, error);
            Py_DECREF(error);
        }
        return NULL;
    }
    default:
        return state_error("Result is not ready.");
    }
}

int is_waiting(PyObject *waiter)
{
    return Py_TYPE(waiter) == waiter_type && ((Waiter *)waiter)->state == PENDING;
}

PyObject *result_of(PyObject *waiter)
{
    return ((Waiter *)waiter)->state == HAS_RESULT ? ((Waiter *)waiter)->outcome : NULL;
}

int give(PyObject *waiter, PyObject *result)
{
    PyObject *done = set_result((Waiter *)waiter, result);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *exception_of(Waiter *self, PyObject *nothing)
{
    switch (self->state) {
    case HAS_RESULT:
        return Py_NewRef(Py_None);
    case HAS_ERROR:
        return Py_NewRef(self->outcome == NULL ? Py_None : self->outcome);
    case CANCELLED:
        return get_result(self, NULL);
    default:
        return state_error("Exception is not set.");
    }
}

/* Be done; the outcome is stolen. */
static PyObject *finish(Waiter *self, State state, PyObject *outcome)
{
    if (self->state != PENDING) {
        Py_XDECREF(outcome);
        return state_error("invalid state");
    }
    self->state = state;
    self->outcome = outcome;
    return announce(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *set_result(Waiter *self, PyObject *result)
{
    return finish(self, HAS_RESULT, Py_NewRef(result));
}

static PyObject *set_exception(Waiter *self, PyObject *error)
{
    error = PyType_Check(error) ? PyObject_CallNoArgs(error) : Py_NewRef(error);
    if (error == NULL) {
        return NULL;
    }
    if (!PyExceptionInstance_Check(error)) {
        Py_DECREF(error);
        PyErr_SetString(PyExc_TypeError, "invalid exception object");
        return NULL;
    }
    return finish(self, HAS_ERROR, error);
}

static PyObject *cancel(Waiter *self, PyObject *args, PyObject *names)
{
    static char *NAMES[] = {"msg", NULL};
    PyObject *message = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, names, "|O:cancel", NAMES, &message)) {
        return NULL;
    }
    if (self->state != PENDING) {
        return Py_NewRef(Py_False);
    }
    PyObject *done = finish(self, CANCELLED, message == Py_None ? NULL : Py_NewRef(message));
    if (done == NULL) {
        return NULL;
    }
    Py_DECREF(done);
    return Py_NewRef(Py_True);
}

static PyObject *is_done(Waiter *self, PyObject *nothing)
{
    return PyBool_FromLong(self->state != PENDING);
}

static PyObject *is_cancelled(Waiter *self, PyObject *nothing)
{
    return PyBool_FromLong(self->state == CANCELLED);
}

static PyObject *get_loop(Waiter *self, PyObject *nothing)
{
    return Py_NewRef(self->wakeups->loop);
}

static PyObject *add_done_callback(Waiter *self, PyObject *const *args, Py_ssize_t count,
                                   PyObject *names)
{
    Py_ssize_t named = names == NULL ? 0 : PyTuple_Size(names);
    if (count != 1 || named > 1 ||
        (named && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(names, 0), "context") != 0)) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback takes a function, and context=");
        return NULL;
    }
    PyObject *callback = args[0], *context = named ? args[1] : Py_None;
    context = context == Py_None ? PyObject_CallNoArgs(copy_context) : Py_NewRef(context);
    if (context == NULL) {
        return NULL;
    }
    int result = 0;
    if (self->state != PENDING) {
        result = call_soon(self->wakeups->loop, callback, (PyObject *)self, context);
    }
    else if (self->callback == NULL && self->others == NULL) {
        self->callback = Py_NewRef(callback);
        self->context = Py_NewRef(context);
    }
    else {
        PyObject *pair = PyTuple_Pack(2, callback, context);
        if (self->others == NULL) {
            self->others = PyList_New(0);
        }
        result = pair == NULL || self->others == NULL || PyList_Append(self->others, pair) < 0;
        Py_XDECREF(pair);
    }
    Py_DECREF(context);
    return result != 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *remove_done_callback(Waiter *self, PyObject *callback)
{
    long count = 0;
    if (self->callback != NULL) {
        int is_same = PyObject_RichCompareBool(self->callback, callback, Py_EQ);
        if (is_same < 0) {
            return NULL;
        }
        if (is_same) {
            Py_CLEAR(self->callback);
            Py_CLEAR(self->context);
            count++;
        }
    }
    for (Py_ssize_t i = self->others == NULL ? 0 : PyList_Size(self->others); i-- > 0;) {
        PyObject *one = PyTuple_GetItem(PyList_GetItem(self->others, i), 0);
        int is_same = PyObject_RichCompareBool(one, callback, Py_EQ);
        if (is_same < 0 || (is_same && PyList_SetSlice(self->others, i, i + 1, NULL) < 0)) {
            return NULL;
        }
        count += is_same;
    }
    return PyLong_FromLong(count);
}

static PySendResult advance(Waiter *self, PyObject *arg, PyObject **result)
{
    if (self->state == PENDING) {
        if (self->is_blocking) {
            PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
            *result = NULL;
            return PYGEN_ERROR;
        }
        self->is_blocking = 1;
        *result = Py_NewRef((PyObject *)self);
        return PYGEN_NEXT;
    }
    *result = get_result(self, NULL);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static PyObject *next(Waiter *self)
{
    PyObject *result;
    return advance(self, Py_None, &result) == PYGEN_RETURN ? stop_with(result) : result;
}

static PyObject *represent(Waiter *self)
{
    static const char *const STATES[] = {"pending", "finished", "failed", "cancelled"};
    return PyUnicode_FromFormat("<Waiter %s>", STATES[self->state]);
}

#define FUNCTION (PyCFunction)(void (*)(void))

static PyMethodDef WAITER_METHODS[] = {
    {"add_done_callback", FUNCTION add_done_callback, METH_FASTCALL | METH_KEYWORDS,
     "Call back when it is done; see `asyncio.Future`, as for the others."},
    {"remove_done_callback", FUNCTION remove_done_callback, METH_O, "Do not call back."},
    {"cancel", FUNCTION cancel, METH_VARARGS | METH_KEYWORDS, "Be done by cancellation."},
    {"cancelled", FUNCTION is_cancelled, METH_NOARGS, "Whether it was cancelled."},
    {"done", FUNCTION is_done, METH_NOARGS, "Whether it is done."},
    {"exception", FUNCTION exception_of, METH_NOARGS, "The error, or None."},
    {"get_loop", FUNCTION get_loop, METH_NOARGS, "The loop of those who wait."},
    {"result", FUNCTION get_result, METH_NOARGS, "The result."},
    {"set_exception", FUNCTION set_exception, METH_O, "Be done with an error."},
    {"set_result", FUNCTION set_result, METH_O, "Be done with a result."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef WAITER_MEMBERS[] = {
    {"_asyncio_future_blocking", T_BOOL, offsetof(Waiter, is_blocking), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot WAITER_SLOTS[] = {
    {Py_tp_doc, "What a receiver waits for: a future that may step its task itself."},
    {Py_tp_dealloc, deallocate_waiter},
    {Py_tp_traverse, traverse_waiter},
    {Py_tp_clear, clear_waiter},
    {Py_tp_repr, represent},
    {Py_tp_call, call_back},
    {Py_tp_methods, WAITER_METHODS},
    {Py_tp_members, WAITER_MEMBERS},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, next},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, advance},
    {0, NULL},
};

static PyType_Spec WAITER_SPEC = {
    .name = "ktor_client_speedups.Waiter",
    .basicsize = sizeof(Waiter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = WAITER_SLOTS,
};

int make_waiter_type(void)
{
    if (waiter_type == NULL) {
        if (find_in("asyncio", "CancelledError", &cancelled_error) < 0 ||
            find_in("asyncio", "InvalidStateError", &invalid_state_error) < 0) {
            return -1;
        }
        waiter_type = (PyTypeObject *)PyType_FromSpec(&WAITER_SPEC);
    }
    return waiter_type == NULL ? -1 : 0;
}
