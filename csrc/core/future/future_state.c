/* The states of a future: pending -> finished or cancelled, and what it yields.
 *
 * Imitates asyncio.Future; Task shares it. A result or exception is set before
 * the callbacks are told, and telling them may run any code (a loop's call_soon
 * may be overridden), so nothing of the future is relied upon after it.
 */
#include "core/future/future.h"

#include "py/args/call.h"
#include "py/error.h"
#include "py/state/tables.h"

int
fl_future_check_alive(const FutureObject *self)
{
    if (self->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Future object is not initialized.");
        return -1;
    }
    return 0;
}

/* ---- starting ---- */

/* All that __init__ forgets, but the loop. */
static FL_APART void
clear_references(FutureObject *self)
{
    Py_CLEAR(self->callback0); /* escapes, as do all of these */
    Py_CLEAR(self->context0);
    Py_CLEAR(self->callbacks);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->exception_tb);
    Py_CLEAR(self->result);
    Py_CLEAR(self->source_tb);
    Py_CLEAR(self->cancel_msg);
    Py_CLEAR(self->cancelled_exc);
#if defined(FL_HAVE_THREAD_TASKS)
    Py_CLEAR(self->awaited_by);
    self->awaited_by_is_set = 0;
#endif
}

/* Whether there is nothing to forget but the result. */
static inline bool
is_only_result(const FutureObject *self)
{
    uintptr_t any = (uintptr_t)self->callback0 | (uintptr_t)self->context0 |
                    (uintptr_t)self->callbacks | (uintptr_t)self->exception |
                    (uintptr_t)self->exception_tb | (uintptr_t)self->source_tb |
                    (uintptr_t)self->cancel_msg | (uintptr_t)self->cancelled_exc;
#if defined(FL_HAVE_THREAD_TASKS)
    any |= (uintptr_t)self->awaited_by;
#endif
    return any == 0;
}

static int
start_in_debug(FutureObject *self, const struct fl_state *state)
{
    if (fl_is_finalizing()) {
        return 0; /* a finalizer's, when traceback is gone already */
    }
    PyObject *frames =
        PyObject_CallNoArgs(state->traceback_extract_stack); /* escapes */
    if (frames == NULL) {
        return -1;
    }
    Py_XSETREF(self->source_tb, frames);
    return 0;
}

/* What loop.get_debug() says: 1, 0 or -1. */
static int
loop_is_in_debug(FutureObject *self, const struct fl_state *state)
{
    const LoopObject *loop = fl_future_loop(self);
    if (loop != NULL) {
        return loop->debug;
    }
    return fl_call_truth(
        PyObject_CallMethodNoArgs(self->loop, state->str_get_debug)
    ); /* escapes */
}

/* Steals loop: a task may be in a step meanwhile, and is never without one. */
static void
start_over(FutureObject *self, PyObject *loop)
{
    PyObject *former = self->loop;
    self->loop = loop;
    self->status = FL_FUTURE_PENDING; /* nobody is to read what goes */
    clear_references(self);           /* escapes */
    fl_future_reset(self);
    Py_DECREF(former); /* escapes */
}

int
fl_future_init(FutureObject *self, PyObject *loop)
{
    const struct fl_state *state = fl_state_of_type(Py_TYPE(self));
    if (state == NULL) {
        return -1;
    }
    if (self->loop != NULL && state->types.refuses_init_again) {
        PyErr_Format(
            PyExc_RuntimeError, "%s object is already initialized",
            Py_TYPE(self)->tp_name
        );
        return -1;
    }
    loop = loop == NULL || loop == Py_None
               ? PyObject_CallNoArgs(state->get_event_loop) /* escapes */
               : Py_NewRef(loop);
    if (loop == NULL) {
        return -1;
    }
    if (self->loop == NULL) {
        self->loop = loop;
    }
    else {
        start_over(self, loop); /* escapes */
    }
    int debug = loop_is_in_debug(self, state);
    return debug <= 0 ? debug : start_in_debug(self, state);
}

int
fl_future_init_fresh(FutureObject *self, LoopObject *loop)
{
    self->loop = Py_NewRef((PyObject *)loop);
    return loop->debug ? start_in_debug(self, loop->state) : 0;
}

/* ---- ending ---- */

/* Raises InvalidStateError(message); returns -1. */
static FL_APART int
raise_invalid(FutureObject *self, const char *message)
{
    const struct fl_state *state = fl_future_state(self);
    if (state != NULL) {
        PyErr_SetString(state->InvalidStateError, message);
    }
    return -1;
}

static int
check_pending(FutureObject *self)
{
    return self->status == FL_FUTURE_PENDING ? 0 : raise_invalid(self, "invalid state");
}

int
fl_future_set_result(FutureObject *self, PyObject *result)
{
    if (check_pending(self) < 0) {
        return -1;
    }
    Py_XSETREF(self->result, Py_NewRef(result)); /* it was NULL: does not escape */
    self->status = FL_FUTURE_FINISHED;
    return fl_future_schedule_callbacks(self);
}

/* RuntimeError(...) from stop, which a coroutine cannot raise: new, or NULL.
 * Steals stop. */
static PyObject *
wrap_stop_iteration(const struct fl_state *state, PyObject *stop)
{
    static const char text[] = "StopIteration interacts badly with generators "
                               "and cannot be raised into a Future";
    if (!state->types.stop_iteration_becomes_runtime_error) {
        Py_DECREF(stop);
        PyErr_SetString(PyExc_TypeError, text);
        return NULL;
    }
    PyObject *error = PyObject_CallFunction(PyExc_RuntimeError, "s", text);
    if (error == NULL) {
        Py_DECREF(stop);
        return NULL;
    }
    PyException_SetCause(error, Py_NewRef(stop));
    PyException_SetContext(error, stop);
    return error;
}

/* An exception instance from what set_exception was given: new, or NULL. */
static PyObject *
exception_instance(FutureObject *self, const struct fl_state *state, PyObject *given)
{
    PyObject *value;
    if (PyExceptionClass_Check(given)) {
        value = PyObject_CallNoArgs(given); /* escapes */
        if (value == NULL) {
            return NULL;
        }
        if (check_pending(self) < 0) {
            Py_DECREF(value);
            return NULL;
        }
    }
    else {
        value = Py_NewRef(given);
    }
    if (!PyExceptionInstance_Check(value)) {
        Py_DECREF(value);
        PyErr_SetString(PyExc_TypeError, "invalid exception object");
        return NULL;
    }
    /* releases that refuse it look at the exact type only */
    bool is_stop = state->types.stop_iteration_becomes_runtime_error
                       ? PyErr_GivenExceptionMatches(value, PyExc_StopIteration)
                       : Py_IS_TYPE(value, (PyTypeObject *)PyExc_StopIteration);
    return is_stop ? wrap_stop_iteration(state, value) : value;
}

int
fl_future_set_exception(FutureObject *self, PyObject *exception)
{
    const struct fl_state *state = fl_future_state(self);
    if (state == NULL || check_pending(self) < 0) {
        return -1;
    }
    PyObject *value = exception_instance(self, state, exception);
    if (value == NULL) {
        return -1;
    }
    Py_XSETREF(self->exception, value);
    Py_XSETREF(self->exception_tb, PyException_GetTraceback(value));
    self->status = FL_FUTURE_FINISHED;
    if (fl_future_schedule_callbacks(self) < 0) {
        return -1;
    }
    self->log_tb = 1;
    return state->lookout == NULL
               ? 0
               : fl_lookout_lint(state, "exception", (PyObject *)self); /* escapes */
}

int
fl_future_cancel(FutureObject *self, PyObject *message)
{
    self->log_tb = 0;
    if (self->status != FL_FUTURE_PENDING) {
        return 0;
    }
    self->status = FL_FUTURE_CANCELLED;
    Py_XSETREF(self->cancel_msg, Py_XNewRef(message)); /* escapes */
    return fl_future_schedule_callbacks(self) < 0 ? -1 : 1;
}

/* ---- asking ---- */

PyObject *
fl_future_cancelled_error(FutureObject *self)
{
    if (self->cancelled_exc != NULL) {
        PyObject *kept = self->cancelled_exc;
        self->cancelled_exc = NULL;
        return kept;
    }
    const struct fl_state *state = fl_future_state(self);
    if (state == NULL) {
        return NULL;
    }
    PyObject *message = self->cancel_msg;
    if (message == NULL || message == Py_None) {
        return PyObject_CallNoArgs(state->CancelledError);
    }
    return PyObject_CallOneArg(state->CancelledError, message);
}

static FL_APART void
raise_cancelled(FutureObject *self)
{
    PyObject *error = fl_future_cancelled_error(self);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
}

int
fl_future_outcome(FutureObject *self, PyObject **value)
{
    if (self->status == FL_FUTURE_CANCELLED) {
        raise_cancelled(self);
        return -1;
    }
    if (self->status != FL_FUTURE_FINISHED) {
        return raise_invalid(self, "Result is not set.");
    }
    self->log_tb = 0;
    if (self->exception == NULL) {
        *value = fl_or_none(self->result);
        return 0;
    }
    /* Each raise adds to the traceback: start from the one it came with. */
    PyObject *traceback = self->exception_tb != NULL ? self->exception_tb : Py_None;
    if (PyException_SetTraceback(self->exception, traceback) < 0) {
        return -1;
    }
    *value = Py_NewRef(self->exception);
    Py_CLEAR(self->exception_tb);
    return 1;
}

PyObject *
fl_future_result(FutureObject *self)
{
    if (self->loop == NULL) {
        raise_invalid(self, "Future object is not initialized.");
        return NULL;
    }
    PyObject *value = NULL;
    switch (fl_future_outcome(self, &value)) {
    case 0:
        return value;
    case 1:
        PyErr_SetObject(PyExceptionInstance_Class(value), value);
        Py_DECREF(value);
        return NULL;
    default:
        return NULL;
    }
}

PyObject *
fl_future_exception(FutureObject *self)
{
    if (self->loop == NULL) {
        raise_invalid(self, "Future object is not initialized.");
        return NULL;
    }
    if (self->status == FL_FUTURE_CANCELLED) {
        raise_cancelled(self);
        return NULL;
    }
    if (self->status != FL_FUTURE_FINISHED) {
        raise_invalid(self, "Exception is not set.");
        return NULL;
    }
    self->log_tb = 0;
    return fl_or_none(self->exception);
}

/* ---- reporting ---- */

static PyObject *
report_context(
    FutureObject *self, const struct fl_state *state, PyObject *message, PyObject *key,
    PyObject *exception
)
{
    PyObject *context = message == NULL ? NULL : PyDict_New();
    if (context == NULL || PyDict_SetItem(context, state->str_message, message) < 0 ||
        (exception != NULL &&
         PyDict_SetItem(context, state->str_exception, exception) < 0) ||
        PyDict_SetItem(context, key, (PyObject *)self) < 0 ||
        (self->source_tb != NULL &&
         PyDict_SetItem(context, state->str_source_traceback, self->source_tb) < 0)) {
        Py_CLEAR(context);
    }
    return context;
}

void
fl_future_report(
    FutureObject *self, const struct fl_state *state, PyObject *message, PyObject *key,
    PyObject *exception
)
{
    PyObject *outer = message == NULL ? NULL : fl_error_take();
    PyObject *context = report_context(self, state, message, key, exception);
    PyObject *handler =
        context == NULL
            ? NULL
            : PyObject_GetAttr(self->loop, state->str_call_exception_handler);
    if (handler != NULL) {
        PyObject *result = PyObject_CallOneArg(handler, context); /* escapes */
        if (result == NULL) {
            PyErr_WriteUnraisable(handler);
        }
        Py_XDECREF(result);
        Py_DECREF(handler);
    }
    else {
        PyErr_WriteUnraisable(self->loop);
    }
    Py_XDECREF(context);
    Py_XDECREF(message);
    fl_error_restore(outer);
}

void
fl_future_report_unretrieved(FutureObject *self)
{
    const struct fl_state *state = self->log_tb ? fl_future_dying_state(self) : NULL;
    self->log_tb = 0;
    if (state == NULL || self->exception == NULL || self->loop == NULL) {
        return;
    }
    PyObject *outer = fl_error_take();
    PyObject *message = PyUnicode_FromFormat(
        "%s exception was never retrieved", fl_type_short_name(Py_TYPE(self))
    );
    fl_future_report(
        self, state, message, state->str_future, self->exception
    ); /* escapes */
    fl_error_restore(outer);
}

/* ---- garbage collection ---- */

int
fl_future_traverse_base(PyObject *op, visitproc visit, void *arg)
{
    FutureObject *self = fl_future(op);
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->callback0);
    Py_VISIT(self->context0);
    Py_VISIT(self->callbacks);
    Py_VISIT(self->exception);
    Py_VISIT(self->exception_tb);
    Py_VISIT(self->result);
    Py_VISIT(self->source_tb);
    Py_VISIT(self->cancel_msg);
    Py_VISIT(self->cancelled_exc);
#if defined(FL_HAVE_THREAD_TASKS)
    Py_VISIT(self->awaited_by);
#endif
    return fl_mirror_traverse_dict(op, visit, arg);
}

void
fl_future_clear_base(PyObject *op)
{
    FutureObject *self = fl_future(op);
    Py_CLEAR(self->loop);       /* escapes, as do all of these */
    if (is_only_result(self)) { /* fast: nearly every future; 15 instructions */
        Py_CLEAR(self->result);
    }
    else {
        clear_references(self);
    }
    fl_mirror_clear_dict(op);
}
