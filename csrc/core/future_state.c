/* The states of a future: pending -> finished or cancelled, and what it yields.
 *
 * Imitates asyncio.Future; Task shares it. A result or exception is set before
 * the callbacks are told, and telling them may run any code (a loop's call_soon
 * may be overridden), so nothing of the future is relied upon after it.
 */
#include "core/future.h"

#include "py/call.h"

int
fl_future_check_alive(const struct fl_future_state *own)
{
    if (own->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "Future object is not initialized.");
        return -1;
    }
    return 0;
}

/* ---- starting ---- */

static int
start_in_debug(struct fl_future_state *own)
{
    if (fl_is_finalizing()) {
        return 0; /* a finalizer's, when traceback is gone already */
    }
    PyObject *frames =
        PyObject_CallNoArgs(own->state->traceback_extract_stack); /* escapes */
    if (frames == NULL) {
        return -1;
    }
    Py_XSETREF(own->source_traceback, frames);
    return 0;
}

/* What loop.get_debug() says: 1, 0 or -1. */
static int
loop_is_in_debug(struct fl_future_state *own)
{
    return fl_call_truth(
        PyObject_CallMethodNoArgs(own->loop, own->state->str_get_debug)
    ); /* escapes */
}

static void
start_over(PyObject *op, struct fl_future_state *own)
{
    fl_future_clear_own(own); /* escapes */
    fl_future_own_reset(own);
#if defined(FL_HAVE_THREAD_TASKS)
    fl_base_future(op)->is_task = 0;
    fl_base_future(op)->awaited_by_is_set = 0;
    Py_CLEAR(fl_base_future(op)->awaited_by);
#else
    (void)op;
#endif
}

int
fl_future_init(PyObject *op, struct fl_future_state *own, PyObject *loop)
{
    if (own->loop != NULL) {
        if (own->state->types.refuses_init_again) {
            PyErr_Format(
                PyExc_RuntimeError, "%s object is already initialized",
                Py_TYPE(op)->tp_name
            );
            return -1;
        }
        start_over(op, own);
    }
    if (loop == NULL || loop == Py_None) {
        loop = PyObject_CallNoArgs(own->state->get_event_loop); /* escapes */
        if (loop == NULL) {
            return -1;
        }
    }
    else {
        Py_INCREF(loop);
    }
    Py_XSETREF(own->loop, loop);
    own->loop_is_ours = PyObject_TypeCheck(loop, own->state->loop_type);
    int debug =
        own->loop_is_ours ? ((LoopObject *)(void *)loop)->debug : loop_is_in_debug(own);
    return debug <= 0 ? debug : start_in_debug(own);
}

int
fl_future_init_fresh(struct fl_future_state *own, LoopObject *loop)
{
    own->loop = Py_NewRef((PyObject *)loop);
    own->loop_is_ours = true;
    return loop->debug ? start_in_debug(own) : 0;
}

/* ---- ending ---- */

static int
check_pending(const struct fl_future_state *own)
{
    if (own->status != FL_FUTURE_PENDING) {
        PyErr_SetString(own->state->InvalidStateError, "invalid state");
        return -1;
    }
    return 0;
}

int
fl_future_set_result(PyObject *op, struct fl_future_state *own, PyObject *result)
{
    if (check_pending(own) < 0) {
        return -1;
    }
    own->outcome = Py_NewRef(result);
    own->status = FL_FUTURE_FINISHED;
    return fl_future_schedule_callbacks(op, own);
}

/* RuntimeError(...) from stop, which a coroutine cannot raise: new, or NULL.
 * Steals stop. */
static PyObject *
wrap_stop_iteration(const struct fl_future_state *own, PyObject *stop)
{
    static const char text[] = "StopIteration interacts badly with generators "
                               "and cannot be raised into a Future";
    if (!own->state->types.stop_iteration_becomes_runtime_error) {
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
exception_instance(const struct fl_future_state *own, PyObject *exception)
{
    PyObject *value;
    if (PyExceptionClass_Check(exception)) {
        value = PyObject_CallNoArgs(exception); /* escapes */
        if (value == NULL) {
            return NULL;
        }
        if (check_pending(own) < 0) {
            Py_DECREF(value);
            return NULL;
        }
    }
    else {
        value = Py_NewRef(exception);
    }
    if (!PyExceptionInstance_Check(value)) {
        Py_DECREF(value);
        PyErr_SetString(PyExc_TypeError, "invalid exception object");
        return NULL;
    }
    /* releases that refuse it look at the exact type only */
    bool is_stop = own->state->types.stop_iteration_becomes_runtime_error
                       ? PyErr_GivenExceptionMatches(value, PyExc_StopIteration)
                       : Py_IS_TYPE(value, (PyTypeObject *)PyExc_StopIteration);
    return is_stop ? wrap_stop_iteration(own, value) : value;
}

int
fl_future_set_exception(PyObject *op, struct fl_future_state *own, PyObject *exception)
{
    if (check_pending(own) < 0) {
        return -1;
    }
    PyObject *value = exception_instance(own, exception);
    if (value == NULL) {
        return -1;
    }
    own->outcome = value;
    own->failed = true;
    Py_XSETREF(own->trace, PyException_GetTraceback(value));
    own->status = FL_FUTURE_FINISHED;
    if (fl_future_schedule_callbacks(op, own) < 0) {
        return -1;
    }
    own->log_traceback = true;
    return 0;
}

int
fl_future_cancel(PyObject *op, struct fl_future_state *own, PyObject *message)
{
    own->log_traceback = false;
    if (own->status != FL_FUTURE_PENDING) {
        return 0;
    }
    own->status = FL_FUTURE_CANCELLED;
    Py_XSETREF(own->cancel_message, Py_XNewRef(message));
    return fl_future_schedule_callbacks(op, own) < 0 ? -1 : 1;
}

/* ---- asking ---- */

PyObject *
fl_future_cancelled_error(struct fl_future_state *own)
{
    if (own->trace != NULL && own->status != FL_FUTURE_FINISHED) {
        PyObject *kept = own->trace;
        own->trace = NULL;
        return kept;
    }
    PyObject *message = own->cancel_message;
    if (message == NULL || message == Py_None) {
        return PyObject_CallNoArgs(own->state->CancelledError);
    }
    return PyObject_CallOneArg(own->state->CancelledError, message);
}

static void
raise_cancelled(struct fl_future_state *own)
{
    PyObject *error = fl_future_cancelled_error(own);
    if (error != NULL) {
        PyErr_SetObject(own->state->CancelledError, error);
        Py_DECREF(error);
    }
}

int
fl_future_outcome(struct fl_future_state *own, PyObject **value)
{
    if (own->status == FL_FUTURE_CANCELLED) {
        raise_cancelled(own);
        return -1;
    }
    if (own->status != FL_FUTURE_FINISHED) {
        PyErr_SetString(own->state->InvalidStateError, "Result is not set.");
        return -1;
    }
    own->log_traceback = false;
    if (!own->failed) {
        *value = Py_NewRef(own->outcome);
        return 0;
    }
    /* Each raise adds to the traceback: start from the one it came with. */
    PyObject *traceback = own->trace != NULL ? own->trace : Py_None;
    if (PyException_SetTraceback(own->outcome, traceback) < 0) {
        return -1;
    }
    *value = Py_NewRef(own->outcome);
    Py_CLEAR(own->trace);
    return 1;
}

PyObject *
fl_future_result(struct fl_future_state *own)
{
    if (own->loop == NULL) {
        PyErr_SetString(
            own->state->InvalidStateError, "Future object is not initialized."
        );
        return NULL;
    }
    PyObject *value = NULL;
    switch (fl_future_outcome(own, &value)) {
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
fl_future_exception(struct fl_future_state *own)
{
    PyObject *invalid = own->state->InvalidStateError;
    if (own->loop == NULL) {
        PyErr_SetString(invalid, "Future object is not initialized.");
        return NULL;
    }
    if (own->status == FL_FUTURE_CANCELLED) {
        raise_cancelled(own);
        return NULL;
    }
    if (own->status != FL_FUTURE_FINISHED) {
        PyErr_SetString(invalid, "Exception is not set.");
        return NULL;
    }
    own->log_traceback = false;
    return Py_NewRef(own->failed ? own->outcome : Py_None);
}

/* ---- reporting ---- */

static PyObject *
report_context(
    PyObject *op, struct fl_future_state *own, PyObject *message, PyObject *key,
    PyObject *exception
)
{
    const struct fl_state *state = own->state;
    PyObject *context = message == NULL ? NULL : PyDict_New();
    if (context == NULL || PyDict_SetItem(context, state->str_message, message) < 0 ||
        (exception != NULL &&
         PyDict_SetItem(context, state->str_exception, exception) < 0) ||
        PyDict_SetItem(context, key, op) < 0 ||
        (own->source_traceback != NULL &&
         PyDict_SetItem(context, state->str_source_traceback, own->source_traceback) <
             0)) {
        Py_CLEAR(context);
    }
    return context;
}

void
fl_future_report(
    PyObject *op, struct fl_future_state *own, PyObject *message, PyObject *key,
    PyObject *exception
)
{
    PyObject *outer = message == NULL ? NULL : fl_error_take();
    PyObject *context = report_context(op, own, message, key, exception);
    PyObject *handler =
        context == NULL
            ? NULL
            : PyObject_GetAttr(own->loop, own->state->str_call_exception_handler);
    if (handler != NULL) {
        PyObject *result = PyObject_CallOneArg(handler, context); /* escapes */
        if (result == NULL) {
            PyErr_WriteUnraisable(handler);
        }
        Py_XDECREF(result);
        Py_DECREF(handler);
    }
    else {
        PyErr_WriteUnraisable(own->loop);
    }
    Py_XDECREF(context);
    Py_XDECREF(message);
    fl_error_restore(outer);
}

void
fl_future_report_unretrieved(PyObject *op, struct fl_future_state *own)
{
    if (!own->log_traceback) {
        return;
    }
    own->log_traceback = false;
    PyObject *outer = fl_error_take();
    PyObject *message = PyUnicode_FromFormat(
        "%s exception was never retrieved", fl_type_short_name(Py_TYPE(op))
    );
    fl_future_report(
        op, own, message, own->state->str_future, own->outcome
    ); /* escapes */
    fl_error_restore(outer);
}

/* ---- garbage collection ---- */

int
fl_future_traverse_own(struct fl_future_state *own, visitproc visit, void *arg)
{
    Py_VISIT(own->loop);
    Py_VISIT(own->outcome);
    Py_VISIT(own->trace);
    Py_VISIT(own->source_traceback);
    Py_VISIT(own->cancel_message);
    return fl_future_traverse_callbacks(own, visit, arg);
}

void
fl_future_clear_own(struct fl_future_state *own)
{
    Py_CLEAR(own->loop);
    fl_future_clear_callbacks(own);
    Py_CLEAR(own->outcome);
    Py_CLEAR(own->trace);
    Py_CLEAR(own->source_traceback);
    Py_CLEAR(own->cancel_message);
}
