/* Frames that were received whole, and the loop that takes them out of a read.

   There is no rule here and no error of the protocol: at the first frame that is anything else, or
   wrong, the loop ends and the reference decides from that byte. */

#include "core.h"

PyTypeObject *text_frame, *binary_frame;

static Py_ssize_t text_slots[2], binary_slots[2];
static const char *const TEXT_SLOTS[] = {"text", "_bits", NULL};
static const char *const BINARY_SLOTS[] = {"data", "_bits", NULL};
static Py_ssize_t text_size, binary_size;
static PyObject *no_bits;

static int adopt_frame(PyTypeObject **place, PyTypeObject *type, const char *const *names,
                       Py_ssize_t *offsets, Py_ssize_t *basic_size)
{
    if (no_bits == NULL && (no_bits = PyLong_FromLong(0)) == NULL) {
        return -1;
    }
    PyObject *size = PyObject_GetAttrString((PyObject *)type, "__basicsize__");
    if (size == NULL) {
        return -1;
    }
    *basic_size = PyLong_AsSsize_t(size);
    Py_DECREF(size);
    if (*basic_size < 0 || find_slots(type, names, offsets) < 0) {
        return -1;
    }
    keep((PyObject **)place, (PyObject *)type);
    return 0;
}

int adopt_text_frame(PyTypeObject *type)
{
    return adopt_frame(&text_frame, type, TEXT_SLOTS, text_slots, &text_size);
}

int adopt_binary_frame(PyTypeObject *type)
{
    return adopt_frame(&binary_frame, type, BINARY_SLOTS, binary_slots, &binary_size);
}

/* Make a frame of its content and steal it, which may be NULL. No collector needs to look at it:
   what it has can refer to nothing. */
static PyObject *make(PyTypeObject *type, Py_ssize_t size, const Py_ssize_t *slots,
                      PyObject *content, PyObject *bits)
{
    if (content == NULL) {
        return NULL;
    }
    PyObject *frame = type == NULL ? NULL : PyObject_GC_New(PyObject, type);
    if (frame == NULL) {
        Py_DECREF(content);
        return type == NULL ? PyErr_Format(PyExc_SystemError, "no frames were adopted") : NULL;
    }
    for (Py_ssize_t at = sizeof(PyObject); at < size; at += sizeof(PyObject *)) {
        SLOT(frame, at) = NULL;
    }
    SLOT(frame, slots[0]) = content;
    SLOT(frame, slots[1]) = Py_NewRef(bits);
    return frame;
}

PyObject *new_text(PyObject *module, PyObject *text)
{
    return make(text_frame, text_size, text_slots, Py_NewRef(text), no_bits);
}

PyObject *new_binary(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "new_binary takes data, and bits");
        return NULL;
    }
    PyObject *bits = count == 2 ? args[1] : no_bits;
    return make(binary_frame, binary_size, binary_slots, Py_NewRef(args[0]), bits);
}

PyObject *content_of(PyObject *frame)
{
    PyTypeObject *type = Py_TYPE(frame);
    PyObject *content = NULL;
    if (type == text_frame) {
        content = SLOT(frame, text_slots[0]);
    }
    else if (type == binary_frame) {
        content = SLOT(frame, binary_slots[0]);
    }
    if (content != NULL) {
        return Py_NewRef(content);
    }
    return PyObject_GetAttrString(frame, type == text_frame ? "text" : "data");
}

Py_ssize_t take(const unsigned char *data, Py_ssize_t end, Py_ssize_t position,
                long long max_size, PyObject *messages)
{
    while (end - position >= 2) {
        unsigned char kind = data[position];
        unsigned long long length = data[position + 1];
        Py_ssize_t start = position + 2;
        if (kind != 0x81 && kind != 0x82) {
            break;
        }
        if (length == 126) {
            if (end - position < 4) {
                break;
            }
            length = (unsigned)data[start] << 8 | data[start + 1];
            start += 2;
            if (length < 126) {
                break;
            }
        }
        else if (length == 127) {
            if (end - position < 10) {
                break;
            }
            length = 0;
            for (int i = 0; i < 8; i++) {
                length = length << 8 | data[start + i];
            }
            start += 8;
            if (length < LONG) {
                break;
            }
        }
        else if (length > 127) {
            break; /* masked */
        }
        if (length > (unsigned long long)max_size || length > (unsigned long long)(end - start)) {
            break;
        }
        const char *payload = (const char *)data + start;
        Py_ssize_t size = (Py_ssize_t)length;
        PyObject *frame = kind == 0x81
                              ? make(text_frame, text_size, text_slots,
                                     PyUnicode_DecodeUTF8(payload, size, NULL), no_bits)
                              : make(binary_frame, binary_size, binary_slots,
                                     PyBytes_FromStringAndSize(payload, size), no_bits);
        if (frame == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
                return -1;
            }
            PyErr_Clear();
            break;
        }
        PyObject *done = deque_append(messages, frame);
        Py_DECREF(frame);
        if (done == NULL) {
            return -1;
        }
        Py_DECREF(done);
        position = start + size;
    }
    return position;
}

/* A limit may be any number from Python; what does not fit is no limit here. */
static int limit_of(PyObject *number, long long *limit)
{
    int overflow;
    *limit = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (*limit == -1 && !overflow && PyErr_Occurred()) {
        return -1;
    }
    if (overflow > 0) {
        *limit = LLONG_MAX;
    }
    else if (*limit < 0) {
        *limit = 0;
    }
    return 0;
}

static Py_ssize_t take_from(PyObject *source, Py_ssize_t position, PyObject *max_size,
                            PyObject *messages)
{
    long long limit;
    if (limit_of(max_size, &limit) < 0) {
        return -1;
    }
    if ((PyObject *)Py_TYPE(messages) != deque_type || position < 0) {
        PyErr_SetString(PyExc_TypeError, "messages are taken from a position, into a deque");
        return -1;
    }
    Py_buffer data;
    if (PyObject_GetBuffer(source, &data, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    position = take(data.buf, data.len, position, limit, messages);
    PyBuffer_Release(&data);
    return position;
}

PyObject *take_plain(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 4 && count != 5) {
        PyErr_SetString(PyExc_TypeError, "take_plain takes 4 or 5 arguments");
        return NULL;
    }
    Py_ssize_t position = PyLong_AsSsize_t(args[1]);
    if (position == -1 && PyErr_Occurred()) {
        return NULL;
    }
    position = take_from(args[0], position, args[2], args[3]);
    return position < 0 ? NULL : Py_BuildValue("ni", position, 0);
}

PyObject *take_copied(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "take_copied takes 3 arguments");
        return NULL;
    }
    Py_ssize_t position = take_from(args[0], 0, args[1], args[2]);
    return position < 0 ? NULL : PyLong_FromSsize_t(position);
}

/* Nobody reads it before it is written over: to fill a megabyte with zeros costs as much as to mask
   it. */
PyObject *new_room(PyObject *module, PyObject *size)
{
    Py_ssize_t count = PyLong_AsSsize_t(size);
    if (count < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "negative count");
        }
        return NULL;
    }
    return PyBytes_FromStringAndSize(NULL, count);
}
