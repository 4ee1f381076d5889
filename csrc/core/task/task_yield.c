/* What a coroutine yielded, and waiting for it.
 *
 * Our own types are recognised by their exact type before any attribute is looked
 * up; everything else is treated as asyncio treats it, by its documented face:
 * _asyncio_future_blocking, get_loop() and add_done_callback().
 */
#include "core/future/awaited_by.h"
#include "core/future/task_wakeup.h"
#include "core/loop/sched.h"
#include "core/task/task_step.h"
#include "py/args/call.h"
#include "py/state/tables.h"

/* Throws RuntimeError(message) in the next step. Steals message, which may be NULL
 * with an exception set. */
static FL_APART int
throw_soon(TaskObject *self, PyObject *message)
{
    if (message == NULL) {
        return -1;
    }
    PyObject *error = PyObject_CallOneArg(PyExc_RuntimeError, message);
    Py_DECREF(message);
    if (error == NULL) {
        return -1;
    }
    int status = fl_task_step_soon(self, error);
    Py_DECREF(error);
    return status;
}

static FL_SLOW int
refuse_self(TaskObject *self)
{
    return throw_soon(
        self, PyUnicode_FromFormat("Task cannot await on itself: %R", self)
    );
}

static FL_SLOW int
refuse_other_loop(TaskObject *self, PyObject *yielded)
{
    return throw_soon(
        self, PyUnicode_FromFormat(
                  "Task %R got Future %R attached to a different loop", self, yielded
              )
    );
}

static FL_SLOW int
refuse_plain_yield(TaskObject *self, PyObject *yielded)
{
    return throw_soon(
        self,
        PyUnicode_FromFormat(
            "yield was used instead of yield from in task %R with %R", self, yielded
        )
    );
}

static int
refuse_rubbish(TaskObject *self, PyObject *yielded)
{
    int is_generator = PyObject_IsInstance(yielded, (PyObject *)&PyGen_Type);
    if (is_generator < 0) {
        return -1;
    }
    if (is_generator) {
        return throw_soon(
            self, PyUnicode_FromFormat(
                      "yield was used instead of yield from for generator in task %R "
                      "with %R",
                      self, yielded
                  )
        );
    }
    return throw_soon(self, PyUnicode_FromFormat("Task got bad yield: %R", yielded));
}

/* The task was cancelled while its coroutine ran: cancel what it waits for. */
static FL_APART int
pass_cancellation_on(const struct fl_state *state, TaskObject *self)
{
    PyObject *waiter = Py_XNewRef(self->base.fut_waiter);
    if (waiter == NULL) {
        return 0;
    }
    PyObject *message = self->base.future.cancel_msg;
    message = fl_or_none(message);
    PyObject *result =
        PyObject_CallMethodOneArg(waiter, state->str_cancel, message); /* escapes */
    Py_DECREF(message);
    Py_DECREF(waiter);
    int cancelled = fl_call_truth(result);
    if (cancelled > 0) {
        FL_TASK_FLAGS(&self->base)->must_cancel = 0;
    }
    return cancelled < 0 ? -1 : 0;
}

/* ---- our own futures and tasks ---- */

static int
wait_for_own(
    struct fl_state *state, TaskObject *self, PyObject *yielded, FutureObject *own
)
{
    if (own->loop != self->base.future.loop) {
        return refuse_other_loop(self, yielded);
    }
    if (!own->blocking) {
        return refuse_plain_yield(self, yielded);
    }
    if (fl_awaited_by_add(state, yielded, (PyObject *)self) < 0) {
        return -1;
    }
    own->blocking = 0;
    Py_XSETREF(self->base.fut_waiter, Py_NewRef(yielded));
    if (fl_future_add_waiter(own, state, (PyObject *)self) < 0) {
        return -1;
    }
    return FL_TASK_FLAGS(&self->base)->must_cancel ? pass_cancellation_on(state, self)
                                                   : 0;
}

/* ---- foreign futures ---- */

PyObject *
fl_loop_of_foreign(const struct fl_state *state, PyObject *future)
{
    PyObject *get_loop;
    if (fl_optional_attribute(future, state->str_get_loop, &get_loop) < 0) {
        return NULL;
    }
    if (get_loop == NULL) {
        return PyObject_GetAttr(future, state->str__loop); /* escapes */
    }
    PyObject *loop = PyObject_CallNoArgs(get_loop); /* escapes */
    Py_DECREF(get_loop);
    return loop;
}

static int
add_wakeup_to_foreign(struct fl_state *state, TaskObject *self, PyObject *future)
{
    if (fl_awaited_by_add(state, future, (PyObject *)self) < 0) {
        return -1;
    }
    if (PyObject_SetAttr(future, state->str__asyncio_future_blocking, Py_False) < 0) {
        return -1;
    }
    PyObject *wakeup = fl_task_wakeup_method(state, (PyObject *)self);
    if (wakeup == NULL) {
        return -1;
    }
    PyObject *context = Py_NewRef(self->base.context);
    PyObject *stack[3] = {future, wakeup, context};
    PyObject *result = PyObject_VectorcallMethod(
        state->str_add_done_callback, stack, 2, state->kw_context
    ); /* escapes */
    Py_DECREF(context);
    Py_DECREF(wakeup);
    return fl_call_status(result);
}

static int
wait_for_foreign(
    struct fl_state *state, TaskObject *self, PyObject *future, bool blocking
)
{
    PyObject *loop = fl_loop_of_foreign(state, future);
    if (loop == NULL) {
        return -1;
    }
    bool same_loop = loop == self->base.future.loop;
    Py_DECREF(loop);
    if (!same_loop) {
        return refuse_other_loop(self, future);
    }
    if (!blocking) {
        return refuse_plain_yield(self, future);
    }
    if (add_wakeup_to_foreign(state, self, future) < 0) {
        return -1;
    }
    Py_XSETREF(self->base.fut_waiter, Py_NewRef(future));
    return FL_TASK_FLAGS(&self->base)->must_cancel ? pass_cancellation_on(state, self)
                                                   : 0;
}

/* Whether it claims to be a future: *blocking is then the claim's value. 1, 0, or
 * -1. */
static int
claims_to_be_future(const struct fl_state *state, PyObject *yielded, bool *blocking)
{
    PyObject *claim;
    if (fl_optional_attribute(yielded, state->str__asyncio_future_blocking, &claim) <
        0) {
        return -1;
    }
    if (claim == NULL || claim == Py_None) {
        Py_XDECREF(claim);
        return 0;
    }
    int truth = PyObject_IsTrue(claim); /* escapes */
    Py_DECREF(claim);
    *blocking = truth > 0;
    return truth < 0 ? -1 : 1;
}

static FL_APART int
wait_for_anything(struct fl_state *state, TaskObject *self, PyObject *yielded)
{
    bool blocking;
    int claims = claims_to_be_future(state, yielded, &blocking);
    if (claims < 0) {
        return -1;
    }
    if (claims) {
        return wait_for_foreign(state, self, yielded, blocking);
    }
    return refuse_rubbish(self, yielded);
}

int
fl_task_wait(struct fl_state *state, TaskObject *self, PyObject *yielded)
{
    int status;
    if (yielded == Py_None) {
        status = fl_task_step_soon(self, NULL);
        Py_DECREF(yielded);
        return status;
    }
    FutureObject *own = fl_future_of(state, yielded);
    if (yielded == (PyObject *)self) {
        status = refuse_self(self);
    }
    else if (own != NULL) {
        status = wait_for_own(state, self, yielded, own);
    }
    else {
        status = wait_for_anything(state, self, yielded);
    }
    Py_DECREF(yielded);
    return status;
}
