/* Sending short messages: the frame is built here, and written if it is the first of this step of
   the loop, or joined to those that leave at its end. Whatever is more than that is the reference's. */

#include "core.h"

Py_ssize_t sender_slots[10];
static Py_ssize_t sending_slots[2], session_slots[1];
static const char *const SENDER_SLOTS[] = {"writable", "_plain",     "_scheduled",  "_out",
                                           "_out_size", "_stepped",  "_loop",       "_transport",
                                           "frames_sent", "bytes_sent", NULL};
static const char *const SENDING_SLOTS[] = {"_link", "queue", NULL};
static const char *const SESSION_SLOTS[] = {"_sending", NULL};

static PyTypeObject *sender_type, *sending_type;
static PyTypeObject *known_link; /* the last one that was looked at, and found to be unchanged */
static PyObject *write_name, *flush_name, *closing_name, *transport_write_name;
static Py_ssize_t batch;

/* Join a frame, which is stolen, to what is held back; as the reference does. */
static int join(PyObject *link, PyObject *frame)
{
    PyObject *out = SLOT(link, sender_slots[OUT]);
    PyObject *before = SLOT(link, sender_slots[OUT_SIZE]);
    PyObject *after = NULL;
    Py_ssize_t size = -1;
    if (out == NULL || !PyList_CheckExact(out) || before == NULL) {
        PyErr_SetString(PyExc_SystemError, "a link without a list of what is held back");
    }
    else if ((size = PyLong_AsSsize_t(before)) >= 0) {
        size += PyBytes_Size(frame);
        after = PyLong_FromSsize_t(size);
    }
    if (after == NULL || PyList_Append(out, frame) < 0) {
        Py_XDECREF(after);
        Py_DECREF(frame);
        return -1;
    }
    Py_DECREF(frame);
    SLOT(link, sender_slots[OUT_SIZE]) = after;
    Py_DECREF(before);
    if (size >= batch) {
        PyObject *done = PyObject_CallMethodObjArgs(link, flush_name, NULL);
        if (done == NULL) {
            return -1;
        }
        Py_DECREF(done);
    }
    return 0;
}

/* Write a frame, which is stolen: at once if it is the first of a step, as the reference does. */
static int write_frame(PyObject *link, PyObject *frame)
{
    if (SLOT(link, sender_slots[SCHEDULED]) == Py_True) {
        return join(link, frame);
    }
    PyObject *transport = SLOT(link, sender_slots[TRANSPORT]);
    PyObject *loop = SLOT(link, sender_slots[LOOP]);
    PyObject *done = NULL;
    if (SLOT(link, sender_slots[STEPPED]) != Py_False || loop == NULL || transport == NULL ||
        !is_running(loop)) {
        done = PyObject_CallMethodObjArgs(link, write_name, frame, NULL);
    }
    else {
        keep(&SLOT(link, sender_slots[STEPPED]), Py_True);
        Py_INCREF(transport);
        PyObject *is_closing = PyObject_CallMethodObjArgs(transport, closing_name, NULL);
        if (is_closing == Py_False) {
            if (add_to(&SLOT(link, sender_slots[FRAMES_SENT]), 1) == 0 &&
                add_to(&SLOT(link, sender_slots[BYTES_SENT]), PyBytes_Size(frame)) == 0) {
                done = PyObject_CallMethodObjArgs(transport, transport_write_name, frame, NULL);
            }
        }
        else if (is_closing != NULL) {
            done = PyObject_CallMethod(link, "_hand_over", "Oi", frame, 1);
        }
        Py_XDECREF(is_closing);
        Py_DECREF(transport);
    }
    Py_DECREF(frame);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* --- links --- */

static PyObject *write_message(PyObject *self, PyObject *const *args, Py_ssize_t count);

static Twin write_twin = {{"_write_message", (PyCFunction)(void (*)(void))write_message,
                           METH_FASTCALL, "_write_message($self, first, payload, /)\n--\n\n"},
                          NULL};

static PyObject *write_message(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyBytes_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "_write_message takes a first byte and bytes");
        return NULL;
    }
    Py_ssize_t size = PyBytes_Size(args[1]);
    if (size >= LONG) {
        return PyObject_CallFunctionObjArgs(write_twin.reference, self, args[0], args[1], NULL);
    }
    long first = PyLong_AsLong(args[0]);
    if (first == -1 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject *frame = masked_frame((unsigned char)first, PyBytes_AsString(args[1]), size);
    return frame == NULL || write_frame(self, frame) < 0 ? NULL : Py_NewRef(Py_None);
}

int adopt_sender(PyTypeObject *type)
{
    batch = number_of_module(type, "BATCH");
    if (batch < 0) {
        return -1;
    }
    if (intern(&write_name, "_write") < 0 || intern(&flush_name, "_flush_batch") < 0 ||
        intern(&closing_name, "is_closing") < 0 || intern(&transport_write_name, "write") < 0) {
        return -1;
    }
    if (find_slots(type, SENDER_SLOTS, sender_slots) < 0 || replace_method(type, &write_twin) < 0) {
        return -1;
    }
    keep((PyObject **)&sender_type, (PyObject *)type);
    return 0;
}

/* Whether a link is of a class that sends as `StreamSender` does. */
static int is_our_link(PyObject *link)
{
    static const char *const NAMES[] = {"send_text", "send_binary", "_write_message",
                                        "_write",    "_hand_over",  NULL};
    PyTypeObject *type = Py_TYPE(link);
    if (type == known_link) {
        return 1;
    }
    if (sender_type == NULL || !PyObject_TypeCheck(link, sender_type)) {
        return 0;
    }
    for (const char *const *name = NAMES; *name != NULL; name++) {
        PyObject *ours = PyObject_GetAttrString((PyObject *)sender_type, *name);
        PyObject *its = ours == NULL ? NULL : PyObject_GetAttrString((PyObject *)type, *name);
        int is_same = its != NULL && its == ours;
        Py_XDECREF(ours);
        Py_XDECREF(its);
        if (!is_same) {
            PyErr_Clear();
            return 0;
        }
    }
    keep((PyObject **)&known_link, (PyObject *)type);
    return 1;
}

/* --- sessions --- */

/* The link of a session that takes a short message without a word: no other waits, and the
   transport is not busy. */
static PyObject *open_link(PyObject *session)
{
    PyObject *sending = SLOT(session, session_slots[0]);
    if (sending == NULL || Py_TYPE(sending) != sending_type) {
        return NULL;
    }
    PyObject *link = SLOT(sending, sending_slots[0]), *queue = SLOT(sending, sending_slots[1]);
    if (link == NULL || queue == NULL || !is_our_link(link) ||
        SLOT(link, sender_slots[WRITABLE]) != Py_True ||
        SLOT(link, sender_slots[PLAIN]) != Py_True ||
        (PyObject *)Py_TYPE(queue) != deque_type || PyObject_Size(queue) != 0) {
        return NULL;
    }
    return link;
}

static int send_now(PyObject *session, PyObject *message, PyObject **result)
{
    PyObject *link = open_link(session);
    if (link == NULL) {
        return 0;
    }
    PyObject *payload, *frame = NULL;
    unsigned char first;
    if (PyUnicode_CheckExact(message)) {
        payload = PyUnicode_AsUTF8String(message);
        first = 0x81;
        if (payload == NULL) { /* a lone surrogate, as a rule */
            PyErr_Clear();
            return 0;
        }
    }
    else {
        payload = Py_NewRef(message);
        first = 0x82;
    }
    Py_ssize_t size = PyBytes_Size(payload);
    int went = 0;
    if (size < LONG) {
        Py_INCREF(link);
        frame = masked_frame(first, PyBytes_AsString(payload), size);
        went = frame == NULL || write_frame(link, frame) < 0 ? -1 : 1;
        Py_DECREF(link);
    }
    Py_DECREF(payload);
    if (went == 1) {
        *result = Py_NewRef(Py_None);
    }
    return went;
}

static PyObject *send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

/* What the reference returns is the coroutine of `Sending.send_message`. */
static Twin send_twin = {{"send", (PyCFunction)(void (*)(void))send, METH_FASTCALL | METH_KEYWORDS,
                          "send($self, message)\n--\n\n"},
                         NULL};
static const Road SEND = {"Sending.send_message", send_now, &send_twin.reference,
                          NULL, NULL, NULL, NULL};

static PyObject *send(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count == 1 && names == NULL) {
        PyObject *message = args[0];
        return (PyUnicode_CheckExact(message) || PyBytes_CheckExact(message)) &&
                       open_link(self) != NULL
                   ? new_ready(&SEND, self, message)
                   : PyObject_CallFunctionObjArgs(send_twin.reference, self, message, NULL);
    }
    /* By name, or wrongly. */
    PyObject *positional = PyTuple_New(count + 1);
    PyObject *named = positional == NULL ? NULL : PyDict_New();
    PyObject *result = NULL;
    if (named != NULL) {
        PyTuple_SetItem(positional, 0, Py_NewRef(self));
        for (Py_ssize_t i = 0; i < count; i++) {
            PyTuple_SetItem(positional, i + 1, Py_NewRef(args[i]));
        }
        Py_ssize_t many = names == NULL ? 0 : PyTuple_Size(names), i = 0;
        while (i < many && PyDict_SetItem(named, PyTuple_GetItem(names, i), args[count + i]) == 0) {
            i++;
        }
        if (i == many) {
            result = PyObject_Call(send_twin.reference, positional, named);
        }
    }
    Py_XDECREF(positional);
    Py_XDECREF(named);
    return result;
}

int adopt_sending(PyTypeObject *type)
{
    if (find_slots(type, SENDING_SLOTS, sending_slots) < 0) {
        return -1;
    }
    keep((PyObject **)&sending_type, (PyObject *)type);
    return 0;
}

int adopt_session(PyTypeObject *type)
{
    return find_slots(type, SESSION_SLOTS, session_slots) < 0 ||
                   replace_method(type, &send_twin) < 0
               ? -1
               : 0;
}
