/* Queueing otherwise than by the short ways of core/loop/sched.h. */
#include "core/loop/sched.h"

#include "py/args/call.h"

int
fl_sched_ask(
    const struct fl_state *state, PyObject *loop, PyObject *callback,
    PyObject *argument, PyObject *context
)
{
    PyObject *stack[4] = {loop, callback, argument, context};
    if (argument == NULL) {
        stack[2] = context;
    }
    /* whoever replaced call_soon may replace them */
    Py_INCREF(loop);
    Py_INCREF(context);
    PyObject *handle = PyObject_VectorcallMethod(
        state->str_call_soon, stack, argument == NULL ? 2 : 3, state->kw_context
    ); /* escapes */
    Py_DECREF(context);
    Py_DECREF(loop);
    return fl_call_status(handle);
}

static bool
is_of_ours(const LoopObject *loop, PyObject *handle)
{
    const PyTypeObject *type = Py_TYPE(handle);
    return type == loop->state->handle_type || type == loop->state->timer_handle_type ||
           type == loop->state->threadsafe_handle_type;
}

int
fl_handle_is_cancelled(const LoopObject *loop, PyObject *handle)
{
    if (is_of_ours(loop, handle)) {
        return ((HandleObject *)handle)->cancelled;
    }
    return fl_call_truth(PyObject_GetAttrString(handle, "_cancelled")); /* escapes */
}

/* BaseEventLoop._add_callback(handle): queue a Handle, of any class. */
PyObject *
fl_loop_add_callback(PyObject *op, PyObject *handle)
{
    LoopObject *self = (LoopObject *)op;
    if (is_of_ours(self, handle)) {
        fl_handle_settle((HandleObject *)handle); /* it may be queued already */
        if (!((HandleObject *)handle)->cancelled &&
            fl_loop_push(self, (uintptr_t)handle | FL_ENTRY_HANDLE) == 0) {
            Py_INCREF(handle);
        }
        if (PyErr_Occurred()) {
            return NULL;
        }
        Py_RETURN_NONE;
    }
    int cancelled = fl_handle_is_cancelled(self, handle); /* escapes */
    if (cancelled != 0) {
        return cancelled < 0 ? NULL : Py_NewRef(Py_None);
    }
    PyObject *run = PyObject_GetAttrString(op, "_run_handle");
    if (run == NULL) {
        return NULL;
    }
    int status = fl_sched_push(self, fl_handle_new(self, run, &handle, 1, NULL));
    Py_DECREF(run);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* _run_handle(handle): what the queue has of a Handle of another class. */
PyObject *
fl_loop_run_handle(PyObject *op, PyObject *handle)
{
    int cancelled = fl_handle_is_cancelled((LoopObject *)op, handle); /* escapes */
    if (cancelled != 0) {
        return cancelled < 0 ? NULL : Py_NewRef(Py_None);
    }
    return PyObject_CallMethod(handle, "_run", NULL); /* escapes */
}
