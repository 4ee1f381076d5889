/* sleep(): asyncio.sleep in C.
 *
 * What is not a float or an int to sleep for is left to asyncio's, and so is NaN, which
 * it refuses from 3.13 on.
 */
#include "aio/wait/sleep.h"

#include "aio/futures.h"
#include "aio/lock/waiters.h"
#include "py/args/args.h"

#include <math.h>

/* ---- the timer ---- */

static int
ring(
    LoopObject *Py_UNUSED(loop), PyObject *target, PyObject *value,
    PyObject *Py_UNUSED(context)
)
{
    FutureObject *future = fl_future(target);
    if (future->status == FL_FUTURE_CANCELLED) {
        return 0;
    }
    return fl_future_set_result(future, value); /* escapes */
}

static int
describe(
    struct fl_state *state, PyObject *target, PyObject *value,
    struct fl_alarm_call *call
)
{
    *call = (struct fl_alarm_call){
        .callback = Py_NewRef(state->set_result_unless_cancelled),
        .args = {target, value},
        .n_args = 2,
    };
    return 0;
}

const struct fl_alarm_kind fl_sleep_alarm = {
    .name = "sleep",
    .ring = ring,
    .call = describe,
};

/* ---- the coroutine ---- */

static PyObject *
result_of(const AioCallObject *self)
{
    return Py_NewRef(self->args[1] != NULL ? self->args[1] : Py_None);
}

/* Waits for a future that a timer ends. */
static PySendResult
wait_for_timer(AioCallObject *self, PyObject *loop, PyObject **result)
{
    struct fl_state *state = fl_aio_state_of(self);
    PyObject *future = fl_aio_new_future(state, loop); /* escapes */
    if (future == NULL) {
        return PYGEN_ERROR;
    }
    const struct fl_alarm_about about = {
        .kind = &fl_sleep_alarm,
        .target = future,
        .value = self->args[1] != NULL ? self->args[1] : Py_None,
        .plain = Py_IS_TYPE(future, state->future_type),
    };
    if (fl_alarm_later(&self->alarm, state, loop, self->args[0], &about) < 0) {
        Py_DECREF(future); /* escaped */
        return PYGEN_ERROR;
    }
    return fl_aio_wait(self, future, result);
}

static PySendResult
sleep_start(AioCallObject *self, PyObject **result)
{
    double delay_s;
    if (!fl_plain_seconds(self->args[0], &delay_s) || isnan(delay_s)) {
        return fl_aio_delegate(self, result);
    }
    if (delay_s <= 0.0) {
        return fl_aio_yield(self, result);
    }
    PyObject *loop = fl_aio_running_loop(fl_aio_state_of(self));
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = loop == Py_None ? fl_aio_delegate(self, result)
                                          : wait_for_timer(self, loop, result);
    Py_DECREF(loop);
    return status;
}

static PySendResult
sleep_after(AioCallObject *self, PyObject *future, PyObject *value, PyObject **result)
{
    if (fl_alarm_is_set(&self->alarm)) { /* else it has rung, or there was none */
        PyObject *exc = value == NULL ? fl_error_take() : NULL;
        if (fl_alarm_cancel(&self->alarm) < 0) { /* escapes */
            fl_aio_raise_over(exc);
            return PYGEN_ERROR;
        }
        fl_error_restore(exc);
    }
    if (value == NULL) {
        return PYGEN_ERROR;
    }
    *result = future == NULL ? result_of(self) : Py_NewRef(value);
    return PYGEN_RETURN;
}

static const struct fl_aio_call sleep_call = {
    .n_args = 2,
    .n_needed = 1,
    .start = sleep_start,
    .after = sleep_after,
};

int
fl_sleep_add(PyObject *module, struct fl_state *state)
{
    return fl_aio_add_coroutine(
        module, state, "sleep", &sleep_call, state->asyncio_sleep, state->str_result
    );
}
