/* wait_for() of 3.11: asyncio.wait_for in C, where it is no timeout around an await.
 *
 * It waits for a future of its own, which the one it is asked to wait for ends, or a
 * timer. If that was the timer, or the wait was cancelled, it cancels the other one and
 * waits for its end. What waits for no time at all is asyncio's.
 */
#include "aio/wait/wait_for_task.h"

#include "aio/futures.h"
#include "aio/lock/waiters.h"
#include "aio/timeout/timeout.h"
#include "py/args/args.h"
#include "py/error.h"
#include "py/state/tables.h"

/* args: what is waited for, and how long; later the callback that tells of its end,
 * and, once it is cancelled, what is raised then, or None for what becomes of it. */
enum { FUTURE, DELAY, CALLBACK = DELAY, RAISED };

/* ---- who tells ---- */

static PyObject *
release_waiter(PyObject *waiter, PyObject *Py_UNUSED(future))
{
    FutureObject *own = fl_future(waiter);
    if (own->status == FL_FUTURE_PENDING && fl_future_set_result(own, Py_None) < 0) {
        return NULL; /* escaped */
    }
    Py_RETURN_NONE;
}

static PyMethodDef release_waiter_def = {
    "_release_waiter", release_waiter, METH_O, NULL
};

/* functools.partial(asyncio's _release_waiter, waiter), or the same in C: new, or
 * NULL. */
static PyObject *
callback_for(const struct fl_state *state, PyObject *waiter)
{
    if (Py_IS_TYPE(waiter, state->future_type)) {
        return PyCFunction_New(&release_waiter_def, waiter);
    }
    PyObject *stack[2] = {state->asyncio_release_waiter, waiter};
    return PyObject_Vectorcall(state->partial, stack, 2, NULL);
}

static int
ring(
    LoopObject *Py_UNUSED(loop), PyObject *waiter, PyObject *Py_UNUSED(value),
    PyObject *Py_UNUSED(context)
)
{
    return fl_call_status(release_waiter(waiter, NULL)); /* escapes */
}

static int
describe(
    struct fl_state *state, PyObject *waiter, PyObject *Py_UNUSED(value),
    struct fl_alarm_call *call
)
{
    *call = (struct fl_alarm_call){
        .callback = Py_NewRef(state->asyncio_release_waiter),
        .args = {waiter},
        .n_args = 1,
    };
    return 0;
}

static const struct fl_alarm_kind waiter_alarm = {
    .name = "wait_for",
    .ring = ring,
    .call = describe,
};

/* Has the future release a new waiter: that, or NULL. The callback is the call's. */
static PyObject *
tell_new_waiter(AioCallObject *call, PyObject *loop)
{
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *waiter = fl_aio_new_future(state, loop); /* escapes */
    PyObject *callback = waiter == NULL ? NULL : callback_for(state, waiter);
    PyObject *context = NULL;
    if (callback != NULL) {
        Py_XSETREF(call->args[CALLBACK], callback); /* escapes */
    }
    if (callback == NULL ||
        fl_aio_tell(state, call->args[FUTURE], callback, &context) < 0) {
        Py_CLEAR(waiter); /* escaped */
    }
    Py_XDECREF(context);
    return waiter;
}

/* ---- the beginning ---- */

/* Waits for a waiter that the timer releases, and the future. */
static PySendResult
begin(AioCallObject *call, PyObject *loop, PyObject *waiter, PyObject **result)
{
    struct fl_state *state = fl_aio_state_of(call);
    const struct fl_alarm_about about = {
        .kind = &waiter_alarm,
        .target = waiter,
        .plain = Py_IS_TYPE(waiter, state->future_type),
    };
    PyObject *future = NULL;
    PyObject *callback = NULL;
    PyObject *context = NULL;
    int status = fl_alarm_later(&call->alarm, state, loop, call->args[DELAY], &about);
    if (status == 0) { /* escaped */
        callback = callback_for(state, waiter);
    }
    if (callback != NULL) {
        future = fl_aio_ensure_future(state, call->args[FUTURE], loop); /* escapes */
    }
    if (future != NULL) {
        Py_SETREF(call->args[FUTURE], Py_NewRef(future)); /* escapes */
        Py_SETREF(call->args[CALLBACK], Py_NewRef(callback));
        status = fl_aio_tell(state, future, callback, &context);
    }
    bool told = future != NULL && status == 0;
    Py_XDECREF(callback);
    Py_XDECREF(future);
    Py_XDECREF(context);
    return told ? fl_aio_wait(call, Py_NewRef(waiter), result) : PYGEN_ERROR;
}

static PySendResult
start_on(AioCallObject *call, PyObject *loop, PyObject **result)
{
    if (call->args[DELAY] == Py_None) {
        call->reached = -1; /* for who looks at it, as below */
        return fl_aio_wait(call, Py_NewRef(call->args[FUTURE]), result);
    }
    PyObject *waiter = fl_aio_new_future(fl_aio_state_of(call), loop); /* escapes */
    if (waiter == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = begin(call, loop, waiter, result); /* escapes */
    Py_DECREF(waiter);
    return status;
}

/* Whether it is None or, as C finds as well as Python would, more than zero. */
static bool
is_plain_delay(PyObject *delay)
{
    double delay_s;
    return delay == Py_None || (fl_plain_seconds(delay, &delay_s) && delay_s > 0.0);
}

static PySendResult
wait_for_start(AioCallObject *call, PyObject **result)
{
    PyObject *loop = fl_aio_running_loop(fl_aio_state_of(call));
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = loop == Py_None || !is_plain_delay(call->args[DELAY])
                              ? fl_aio_delegate(call, result)
                              : start_on(call, loop, result); /* escapes */
    Py_DECREF(loop);
    return status;
}

/* ---- the end ---- */

/* handle.cancel(), as on every way out; then status, unless that fails. escapes. */
static PySendResult
leave(AioCallObject *call, PySendResult status, PyObject **result)
{
    if (!fl_alarm_is_set(&call->alarm)) {
        return status;
    }
    PyObject *exc = status == PYGEN_ERROR ? fl_error_take() : NULL;
    if (fl_alarm_cancel(&call->alarm) < 0) { /* escapes */
        fl_aio_raise_over(exc);
        Py_CLEAR(*result);
        return PYGEN_ERROR;
    }
    fl_error_restore(exc);
    return status;
}

/* future.result(), while exc, which may be NULL, is handled. escapes. */
static PySendResult
result_while(AioCallObject *call, PyObject *exc, PyObject **result)
{
    struct fl_handling handling;
    if (exc != NULL) {
        fl_handling_begin(&handling, exc);
    }
    *result = fl_aio_result(fl_aio_state_of(call), call->args[FUTURE]); /* escapes */
    if (exc != NULL) {
        fl_handling_end(&handling);
    }
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* Cancels the future and waits for its end; then exc, stolen, is raised, unless it is
 * NULL. */
static PySendResult
cancel_and_wait(AioCallObject *call, PyObject *exc, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *future = call->args[FUTURE];
    struct fl_handling handling;
    if (exc != NULL) {
        fl_handling_begin(&handling, exc);
    }
    call->args[RAISED] = exc != NULL ? exc : Py_NewRef(Py_None);
    call->reached = 1;
    PyObject *loop = NULL, *waiter = NULL;
    if (fl_aio_tell_not(state, future, call->args[CALLBACK]) == 0) { /* escapes */
        loop = fl_aio_running_loop(state);
    }
    if (loop != NULL) {
        waiter = tell_new_waiter(call, loop); /* escapes */
    }
    int cancelled = waiter == NULL ? -1 : fl_aio_cancel(state, future); /* escapes */
    if (exc != NULL) {
        fl_handling_end(&handling);
    }
    Py_XDECREF(loop);
    if (cancelled < 0) {
        Py_XDECREF(waiter);
        return PYGEN_ERROR;
    }
    return fl_aio_wait(call, waiter, result);
}

/* The waiter was released, or what it was awaited with was raised. */
static PySendResult
end_wait(AioCallObject *call, PyObject *value, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    if (exc != NULL && !PyErr_GivenExceptionMatches(exc, state->CancelledError)) {
        fl_error_restore(exc);
        return PYGEN_ERROR;
    }
    int done = fl_aio_is_done(state, call->args[FUTURE]); /* escapes */
    if (done == 0) {
        return cancel_and_wait(call, exc, result);
    }
    PySendResult status = done < 0 ? PYGEN_ERROR : result_while(call, exc, result);
    Py_XDECREF(exc);
    return status;
}

/* Raises exc, stolen, while handled, which may be None, is being handled. */
static void
raise_while(PyObject *handled, PyObject *exc)
{
    struct fl_handling handling;
    if (handled != Py_None) {
        fl_handling_begin(&handling, handled);
    }
    PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    if (handled != Py_None) {
        fl_handling_end(&handling);
    }
    Py_DECREF(exc);
}

/* The future that was cancelled has ended, or the wait for that was. */
static PySendResult
end_cancelling(AioCallObject *call, PyObject *value, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    PyObject *future = call->args[FUTURE];
    if (fl_aio_tell_not(state, future, call->args[CALLBACK]) < 0) { /* escapes */
        if (exc == NULL && call->args[RAISED] != Py_None) {
            exc = Py_NewRef(call->args[RAISED]);
        }
        fl_aio_raise_over(exc);
        return PYGEN_ERROR;
    }
    if (exc != NULL) {
        raise_while(call->args[RAISED], exc);
        return PYGEN_ERROR;
    }
    if (call->args[RAISED] != Py_None) {
        fl_error_restore(Py_NewRef(call->args[RAISED]));
        return PYGEN_ERROR;
    }
    PySendResult status = result_while(call, NULL, result); /* escapes */
    if (status == PYGEN_ERROR && PyErr_ExceptionMatches(state->CancelledError)) {
        PyObject *cancelled = fl_error_take();
        struct fl_handling handling;
        fl_handling_begin(&handling, cancelled);
        fl_timeout_raise_from(cancelled);
        fl_handling_end(&handling);
        Py_DECREF(cancelled);
    }
    return status;
}

static PySendResult
wait_for_after(
    AioCallObject *call, PyObject *Py_UNUSED(future), PyObject *value, PyObject **result
)
{
    if (call->args[DELAY] == Py_None) {
        *result = Py_XNewRef(value);
        return value == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    }
    bool cancelled = call->args[RAISED] != NULL;
    PySendResult status = cancelled ? end_cancelling(call, value, result)
                                    : end_wait(call, value, result); /* escapes */
    return status == PYGEN_NEXT ? status : leave(call, status, result);
}

const struct fl_aio_call fl_wait_for_task_call = {
    .n_args = 2,
    .n_needed = 2,
    .start = wait_for_start,
    .after = wait_for_after,
};
