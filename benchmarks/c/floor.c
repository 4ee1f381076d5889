/* The floor under every event loop: coroutines driven by nothing but am_send.
 *
 * An extension module for instructions.py: what its functions cost is the
 * interpreter's own share of a task switch, which no loop can save.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyDoc_STRVAR(
    drive_doc,
    "drive(coroutine, /)\n--\n\n"
    "Send None to the coroutine until it returns; the number of times it yielded.\n"
    "Raises TypeError if it cannot be sent to, and whatever it raises."
);

static PyObject *
floor_drive(PyObject *Py_UNUSED(module), PyObject *coroutine)
{
    PyAsyncMethods *methods = Py_TYPE(coroutine)->tp_as_async;
    if (methods == NULL || methods->am_send == NULL) {
        return PyErr_Format(
            PyExc_TypeError, "cannot send to %.100s", Py_TYPE(coroutine)->tp_name
        );
    }
    Py_ssize_t yields = 0;
    for (;;) {
        PyObject *result = NULL;
        PySendResult sent = methods->am_send(coroutine, Py_None, &result);
        Py_XDECREF(result);
        if (sent == PYGEN_ERROR) {
            return NULL;
        }
        if (sent == PYGEN_RETURN) {
            return PyLong_FromSsize_t(yields);
        }
        yields++;
    }
}

static PyMethodDef floor_methods[] = {
    {"drive", floor_drive, METH_O, drive_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot floor_slots[] = {
    {0, NULL},
};

static struct PyModuleDef floor_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "benchmark_floor",
    .m_doc = "Coroutines driven by am_send alone.",
    .m_size = 0,
    .m_methods = floor_methods,
    .m_slots = floor_slots,
};

PyMODINIT_FUNC PyInit_benchmark_floor(void);

PyMODINIT_FUNC
PyInit_benchmark_floor(void)
{
    return PyModuleDef_Init(&floor_module);
}
