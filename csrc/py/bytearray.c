/* A bytearray as a buffer: bytes are put in behind and taken out in front. */
#include "py/bytearray.h"

/* What an empty one keeps, and what may lie unused beside a rest. */
#define KEPT_BYTES 512
#define UNUSED_BYTES 4096

static PyByteArrayObject *
bytearray_of(PyObject *op)
{
    return (PyByteArrayObject *)(void *)op;
}

int
fl_bytearray_append(PyObject *op, const char *data, Py_ssize_t n)
{
    PyByteArrayObject *self = bytearray_of(op);
    Py_ssize_t size = Py_SIZE(op);
    if (n > PY_SSIZE_T_MAX - size) {
        PyErr_NoMemory();
        return -1;
    }
    if (self->ob_exports == 0 && size + n < self->ob_alloc) {
        Py_ssize_t offset = self->ob_start - self->ob_bytes;
        if (offset > 0 && offset + size + n >= self->ob_alloc && offset >= size) {
            memcpy(self->ob_bytes, self->ob_start, (size_t)size);
            self->ob_start = self->ob_bytes;
            offset = 0;
        }
        if (offset + size + n < self->ob_alloc) { /* fast: no call */
            memcpy(self->ob_start + size, data, (size_t)n);
            self->ob_start[size + n] = '\0';
            Py_SET_SIZE(self, size + n);
            return 0;
        }
    }
    if (PyByteArray_Resize(op, size + n) < 0) {
        return -1;
    }
    memcpy(PyByteArray_AS_STRING(op) + size, data, (size_t)n);
    return 0;
}

int
fl_bytearray_drop(PyObject *op, Py_ssize_t n)
{
    PyByteArrayObject *self = bytearray_of(op);
    Py_ssize_t rest = Py_SIZE(op) - n;
    if (n == 0) {
        return 0;
    }
    if (self->ob_exports > 0 || (rest == 0 && self->ob_alloc > KEPT_BYTES)) {
        return PyByteArray_Resize(op, rest); /* or BufferError */
    }
    if (rest == 0) {
        self->ob_start = self->ob_bytes;
        self->ob_start[0] = '\0';
        Py_SET_SIZE(self, 0);
        return 0;
    }
    self->ob_start += n;
    if (self->ob_alloc > UNUSED_BYTES && rest < self->ob_alloc / 4) {
        if (PyByteArray_Resize(op, rest) < 0) {
            self->ob_start -= n;
            return -1;
        }
        return 0;
    }
    Py_SET_SIZE(self, rest);
    return 0;
}

PyObject *
fl_bytearray_take(PyObject *op, Py_ssize_t n)
{
    if (FL_TAKE_BYTES_MINDS_VIEWS && fl_bytearray_is_viewed(op)) {
        return PyObject_CallMethod(op, "take_bytes", "n", n); /* BufferError */
    }
    PyObject *taken = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(op), n);
    if (taken != NULL && fl_bytearray_drop(op, n) < 0) {
        Py_CLEAR(taken);
    }
    return taken;
}
