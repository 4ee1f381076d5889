/* One step of a task: run its coroutine until it yields, returns or raises.
 *
 * Imitates asyncio.Task.__step and __wakeup. The coroutine may do anything to
 * its task in the meantime, even call its __init__ again: after each call that
 * escapes only fields are read, never what was read before.
 */
#include "core/task/task_step.h"

#include "core/future/awaited_by.h"
#include "core/loop/sched.h"
#include "core/task/task_observe.h"
#include "core/task/task_registry.h"
#include "py/args/call.h"
#include "py/error.h"

/* ---- scheduling ---- */

static FL_APART int
ask_for_step(TaskObject *self, PyObject *exc)
{
    const struct fl_state *state = fl_future_state(fl_task_future(self));
    PyObject *callable = state == NULL ? NULL : fl_task_step_callable(state, self, exc);
    PyObject *context = self->base.context;
    if (callable == NULL || context == NULL) {
        Py_XDECREF(callable);
        return -1;
    }
    int status = fl_sched_ask(state, self->base.future.loop, callable, NULL, context);
    Py_DECREF(callable);
    return status;
}

int
fl_task_step_soon(TaskObject *self, PyObject *exc)
{
    LoopObject *loop = exc == NULL ? fl_sched_loop(fl_task_future(self)) : NULL;
    if (loop != NULL) {
        return fl_sched_step(loop, Py_NewRef((PyObject *)self));
    }
    return ask_for_step(self, exc); /* escapes */
}

/* ---- the end ---- */

static int
finish_returned(TaskObject *self, PyObject *result)
{
    FutureObject *own = fl_task_future(self);
    fl_task_unregister(self);
    if (FL_TASK_FLAGS(&self->base)->must_cancel) {
        /* cancelled right before the coroutine ended */
        FL_TASK_FLAGS(&self->base)->must_cancel = 0;
        PyObject *message = Py_XNewRef(own->cancel_msg);
        int status = fl_future_cancel(own, message);
        Py_XDECREF(message);
        return status < 0 ? -1 : 0;
    }
    return fl_future_set_result(own, result);
}

/* The coroutine raised what is set. */
static FL_APART int
finish_raised(const struct fl_state *state, TaskObject *self)
{
    FutureObject *own = fl_task_future(self);
    bool cancelled = PyErr_ExceptionMatches(state->CancelledError);
    PyObject *exc = fl_error_take();
    fl_task_unregister(self);
    if (cancelled) {
        Py_XSETREF(own->cancelled_exc, exc); /* to be raised again, once */
        return fl_future_cancel(own, NULL) < 0 ? -1 : 0;
    }
    int status = fl_future_set_exception(own, exc);
    if (status == 0 && (PyErr_GivenExceptionMatches(exc, PyExc_KeyboardInterrupt) ||
                        PyErr_GivenExceptionMatches(exc, PyExc_SystemExit))) {
        fl_error_restore(exc);
        return -1;
    }
    Py_DECREF(exc);
    return status;
}

/* ---- the step ---- */

/* coro.throw(exc), with am_send's answers. Steals exc. */
static FL_APART PySendResult
throw_in(const struct fl_state *state, PyObject *coro, PyObject *exc, PyObject **result)
{
    *result = PyObject_CallMethodOneArg(coro, state->str_throw, exc);
    Py_DECREF(exc);
    if (*result != NULL) {
        return PYGEN_NEXT;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return PYGEN_ERROR;
    }
    PyObject *stop = fl_error_take();
    *result = Py_XNewRef(((PyStopIterationObject *)stop)->value);
    Py_DECREF(stop);
    if (*result == NULL) {
        *result = Py_NewRef(Py_None);
    }
    return PYGEN_RETURN;
}

static PySendResult
send_in(PyObject *coro, PyObject **result)
{
    const PyAsyncMethods *async = Py_TYPE(coro)->tp_as_async;
    if (async != NULL && async->am_send != NULL) {
        return FL_SLOT_SEND(async->am_send(coro, Py_None, result), result);
    }
    return PyIter_Send(coro, Py_None, result);
}

/* What to throw into a task to be cancelled: exc if it is a CancelledError, else a
 * new one. New, or NULL. */
static PyObject *
cancellation(const struct fl_state *state, TaskObject *self, PyObject *exc)
{
    if (exc != NULL && PyErr_GivenExceptionMatches(exc, state->CancelledError)) {
        return Py_NewRef(exc);
    }
    return fl_future_cancelled_error(fl_task_future(self));
}

static FL_SLOW int
refuse_done(const struct fl_state *state, TaskObject *self, PyObject *exc)
{
    PyErr_Format(
        state->InvalidStateError, FL_STEP_NAME "(): already done: %R %R", self,
        exc != NULL ? exc : Py_None
    );
    return -1;
}

/* New, or NULL with an exception. */
static FL_APART PyObject *
what_to_throw(const struct fl_state *state, TaskObject *self, PyObject *exc)
{
    if (!FL_TASK_FLAGS(&self->base)->must_cancel) {
        return Py_NewRef(exc);
    }
    PyObject *thrown = cancellation(state, self, exc);
    if (thrown != NULL) {
        FL_TASK_FLAGS(&self->base)->must_cancel = 0;
    }
    return thrown;
}

/* coro may be NULL. */
static FL_SLOW int
refuse_uninitialized(PyObject *coro, PyObject *thrown)
{
    PyErr_SetString(PyExc_RuntimeError, "uninitialized Task object");
    Py_XDECREF(coro);
    Py_XDECREF(thrown);
    return -1;
}

/* The step between entering and leaving as the current task. */
static int
run_coroutine(struct fl_state *state, TaskObject *self, PyObject *exc)
{
    if (self->base.future.status != FL_FUTURE_PENDING) {
        return refuse_done(state, self, exc);
    }
    PyObject *thrown = NULL;
    if (FL_TASK_FLAGS(&self->base)->must_cancel || exc != NULL) {
        thrown = what_to_throw(state, self, exc);
        if (thrown == NULL) {
            return -1;
        }
    }
    Py_CLEAR(self->base.fut_waiter); /* escapes */
    PyObject *coro = Py_XNewRef(self->base.coro);
    if (coro == NULL || coro == Py_None) {
        return refuse_uninitialized(coro, thrown);
    }
    PyObject *result = NULL;
    PySendResult sent = thrown == NULL ? send_in(coro, &result)
                                       : throw_in(state, coro, thrown, &result);
    Py_DECREF(coro);
    if (sent == PYGEN_NEXT) {
        return fl_task_wait(state, self, result);
    }
    if (sent == PYGEN_ERROR) {
        return finish_raised(state, self);
    }
    int status = finish_returned(self, result);
    Py_DECREF(result);
    return status;
}

int
fl_task_step(TaskObject *self, PyObject *exc)
{
    struct fl_state *state = fl_future_state(fl_task_future(self));
    if (state == NULL || fl_current_enter(self) < 0) {
        return -1;
    }
    struct fl_observed seen;
    bool observed = fl_observe_begin(&seen, state, self);
    int status = run_coroutine(state, self, exc);
    status = fl_current_leave(self) < 0 ? -1 : status;
    return observed ? fl_observe_end(&seen, state, self, status) : status;
}

/* ---- waking up ---- */

/* The exception a done future of another kind has: 0 and *exc new, or NULL for
 * none; always succeeds. */
static void
ask_foreign(const struct fl_state *state, PyObject *future, PyObject **exc)
{
    PyObject *result =
        PyObject_CallMethodNoArgs(future, state->str_result); /* escapes */
    *exc = result == NULL ? fl_error_take() : NULL;
    Py_XDECREF(result);
}

static void
ask_own(FutureObject *own, PyObject **exc)
{
    *exc = NULL;
    if (own->status == FL_FUTURE_FINISHED && own->exception == NULL) {
        own->log_tb = 0;
        return;
    }
    if (fl_future_outcome(own, exc) < 0) {
        *exc = fl_error_take(); /* raised: its context is what is being handled */
    }
}

/* What to throw into a task whose awaited future is done: new, or NULL for
 * nothing. escapes. */
static PyObject *
awaited_exception(const struct fl_state *state, PyObject *future)
{
    PyObject *exc;
    FutureObject *own = fl_future_of(state, future);
    if (own != NULL) {
        ask_own(own, &exc);
    }
    else {
        ask_foreign(state, future, &exc);
    }
    return exc;
}

int
fl_task_wakeup(PyObject *op, PyObject *future)
{
    TaskObject *self = (TaskObject *)(void *)op;
    const struct fl_state *state = fl_future_state(fl_task_future(self));
    if (state == NULL || fl_awaited_by_discard(state, future, (PyObject *)self) < 0) {
        return -1;
    }
    PyObject *exc = awaited_exception(state, future);
    int status = fl_task_step(self, exc);
    Py_XDECREF(exc);
    return status;
}

/* The step of fl_task_run, between entering and leaving the context. */
static int
run_in_context(struct fl_state *state, TaskObject *self, bool waking)
{
    PyObject *future = waking ? self->base.fut_waiter : NULL;
    if (future == NULL) {
        return run_coroutine(state, self, NULL);
    }
    if (fl_awaited_by_discard(state, future, (PyObject *)self) < 0) {
        return -1;
    }
    PyObject *exc = awaited_exception(state, future);
    int status = run_coroutine(state, self, exc);
    Py_XDECREF(exc);
    return status;
}

int
fl_task_run(LoopObject *loop, TaskObject *self, bool waking)
{
    PyObject *context = self->base.context;
    if (context == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "uninitialized Task object");
        return -1;
    }
    if (fl_current_publish(loop, self) < 0) { /* escapes */
        return -1;
    }
    Py_INCREF(context);
    int status = PyContext_Enter(context);
    if (status == 0) {
        status = run_in_context(loop->state, self, waking); /* escapes */
        if (PyContext_Exit(context) < 0) {
            status = -1;
        }
    }
    Py_DECREF(context);
    return fl_current_withdraw(loop, self) < 0 ? -1 : status;
}

/* ---- eager start ---- */

/* Undoes the swap, at the second try if need be: the task would else be the current
 * one for ever. The exception of the step, if any, stays set. */
static int
swap_back(TaskObject *self, PyObject *previous)
{
    PyObject *exc = fl_error_take();
    PyObject *current = NULL;
    for (int tries = 0; tries < 2 && fl_current_swap(self, previous, &current) < 0;
         tries++) {
        exc = fl_error_first(exc);
    }
    Py_XDECREF(previous);
    Py_XDECREF(current); /* escapes */
    fl_error_restore(exc);
    return exc == NULL ? 0 : -1;
}

int
fl_task_start_eagerly(TaskObject *self)
{
    struct fl_state *state = fl_future_state(fl_task_future(self));
    PyObject *previous;
    if (state == NULL || fl_current_swap(self, (PyObject *)self, &previous) < 0) {
        FL_TASK_FLAGS(&self->base)->log_destroy_pending = 0;
        return -1;
    }
    PyObject *context = Py_NewRef(self->base.context);
    int status = fl_task_register(state, self);
    if (status == 0) {
        status = PyContext_Enter(context);
    }
    if (status < 0) { /* its maker hears of it: that it dies pending is no news */
        FL_TASK_FLAGS(&self->base)->log_destroy_pending = 0;
    }
    else {
        status = run_coroutine(state, self, NULL);
        if (PyContext_Exit(context) < 0) {
            status = -1;
        }
    }
    Py_DECREF(context);
    if (swap_back(self, previous) < 0) {
        status = -1;
    }
    if (self->base.future.status != FL_FUTURE_PENDING) {
        Py_CLEAR(self->base.coro); /* as asyncio: get_coro() is None then */
    }
    return status < 0 ? -1 : 0;
}
