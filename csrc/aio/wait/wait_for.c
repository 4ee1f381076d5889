/* wait_for(): asyncio.wait_for in C, from 3.12 on, where it is a timeout around an
 * await. What waits for no time at all is asyncio's.
 *
 * The Timeout is made when there is something to see of it: when somebody looks at the
 * loop's timers, when the time has come, and where its timer is no alarm. (A wait that
 * ends in time: 700 of 6,300 instructions less, 3.14.)
 */
#include "aio/wait/wait_for.h"

#include "aio/call.h"
#include "aio/futures.h"
#include "aio/timeout/timeout.h"
#include "aio/wait/wait_for_task.h"
#include "core/handle/timer_handle.h"
#include "py/args/args.h"
#include "py/error.h"

#include <math.h>

/* What it is waited for with, and for how long; then the task that waits, None where
 * there is a Timeout from the start, and the Timeout, or NULL. */
enum { FUTURE, DELAY, TASK, TIMEOUT };

/* Whether it is None or, as C finds as well as Python would, more than zero. */
static bool
is_plain_delay(PyObject *delay, double *delay_s)
{
    *delay_s = NAN;
    return delay == Py_None ||
           (fl_plain_seconds(delay, delay_s) && !(*delay_s <= 0.0)); /* or NaN */
}

/* ---- the Timeout ---- */

/* Borrowed, or NULL with an exception. */
static PyObject *
need_timeout(AioCallObject *self, double when_s)
{
    if (self->args[TIMEOUT] == NULL) {
        PyObject *when = PyFloat_FromDouble(when_s);
        if (when != NULL) {
            self->args[TIMEOUT] = fl_timeout_entered(
                fl_aio_state_of(self), when, self->args[TASK], self->cancelling
            );
            Py_DECREF(when);
        }
    }
    return self->args[TIMEOUT];
}

static AioCallObject *
call_of(struct fl_alarm_slot *slot)
{
    return FL_CONTAINER_OF(slot, AioCallObject, alarm);
}

static int
expire(PyObject *op)
{
    AioCallObject *self = (AioCallObject *)(void *)op;
    PyObject *task = Py_NewRef(self->args[TASK]);
    int cancelled = fl_aio_cancel(fl_aio_state_of(self), task); /* escapes */
    Py_DECREF(task);
    if (cancelled < 0) {
        return -1;
    }
    self->expired = true;
    return 0;
}

static int
ring_of(LoopObject *loop, struct fl_alarm_slot *slot, PyObject *context)
{
    AioCallObject *self = call_of(slot);
    PyObject *op = Py_NewRef((PyObject *)self);
    int status = fl_timer_cancels_only_ours(loop->state, self->args[TASK])
                     ? expire(op)
                     : fl_alarm_in_context(context, expire, op); /* escapes */
    Py_DECREF(op);
    return status;
}

static int
describe_of(struct fl_alarm_slot *slot, double when_s, struct fl_alarm_call *call)
{
    PyObject *timeout = need_timeout(call_of(slot), when_s);
    return timeout == NULL ? -1 : fl_timeout_describe(timeout, call);
}

/* The handle is the Timeout's. */
static void
shown(struct fl_alarm_slot *slot)
{
    TimeoutObject *timeout = fl_timeout_of(call_of(slot)->args[TIMEOUT]);
    Py_XSETREF(timeout->alarm.handle, slot->handle);
    slot->handle = NULL;
}

/* Of a wait that is over but for its timer. */
static int
ring(
    LoopObject *loop, PyObject *task, PyObject *Py_UNUSED(value),
    PyObject *Py_UNUSED(context)
)
{
    return fl_aio_cancel(loop->state, task) < 0 ? -1 : 0; /* escapes */
}

static int
describe(
    struct fl_state *state, PyObject *task, PyObject *Py_UNUSED(value),
    struct fl_alarm_call *call
)
{
    PyObject *timeout = fl_timeout_entered(state, Py_None, task, 0);
    int status = timeout == NULL ? -1 : fl_timeout_describe(timeout, call);
    Py_XDECREF(timeout);
    return status;
}

static const struct fl_alarm_kind wait_for_alarm = {
    .name = "timeout",
    .ring = ring,
    .call = describe,
    .ring_of = ring_of,
    .call_of = describe_of,
    .shown = shown,
};

/* ---- the wait ---- */

/* Sets the timer without a Timeout: 1, 0 if that cannot be, or -1. */
static int
set_alarm(AioCallObject *self, PyObject *loop, double delay_s)
{
    struct fl_state *state = fl_aio_state_of(self);
    LoopObject *own = fl_alarm_loop(loop);
    /* asyncio looks twice at the clock, and may find that what is less is over */
    if (own == NULL || !(delay_s >= 1e-3) || fl_current_task_is_replaced(state)) {
        return 0;
    }
    PyObject *task = fl_aio_current_task(state, loop);
    if (task == NULL) {
        return -1;
    }
    if (!Py_IS_TYPE(task, state->task_type)) {
        Py_DECREF(task);
        return 0;
    }
    const struct fl_alarm_about about = {&wait_for_alarm, task, NULL, true};
    self->args[TASK] = task;
    self->cancelling = fl_base_task(task)->num_cancels_requested;
    self->expired = false;
    double when_s = fl_clock_monotonic_s() + delay_s;
    return fl_alarm_set(&self->alarm, own, when_s, &about) < 0 ? -1 : 1;
}

/* The same with one. escapes. 0 or -1. */
static int
enter_timeout(AioCallObject *self, PyObject *loop)
{
    PyObject *timeout =
        fl_timeout_new(fl_aio_state_of(self), loop, self->args[DELAY]); /* escapes */
    if (timeout == NULL) {
        return -1;
    }
    self->args[TASK] = Py_NewRef(Py_None);
    self->args[TIMEOUT] = timeout;
    self->expired = false;
    return fl_timeout_enter(timeout, loop); /* escapes */
}

static PySendResult
start_on(AioCallObject *self, PyObject *loop, double delay_s, PyObject **result)
{
    int set = set_alarm(self, loop, delay_s); /* escapes */
    if (set < 0 || (set == 0 && enter_timeout(self, loop) < 0)) {
        return PYGEN_ERROR;
    }
    return fl_aio_wait(self, Py_NewRef(self->args[FUTURE]), result);
}

static PySendResult
wait_for_start(AioCallObject *self, PyObject **result)
{
    double delay_s;
    PyObject *loop = fl_aio_running_loop(fl_aio_state_of(self));
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status =
        loop == Py_None || !is_plain_delay(self->args[DELAY], &delay_s)
            ? fl_aio_delegate(self, result)
            : start_on(self, loop, delay_s, result); /* escapes */
    Py_DECREF(loop);
    return status;
}

/* Leaves the Timeout with the exception set, or with value. escapes. */
static PySendResult
leave_timeout(AioCallObject *self, PyObject *value, PyObject **result)
{
    PyObject *timeout = Py_NewRef(self->args[TIMEOUT]);
    int status;
    if (value != NULL) {
        status = fl_timeout_exit(timeout, NULL); /* escapes */
        *result = status < 0 ? NULL : Py_NewRef(value);
    }
    else {
        PyObject *exc = fl_error_take();
        struct fl_handling handling;
        fl_handling_begin(&handling, exc);
        status = fl_timeout_exit(timeout, exc); /* escapes */
        fl_handling_end(&handling);
        if (status < 0) {
            Py_DECREF(exc);
        }
        else {
            fl_error_restore(exc);
            status = -1;
        }
    }
    Py_DECREF(timeout);
    return status < 0 ? PYGEN_ERROR : PYGEN_RETURN;
}

/* The time has come: what that means the Timeout knows. escapes. */
static PySendResult
leave_expired(AioCallObject *self, PyObject *value, PyObject **result)
{
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    PyObject *timeout = need_timeout(self, NAN);
    if (timeout == NULL) {
        Py_XDECREF(exc);
        return PYGEN_ERROR;
    }
    struct fl_state *state = fl_aio_state_of(self);
    fl_timeout_set_state(fl_timeout_of(timeout), state->aio.timeout_expiring);
    if (exc != NULL) {
        fl_error_restore(exc);
    }
    return leave_timeout(self, value, result);
}

static PySendResult
wait_for_after(
    AioCallObject *self, PyObject *Py_UNUSED(future), PyObject *value, PyObject **result
)
{
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    (void)fl_alarm_cancel(&self->alarm); /* it is no handle; escapes */
    if (exc != NULL) {
        fl_error_restore(exc);
    }
    if (FL_UNLIKELY(self->expired)) {
        return leave_expired(self, value, result);
    }
    if (self->args[TIMEOUT] != NULL) {
        return leave_timeout(self, value, result);
    }
    *result = Py_XNewRef(value);
    return value == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static const struct fl_aio_call wait_for_call = {
    .n_args = 2,
    .n_needed = 2,
    .start = wait_for_start,
    .after = wait_for_after,
};

int
fl_wait_for_add(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_call *call =
        FL_WAIT_FOR_IS_TIMEOUT ? &wait_for_call : &fl_wait_for_task_call;
    return fl_aio_add_coroutine(
        module, state, "wait_for", call, state->asyncio_wait_for, state->str_timeout
    );
}
