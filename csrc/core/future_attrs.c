/* The private attributes of futures and tasks that libraries read.
 *
 * asyncio's reprs, gather, shield and call graph read them, and so do anyio,
 * tornado and others: each is live.
 */
#include "core/future.h"

#include "py/tables.h"

static struct fl_future_state *
own_at(PyObject *op, void *closure)
{
    return (struct fl_future_state *)(void *)((char *)op + (Py_ssize_t)closure);
}

PyObject *
fl_future_get_state(PyObject *op, void *closure)
{
    const struct fl_future_state *own = own_at(op, closure);
    if (fl_future_check_alive(own) < 0) {
        return NULL;
    }
    const struct fl_state *state = own->state;
    PyObject *const names[] = {
        state->str_PENDING, state->str_CANCELLED, state->str_FINISHED
    };
    return Py_NewRef(names[own->status]);
}

PyObject *
fl_future_get_blocking(PyObject *op, void *closure)
{
    const struct fl_future_state *own = own_at(op, closure);
    return PyBool_FromLong(own->loop != NULL && own->blocking);
}

int
fl_future_set_blocking(PyObject *op, PyObject *value, void *closure)
{
    struct fl_future_state *own = own_at(op, closure);
    if (fl_future_check_alive(own) < 0) {
        return -1;
    }
    int truth = fl_attr_truth(value);
    if (truth < 0) {
        return -1;
    }
    own->blocking = truth != 0;
    return 0;
}

PyObject *
fl_future_get_loop_attr(PyObject *op, void *closure)
{
    return fl_or_none(own_at(op, closure)->loop);
}

PyObject *
fl_future_get_callbacks(PyObject *op, void *closure)
{
    struct fl_future_state *own = own_at(op, closure);
    return fl_future_check_alive(own) < 0 ? NULL : fl_future_list_callbacks(own);
}

PyObject *
fl_future_get_result_attr(PyObject *op, void *closure)
{
    const struct fl_future_state *own = own_at(op, closure);
    if (fl_future_check_alive(own) < 0) {
        return NULL;
    }
    return fl_or_none(own->failed ? NULL : own->outcome);
}

PyObject *
fl_future_get_exception_attr(PyObject *op, void *closure)
{
    const struct fl_future_state *own = own_at(op, closure);
    if (fl_future_check_alive(own) < 0) {
        return NULL;
    }
    return fl_or_none(own->failed ? own->outcome : NULL);
}

PyObject *
fl_future_get_log_traceback(PyObject *op, void *closure)
{
    const struct fl_future_state *own = own_at(op, closure);
    if (fl_future_check_alive(own) < 0) {
        return NULL;
    }
    return PyBool_FromLong(own->log_traceback);
}

int
fl_future_set_log_traceback(PyObject *op, PyObject *value, void *closure)
{
    int truth = fl_attr_truth(value);
    if (truth < 0) {
        return -1;
    }
    if (truth) {
        PyErr_SetString(PyExc_ValueError, "_log_traceback can only be set to False");
        return -1;
    }
    own_at(op, closure)->log_traceback = false;
    return 0;
}

PyObject *
fl_future_get_source_traceback(PyObject *op, void *closure)
{
    const struct fl_future_state *own = own_at(op, closure);
    return fl_or_none(own->loop == NULL ? NULL : own->source_traceback);
}

PyObject *
fl_future_get_cancel_message(PyObject *op, void *closure)
{
    return fl_or_none(own_at(op, closure)->cancel_message);
}

int
fl_future_set_cancel_message(PyObject *op, PyObject *value, void *closure)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
        return -1;
    }
    Py_XSETREF(own_at(op, closure)->cancel_message, Py_NewRef(value));
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
