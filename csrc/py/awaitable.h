/* What objects that `await` drives have in common. */
#ifndef FASTLOOP_PY_AWAITABLE_H
#define FASTLOOP_PY_AWAITABLE_H

#include "py/compat.h"

/* Raises StopIteration(value), also for a value that is a tuple or exception. */
void fl_raise_stop_iteration(PyObject *value);

/* What am_send has answered, its result NULL unless it is new, as tp_iternext ... */
static inline PyObject *
fl_sent_to_next(PySendResult status, PyObject *result)
{
    if (status != PYGEN_RETURN) {
        return result;
    }
    /* NULL alone is the end of an iterator, and None what await makes of it */
    if (result != Py_None) {
        fl_raise_stop_iteration(result);
    }
    Py_DECREF(result);
    return NULL;
}

/* ... and as the method send() has it. */
static inline PyObject *
fl_sent_to_send(PySendResult status, PyObject *result)
{
    PyObject *yielded = fl_sent_to_next(status, result);
    if (yielded == NULL && !PyErr_Occurred()) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    return yielded;
}

/* The exception that throw(type, value, traceback) is to raise, from its one to
 * three arguments: new, or NULL with TypeError or what making it raised. escapes. */
PyObject *fl_thrown_exception(PyObject *const *args, Py_ssize_t n_args);

#endif
