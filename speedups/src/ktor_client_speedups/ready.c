/* What `receive`, `send` and the iterators return where nothing has to be waited for: an awaitable
   that gives its result at once, without a coroutine and without an exception.

   It does nothing before it is awaited. If the straight road is closed by then, it becomes the
   coroutine of the reference, to which everything is passed on: waiting, errors, cancellation. */

#include "core.h"

#include <structmember.h>

typedef enum { FRESH, WAITS, GOES_ON, DONE } State;

typedef struct {
    PyObject_HEAD
    const Road *road;
    PyObject *owner;
    PyObject *item;
    PyObject *coroutine; /* of the reference, once that had to be asked; or the waiter */
    State state;
} Ready;

#define KEPT 8

static PyTypeObject *ready_type;
static PyObject *coroutine_type;
static Ready *kept[KEPT]; /* dead ones, to be used again */
static int kept_count;

/* CPython 3.12 and later ask for the result by a StopIteration. Making one costs more than all the
   rest, so one is used again and again as long as nobody keeps it. */
static PyObject *stop, *value_name;
static int stop_is_used;

PyObject *new_ready(const Road *road, PyObject *owner, PyObject *item)
{
    Ready *self;
    if (kept_count > 0) {
        self = kept[--kept_count];
        PyObject_Init((PyObject *)self, ready_type);
    }
    else {
        self = PyObject_GC_New(Ready, ready_type);
        if (self == NULL) {
            return NULL;
        }
    }
    self->road = road;
    self->owner = Py_NewRef(owner);
    self->item = Py_XNewRef(item);
    self->coroutine = NULL;
    self->state = FRESH;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static int traverse(Ready *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->owner);
    Py_VISIT(self->item);
    Py_VISIT(self->coroutine);
    return 0;
}

static int clear(Ready *self)
{
    Py_CLEAR(self->owner);
    Py_CLEAR(self->item);
    Py_CLEAR(self->coroutine);
    return 0;
}

void forget_result(void)
{
    if (!stop_is_used) {
        return;
    }
    stop_is_used = 0;
    if (Py_REFCNT(stop) != 1) { /* it is still under way, or kept: theirs from now on */
        Py_CLEAR(stop);
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyObject_SetAttr(stop, value_name, Py_None) < 0) {
        PyErr_Clear();
    }
    PyErr_Restore(type, value, traceback);
}

/* Wait no more. */
static int stop_waiting(Ready *self)
{
    PyObject *waiter = self->coroutine;
    self->coroutine = NULL;
    self->state = DONE;
    int result = waiter == NULL || self->owner == NULL ? 0 : self->road->leave(self->owner, waiter);
    Py_XDECREF(waiter);
    return result;
}

/* An exception is under way: wait no more, and let the owner say what it means. */
static void fail(Ready *self)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (stop_waiting(self) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return;
    }
    PyErr_Restore(type, value, traceback);
    if (self->road->explain != NULL && self->owner != NULL) {
        self->road->explain(self->owner);
    }
}

static void finalize(Ready *self)
{
    if (self->state == WAITS) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        if (stop_waiting(self) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        PyErr_Restore(type, value, traceback);
    }
}

static void deallocate(Ready *self)
{
    PyObject_GC_UnTrack(self);
    finalize(self);
    if (self->state == FRESH) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s' was never awaited",
                             self->road->name) < 0) {
            PyErr_WriteUnraisable(NULL);
        }
        PyErr_Restore(type, value, traceback);
    }
    forget_result();
    clear(self);
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    /* The collector finalizes an object once, however often it is used again. */
    if (kept_count < KEPT && !PyObject_GC_IsFinalized((PyObject *)self)) {
        kept[kept_count++] = self;
    }
    else {
        PyObject_GC_Del(self);
    }
    Py_DECREF(type);
}

/* Become the coroutine of the reference. */
static int ask_reference(Ready *self)
{
    PyObject *reference = *self->road->reference;
    self->coroutine =
        self->owner == NULL
            ? PyErr_Format(PyExc_SystemError, "%s was cleared", self->road->name)
            : PyObject_CallFunctionObjArgs(reference, self->owner, self->item, NULL);
    self->state = self->coroutine == NULL ? DONE : GOES_ON;
    return self->coroutine == NULL ? -1 : 0;
}

/* Drop a coroutine that has ended. One that runs has only refused to be entered twice. */
static void let_go(Ready *self, PyObject *coroutine)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *is_running = PyObject_GetAttrString(coroutine, "cr_running");
    if (is_running == NULL) {
        PyErr_Clear();
    }
    if (is_running != Py_True && self->coroutine == coroutine) {
        self->state = DONE;
        Py_CLEAR(self->coroutine);
    }
    Py_XDECREF(is_running);
    PyErr_Restore(type, value, traceback);
}

/* Go on with waiting: the waiter itself is what is waited for, then it has the result. */
static PySendResult go_on_waiting(Ready *self, PyObject **result)
{
    PyObject *waiter = Py_NewRef(self->coroutine);
    PySendResult status = PyIter_Send(waiter, Py_None, result);
    Py_DECREF(waiter);
    if (status == PYGEN_ERROR) {
        fail(self);
    }
    else if (status == PYGEN_RETURN) {
        self->state = DONE;
        Py_CLEAR(self->coroutine);
        if (self->road->convert != NULL && (*result = self->road->convert(*result)) == NULL) {
            return PYGEN_ERROR;
        }
    }
    return status;
}

static PySendResult advance(Ready *self, PyObject *arg, PyObject **result)
{
    *result = NULL;
    if (self->state == FRESH) {
        if (arg != Py_None) {
            PyErr_SetString(PyExc_TypeError,
                            "can't send non-None value to a just-started coroutine");
            return PYGEN_ERROR;
        }
        self->state = DONE;
        int went = self->owner == NULL ? 0 : self->road->go(self->owner, self->item, result);
        if (went != 0) {
            return went > 0 ? PYGEN_RETURN : PYGEN_ERROR;
        }
        if (self->road->wait != NULL && self->owner != NULL) {
            self->coroutine = self->road->wait(self->owner);
            if (self->coroutine != NULL) {
                self->state = WAITS;
                return go_on_waiting(self, result);
            }
            if (PyErr_Occurred()) {
                return PYGEN_ERROR;
            }
        }
        if (ask_reference(self) < 0) {
            return PYGEN_ERROR;
        }
    }
    if (self->state == DONE) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    if (self->state == WAITS) {
        return go_on_waiting(self, result);
    }
    PyObject *coroutine = Py_NewRef(self->coroutine);
    PySendResult status = PyIter_Send(coroutine, arg, result);
    if (status != PYGEN_NEXT) {
        let_go(self, coroutine);
    }
    Py_DECREF(coroutine);
    return status;
}

PyObject *stop_with(PyObject *result)
{
    if (stop == NULL || Py_REFCNT(stop) != 1) {
        PyObject *fresh = PyObject_CallNoArgs(PyExc_StopIteration);
        if (fresh == NULL) {
            Py_DECREF(result);
            return NULL;
        }
        PyObject *old = stop;
        stop = fresh;
        Py_XDECREF(old);
    }
    int is_set = PyObject_SetAttr(stop, value_name, result);
    Py_DECREF(result);
    if (is_set == 0) {
        stop_is_used = 1;
        PyErr_Restore(Py_NewRef(PyExc_StopIteration), Py_NewRef(stop), NULL);
    }
    return NULL;
}

static PyObject *next(Ready *self)
{
    PyObject *result;
    switch (advance(self, Py_None, &result)) {
    case PYGEN_NEXT:
        return result;
    case PYGEN_RETURN:
        if (result == Py_None) { /* as iterators may end */
            Py_DECREF(result);
            return NULL;
        }
        return stop_with(result);
    default:
        return NULL;
    }
}

static PyObject *send(Ready *self, PyObject *arg)
{
    PyObject *result;
    PySendResult status = advance(self, arg, &result);
    if (status != PYGEN_RETURN) {
        return result;
    }
    PyObject *exception = PyObject_CallFunctionObjArgs(PyExc_StopIteration, result, NULL);
    Py_DECREF(result);
    if (exception != NULL) {
        PyErr_SetObject(PyExc_StopIteration, exception);
        Py_DECREF(exception);
    }
    return NULL;
}

/* Raise what `throw` was given: an exception; or a class, its value and a traceback. */
static void raise_thrown(PyObject *args)
{
    PyObject *error, *value = Py_None, *traceback = Py_None;
    if (!PyArg_UnpackTuple(args, "throw", 1, 3, &error, &value, &traceback)) {
        return;
    }
    if (PyExceptionClass_Check(error)) {
        error = PyObject_IsInstance(value, error) > 0 ? Py_NewRef(value)
                : value == Py_None                    ? PyObject_CallNoArgs(error)
                                   : PyObject_CallFunctionObjArgs(error, value, NULL);
    }
    else if (PyExceptionInstance_Check(error)) {
        Py_INCREF(error);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "throw takes an exception, or its class");
        return;
    }
    if (error != NULL) {
        if (traceback == Py_None || PyException_SetTraceback(error, traceback) == 0) {
            PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        }
        Py_DECREF(error);
    }
}

static PyObject *throw_(Ready *self, PyObject *args)
{
    if (self->state == WAITS) {
        raise_thrown(args);
        fail(self);
        return NULL;
    }
    if (self->state == FRESH && ask_reference(self) < 0) {
        return NULL;
    }
    if (self->state == DONE) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    PyObject *coroutine = Py_NewRef(self->coroutine);
    PyObject *result = NULL;
    PyObject *method = PyObject_GetAttrString(coroutine, "throw");
    if (method != NULL) {
        result = PyObject_Call(method, args, NULL);
        Py_DECREF(method);
    }
    if (result == NULL) {
        let_go(self, coroutine);
    }
    Py_DECREF(coroutine);
    return result;
}

static PyObject *close_(Ready *self, PyObject *nothing)
{
    PyObject *result = NULL;
    if (self->state == WAITS && stop_waiting(self) < 0) {
        return NULL;
    }
    if (self->state == GOES_ON) {
        PyObject *coroutine = Py_NewRef(self->coroutine);
        result = PyObject_CallMethod(coroutine, "close", NULL);
        Py_DECREF(coroutine);
        if (result == NULL) {
            return NULL;
        }
    }
    self->state = DONE;
    return result == NULL ? Py_NewRef(Py_None) : result;
}

static PyObject *name_of(Ready *self, void *is_qualified)
{
    const char *name = self->road->name;
    if (is_qualified == NULL) {
        for (const char *at = name; *at != '\0'; at++) {
            if (*at == '.') {
                name = at + 1;
            }
        }
    }
    return PyUnicode_FromString(name);
}

/* --- what is asked about coroutines --- */

/* `isinstance` believes it, and with that `inspect.iscoroutine` and whoever asks it whether to
   await what a function has returned. */
static PyObject *class_of(Ready *self, void *nothing)
{
    return Py_NewRef(coroutine_type);
}

/* Only the coroutine of the reference has a frame; once asked for it, that goes on. */
static PyObject *frame_of(Ready *self, void *nothing)
{
    if (self->state == FRESH && ask_reference(self) < 0) {
        return NULL;
    }
    return self->state == GOES_ON ? PyObject_GetAttrString(self->coroutine, "cr_frame")
                                  : Py_NewRef(Py_None);
}

static PyObject *tell_running(Ready *self, void *nothing)
{
    return self->state == GOES_ON ? PyObject_GetAttrString(self->coroutine, "cr_running")
                                  : Py_NewRef(Py_False);
}

static PyObject *tell_suspended(Ready *self, void *nothing)
{
    return self->state == GOES_ON ? PyObject_GetAttrString(self->coroutine, "cr_suspended")
                                  : PyBool_FromLong(self->state == WAITS);
}

static PyObject *represent(Ready *self)
{
    return PyUnicode_FromFormat("<coroutine object %s at %p>", self->road->name, self);
}

static PyMethodDef METHODS[] = {
    {"send", (PyCFunction)send, METH_O, "Go on, as a coroutine does."},
    {"throw", (PyCFunction)throw_, METH_VARARGS, "Raise an exception where it waits."},
    {"close", (PyCFunction)close_, METH_NOARGS, "End it where it waits."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef MEMBERS[] = {
    {"cr_await", T_OBJECT, offsetof(Ready, coroutine), READONLY, "what it waits for, or None"},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef ATTRIBUTES[] = {
    {"__name__", (getter)name_of, NULL, NULL, NULL},
    {"__qualname__", (getter)name_of, NULL, NULL, "qualified"},
    {"__class__", (getter)class_of, NULL, NULL, NULL},
    {"cr_frame", (getter)frame_of, NULL, "its frame, or None", NULL},
    {"cr_running", (getter)tell_running, NULL, "whether it runs", NULL},
    {"cr_suspended", (getter)tell_suspended, NULL, "whether it waits", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot SLOTS[] = {
    {Py_tp_doc, "The coroutine of a call that has nothing to wait for, as a rule."},
    {Py_tp_dealloc, deallocate},
    {Py_tp_traverse, traverse},
    {Py_tp_clear, clear},
    {Py_tp_finalize, finalize},
    {Py_tp_repr, represent},
    {Py_tp_methods, METHODS},
    {Py_tp_members, MEMBERS},
    {Py_tp_getset, ATTRIBUTES},
    {Py_tp_iter, PyObject_SelfIter}, /* what `__await__` returns may be in a `yield from` */
    {Py_tp_iternext, next},
    {Py_am_await, Py_NewRef},
    {Py_am_send, advance},
    {0, NULL},
};

static PyType_Spec SPEC = {
    .name = "ktor_client_speedups.Ready",
    .basicsize = sizeof(Ready),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = SLOTS,
};

int make_ready_type(PyObject *module)
{
    if (intern(&value_name, "value") < 0 || find_in("types", "CoroutineType", &coroutine_type) < 0) {
        return -1;
    }
    if (ready_type == NULL) {
        ready_type = (PyTypeObject *)PyType_FromSpec(&SPEC);
    }
    return ready_type == NULL ? -1 : 0;
}
