/* What objects that `await` drives have in common. */
#ifndef FASTLOOP_PY_AWAITABLE_H
#define FASTLOOP_PY_AWAITABLE_H

#include "py/compat.h"

/* Raises StopIteration(value), also for a value that is a tuple or exception. */
void fl_raise_stop_iteration(PyObject *value);

/* The exception that throw(type, value, traceback) is to raise, from its one to
 * three arguments: new, or NULL with TypeError or what making it raised. escapes. */
PyObject *fl_thrown_exception(PyObject *const *args, Py_ssize_t n_args);

#endif
