/* Eager waking: what a receiver waits for steps its task at the end of the read that brought the
   message, instead of at the loop's next turn.

   Only where that cannot be told from a turn of the loop but by its order: at the very end of a
   short read, when all of it is booked; while no task runs on the loop; for one receiver of a read,
   who got a message. Errors, cancellation and all else go through `call_soon`, as with futures. */

#include "waking.h"

PyObject *copy_context;

static PyTypeObject *wakeups_type;
static PyObject *current_task, *run_name, *soon_name, *raise_function;

/* --- calling back --- */

int call_soon(PyObject *loop, PyObject *function, PyObject *argument, PyObject *context)
{
    PyObject *method = PyObject_GetAttr(loop, soon_name);
    PyObject *arguments = method == NULL ? NULL : PyTuple_Pack(2, function, argument);
    PyObject *names = arguments == NULL ? NULL : PyDict_New();
    PyObject *handle = NULL;
    if (names != NULL &&
        (context == NULL || PyDict_SetItemString(names, "context", context) == 0)) {
        handle = PyObject_Call(method, arguments, names);
    }
    Py_XDECREF(names);
    Py_XDECREF(arguments);
    Py_XDECREF(method);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

/* Leave all callbacks to the loop. */
static int schedule(Waiter *self)
{
    PyObject *loop = self->wakeups->loop, *callback = self->callback, *context = self->context;
    PyObject *others = self->others;
    self->callback = self->context = self->others = NULL;
    int result = 0;
    if (callback != NULL) {
        result = call_soon(loop, callback, (PyObject *)self, context);
    }
    for (Py_ssize_t i = 0; result == 0 && others != NULL && i < PyList_Size(others); i++) {
        PyObject *pair = PyList_GetItem(others, i);
        result = call_soon(loop, PyTuple_GetItem(pair, 0), (PyObject *)self,
                           PyTuple_GetItem(pair, 1));
    }
    Py_XDECREF(callback);
    Py_XDECREF(context);
    Py_XDECREF(others);
    return result;
}

int announce(Waiter *self)
{
    Wakeups *wakeups = self->wakeups;
    if (!wakeups->is_reading || self->state != HAS_RESULT) {
        return schedule(self);
    }
    if (wakeups->due == NULL && self->callback != NULL && self->others == NULL) {
        wakeups->due = (Waiter *)Py_NewRef((PyObject *)self);
        return 0;
    }
    /* More than one: all of them in their order, at the loop's next turn. */
    Waiter *due = wakeups->due;
    wakeups->due = NULL;
    wakeups->is_reading = 0;
    int result = due == NULL ? 0 : schedule(due);
    Py_XDECREF((PyObject *)due);
    return schedule(self) < 0 ? -1 : result;
}

/* Whether the loop runs here, and no task on it. */
static int is_free(PyObject *loop)
{
    PyObject *task =
        is_running(loop) ? PyObject_CallFunctionObjArgs(current_task, loop, NULL) : NULL;
    int result = task == Py_None;
    Py_XDECREF(task);
    PyErr_Clear();
    return result;
}

/* Run the callback in its context. What it raises is for the loop, not for the transport. */
static void step(Waiter *self)
{
    PyObject *context = Py_NewRef(self->context);
    self->is_entered = 0;
    PyObject *done = PyObject_CallMethodObjArgs(context, run_name, (PyObject *)self, NULL);
    Py_DECREF(context);
    if (done != NULL) {
        Py_DECREF(done);
        return;
    }
    int is_told = -1;
    if (!self->is_entered) { /* somebody is in this context */
        PyErr_Clear();
        is_told = schedule(self);
    }
    else {
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        PyErr_NormalizeException(&type, &error, &traceback);
        if (traceback != NULL) {
            PyException_SetTraceback(error, traceback);
        }
        is_told = call_soon(self->wakeups->loop, raise_function, error, NULL);
        Py_XDECREF(type);
        Py_XDECREF(error);
        Py_XDECREF(traceback);
    }
    if (is_told < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
}

static PyObject *raise_(PyObject *module, PyObject *error)
{
    PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    return NULL;
}

static PyMethodDef RAISE = {"raise_", raise_, METH_O, "Raise what a step has raised."};

/* Within its context: go on with the task. */
PyObject *call_back(Waiter *self, PyObject *args, PyObject *names)
{
    PyObject *callback = self->callback, *context = self->context;
    self->is_entered = 1;
    if (callback == NULL) {
        return Py_NewRef(Py_None);
    }
    self->callback = self->context = NULL;
    PyObject *result = PyObject_CallFunctionObjArgs(callback, (PyObject *)self, NULL);
    Py_DECREF(callback);
    Py_XDECREF(context);
    return result;
}

/* --- reads --- */

int begin_read(PyObject *wakeups)
{
    if (wakeups == NULL || Py_TYPE(wakeups) != wakeups_type || ((Wakeups *)wakeups)->due != NULL) {
        return 0;
    }
    ((Wakeups *)wakeups)->is_reading = 1;
    return 1;
}

void end_read(PyObject *wakeups)
{
    Wakeups *self = (Wakeups *)wakeups;
    Waiter *due = self->due;
    self->is_reading = 0;
    self->due = NULL;
    if (due == NULL) {
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (is_free(self->loop) && due->callback != NULL && due->others == NULL) {
        step(due);
    }
    else if (schedule(due) < 0) {
        PyErr_WriteUnraisable((PyObject *)due);
    }
    Py_DECREF((PyObject *)due);
    PyErr_Restore(type, value, traceback);
}

/* --- what a link has --- */

static PyObject *create_future(PyObject *self, PyObject *nothing)
{
    return new_waiter(self);
}

PyObject *wakeups_of(PyObject *function)
{
    return Py_TYPE(function) == &PyCFunction_Type &&
                   PyCFunction_GetFunction(function) == create_future
               ? PyCFunction_GetSelf(function)
               : NULL;
}

PyObject *loop_of(PyObject *wakeups)
{
    return ((Wakeups *)wakeups)->loop;
}

static int traverse_wakeups(Wakeups *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->loop);
    Py_VISIT((PyObject *)self->due);
    return 0;
}

static void deallocate_wakeups(Wakeups *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    Py_XDECREF((PyObject *)self->due);
    Py_DECREF(self->loop);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef WAKEUPS_METHODS[] = {
    {"create_future", create_future, METH_NOARGS, "Return what a receiver waits for."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot WAKEUPS_SLOTS[] = {
    {Py_tp_doc, "What the reads of a link have woken."},
    {Py_tp_dealloc, deallocate_wakeups},
    {Py_tp_traverse, traverse_wakeups},
    {Py_tp_methods, WAKEUPS_METHODS},
    {0, NULL},
};

static PyType_Spec WAKEUPS_SPEC = {
    .name = "ktor_client_speedups.Wakeups",
    .basicsize = sizeof(Wakeups),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = WAKEUPS_SLOTS,
};

/* Done when the first link asks: asyncio is there by then. */
static int prepare(void)
{
    if (wakeups_type != NULL) {
        return 0;
    }
    if (make_waiter_type() < 0 || find_in("asyncio", "current_task", &current_task) < 0 ||
        find_in("contextvars", "copy_context", &copy_context) < 0 ||
        intern(&run_name, "run") < 0 || intern(&soon_name, "call_soon") < 0 ||
        (raise_function = PyCFunction_New(&RAISE, NULL)) == NULL) {
        return -1;
    }
    wakeups_type = (PyTypeObject *)PyType_FromSpec(&WAKEUPS_SPEC);
    return wakeups_type == NULL ? -1 : 0;
}

PyObject *new_wakeups(PyObject *module, PyObject *loop)
{
    Wakeups *self = prepare() < 0 ? NULL : PyObject_GC_New(Wakeups, wakeups_type);
    if (self == NULL) {
        return NULL;
    }
    self->loop = Py_NewRef(loop);
    self->due = NULL;
    self->is_reading = 0;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}
