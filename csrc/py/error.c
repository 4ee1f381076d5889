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

/* An item of its own, as a generator has: PyErr_SetHandledException would overwrite the
 * running frame's, and could not tell its own from one further out. */

void
fl_handling_begin(struct fl_handling *self, PyObject *exc)
{
    PyThreadState *thread = PyThreadState_Get();
    self->item = (_PyErr_StackItem){
        .exc_value = Py_NewRef(exc),
        .previous_item = thread->exc_info,
    };
    thread->exc_info = &self->item;
}

void
fl_handling_end(struct fl_handling *self)
{
    PyThreadState_Get()->exc_info = self->item.previous_item;
    Py_XDECREF(self->item.exc_value); /* escapes */
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

int
fl_refuse_abstract(PyTypeObject *type)
{
    if (!PyType_HasFeature(type, Py_TPFLAGS_IS_ABSTRACT)) {
        return 0;
    }
    PyObject *nothing = PyTuple_New(0);
    if (nothing != NULL) {
        Py_XDECREF(FL_SLOT_POINTER(PyBaseObject_Type.tp_new(type, nothing, NULL)));
        Py_DECREF(nothing);
    }
    return -1;
}
