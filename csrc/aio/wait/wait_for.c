/* wait_for(): asyncio.wait_for in C, from 3.12 on, where it is a timeout around an
 * await. What waits for no time at all is asyncio's.
 */
#include "aio/wait/wait_for.h"

#include "aio/call.h"
#include "aio/futures.h"
#include "aio/timeout/timeout.h"
#include "aio/wait/wait_for_task.h"
#include "py/args/args.h"
#include "py/error.h"

/* What it is waited for with: args[2]. */
enum { FUTURE, DELAY, TIMEOUT };

/* Whether it is None or, as C finds as well as Python would, more than zero. */
static bool
is_plain_delay(PyObject *delay)
{
    double delay_s;
    return delay == Py_None ||
           (fl_plain_seconds(delay, &delay_s) && !(delay_s <= 0.0)); /* or NaN */
}

static PySendResult
start_on(AioCallObject *self, PyObject *loop, PyObject **result)
{
    struct fl_state *state = fl_aio_state_of(self);
    PyObject *timeout = fl_timeout_new(state, loop, self->args[DELAY]); /* escapes */
    if (timeout == NULL) {
        return PYGEN_ERROR;
    }
    Py_XSETREF(self->args[TIMEOUT], timeout);
    if (fl_timeout_enter(timeout, loop) < 0) { /* escapes */
        return PYGEN_ERROR;
    }
    return fl_aio_wait(self, Py_NewRef(self->args[FUTURE]), result);
}

static PySendResult
wait_for_start(AioCallObject *self, PyObject **result)
{
    PyObject *loop = fl_aio_running_loop(fl_aio_state_of(self));
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = loop == Py_None || !is_plain_delay(self->args[DELAY])
                              ? fl_aio_delegate(self, result)
                              : start_on(self, loop, result); /* escapes */
    Py_DECREF(loop);
    return status;
}

static PySendResult
wait_for_after(
    AioCallObject *self, PyObject *Py_UNUSED(future), PyObject *value, PyObject **result
)
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
