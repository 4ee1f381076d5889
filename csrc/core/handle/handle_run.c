/* Running and cancelling a handle.
 *
 * cancel() drops callback and arguments at once, unless the callback is running: then
 * they are dropped when it returns.
 */
#include "core/handle/handle.h"

#include "py/args/call.h"
#include "py/context.h"
#include "py/error.h"
#include "py/state/tables.h"

static int
tell_exception_handler(LoopObject *loop, HandleObject *self, PyObject *exc)
{
    struct fl_handling handling;
    fl_handling_begin(&handling, exc);
    int status = fl_call_status(
        PyObject_CallMethod((PyObject *)loop, "_callback_failed", "OO", self, exc)
    ); /* escapes */
    fl_handling_end(&handling);
    return status;
}

static FL_SLOW int
handle_report(HandleObject *self)
{
    if (self->loop == NULL || fl_error_is_exit()) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    LoopObject *loop = (LoopObject *)Py_NewRef((PyObject *)self->loop);
    if (self->cancelled && !self->running) {
        /* the report names no callback, as asyncio's */
        fl_handle_drop_call(self); /* escapes */
    }
    int status = tell_exception_handler(loop, self, exc); /* escapes */
    Py_DECREF(loop);
    Py_DECREF(exc);
    return status;
}

int
fl_handle_report_as(HandleObject *made, LoopObject *loop, PyObject *exc)
{
    int status = -1;
    if (made != NULL) {
        fl_handle_settle(made); /* the exception handler may keep it */
        status = tell_exception_handler(loop, made, exc); /* escapes */
    }
    Py_XDECREF(made);
    Py_XDECREF(exc);
    return status;
}

/* handle_report where there is nothing to run any more. */
static FL_SLOW int
refuse(HandleObject *self)
{
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_TypeError, "the handle was cancelled");
    }
    return handle_report(self);
}

/* The callback and the tuple lie in slots, which the callback itself may write. */
static FL_APART PyObject *
call_with_tuple(HandleObject *self)
{
    if (!PyTuple_Check(self->args)) {
        PyErr_SetString(PyExc_TypeError, "the handle's _args are no tuple");
        return NULL;
    }
    PyObject *callback = Py_NewRef(self->callback);
    PyObject *args = Py_NewRef(self->args);
    PyObject *result = PyObject_Call(callback, args, NULL); /* escapes */
    Py_DECREF(args);
    Py_DECREF(callback);
    return result;
}

static PyObject *
handle_call(HandleObject *self)
{
    if (self->args != NULL) {
        return call_with_tuple(self); /* escapes */
    }
    size_t n_args = self->n_inline | PY_VECTORCALL_ARGUMENTS_OFFSET;
    /* fast: less PyObject_Vectorcall and its look for a result beside an exception,
     * 1.5 % of a chain of call_soon */
    if (PyFunction_Check(self->callback)) {
        vectorcallfunc call = ((PyFunctionObject *)self->callback)->vectorcall;
        return FL_SLOT_POINTER(
            call(self->callback, &self->vector[1], n_args, NULL)
        ); /* escapes */
    }
    PyObject *callback = Py_NewRef(self->callback);
    PyObject *result =
        PyObject_Vectorcall(callback, &self->vector[1], n_args, NULL); /* escapes */
    Py_DECREF(callback);
    return result;
}

int
fl_handle_own_context(HandleObject *self)
{
    if (self->context == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_context");
        return -1;
    }
    if (self->context_shared) {
        struct fl_contexts *kept = self->loop == NULL ? NULL : &self->loop->contexts;
        if (fl_context_own(&self->context, kept) < 0) {
            return -1;
        }
        self->context_shared = 0;
    }
    return 0;
}

/* A context that could not be entered: if it is none at all, context.run(callback,
 * *args), as asyncio asks no more. */
static FL_SLOW PyObject *
handle_call_by_run(HandleObject *self)
{
    if (PyContext_CheckExact(self->context) ||
        !PyErr_ExceptionMatches(PyExc_TypeError)) {
        return NULL;
    }
    PyErr_Clear();
    PyObject *run = PyObject_GetAttrString(self->context, "run"); /* escapes */
    if (run == NULL) {
        return NULL;
    }
    bool inlined = self->args == NULL;
    Py_ssize_t n_args = inlined ? self->n_inline : PyTuple_GET_SIZE(self->args);
    PyObject *args = PyTuple_New(1 + n_args);
    PyObject *result = NULL;
    if (args != NULL) {
        PyTuple_SET_ITEM(args, 0, fl_or_none(self->callback));
        for (Py_ssize_t i = 0; i < n_args; i++) {
            PyObject *arg =
                inlined ? self->vector[1 + i] : PyTuple_GET_ITEM(self->args, i);
            PyTuple_SET_ITEM(args, 1 + i, Py_NewRef(arg));
        }
        result = PyObject_Call(run, args, NULL); /* escapes */
        Py_DECREF(args);
    }
    Py_DECREF(run);
    return result;
}

static inline PyObject *
handle_call_in_context(HandleObject *self)
{
    PyObject *context = self->context; /* the thread holds it while it is entered */
    if (PyContext_Enter(context) < 0) {
        return handle_call_by_run(self); /* escapes */
    }
    PyObject *result = handle_call(self); /* escapes */
    if (PyContext_Exit(context) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* The callback has returned, and is not running any more. */
static inline int
handle_ended(HandleObject *self, PyObject *result)
{
    int status = result == NULL ? handle_report(self) : 0; /* escapes */
    Py_XDECREF(result);                                    /* escapes */
    if (self->cancelled && !self->running) {
        fl_handle_drop_call(self); /* escapes */
    }
    return status;
}

/* One that another thread may cancel meanwhile, or that runs inside of its own run. */
static FL_APART int
run_watched(HandleObject *self)
{
    char outer = self->running;
    if (self->threadsafe) {
        fl_handle_run_begins(self);
    }
    self->running = 1;
    PyObject *result = handle_call_in_context(self); /* escapes */
    self->running = outer;
    if (self->threadsafe && !outer) {
        fl_handle_run_ended(self);
    }
    return handle_ended(self, result);
}

int
fl_handle_run(HandleObject *self)
{
    if (fl_handle_own_context(self) < 0 || self->callback == NULL) {
        return refuse(self);
    }
    if ((self->threadsafe | self->running) != 0) {
        return run_watched(self);
    }
    self->running = 1;
    PyObject *result = handle_call_in_context(self); /* escapes */
    self->running = 0;
    return handle_ended(self, result);
}

int
fl_handle_cancel(HandleObject *self)
{
    if (self->cancelled) {
        return 0;
    }
    self->cancelled = 1;
    if (self->loop != NULL && self->loop->debug) {
        /* asyncio keeps the text to name the callback afterwards */
        PyObject *text = PyObject_Repr((PyObject *)self); /* escapes */
        if (text == NULL) {
            return -1;
        }
        Py_XSETREF(self->repr, text);
    }
    if (!self->running) {
        fl_handle_drop_call(self);
    }
    return 0;
}
