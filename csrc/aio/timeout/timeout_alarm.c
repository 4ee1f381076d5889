/* Timeout's timer. */
#include "aio/futures.h"
#include "aio/timeout/timeout.h"
#include "core/handle/timer_handle.h"

/* ---- its end ---- */

int
fl_timeout_expire(TimeoutObject *self)
{
    const struct fl_state *state = self->base.state;
    PyObject *task = Py_NewRef(self->task);
    int cancelled = fl_aio_cancel(state, task); /* escapes */
    Py_DECREF(task);
    if (cancelled < 0) {
        return -1;
    }
    fl_timeout_set_state(self, state->aio.timeout_expiring);
    fl_alarm_forget(&self->alarm);
    return 0;
}

static int
expire_object(PyObject *op)
{
    return fl_timeout_expire(fl_timeout_of(op)); /* escapes */
}

static int
ring(LoopObject *loop, PyObject *target, PyObject *Py_UNUSED(value), PyObject *context)
{
    TimeoutObject *self = fl_timeout_of(target);
    const struct fl_state *state = loop->state;
    if (!fl_timeout_is_in(self, state->aio.timeout_entered) || self->task == NULL ||
        !Py_IS_TYPE(self->task, state->task_type)) {
        return fl_call_status(
            fl_aio_stock_noargs(state->asyncio_Timeout, state->str__on_timeout, target)
        );
    }
    return fl_timer_cancels_only_ours(state, self->task)
               ? fl_timeout_expire(self)
               : fl_alarm_in_context(context, expire_object, target);
}

int
fl_timeout_describe(PyObject *op, struct fl_alarm_call *call)
{
    const struct fl_state *state = fl_timeout_of(op)->base.state;
    *call = (struct fl_alarm_call){
        .callback = PyObject_GetAttr(op, state->str__on_timeout),
    };
    return call->callback == NULL ? -1 : 0;
}

static int
describe(
    struct fl_state *Py_UNUSED(state), PyObject *target, PyObject *Py_UNUSED(value),
    struct fl_alarm_call *call
)
{
    return fl_timeout_describe(target, call);
}

static const struct fl_alarm_kind timeout_alarm = {
    .name = "timeout",
    .ring = ring,
    .call = describe,
};

/* ---- its time ---- */

/* when <= loop.time(): 1, 0 or -1. escapes. */
static int
is_over(struct fl_state *state, PyObject *loop, PyObject *when)
{
    if (PyFloat_CheckExact(when) && fl_alarm_loop(loop) != NULL) {
        double when_s = PyFloat_AS_DOUBLE(when);
        /* fast: of what is far off it is enough to know about when it is (5 ns instead
         * of 70) */
        return when_s - fl_clock_coarse_s() < 1.0 && when_s <= fl_clock_monotonic_s();
    }
    PyObject *now = PyObject_CallMethodNoArgs(loop, state->str_time);
    if (now == NULL) {
        return -1;
    }
    int over = PyObject_RichCompareBool(when, now, Py_LE); /* escapes */
    Py_DECREF(now);
    return over;
}

int
fl_timeout_schedule(TimeoutObject *self, PyObject *loop)
{
    struct fl_state *state = self->base.state;
    const struct fl_alarm_about about = {
        .kind = &timeout_alarm,
        .target = (PyObject *)self,
        .plain = self->task != NULL && Py_IS_TYPE(self->task, state->task_type),
    };
    PyObject *when = Py_NewRef(self->when);
    int status = is_over(state, loop, when); /* escapes */
    if (status > 0) {
        status = fl_alarm_soon(&self->alarm, state, loop, &about);
    }
    else if (status == 0) {
        status = fl_alarm_at(&self->alarm, state, loop, when, &about);
    }
    Py_DECREF(when);
    return status;
}
