/* What differs between CPython 3.11 and 3.15: one spelling for the rest of us. */
#ifndef FASTLOOP_PY_COMPAT_H
#define FASTLOOP_PY_COMPAT_H

#include <Python.h>
#include <stdbool.h>
#include <string.h>
#include <structmember.h>

#include "py/fault.h"

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

/* Whether the collector has found an object, one that it tracks, to be garbage: no weak
 * reference leads to it any more, though callbacks and finalizers still run. The bit is
 * set in a list that is being searched too, but there no code runs. */
static inline bool
fl_is_garbage(PyObject *op)
{
    return (((const uintptr_t *)(const void *)op)[-1] & 2) != 0;
}

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

/* 3.13: what a coroutine awaits may be asked also while it runs: nothing. */
#if PY_VERSION_HEX >= 0x030D0000
#define FL_ASKS_WHAT_IS_AWAITED 1
#else
#define FL_ASKS_WHAT_IS_AWAITED 0
#endif

/* 3.14 says it anew, with the type's name. */
#if PY_VERSION_HEX >= 0x030E0000
#define FL_NOT_AWAITABLE "'%.100s' object can't be awaited"
#else
#define FL_NOT_AWAITABLE "object %.100s can't be used in 'await' expression"
#endif

/* 3.12: throw(type, value, traceback) is deprecated. */
#if PY_VERSION_HEX >= 0x030C0000
#define FL_THROW_WARNS true
#else
#define FL_THROW_WARNS false
#endif

/* What an exception that is raised without a traceback does with its old one: 3.13.0's
 * PyErr_Restore() drops it, 3.14.8's keeps it, so it is asked. */
static inline void
fl_forget_traceback(PyObject *exc)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_Restore(Py_NewRef(Py_TYPE(exc)), Py_NewRef(exc), NULL);
    Py_DECREF(fl_error_take());
#else
    (void)PyException_SetTraceback(exc, Py_None);
#endif
}

/* 3.13 made it public: *value new, or NULL if there is no such attribute. 0 or -1. */
static inline int
fl_optional_attribute(PyObject *op, PyObject *name, PyObject **value)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyObject_GetOptionalAttr(op, name, value) < 0 ? -1 : 0;
#else
    return _PyObject_LookupAttr(op, name, value) < 0 ? -1 : 0;
#endif
}

/* 3.13 made it one call. What the reference, an exact one, leads to: new, or NULL. */
static inline PyObject *
fl_weakref_target(PyObject *reference)
{
#if PY_VERSION_HEX >= 0x030D0000
    PyObject *target;
    return PyWeakref_GetRef(reference, &target) > 0 ? target : NULL;
#else
    PyObject *target = PyWeakref_GET_OBJECT(reference);
    return target == Py_None ? NULL : Py_NewRef(target);
#endif
}

/* 3.15: bytes are taken out of a StreamReader's buffer by bytearray.take_bytes(), which
 * refuses to take none of what somebody has a view of. */
#if PY_VERSION_HEX >= 0x030F0000
#define FL_TAKE_BYTES_MINDS_VIEWS true
#else
#define FL_TAKE_BYTES_MINDS_VIEWS false
#endif

/* 3.13: the writer of tracebacks reads what lies below a call by C code as a frame with
 * code, if it is the innermost. */
#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000
#define FL_DUMPS_SHIMS 1
#endif

/* 3.13: Server._attach and _detach take the transport. */
#if PY_VERSION_HEX >= 0x030D0000
#define FL_SERVER_KNOWS_CLIENTS true
#else
#define FL_SERVER_KNOWS_CLIENTS false
#endif

/* Does a stream's writelines() join the pieces and write() them? */
#if PY_VERSION_HEX >= 0x030C0000
#define FL_WRITELINES_JOINS false
#else
#define FL_WRITELINES_JOINS true
#endif

/* 3.14: what write() says of an argument of another type. */
#if PY_VERSION_HEX >= 0x030E0000
#define FL_WRITE_WANTS "a bytes, bytearray, or memoryview object"
#else
#define FL_WRITE_WANTS "a bytes-like object"
#endif

/* 3.13: empty datagrams are sent, and what waits counts some bytes for each. */
#if PY_VERSION_HEX >= 0x030D0000
#define FL_SENDS_EMPTY_DATAGRAMS true
#define FL_DATAGRAM_HEADER_BYTES 8
#else
#define FL_SENDS_EMPTY_DATAGRAMS false
#define FL_DATAGRAM_HEADER_BYTES 0
#endif

/* 3.12: whoever wants to know of a dictionary's changes is told; before, each change
 * gave it another version. */
#if PY_VERSION_HEX >= 0x030C0000
#define FL_HAVE_DICT_WATCHERS 1
#else
static inline uint64_t
fl_dict_version(PyObject *dict)
{
    return ((PyDictObject *)(void *)dict)->ma_version_tag;
}
#endif

/* fast: whether value, which may be NULL, is a small int and of no subclass; then its
 * value (15 instructions less than a call). */
static inline bool
fl_small_int(PyObject *value, Py_ssize_t *number)
{
    if (value == NULL || !PyLong_CheckExact(value)) {
        return false;
    }
    PyLongObject *op = (PyLongObject *)(void *)value;
#if PY_VERSION_HEX >= 0x030C0000
    if (!PyUnstable_Long_IsCompact(op)) {
        return false;
    }
    *number = PyUnstable_Long_CompactValue(op);
    return true;
#else
    Py_ssize_t size = Py_SIZE(value); /* of digits, with the sign */
    if (size > 1 || size < -1) {
        return false;
    }
    *number = size == 0 ? 0 : size * (Py_ssize_t)op->ob_digit[0];
    return true;
#endif
}

/* What __name__ of the type says. */
static inline const char *
fl_type_short_name(const PyTypeObject *type)
{
    const char *dot = strrchr(type->tp_name, '.');
    return dot == NULL ? type->tp_name : dot + 1;
}

/* 3.12: wait_for() is a timeout around an await. */
#if PY_VERSION_HEX >= 0x030C0000
#define FL_WAIT_FOR_IS_TIMEOUT true
#else
#define FL_WAIT_FOR_IS_TIMEOUT false
#endif

/* 3.13: as_completed() is an iterator of a class, before a generator. */
#define FL_AS_COMPLETED_IS_GENERATOR (PY_VERSION_HEX < 0x030D0000)

/* 3.12: gather() takes what is done already at once; 3.14: it knows who gathers. */
#if PY_VERSION_HEX >= 0x030C0000
#define FL_GATHER_TAKES_DONE true
#else
#define FL_GATHER_TAKES_DONE false
#endif
#if PY_VERSION_HEX >= 0x030E0000
#define FL_GATHER_KNOWS_TASK true
#else
#define FL_GATHER_KNOWS_TASK false
#endif

/* TaskGroup: what create_task() takes and passes on; 3.12: the set of tasks has a new
 * one before its callback is added; 3.13: the parent's cancellation is taken back at
 * the end, not in the beginning; 3.15: cancel(). */
#if PY_VERSION_HEX >= 0x030E0000
#define FL_GROUP_TASK_KEYWORDS "**kwargs"
#define FL_GROUP_PASSES_KEYWORDS true
#else
#define FL_GROUP_TASK_KEYWORDS "*, name=None, context=None"
#define FL_GROUP_PASSES_KEYWORDS false
#endif
#if PY_VERSION_HEX >= 0x030C0000
#define FL_GROUP_ADDS_LAST false
#else
#define FL_GROUP_ADDS_LAST true
#endif
#if PY_VERSION_HEX >= 0x030D0000
#define FL_GROUP_UNCANCELS_LAST true
#else
#define FL_GROUP_UNCANCELS_LAST false
#endif
#if PY_VERSION_HEX >= 0x030F0000
#define FL_GROUP_RETURNS_TRUE true
#define FL_GROUP_CANCEL_ON_ENTER "_cancel_on_enter"
#else
#define FL_GROUP_RETURNS_TRUE false
#define FL_GROUP_CANCEL_ON_ENTER "_hidden_cancel_on_enter"
#endif

/* Whether a thread has the GIL; for any thread, and true for a moment. */
#if PY_VERSION_HEX >= 0x030C0000
static inline bool
fl_thread_has_gil(const PyThreadState *thread)
{
    return thread->_status.active;
}
#else
static inline bool
fl_thread_has_gil(const PyThreadState *thread)
{
    return _PyThreadState_UncheckedGet() == thread;
}
#endif

/* 3.13 made it public. */
#if PY_VERSION_HEX >= 0x030D0000
static inline bool
fl_is_finalizing(void)
{
    return Py_IsFinalizing();
}
#else
static inline bool
fl_is_finalizing(void)
{
    return _Py_IsFinalizing();
}
#endif

/* In a format: the class of an object, FL_CLASS_OF(object) its argument. Since 3.13
 * with the module, as asyncio's messages have it from 3.15 on. */
#if PY_VERSION_HEX >= 0x030D0000
#define FL_CLASS "%T"
#define FL_CLASS_OF(object) (object)
#else
#define FL_CLASS "%s"
#define FL_CLASS_OF(object) Py_TYPE(object)->tp_name
#endif

#endif
