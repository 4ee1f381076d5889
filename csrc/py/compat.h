/* What differs between CPython 3.11 and 3.15: one spelling for the rest of us. */
#ifndef FASTLOOP_PY_COMPAT_H
#define FASTLOOP_PY_COMPAT_H

#include <Python.h>
#include <structmember.h>

/* 3.12: a Python class with a weakref slot keeps the list in front of the
 * object, and no longer in a word behind its slots. */
#if PY_VERSION_HEX >= 0x030C0000
#define FL_HAVE_MANAGED_WEAKREF 1
#endif

/* 3.12: modules say whether they load in an interpreter with a GIL of its own. */
#if PY_VERSION_HEX >= 0x030C0000
#define FL_MODULE_INTERPRETERS_SLOT \
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#else
#define FL_MODULE_INTERPRETERS_SLOT
#endif

/* The raised exception as one object, taken (cleared) and put back. */
#if PY_VERSION_HEX >= 0x030C0000
static inline PyObject *
fl_error_take(void)
{
    return PyErr_GetRaisedException();
}

/* steals exc, which may be NULL */
static inline void
fl_error_restore(PyObject *exc)
{
    PyErr_SetRaisedException(exc);
}
#else
static inline PyObject *
fl_error_take(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
}

static inline void
fl_error_restore(PyObject *exc)
{
    if (exc == NULL) {
        PyErr_Clear();
        return;
    }
    PyErr_Restore(Py_NewRef(Py_TYPE(exc)), exc, PyException_GetTraceback(exc));
}
#endif

#endif
