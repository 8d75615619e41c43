/* Masking (RFC 6455 5.3): XOR, keys from the operating system, and masked frames. */

#include "core.h"

#include <string.h>

#define POOL_SIZE 4096

/* Keys that nobody has used; from `position` on. Each is taken once. */
static PyObject *pool;
static Py_ssize_t position = POOL_SIZE;

static void xor(unsigned char *target, const unsigned char *source, Py_ssize_t size,
                const unsigned char *key)
{
    unsigned char twice[8];
    memcpy(twice, key, 4);
    memcpy(twice + 4, key, 4);
    uint64_t mask, word;
    memcpy(&mask, twice, 8);
    Py_ssize_t at = 0;
    for (; at + 8 <= size; at += 8) {
        memcpy(&word, source + at, 8);
        word ^= mask;
        memcpy(target + at, &word, 8);
    }
    for (; at < size; at++) {
        target[at] = source[at] ^ twice[at & 3];
    }
}

PyObject *mask_bytes(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "mask_bytes takes a payload and a key");
        return NULL;
    }
    Py_buffer payload, key;
    if (PyObject_GetBuffer(args[0], &payload, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    if (PyObject_GetBuffer(args[1], &key, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&payload);
        return NULL;
    }
    PyObject *result = NULL;
    if (key.len != 4) {
        PyErr_Format(PyExc_ValueError, "a key has 4 bytes, not %zd", key.len);
    }
    else {
        result = PyBytes_FromStringAndSize(NULL, payload.len);
    }
    if (result != NULL && payload.len > 0) {
        xor((unsigned char *)PyBytes_AsString(result), payload.buf, payload.len, key.buf);
    }
    PyBuffer_Release(&payload);
    PyBuffer_Release(&key);
    return result;
}

PyObject *forget_keys(PyObject *module, PyObject *nothing)
{
    position = POOL_SIZE;
    return Py_NewRef(Py_None);
}

/* Take a key that nobody has had. */
static int take_key(unsigned char *key)
{
    while (position >= POOL_SIZE) { /* another thread may have been faster, and used all of it */
        PyObject *os = PyImport_ImportModule("os");
        if (os == NULL) {
            return -1;
        }
        PyObject *fresh = PyObject_CallMethod(os, "urandom", "i", POOL_SIZE);
        Py_DECREF(os);
        if (fresh == NULL) {
            return -1;
        }
        if (!PyBytes_CheckExact(fresh) || PyBytes_Size(fresh) != POOL_SIZE) {
            Py_DECREF(fresh);
            PyErr_SetString(PyExc_TypeError, "os.urandom gave something else than bytes");
            return -1;
        }
        PyObject *used = pool;
        pool = fresh;
        position = 0;
        Py_XDECREF(used);
    }
    memcpy(key, PyBytes_AsString(pool) + position, 4);
    position += 4;
    return 0;
}

PyObject *masked_frame(unsigned char first, const char *payload, Py_ssize_t size)
{
    unsigned char key[4];
    if (take_key(key) < 0) {
        return NULL;
    }
    Py_ssize_t head = size < 126 ? 2 : 4;
    PyObject *frame = PyBytes_FromStringAndSize(NULL, head + 4 + size);
    if (frame == NULL) {
        return NULL;
    }
    unsigned char *data = (unsigned char *)PyBytes_AsString(frame);
    data[0] = first;
    if (head == 2) {
        data[1] = 0x80 | (unsigned char)size;
    }
    else {
        data[1] = 0x80 | 126;
        data[2] = (unsigned char)(size >> 8);
        data[3] = (unsigned char)size;
    }
    memcpy(data + head, key, 4);
    xor(data + head + 4, (const unsigned char *)payload, size, key);
    return frame;
}
