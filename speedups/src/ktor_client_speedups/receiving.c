/* Receiving what is queued: `Incoming.receive`, and iteration over frames and over messages. */

#include "core.h"

static Py_ssize_t incoming_slots[8], messages_slots[1];
static const char *const INCOMING_SLOTS[] = {
    "queue",     "_look_at",       "_waiters",      "_bytes", "_end",
    "_returned", "_create_future", "_ends_quietly", NULL,
};
enum { QUEUE, LOOK_AT, WAITERS, BYTES, END, RETURNED, CREATE_FUTURE, ENDS_QUIETLY };
#define OF(channel, name) SLOT(channel, incoming_slots[name])

static const char *const MESSAGES_SLOTS[] = {"_incoming", NULL};
static PyTypeObject *incoming_type, *messages_type;
static PyObject *look_name, *closed_error;

/* Take the next frame of a channel, as the reference does. */
static int take_frame(PyObject *channel, PyObject *item, PyObject **result)
{
    PyObject *queue = OF(channel, QUEUE);
    PyObject *look_at = OF(channel, LOOK_AT);
    if (queue == NULL || look_at == NULL || (PyObject *)Py_TYPE(queue) != deque_type) {
        return 0;
    }
    Py_ssize_t size = PyObject_Size(queue);
    if (size <= 0) {
        return size < 0 ? -1 : 0;
    }
    int overflow;
    long long limit = PyLong_AsLongLongAndOverflow(look_at, &overflow);
    if (overflow || (limit == -1 && PyErr_Occurred())) {
        PyErr_Clear();
        return 0;
    }
    Py_INCREF(queue);
    PyObject *frame = deque_popleft(queue, NULL);
    Py_DECREF(queue);
    if (frame == NULL) {
        return -1;
    }
    if (size - 1 <= limit) {
        PyObject *looked = PyObject_CallMethodObjArgs(channel, look_name, frame, NULL);
        if (looked == NULL) {
            Py_DECREF(frame);
            return -1;
        }
        Py_DECREF(looked);
    }
    *result = frame;
    return 1;
}

/* Whether a call can be answered here: by a frame, or by waiting for one. */
static int is_straight(PyObject *channel)
{
    PyObject *queue = OF(channel, QUEUE), *create_future = OF(channel, CREATE_FUTURE);
    return (queue != NULL && (PyObject *)Py_TYPE(queue) == deque_type &&
            PyObject_Size(queue) > 0) ||
           (create_future != NULL && wakeups_of(create_future) != NULL);
}

/* Wait for the next frame, as the reference does. */
static PyObject *wait_for_frame(PyObject *channel)
{
    PyObject *create_future = OF(channel, CREATE_FUTURE), *waiters = OF(channel, WAITERS);
    PyObject *wakeups = create_future == NULL ? NULL : wakeups_of(create_future);
    if (wakeups == NULL || OF(channel, END) != Py_None || waiters == NULL ||
        !PyList_CheckExact(waiters) || !is_running(loop_of(wakeups))) {
        return NULL;
    }
    PyObject *nothing = PyLong_FromLong(0);
    PyObject *waiter = nothing == NULL ? NULL : new_waiter(wakeups);
    if (waiter != NULL) {
        keep(&OF(channel, BYTES), nothing);
        keep(&OF(channel, RETURNED), Py_None);
        if (PyList_Append(waiters, waiter) < 0) {
            Py_CLEAR(waiter);
        }
    }
    Py_XDECREF(nothing);
    return waiter;
}

/* Wait no more: what it has got already goes to somebody else. */
static int leave(PyObject *channel, PyObject *waiter)
{
    PyObject *waiters = OF(channel, WAITERS), *frame = result_of(waiter);
    for (Py_ssize_t at = waiters == NULL ? 0 : PyList_Size(waiters); at-- > 0;) {
        if (PyList_GetItem(waiters, at) == waiter) {
            return PyList_SetSlice(waiters, at, at + 1, NULL);
        }
    }
    if (frame == NULL) {
        return 0;
    }
    PyObject *done = PyObject_CallMethod(channel, "_give_back", "O", frame);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* A quiet end is no error of an iteration. */
static void end_quietly(PyObject *channel)
{
    if (OF(channel, ENDS_QUIETLY) == Py_True && PyErr_ExceptionMatches(closed_error)) {
        PyErr_SetNone(PyExc_StopAsyncIteration);
    }
}

static PyObject *arrived(PyObject *self, PyObject *const *args, Py_ssize_t count);

static Twin arrived_twin = {{"arrived", (PyCFunction)(void (*)(void))arrived, METH_FASTCALL,
                             "arrived($self, size=4611686018427387904, /)\n--\n\n"},
                            NULL};

/* One frame, and one who waits for it. */
static PyObject *arrived(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *queue = OF(self, QUEUE), *waiters = OF(self, WAITERS);
    if (count <= 1 && queue != NULL && (PyObject *)Py_TYPE(queue) == deque_type &&
        waiters != NULL && PyList_CheckExact(waiters) && PyObject_Size(queue) == 1 &&
        PyList_Size(waiters) == 1 && is_waiting(PyList_GetItem(waiters, 0))) {
        PyObject *nothing = PyLong_FromLong(0), *waiter = Py_NewRef(PyList_GetItem(waiters, 0));
        PyObject *frame = nothing == NULL ? NULL : deque_popleft(queue, NULL);
        int went = -1;
        if (frame != NULL) {
            keep(&OF(self, BYTES), nothing);
            went = PyList_SetSlice(waiters, 0, 1, NULL) < 0 ? -1 : give(waiter, frame);
        }
        Py_XDECREF(frame);
        Py_DECREF(waiter);
        Py_XDECREF(nothing);
        return went < 0 ? NULL : Py_NewRef(Py_None);
    }
    return PyObject_CallFunctionObjArgs(arrived_twin.reference, self, count > 0 ? args[0] : NULL,
                                        count > 1 ? args[1] : NULL, NULL);
}

/* --- iterators --- */

/* What a loop goes through. In the place of the channel itself, whose `__anext__` would be looked
   for each time, as that of any class of Python's. */
typedef struct {
    PyObject_HEAD
    PyCFunction next;
    PyObject *owner;
} Iterator;

static PyTypeObject *iterator_type;

static PyObject *new_iterator(PyCFunction next, PyObject *owner)
{
    Iterator *self = PyObject_GC_New(Iterator, iterator_type);
    if (self != NULL) {
        self->next = next;
        self->owner = Py_NewRef(owner);
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

static int traverse(Iterator *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE((PyObject *)self));
    Py_VISIT(self->owner);
    return 0;
}

static void deallocate(Iterator *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    PyObject_GC_UnTrack(self);
    Py_DECREF(self->owner); /* of Python's classes: they break the cycles that this is in */
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *iterate(Iterator *self)
{
    return self->next(self->owner, NULL);
}

static PyType_Slot SLOTS[] = {
    {Py_tp_doc, "Iterates over what a channel receives."},
    {Py_tp_dealloc, deallocate},
    {Py_tp_traverse, traverse},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_am_anext, iterate},
    {0, NULL},
};

static PyType_Spec SPEC = {
    .name = "ktor_client_speedups.Iterator",
    .basicsize = sizeof(Iterator),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = SLOTS,
};

int make_iterator_type(PyObject *module)
{
    if (iterator_type == NULL) {
        iterator_type = (PyTypeObject *)PyType_FromSpec(&SPEC);
    }
    return iterator_type == NULL ? -1 : 0;
}

/* --- frames --- */

static PyObject *receive(PyObject *self, PyObject *nothing);
static PyObject *next_frame(PyObject *self, PyObject *nothing);

static Twin receive_twin = {{"receive", receive, METH_NOARGS, "receive($self, /)\n--\n\n"}, NULL};
static Twin next_twin = {{"__anext__", next_frame, METH_NOARGS, "__anext__($self, /)\n--\n\n"},
                         NULL};
static const Road RECEIVE = {"Incoming.receive", take_frame, &receive_twin.reference,
                             wait_for_frame, leave, NULL, NULL};
static const Road NEXT = {"Incoming.__anext__", take_frame, &next_twin.reference,
                          wait_for_frame, leave, NULL, end_quietly};

static PyObject *receive(PyObject *self, PyObject *nothing)
{
    return is_straight(self) ? new_ready(&RECEIVE, self, NULL)
                           : PyObject_CallFunctionObjArgs(receive_twin.reference, self, NULL);
}

static PyObject *next_frame(PyObject *self, PyObject *nothing)
{
    return is_straight(self) ? new_ready(&NEXT, self, NULL)
                           : PyObject_CallFunctionObjArgs(next_twin.reference, self, NULL);
}

static PyObject *iterate_frames(PyObject *self, PyObject *nothing)
{
    return Py_TYPE(self) == incoming_type ? new_iterator(next_frame, self) : Py_NewRef(self);
}

static Twin frames_twin = {{"__aiter__", iterate_frames, METH_NOARGS, "__aiter__($self, /)\n--\n\n"},
                           NULL};

int adopt_incoming(PyTypeObject *type)
{
    if (intern(&look_name, "_look") < 0 ||
        find_in("ktor_client.errors", "ConnectionClosedError", &closed_error) < 0 ||
        find_slots(type, INCOMING_SLOTS, incoming_slots) < 0 ||
        replace_method(type, &arrived_twin) < 0 ||
        replace_method(type, &receive_twin) < 0 || replace_method(type, &next_twin) < 0 ||
        replace_method(type, &frames_twin) < 0) {
        return -1;
    }
    keep((PyObject **)&incoming_type, (PyObject *)type);
    return 0;
}

/* --- messages --- */

/* The channel behind an iterator, if it is one of ours. */
static PyObject *channel_of(PyObject *iterator)
{
    PyObject *channel = SLOT(iterator, messages_slots[0]);
    return channel != NULL && Py_TYPE(channel) == incoming_type ? channel : NULL;
}

static int take_message(PyObject *iterator, PyObject *item, PyObject **result)
{
    PyObject *channel = channel_of(iterator);
    if (channel == NULL) {
        return 0;
    }
    PyObject *frame = NULL;
    Py_INCREF(channel);
    int went = take_frame(channel, item, &frame);
    Py_DECREF(channel);
    if (went == 1) {
        *result = content_of(frame);
        Py_DECREF(frame);
        return *result == NULL ? -1 : 1;
    }
    return went;
}

static PyObject *wait_for_message(PyObject *iterator)
{
    PyObject *channel = channel_of(iterator);
    return channel == NULL ? NULL : wait_for_frame(channel);
}

static int leave_message(PyObject *iterator, PyObject *waiter)
{
    return leave(SLOT(iterator, messages_slots[0]), waiter);
}

static PyObject *content_given(PyObject *frame)
{
    PyObject *content = content_of(frame);
    Py_DECREF(frame);
    return content;
}

static void end_messages(PyObject *iterator)
{
    end_quietly(SLOT(iterator, messages_slots[0]));
}

static PyObject *next_message(PyObject *self, PyObject *nothing);

static Twin message_twin = {{"__anext__", next_message, METH_NOARGS, "__anext__($self, /)\n--\n\n"},
                            NULL};
static const Road MESSAGE = {"_Messages.__anext__", take_message, &message_twin.reference,
                             wait_for_message, leave_message, content_given, end_messages};

static PyObject *next_message(PyObject *self, PyObject *nothing)
{
    PyObject *channel = channel_of(self);
    return channel != NULL && is_straight(channel)
               ? new_ready(&MESSAGE, self, NULL)
               : PyObject_CallFunctionObjArgs(message_twin.reference, self, NULL);
}

static PyObject *iterate_messages(PyObject *self, PyObject *nothing)
{
    return Py_TYPE(self) == messages_type ? new_iterator(next_message, self) : Py_NewRef(self);
}

static Twin messages_twin = {
    {"__aiter__", iterate_messages, METH_NOARGS, "__aiter__($self, /)\n--\n\n"}, NULL};

int adopt_messages(PyTypeObject *type)
{
    if (find_slots(type, MESSAGES_SLOTS, messages_slots) < 0 ||
        replace_method(type, &message_twin) < 0 || replace_method(type, &messages_twin) < 0) {
        return -1;
    }
    keep((PyObject **)&messages_type, (PyObject *)type);
    return 0;
}
