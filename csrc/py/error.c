/* Where -errno becomes an exception. */
#include "py/error.h"

#include <errno.h>
#include <stdlib.h>

PyObject *
fl_raise_errno(int err)
{
    errno = abs(err);
    return PyErr_SetFromErrno(PyExc_OSError);
}

bool
fl_error_is_exit(void)
{
    return PyErr_ExceptionMatches(PyExc_SystemExit) ||
           PyErr_ExceptionMatches(PyExc_KeyboardInterrupt);
}

PyObject *
fl_error_first(PyObject *exc)
{
    PyObject *newer = fl_error_take();
    if (exc == NULL) {
        return newer;
    }
    Py_XDECREF(newer);
    return exc;
}
