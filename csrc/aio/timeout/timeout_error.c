/* Timeout's TimeoutError. */
#include "aio/timeout/timeout.h"
#include "py/args/call.h"

/* _insert_timeout_error(exc), and the same for what a group of them holds. escapes. */
static int
insert_timeout_error(const struct fl_state *state, PyObject *exc)
{
    PyObject *method =
        PyObject_GetAttr(state->asyncio_Timeout, state->str__insert_timeout_error);
    if (method == NULL) {
        return -1;
    }
    int status = fl_call_status(PyObject_CallOneArg(method, exc));
    if (status == 0 && PyErr_GivenExceptionMatches(exc, state->ExceptionGroup)) {
        PyObject *all = PyObject_GetAttrString(exc, "exceptions"); /* escapes */
        PyObject *iterator = all == NULL ? NULL : PyObject_GetIter(all);
        Py_XDECREF(all);
        PyObject *each;
        while (iterator != NULL && status == 0 &&
               (each = PyIter_Next(iterator)) != NULL) { /* escapes */
            status = fl_call_status(PyObject_CallOneArg(method, each));
            Py_DECREF(each);
        }
        Py_XDECREF(iterator);
        status = PyErr_Occurred() ? -1 : status;
    }
    Py_DECREF(method);
    return status;
}

int
fl_timeout_raise_from(PyObject *exc)
{
    PyObject *error = PyObject_CallNoArgs(PyExc_TimeoutError);
    if (error != NULL) {
        PyException_SetCause(error, Py_NewRef(exc));
        PyErr_SetObject(PyExc_TimeoutError, error);
        Py_DECREF(error);
    }
    return -1;
}

int
fl_timeout_raise_expired(const TimeoutObject *self, PyObject *exc)
{
    const struct fl_state *state = self->base.state;
    PyObject *task = Py_NewRef(self->task != NULL ? self->task : Py_None);
    PyObject *left = PyObject_CallMethodNoArgs(task, state->str_uncancel); /* escapes */
    Py_DECREF(task);
    if (left == NULL) {
        return -1;
    }
    PyObject *before = Py_NewRef(self->cancelling != NULL ? self->cancelling : Py_None);
    int mine = PyObject_RichCompareBool(left, before, Py_LE); /* escapes */
    Py_DECREF(before);
    Py_DECREF(left);
    if (mine <= 0 || exc == NULL) {
        return mine < 0 ? -1 : 0;
    }
    if (!state->aio.timeout_inserts) {
        bool exactly = Py_IS_TYPE(exc, (PyTypeObject *)(void *)state->CancelledError);
        return exactly ? fl_timeout_raise_from(exc) : 0;
    }
    if (PyErr_GivenExceptionMatches(exc, state->CancelledError)) {
        return fl_timeout_raise_from(exc);
    }
    return insert_timeout_error(state, exc); /* escapes */
}
