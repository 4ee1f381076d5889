/* A bytearray as a buffer: bytes are put in behind and taken out in front.
 *
 * As by extend() and `del b[:n]`, but with nothing made or moved for short messages.
 * Given are exact bytearrays. Who has a view of one gets BufferError.
 */
#ifndef FASTLOOP_PY_BYTEARRAY_H
#define FASTLOOP_PY_BYTEARRAY_H

#include "py/compat.h"

static inline bool
fl_bytearray_is_viewed(PyObject *op)
{
    return ((const PyByteArrayObject *)(const void *)op)->ob_exports > 0;
}

/* data may not lie in it. 0 or -1. */
int fl_bytearray_append(PyObject *op, const char *data, Py_ssize_t size);

/* n: at most its size. 0, or -1 with all left as it was. */
int fl_bytearray_drop(PyObject *op, Py_ssize_t n);

/* Takes the first n out, its size at most, as bytes: new, or NULL. */
PyObject *fl_bytearray_take(PyObject *op, Py_ssize_t n);

#endif
