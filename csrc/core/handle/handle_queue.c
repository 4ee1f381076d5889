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

/* BaseEventLoop._add_callback(handle): queue a Handle, of any class. */
PyObject *
fl_loop_add_callback(PyObject *op, PyObject *handle)
{
    LoopObject *self = (LoopObject *)op;
    PyTypeObject *type = Py_TYPE(handle);
    if (type == self->state->handle_type || type == self->state->timer_handle_type ||
        type == self->state->threadsafe_handle_type) {
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
    PyObject *run = PyObject_GetAttrString(handle, "_run");
    if (run == NULL) {
        return NULL;
    }
    int status = fl_sched_push(self, fl_handle_new(self, run, NULL, 0, NULL));
    Py_DECREF(run);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}
