/* Queueing a handle that there is, of any class. */
#include "core/loop/sched.h"

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
    PyObject *queued = fl_sched_handle(self, fl_handle_new(self, run, NULL, 0, NULL));
    Py_DECREF(run);
    Py_XDECREF(queued);
    return queued == NULL ? NULL : Py_NewRef(Py_None);
}
