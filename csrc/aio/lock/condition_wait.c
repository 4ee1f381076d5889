/* Condition.wait() and wait_for(): asyncio's in C.
 *
 * Whoever waits has the lock again at the end, however that comes: a cancellation is
 * raised when it has it. Up to 3.12 that is a new CancelledError; since then it is the
 * last one, and who leaves with an exception lets another go on, since it may have been
 * told to (state->aio.condition_passes_on).
 */
#include "aio/lock/condition.h"

#include "aio/lock/lock.h"
#include "aio/lock/waiters.h"
#include "py/error.h"

/* args of a wait(): the lock that it waits for; what is raised once it has that, and
 * the last cancellation meanwhile, each None at first. */
enum { LOCK = 1, RAISED, CANCELLED };

/* `reached`: what it waits for; TRYING while acquire() may end without waiting. */
enum { FOR_NOTIFY, FOR_LOCK, FOR_ACQUIRE, ENDED, TRYING };

static ConditionObject *
condition_of(const AioCallObject *call)
{
    return (ConditionObject *)(void *)call->args[0];
}

/* ---- while something is raised ---- */

/* As in the `except` and `finally` of asyncio's: what is raised meanwhile has exc,
 * which may be None, as its context. True if there is anything to end. */
static bool
begin_handling(struct fl_handling *handling, PyObject *exc)
{
    if (exc == Py_None) {
        return false;
    }
    fl_handling_begin(handling, exc);
    return true;
}

/* self._notify(1). escapes. 0 or -1. */
static int
pass_on(const AioCallObject *call)
{
    PyObject *op = call->args[0];
    const struct fl_state *state = fl_aio_state_of(call);
    if (fl_condition_plain_lock(op) != NULL) {
        return fl_aio_wake(state, condition_of(call)->waiters, 1, Py_False);
    }
    PyObject *one = PyLong_FromLong(1);
    PyObject *done =
        one == NULL ? NULL : PyObject_CallMethodOneArg(op, state->str__notify, one);
    Py_XDECREF(one);
    return fl_call_status(done);
}

/* Leaves with the exception set. escapes. */
static PySendResult
leave_raising(AioCallObject *call)
{
    if (!fl_aio_state_of(call)->aio.condition_passes_on) {
        return PYGEN_ERROR;
    }
    PyObject *exc = fl_error_take();
    struct fl_handling handling;
    fl_handling_begin(&handling, exc);
    int status = pass_on(call); /* escapes */
    fl_handling_end(&handling);
    if (status < 0) {
        Py_DECREF(exc);
    }
    else {
        fl_error_restore(exc);
    }
    return PYGEN_ERROR;
}

/* ---- the lock again ---- */

/* raise err, or up to 3.12 CancelledError. */
static void
raise_cancelled(const AioCallObject *call)
{
    const struct fl_state *state = fl_aio_state_of(call);
    if (!state->aio.condition_passes_on) {
        PyErr_SetNone(state->CancelledError);
        return;
    }
    PyObject *err = Py_NewRef(call->args[CANCELLED]);
    PyErr_SetObject((PyObject *)Py_TYPE(err), err);
    Py_DECREF(err);
}

/* It has the lock. */
static PySendResult
end_wait(AioCallObject *call, PyObject **result)
{
    PyObject *raised = Py_NewRef(call->args[RAISED]);
    PySendResult status = PYGEN_ERROR;
    call->reached = ENDED;
    if (call->args[CANCELLED] != Py_None) {
        struct fl_handling handling;
        bool handles = begin_handling(&handling, raised);
        raise_cancelled(call); /* escapes */
        if (handles) {
            fl_handling_end(&handling);
        }
        status = leave_raising(call);
    }
    else if (raised != Py_None) {
        fl_error_restore(Py_NewRef(raised));
        status = leave_raising(call); /* escapes */
    }
    else {
        *result = Py_NewRef(Py_True);
        status = PYGEN_RETURN;
    }
    Py_DECREF(raised);
    return status;
}

/* One self.acquire(): answers as a step that waits for the lock. */
static PySendResult
acquire(AioCallObject *call, PyObject **result)
{
    PyObject *op = call->args[0];
    PyObject *lock = fl_condition_plain_lock(op);
    if (lock == NULL) {
        PyObject *name = fl_aio_state_of(call)->str_acquire;
        PyObject *coro = PyObject_CallMethodNoArgs(op, name); /* escapes */
        call->reached = TRYING;
        return fl_aio_wait(call, coro, result);
    }
    call->reached = FOR_LOCK;
    Py_SETREF(call->args[LOCK], Py_NewRef(lock)); /* escapes */
    return fl_lock_acquire_start(call, call->args[LOCK], result);
}

/* acquire() has raised: whether it is tried once more, as after a cancellation. */
static bool
tries_again(AioCallObject *call)
{
    if (!PyErr_ExceptionMatches(fl_aio_state_of(call)->CancelledError)) {
        return false;
    }
    PyObject *exc = fl_error_take();
    Py_SETREF(call->args[CANCELLED], exc); /* escapes */
    return true;
}

/* Begins to wait for the lock, whatever happens. */
static PySendResult
have_lock_again(AioCallObject *call, PyObject **result)
{
    do {
        struct fl_handling handling;
        bool handles = begin_handling(&handling, call->args[RAISED]);
        PySendResult status = acquire(call, result); /* escapes */
        if (handles) {
            fl_handling_end(&handling);
        }
        if (status == PYGEN_NEXT && call->reached == TRYING) {
            call->reached = FOR_ACQUIRE;
        }
        if (status == PYGEN_NEXT || call->reached == ENDED) {
            return status; /* of what came after, if it was so soon */
        }
        if (status == PYGEN_RETURN) {
            Py_CLEAR(*result);
            return end_wait(call, result);
        }
    } while (tries_again(call)); /* escapes */
    call->reached = ENDED;
    return leave_raising(call);
}

/* ---- told ---- */

/* What it waited for has ended, or was not even begun: future is NULL then. */
static PySendResult
told(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    PyObject *waiters = condition_of(call)->waiters;
    if (future != NULL && fl_aio_remove_waiter(state, waiters, future) < 0) {
        fl_aio_raise_over(exc); /* escaped */
        exc = fl_error_take();
    }
    Py_SETREF(call->args[RAISED], exc != NULL ? exc : Py_NewRef(Py_None));
    return have_lock_again(call, result);
}

static PySendResult
wait_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    if (call->reached == FOR_NOTIFY) {
        return told(call, future, value, result);
    }
    PySendResult status = value == NULL ? PYGEN_ERROR : PYGEN_RETURN;
    if (call->reached == TRYING) {
        *result = Py_XNewRef(value);
        return status;
    }
    if (call->reached == FOR_LOCK) {
        struct fl_handling handling;
        bool handles = begin_handling(&handling, call->args[RAISED]);
        status = fl_lock_acquire_after(call, call->args[LOCK], future, value, result);
        if (handles) {
            fl_handling_end(&handling); /* escapes */
        }
        Py_CLEAR(*result);
    }
    if (status == PYGEN_RETURN) {
        return end_wait(call, result);
    }
    if (tries_again(call)) { /* escapes */
        return have_lock_again(call, result);
    }
    call->reached = ENDED;
    return leave_raising(call);
}

/* ---- the beginning ---- */

/* self.release(), before or after there is a future: 0 or -1. escapes. */
static int
release(PyObject *lock)
{
    Py_INCREF(lock);
    int status = fl_call_status(fl_lock_release(lock, NULL));
    Py_DECREF(lock);
    return status;
}

/* A new future at the end of the waiters: new, or NULL. escapes. */
static PyObject *
queue_up(ConditionObject *self, PyObject *future)
{
    if (future != NULL &&
        fl_aio_add_waiter(self->base.state, &self->waiters, future) < 0) {
        Py_CLEAR(future);
    }
    return future;
}

static PySendResult
wait_start(AioCallObject *call, PyObject **result)
{
    ConditionObject *self = condition_of(call);
    PyObject *lock = fl_condition_plain_lock(call->args[0]);
    if (lock == NULL || !fl_lock_is_taken(lock)) {
        return fl_aio_delegate(call, result);
    }
    for (int i = LOCK; i <= CANCELLED; i++) {
        call->args[i] = Py_NewRef(Py_None);
    }
    PyObject *future = NULL;
    if (self->base.state->aio.condition_passes_on) {
        future = fl_aio_new_waiter(&self->base); /* escapes */
        if (future == NULL || release(lock) < 0) {
            Py_XDECREF(future);
            return PYGEN_ERROR;
        }
    }
    else {
        if (release(lock) < 0) { /* escapes */
            return PYGEN_ERROR;
        }
        future = fl_aio_new_waiter(&self->base);
    }
    future = queue_up(self, future); /* escapes */
    return future == NULL ? told(call, NULL, NULL, result)
                          : fl_aio_wait(call, future, result);
}

/* ---- wait_for ---- */

enum { PREDICATE = 1 };

/* `reached`: while wait() may end without waiting, and once it has. */
enum { WAITING_STARTS = 1, WAITED_NOT };

/* Whether the predicate is met; then *result is what it gave. escapes. 1, 0 or -1. */
static int
is_met(const AioCallObject *call, PyObject **result)
{
    *result = PyObject_CallNoArgs(call->args[PREDICATE]);
    int met = *result == NULL ? -1 : PyObject_IsTrue(*result);
    if (met <= 0) {
        Py_CLEAR(*result);
    }
    return met;
}

/* As long as the predicate is not met, waits. */
static PySendResult
go_on_waiting(AioCallObject *call, PyObject **result)
{
    PyObject *name = fl_aio_state_of(call)->str_wait;
    int met;
    while ((met = is_met(call, result)) == 0) { /* escapes */
        call->reached = WAITING_STARTS;
        PyObject *coro = PyObject_CallMethodNoArgs(call->args[0], name);
        PySendResult status = fl_aio_wait(call, coro, result); /* escapes */
        if (call->reached != WAITED_NOT) {
            call->reached = 0;
            return status;
        }
        Py_CLEAR(*result);
    }
    return met > 0 ? PYGEN_RETURN : PYGEN_ERROR;
}

static PySendResult
wait_for_start(AioCallObject *call, PyObject **result)
{
    return fl_condition_plain_lock(call->args[0]) == NULL
               ? fl_aio_delegate(call, result)
               : go_on_waiting(call, result);
}

static PySendResult
wait_for_after(
    AioCallObject *call, PyObject *Py_UNUSED(future), PyObject *value, PyObject **result
)
{
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    if (call->reached == WAITING_STARTS) {
        call->reached = WAITED_NOT;
        *result = Py_NewRef(value);
        return PYGEN_RETURN;
    }
    return go_on_waiting(call, result);
}

#define CONDITION_TYPE offsetof(struct fl_state, condition_type)

const struct fl_aio_call fl_condition_wait_call = {
    CONDITION_TYPE, 1, 1, wait_start, wait_after,
};
const struct fl_aio_call fl_condition_wait_for_call = {
    CONDITION_TYPE, 2, 2, wait_for_start, wait_for_after,
};
