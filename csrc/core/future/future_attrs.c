/* The private attributes of futures and tasks that libraries read.
 *
 * asyncio's reprs, gather, shield and call graph read them, and so do anyio,
 * tornado and others: each is live.
 */
#include "core/future/future.h"

#include "py/state/tables.h"

PyObject *
fl_future_get_state(PyObject *op, void *Py_UNUSED(closure))
{
    FutureObject *self = fl_future(op);
    if (fl_future_check_alive(self) < 0) {
        return NULL;
    }
    const struct fl_state *state = fl_future_state(self);
    if (state == NULL) {
        return NULL;
    }
    PyObject *const names[] = {
        state->str_PENDING, state->str_CANCELLED, state->str_FINISHED
    };
    return Py_NewRef(names[self->status]);
}

PyObject *
fl_future_get_blocking(PyObject *op, void *Py_UNUSED(closure))
{
    FutureObject *self = fl_future(op);
    return PyBool_FromLong(self->loop != NULL && self->blocking);
}

int
fl_future_set_blocking(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    FutureObject *self = fl_future(op);
    if (fl_future_check_alive(self) < 0) {
        return -1;
    }
    int truth = fl_attr_truth(value);
    if (truth < 0) {
        return -1;
    }
    self->blocking = truth != 0;
    return 0;
}

PyObject *
fl_future_get_loop_attr(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_or_none(fl_future(op)->loop);
}

PyObject *
fl_future_get_callbacks(PyObject *op, void *Py_UNUSED(closure))
{
    FutureObject *self = fl_future(op);
    return fl_future_check_alive(self) < 0 ? NULL : fl_future_list_callbacks(self);
}

PyObject *
fl_future_get_result_attr(PyObject *op, void *Py_UNUSED(closure))
{
    FutureObject *self = fl_future(op);
    if (fl_future_check_alive(self) < 0) {
        return NULL;
    }
    return fl_or_none(self->result);
}

PyObject *
fl_future_get_exception_attr(PyObject *op, void *Py_UNUSED(closure))
{
    FutureObject *self = fl_future(op);
    if (fl_future_check_alive(self) < 0) {
        return NULL;
    }
    return fl_or_none(self->exception);
}

PyObject *
fl_future_get_log_traceback(PyObject *op, void *Py_UNUSED(closure))
{
    FutureObject *self = fl_future(op);
    if (fl_future_check_alive(self) < 0) {
        return NULL;
    }
    return PyBool_FromLong(self->log_tb);
}

int
fl_future_set_log_traceback(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = fl_attr_truth(value);
    if (truth < 0) {
        return -1;
    }
    if (truth) {
        PyErr_SetString(PyExc_ValueError, "_log_traceback can only be set to False");
        return -1;
    }
    fl_future(op)->log_tb = 0;
    return 0;
}

PyObject *
fl_future_get_source_traceback(PyObject *op, void *Py_UNUSED(closure))
{
    FutureObject *self = fl_future(op);
    return fl_or_none(self->loop == NULL ? NULL : self->source_tb);
}

PyObject *
fl_future_get_cancel_message(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_or_none(fl_future(op)->cancel_msg);
}

int
fl_future_set_cancel_message(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
        return -1;
    }
    Py_XSETREF(fl_future(op)->cancel_msg, Py_NewRef(value));
    return 0;
}

#if defined(FL_HAVE_THREAD_TASKS)
PyObject *
fl_future_get_awaited_by(PyObject *op, void *Py_UNUSED(closure))
{
    const struct fl_base_future *base = fl_base_future(op);
    if (base->awaited_by == NULL) {
        Py_RETURN_NONE;
    }
    if (base->awaited_by_is_set) {
        return PyFrozenSet_New(base->awaited_by);
    }
    PyObject *set = PyFrozenSet_New(NULL);
    if (set != NULL && PySet_Add(set, base->awaited_by) < 0) {
        Py_CLEAR(set);
    }
    return set;
}
#endif
