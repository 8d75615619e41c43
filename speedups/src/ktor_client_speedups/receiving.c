/* Receiving what is queued: `Incoming.receive`, and iteration over frames and over messages. */

#include "core.h"

static Py_ssize_t incoming_slots[2], messages_slots[1];
static const char *const INCOMING_SLOTS[] = {"queue", "_look_at", NULL};
static const char *const MESSAGES_SLOTS[] = {"_incoming", NULL};
static PyTypeObject *incoming_type;
static PyObject *look_name;

/* Take the next frame of a channel, as the reference does. */
static int take_frame(PyObject *channel, PyObject *item, PyObject **result)
{
    PyObject *queue = SLOT(channel, incoming_slots[0]);
    PyObject *look_at = SLOT(channel, incoming_slots[1]);
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

static int has_frame(PyObject *channel)
{
    PyObject *queue = SLOT(channel, incoming_slots[0]);
    return queue != NULL && (PyObject *)Py_TYPE(queue) == deque_type && PyObject_Size(queue) > 0;
}

/* --- frames --- */

static PyObject *receive(PyObject *self, PyObject *nothing);
static PyObject *next_frame(PyObject *self, PyObject *nothing);

static Twin receive_twin = {{"receive", receive, METH_NOARGS, "receive($self, /)\n--\n\n"}, NULL};
static Twin next_twin = {{"__anext__", next_frame, METH_NOARGS, "__anext__($self, /)\n--\n\n"},
                         NULL};
static const Road RECEIVE = {"Incoming.receive", take_frame, &receive_twin.reference};
static const Road NEXT = {"Incoming.__anext__", take_frame, &next_twin.reference};

static PyObject *receive(PyObject *self, PyObject *nothing)
{
    return has_frame(self) ? new_ready(&RECEIVE, self, NULL)
                           : PyObject_CallFunctionObjArgs(receive_twin.reference, self, NULL);
}

static PyObject *next_frame(PyObject *self, PyObject *nothing)
{
    return has_frame(self) ? new_ready(&NEXT, self, NULL)
                           : PyObject_CallFunctionObjArgs(next_twin.reference, self, NULL);
}

int adopt_incoming(PyTypeObject *type)
{
    if (look_name == NULL && (look_name = PyUnicode_InternFromString("_look")) == NULL) {
        return -1;
    }
    if (find_slots(type, INCOMING_SLOTS, incoming_slots) < 0 ||
        replace_method(type, &receive_twin) < 0 || replace_method(type, &next_twin) < 0) {
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

static PyObject *next_message(PyObject *self, PyObject *nothing);

static Twin message_twin = {{"__anext__", next_message, METH_NOARGS, "__anext__($self, /)\n--\n\n"},
                            NULL};
static const Road MESSAGE = {"_Messages.__anext__", take_message, &message_twin.reference};

static PyObject *next_message(PyObject *self, PyObject *nothing)
{
    PyObject *channel = channel_of(self);
    return channel != NULL && has_frame(channel)
               ? new_ready(&MESSAGE, self, NULL)
               : PyObject_CallFunctionObjArgs(message_twin.reference, self, NULL);
}

int adopt_messages(PyTypeObject *type)
{
    return find_slots(type, MESSAGES_SLOTS, messages_slots) < 0 ||
                   replace_method(type, &message_twin) < 0
               ? -1
               : 0;
}
