/* The module, and how classes of the client are adopted. What is fast is in the other rooms. */

#include "core.h"

#include <string.h>

#define INTERFACE 3

PyObject *deque_type;
PyCFunction deque_append, deque_popleft, deque_clear;

static PyObject *get_running_loop;

static int is_claimed;

void keep(PyObject **place, PyObject *object)
{
    PyObject *old = *place;
    Py_XINCREF(object);
    *place = object;
    Py_XDECREF(old);
}

int find_in(const char *module_name, const char *name, PyObject **place)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *found = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    if (found == NULL) {
        return -1;
    }
    keep(place, found);
    Py_DECREF(found);
    return 0;
}

int intern(PyObject **place, const char *name)
{
    return *place == NULL && (*place = PyUnicode_InternFromString(name)) == NULL ? -1 : 0;
}

int is_running(PyObject *loop)
{
    if (get_running_loop == NULL &&
        find_in("asyncio", "_get_running_loop", &get_running_loop) < 0) {
        PyErr_Clear();
        return 0;
    }
    PyObject *running = PyObject_CallNoArgs(get_running_loop);
    if (running == NULL) {
        PyErr_Clear();
    }
    Py_XDECREF(running);
    return running == loop;
}

int add_to(PyObject **slot, Py_ssize_t amount)
{
    /* More than memory can hold has come and gone where that is small. */
    long long before = *slot == NULL ? 0 : PyLong_AsLongLong(*slot);
    PyObject *sum = before == -1 && PyErr_Occurred() ? NULL : PyLong_FromLongLong(before + amount);
    if (sum == NULL) {
        return -1;
    }
    keep(slot, sum);
    Py_DECREF(sum);
    return 0;
}

/* The limited API does not tell where a slot lies. A mark is put into the slot of a new instance,
   and looked for. */
int find_slots(PyTypeObject *type, const char *const *names, Py_ssize_t *offsets)
{
    PyObject *size_object = PyObject_GetAttrString((PyObject *)type, "__basicsize__");
    if (size_object == NULL) {
        return -1;
    }
    Py_ssize_t size = PyLong_AsSsize_t(size_object);
    Py_DECREF(size_object);
    if (size < 0) {
        return -1;
    }
    PyObject *instance = PyType_GenericAlloc(type, 0);
    PyObject *mark = PyList_New(0);
    int result = instance == NULL || mark == NULL ? -1 : 0;
    for (; result == 0 && *names != NULL; names++, offsets++) {
        Py_ssize_t found = 0, count = 0;
        if (PyObject_SetAttrString(instance, *names, mark) < 0) {
            result = -1;
            break;
        }
        for (Py_ssize_t at = sizeof(PyObject); at + (Py_ssize_t)sizeof(PyObject *) <= size;
             at += sizeof(PyObject *)) {
            if (SLOT(instance, at) == mark) {
                found = at;
                count++;
            }
        }
        if (count != 1) {
            PyErr_Format(PyExc_TypeError, "%R has no slot %s", type, *names);
            result = -1;
        }
        *offsets = found;
        if (result == 0 && PyObject_DelAttrString(instance, *names) < 0) {
            result = -1;
        }
    }
    Py_XDECREF(instance);
    Py_XDECREF(mark);
    return result;
}

int replace_method(PyTypeObject *type, Twin *twin)
{
    const char *name = twin->definition.ml_name;
    PyObject *reference = PyObject_GetAttrString((PyObject *)type, name);
    if (reference == NULL) {
        return -1;
    }
    PyObject *doc = PyObject_GetAttrString(reference, "__doc__");
    PyObject *method = NULL, *text = NULL;
    if (doc == NULL) {
        goto done;
    }
    /* `ml_doc` begins with the signature; the rest is what the reference says. */
    const char *signature = twin->definition.ml_doc;
    text = doc == Py_None ? PyUnicode_FromString(signature)
                          : PyUnicode_FromFormat("%s%U", signature, doc);
    if (text == NULL) {
        goto done;
    }
    const char *bytes = PyUnicode_AsUTF8AndSize(text, NULL);
    if (bytes == NULL) {
        goto done;
    }
    char *lasting = PyMem_Malloc(strlen(bytes) + 1); /* as long as the method's definition */
    if (lasting == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    twin->definition.ml_doc = strcpy(lasting, bytes);
    method = PyDescr_NewMethod(type, &twin->definition);
    if (method != NULL && PyObject_SetAttrString((PyObject *)type, name, method) == 0) {
        keep(&twin->reference, reference);
    }
done:
    Py_XDECREF(text);
    Py_XDECREF(doc);
    Py_XDECREF(method);
    Py_DECREF(reference);
    return PyErr_Occurred() ? -1 : 0;
}

Py_ssize_t number_of_module(PyTypeObject *type, const char *name)
{
    PyObject *module_name = PyObject_GetAttrString((PyObject *)type, "__module__");
    PyObject *module = module_name == NULL ? NULL : PyImport_Import(module_name);
    PyObject *number = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_ssize_t result = number == NULL ? -1 : PyLong_AsSsize_t(number);
    Py_XDECREF(module_name);
    Py_XDECREF(module);
    Py_XDECREF(number);
    return result;
}

static const struct {
    const char *name;
    int (*adopt)(PyTypeObject *);
} ADOPTED[] = {
    {"TextFrame", adopt_text_frame}, {"BinaryFrame", adopt_binary_frame},
    {"Incoming", adopt_incoming},    {"_Messages", adopt_messages},
    {"StreamSender", adopt_sender},  {"Sending", adopt_sending},
    {"WebSocketSession", adopt_session}, {"StreamLink", adopt_link},
    {"FrameDecoder", adopt_decoder}, {"SessionCore", adopt_core},
};

static PyObject *adopt(PyObject *module, PyObject *type)
{
    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "adopt takes a class");
        return NULL;
    }
    PyObject *name = PyObject_GetAttrString(type, "__name__");
    if (name == NULL) {
        return NULL;
    }
    int result = -1;
    for (size_t i = 0; i < sizeof(ADOPTED) / sizeof(ADOPTED[0]); i++) {
        if (PyUnicode_CompareWithASCIIString(name, ADOPTED[i].name) == 0) {
            result = ADOPTED[i].adopt((PyTypeObject *)type);
            break;
        }
    }
    if (result < 0 && !PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError, "nothing compiled stands in for the class %U", name);
    }
    Py_DECREF(name);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *claim(PyObject *module, PyObject *nothing)
{
    PyObject *result = is_claimed ? Py_False : Py_True;
    is_claimed = 1;
    return Py_NewRef(result);
}

#define FAST (PyCFunction)(void (*)(void))

static PyMethodDef FUNCTIONS[] = {
    {"adopt", adopt, METH_O, "adopt(cls, /)\n--\n\nLet a class of the client take the short way."},
    {"claim", claim, METH_NOARGS,
     "claim()\n--\n\nReturn whether nobody has asked before: classes are adopted once."},
    {"forget_keys", forget_keys, METH_NOARGS,
     "forget_keys()\n--\n\nDrop the keys that were drawn: a child must not use its parent's."},
    {"mask_bytes", FAST mask_bytes, METH_FASTCALL,
     "mask_bytes(payload, key, /)\n--\n\nReturn the payload XORed with the repeated key."},
    {"new_binary", FAST new_binary, METH_FASTCALL,
     "new_binary(data, bits=0, /)\n--\n\nReturn a binary frame that was received."},
    {"new_room", new_room, METH_O,
     "new_room(size, /)\n--\n\nReturn bytes to be written over; what they are is not said."},
    {"new_text", new_text, METH_O,
     "new_text(text, /)\n--\n\nReturn the frame of a whole text that was received."},
    {"new_wakeups", new_wakeups, METH_O,
     "new_wakeups(loop, /)\n--\n\nReturn what lets reads step those who receive."},
    {"take_copied", FAST take_copied, METH_FASTCALL,
     "take_copied(data, max_size, messages, /)\n--\n\nAppend whole frames; return their bytes."},
    {"take_plain", FAST take_plain, METH_FASTCALL,
     "take_plain(data, position, max_size, messages, room=0, /)\n--\n\n"
     "Append whole frames; return the position behind them, and 0."},
    {NULL, NULL, 0, NULL},
};

/* Find the function behind a method of deques. */
static int find_function(const char *name, int flags, PyCFunction *place)
{
    PyObject *deque = PyObject_CallNoArgs(deque_type);
    PyObject *method = deque == NULL ? NULL : PyObject_GetAttrString(deque, name);
    Py_XDECREF(deque);
    if (method == NULL) {
        return -1;
    }
    /* Neither a subclass of builtin functions, which has a class to be told, nor other arguments. */
    int fits = Py_TYPE(method) == &PyCFunction_Type && PyCFunction_GetFlags(method) == flags;
    if (fits) {
        *place = PyCFunction_GetFunction(method);
    }
    else {
        PyErr_Format(PyExc_ImportError, "deques of this Python have another %s", name);
    }
    Py_DECREF(method);
    return fits ? 0 : -1;
}

static int execute(PyObject *module)
{
    /* What is kept here belongs to one interpreter; the others have the pure twin. */
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    if (PyInterpreterState_GetID(interpreter) != 0) {
        PyErr_SetString(PyExc_ImportError, "the compiled core serves the main interpreter only");
        return -1;
    }
    if (find_in("collections", "deque", &deque_type) < 0 ||
        find_function("append", METH_O, &deque_append) < 0 ||
        find_function("popleft", METH_NOARGS, &deque_popleft) < 0 ||
        find_function("clear", METH_NOARGS, &deque_clear) < 0) {
        return -1;
    }
    return make_ready_type(module) < 0 || make_iterator_type(module) < 0 ||
                   PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0
               ? -1
               : 0;
}

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, execute}, {0, NULL}};

static PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ktor_client_speedups._core",
    .m_doc = "The compiled twin of what ktor_client does most often.",
    .m_size = 0,
    .m_methods = FUNCTIONS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&MODULE);
}
