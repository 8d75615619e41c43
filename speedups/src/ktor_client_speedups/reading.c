/* Short reads of a link: whole messages and nothing else, and the session is told.

   What is anything else is left to the reference, which then finds everything as it was. */

#include "core.h"

static Py_ssize_t link_slots[12], decoder_slots[3], core_slots[1];
static const char *const LINK_SLOTS[] = {
    "_wakeups", "_direct",   "_buffer",  "_discarding",    "_rest",           "_queued",
    "_decoder", "_receiver", "_time",    "bytes_received", "frames_received", "received_at",
    NULL,
};
enum {
    WAKEUPS, DIRECT, BUFFER, DISCARDING, REST, QUEUED,
    DECODER, RECEIVER, TIME, BYTES_RECEIVED, FRAMES_RECEIVED, RECEIVED_AT,
};
static const char *const DECODER_SLOTS[] = {"messages", "max_size", "_short", NULL};
static const char *const CORE_SLOTS[] = {"arrived", NULL};
static PyTypeObject *decoder_type, *core_type;
static Py_ssize_t short_read; /* bytes: the longest that may step a task */

#define OF(link, name) SLOT(link, link_slots[name])

/* Take a read of whole messages: 1 if all of it was that, 0 if nothing has happened. */
static int take_short(PyObject *link, const unsigned char *data, Py_ssize_t size)
{
    PyObject *decoder = OF(link, DECODER), *receiver = OF(link, RECEIVER);
    if (decoder == NULL || Py_TYPE(decoder) != decoder_type || receiver == NULL ||
        Py_TYPE(receiver) != core_type || OF(link, DISCARDING) != Py_False) {
        return 0;
    }
    PyObject *messages = SLOT(decoder, decoder_slots[0]), *limit = SLOT(decoder, decoder_slots[1]);
    PyObject *shortest = SLOT(decoder, decoder_slots[2]), *rest = OF(link, REST);
    PyObject *arrived = SLOT(receiver, core_slots[0]), *out = SLOT(link, sender_slots[OUT]);
    if (messages == NULL || (PyObject *)Py_TYPE(messages) != deque_type || limit == NULL ||
        shortest == NULL || rest == NULL || arrived == NULL || out == NULL ||
        !PyList_CheckExact(out) || !PyBytes_CheckExact(rest) || PyBytes_Size(rest) != 0 ||
        PyObject_Size(messages) != 0) {
        return 0;
    }
    int overflow;
    long long max_size = PyLong_AsLongLongAndOverflow(limit, &overflow);
    if (size > PyLong_AsSsize_t(shortest) || overflow || max_size < 0) {
        PyErr_Clear();
        return 0;
    }
    Py_INCREF(messages);
    Py_INCREF(arrived);
    int went = 0;
    Py_ssize_t position = take(data, size, 0, max_size, messages);
    if (position != size) {
        PyErr_Clear(); /* should memory be out, the reference says so */
        Py_XDECREF(deque_clear(messages, NULL));
    }
    else {
        went = -1;
        PyObject *now = PyObject_CallNoArgs(OF(link, TIME));
        PyObject *bytes = PyLong_FromSsize_t(size);
        if (now != NULL && bytes != NULL &&
            add_to(&OF(link, FRAMES_RECEIVED), PyObject_Size(messages)) == 0 &&
            add_to(&OF(link, BYTES_RECEIVED), size) == 0) {
            if (PyList_Size(out) == 0) {
                keep(&SLOT(link, sender_slots[STEPPED]), Py_False);
            }
            keep(&OF(link, RECEIVED_AT), now);
            PyObject *done = PyObject_CallFunctionObjArgs(arrived, bytes, NULL);
            went = done == NULL ? -1 : 1;
            Py_XDECREF(done);
            Py_ssize_t left = PyObject_Size(messages);
            if (went == 1 && left > 0) {
                PyObject *queued = PyLong_FromSsize_t(left);
                keep(&OF(link, QUEUED), queued);
                went = queued == NULL ? -1 : 1;
                Py_XDECREF(queued);
            }
        }
        Py_XDECREF(now);
        Py_XDECREF(bytes);
    }
    Py_DECREF(arrived);
    Py_DECREF(messages);
    return went;
}

/* --- the transport's calls --- */

static PyObject *get_buffer(PyObject *self, PyObject *hint);
static PyObject *buffer_updated(PyObject *self, PyObject *size);
static PyObject *data_received(PyObject *self, PyObject *data);

static Twin buffer_twin = {
    {"get_buffer", get_buffer, METH_O, "get_buffer($self, sizehint, /)\n--\n\n"}, NULL};
static Twin updated_twin = {
    {"buffer_updated", buffer_updated, METH_O, "buffer_updated($self, nbytes, /)\n--\n\n"}, NULL};
static Twin received_twin = {
    {"data_received", data_received, METH_O, "data_received($self, data, /)\n--\n\n"}, NULL};

static PyObject *get_buffer(PyObject *self, PyObject *hint)
{
    PyObject *direct = OF(self, DIRECT), *buffer = OF(self, BUFFER);
    return direct == Py_None && buffer != NULL
               ? Py_NewRef(buffer)
               : PyObject_CallFunctionObjArgs(buffer_twin.reference, self, hint, NULL);
}

/* Take a read that lies somewhere, then step whom it has woken. */
static PyObject *take_read(PyObject *self, Twin *twin, PyObject *argument, PyObject *place,
                           Py_ssize_t size)
{
    PyObject *wakeups = Py_XNewRef(OF(self, WAKEUPS)), *result = NULL;
    int is_eager = size <= short_read && begin_read(wakeups);
    int went = 0;
    Py_buffer data;
    if (size <= short_read && OF(self, DIRECT) == Py_None && place != NULL &&
        PyObject_GetBuffer(place, &data, PyBUF_SIMPLE) == 0) {
        went = size > data.len ? 0 : take_short(self, data.buf, size);
        PyBuffer_Release(&data);
    }
    if (went == 0) {
        PyErr_Clear();
        result = PyObject_CallFunctionObjArgs(twin->reference, self, argument, NULL);
    }
    else if (went == 1) {
        result = Py_NewRef(Py_None);
    }
    if (is_eager) {
        end_read(wakeups);
    }
    Py_XDECREF(wakeups);
    return result;
}

static PyObject *buffer_updated(PyObject *self, PyObject *size)
{
    Py_ssize_t count = PyLong_AsSsize_t(size);
    return count == -1 && PyErr_Occurred()
               ? NULL
               : take_read(self, &updated_twin, size, OF(self, BUFFER), count);
}

static PyObject *data_received(PyObject *self, PyObject *data)
{
    Py_ssize_t count = PyObject_Size(data);
    return count < 0 ? NULL : take_read(self, &received_twin, data, data, count);
}

int adopt_link(PyTypeObject *type)
{
    short_read = number_of_module(type, "ONE_READ");
    return short_read < 0 || find_slots(type, LINK_SLOTS, link_slots) < 0 ||
                   replace_method(type, &buffer_twin) < 0 ||
                   replace_method(type, &updated_twin) < 0 ||
                   replace_method(type, &received_twin) < 0
               ? -1
               : 0;
}

int adopt_decoder(PyTypeObject *type)
{
    if (find_slots(type, DECODER_SLOTS, decoder_slots) < 0) {
        return -1;
    }
    keep((PyObject **)&decoder_type, (PyObject *)type);
    return 0;
}

int adopt_core(PyTypeObject *type)
{
    if (find_slots(type, CORE_SLOTS, core_slots) < 0) {
        return -1;
    }
    keep((PyObject **)&core_type, (PyObject *)type);
    return 0;
}
