/* TimerHandle: a Handle that becomes ready at a time of the loop's clock.
 *
 * While it waits, the loop's timers own a reference to it. Cancelling takes it
 * out at once and drops that reference.
 */
#include "core/handle/timer_handle.h"

#include "core/loop/sched.h"
#include "core/task/task.h"
#include "py/error.h"
#include "py/mirror/layout.h"
#include "py/state/tables.h"

PyObject *
fl_timer_handle_start(
    LoopObject *loop, double when_s, PyObject *when, PyObject *callback,
    PyObject *const *args, Py_ssize_t n_args, PyObject *context
)
{
    TimerHandleObject *self = (TimerHandleObject *)(void *)fl_handle_alloc(
        loop->state->timer_handle_type, loop, &loop->free_timer_handles
    );
    if (self == NULL) {
        return NULL;
    }
    self->timer.where = FL_TIMER_OUT;
    self->timer.when_s = when_s;
    if (fl_handle_fill(&self->base, loop, callback, args, n_args, context) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->base.when = Py_XNewRef(when);
    if (fl_timers_add(&loop->timers, &self->timer, when_s) < 0) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return Py_NewRef((PyObject *)self); /* one for the timers, one for the caller */
}

void
fl_timer_handle_withdraw(TimerHandleObject *self)
{
    if (self->timer.where == FL_TIMER_OUT) {
        return;
    }
    fl_timers_remove(&self->base.loop->timers, &self->timer);
    fl_handle_release(&self->base); /* escapes */
}

/* What the callback sets the result of the future to that is its first argument, or
 * NULL if it is none of asyncio's that do this. Borrowed. */
static PyObject *
result_to_set(const struct fl_state *state, const HandleObject *handle)
{
    if (handle->n_inline == 0 || handle->args != NULL) {
        return NULL;
    }
    if (handle->callback == state->set_result_unless_cancelled) {
        return handle->n_inline == 2 ? handle->vector[2] : NULL;
    }
    if (handle->callback == state->asyncio_release_waiter) {
        return handle->n_inline == 1 ? Py_None : NULL;
    }
    return NULL;
}

bool
fl_timer_cancels_only_ours(const struct fl_state *state, PyObject *task)
{
    for (int i = 0; i < 64; i++) {
        PyObject *waiter = fl_base_task(task)->fut_waiter;
        if (waiter == NULL || Py_IS_TYPE(waiter, state->future_type)) {
            return true;
        }
        if (!Py_IS_TYPE(waiter, state->task_type)) {
            return false;
        }
        task = waiter;
    }
    return false;
}

/* asyncio's own Timeout whose _on_timeout() the handle calls: borrowed, or NULL. */
static PyObject *
stock_timeout(const struct fl_state *state, const HandleObject *handle)
{
    PyObject *method = handle->callback;
    if (handle->args != NULL || handle->n_inline != 0 || method == NULL ||
        !PyMethod_Check(method) ||
        PyMethod_GET_FUNCTION(method) != state->aio.stock_on_timeout) {
        return NULL;
    }
    PyObject *timeout = PyMethod_GET_SELF(method);
    bool known = Py_IS_TYPE(timeout, (PyTypeObject *)(void *)state->asyncio_Timeout);
    return known ? timeout : NULL;
}

/* Its task, if it is entered and to cancel the task runs no other code: *task new, or
 * NULL. 0, or -1 with an exception. */
static int
task_to_cancel(const struct fl_state *state, PyObject *timeout, PyObject **task)
{
    *task = NULL;
    PyObject *phase = PyObject_GetAttr(timeout, state->str__state); /* escapes */
    if (phase == NULL) {
        return -1;
    }
    bool entered = phase == state->aio.timeout_entered;
    Py_DECREF(phase);
    if (!entered) {
        return 0;
    }
    *task = PyObject_GetAttr(timeout, state->str__task); /* escapes */
    if (*task == NULL) {
        return -1;
    }
    if (!Py_IS_TYPE(*task, state->task_type) ||
        !fl_timer_cancels_only_ours(state, *task)) {
        Py_CLEAR(*task);
    }
    return 0;
}

/* What is left of _on_timeout(). escapes. 0 or -1. */
static int
expire(const struct fl_state *state, PyObject *timeout, PyObject *task)
{
    if (fl_task_cancel((TaskObject *)(void *)task, Py_None) < 0 || /* escapes */
        PyObject_SetAttr(timeout, state->str__state, state->aio.timeout_expiring) < 0) {
        return -1;
    }
    return PyObject_SetAttr(timeout, state->str__timeout_handler, Py_None);
}

/* Sets the future of asyncio's own sleep() and wait_for(), if it can be done in C: 1, 0
 * if not, or -1. escapes. */
static int
set_future(LoopObject *loop, const HandleObject *handle)
{
    PyObject *result = result_to_set(loop->state, handle);
    if (result == NULL || !Py_IS_TYPE(handle->vector[1], loop->state->future_type)) {
        return 0;
    }
    FutureObject *future = fl_future(handle->vector[1]);
    if (future->status != FL_FUTURE_PENDING || fl_sched_loop(future) == NULL) {
        return 0;
    }
    Py_INCREF(future);
    Py_INCREF(result);
    int status = fl_future_set_result(future, result); /* escapes */
    Py_DECREF(result);
    Py_DECREF(future);
    return status < 0 ? -1 : 1;
}

/* The same of a Timeout. */
static int
end_timeout(LoopObject *loop, const HandleObject *handle)
{
    PyObject *timeout = stock_timeout(loop->state, handle);
    if (timeout == NULL) {
        return 0;
    }
    Py_INCREF(timeout);
    PyObject *task;
    int status = task_to_cancel(loop->state, timeout, &task); /* escapes */
    int known = status < 0 ? -1 : task != NULL;
    if (task != NULL) {
        known = expire(loop->state, timeout, task) < 0 ? -1 : 1; /* escapes */
        Py_DECREF(task);
    }
    Py_DECREF(timeout);
    return known;
}

int
fl_timer_handle_run(TimerHandleObject *self)
{
    HandleObject *handle = &self->base;
    LoopObject *loop = handle->loop;
    int known = loop == NULL ? 0 : set_future(loop, handle); /* escapes */
    if (known == 0 && loop != NULL) {
        known = end_timeout(loop, handle); /* escapes */
    }
    if (known == 0) {
        return fl_handle_run(handle);
    }
    int status = known < 0 ? -1 : 0;
    if (status < 0 && !fl_error_is_exit()) {
        PyObject *exc = fl_error_take();
        status = fl_handle_report_as(
            (HandleObject *)Py_NewRef((PyObject *)handle), loop, exc
        );
    }
    return status;
}

PyDoc_STRVAR(
    cancel_doc, "cancel($self, /)\n--\n\n"
                "Cancel the callback; its timer leaves the loop at once."
);

static PyObject *
timer_handle_cancel(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TimerHandleObject *self = (TimerHandleObject *)op;
    if (fl_handle_cancel(&self->base) < 0) {
        return NULL;
    }
    fl_timer_handle_withdraw(self);
    Py_RETURN_NONE;
}

static PyObject *
timer_handle_get_when(PyObject *op, void *Py_UNUSED(closure))
{
    TimerHandleObject *self = (TimerHandleObject *)op;
    if (self->base.when != NULL) {
        return Py_NewRef(self->base.when);
    }
    return PyFloat_FromDouble(self->timer.when_s);
}

PyDoc_STRVAR(
    when_doc, "when($self, /)\n--\n\n"
              "Return the time the callback is due: seconds of loop.time()."
);

static PyObject *
timer_handle_when(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return timer_handle_get_when(op, NULL);
}

static PyObject *
timer_handle_get_scheduled(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((TimerHandleObject *)op)->timer.where != FL_TIMER_OUT);
}

static PyGetSetDef timer_handle_getset[] = {
    {"_scheduled", timer_handle_get_scheduled, NULL, NULL, NULL},
    {"_when", timer_handle_get_when, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef timer_handle_methods[] = {
    {"cancel", timer_handle_cancel, METH_NOARGS, cancel_doc},
    {"when", timer_handle_when, METH_NOARGS, when_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    timer_handle_doc, "A callback to run at a time, made by loop.call_later().\n\n"
                      "Imitates asyncio.TimerHandle, its base class."
);

static PyType_Slot timer_handle_slots[] = {
    {Py_tp_doc, (void *)timer_handle_doc},
    {Py_tp_dealloc, fl_handle_dealloc},
    {Py_tp_traverse, fl_handle_traverse},
    {Py_tp_clear, fl_handle_clear},
    {Py_tp_methods, timer_handle_methods},
    {Py_tp_getset, timer_handle_getset},
    {0, NULL},
};

static PyType_Spec timer_handle_spec = {
    .name = "fastloop.TimerHandle",
    .basicsize = sizeof(TimerHandleObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = timer_handle_slots,
};

static const struct fl_slot inherited_slots[] = {
    {"_callback", offsetof(HandleObject, callback)},
    {"_scheduled", offsetof(HandleObject, slot_scheduled)},
    {"_when", offsetof(HandleObject, when)},
    {NULL, 0},
};

int
fl_timer_handle_add_type(PyObject *module, struct fl_state *state)
{
    PyObject **base = &state->asyncio_TimerHandle;
    PyTypeObject **type = &state->timer_handle_type;
    if (fl_layout_provide(
            base, inherited_slots, offsetof(HandleObject, loop),
            FL_HANDLE_SLOTS " _scheduled _when"
        ) < 0 ||
        fl_make_type(type, module, &timer_handle_spec, *base) < 0) {
        return -1;
    }
    return fl_handle_add_inherited(*type);
}
