/* The methods that a future and a task have alike. */
#include "core/future/future.h"

#include "py/state/tables.h"

PyDoc_STRVAR(
    result_doc,
    "result($self, /)\n--\n\n"
    "Return the result, or raise the exception that was set.\n\n"
    "Raises: CancelledError if it was cancelled, InvalidStateError if it is not done."
);

static PyObject *
future_result(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_future_result(fl_future(op));
}

PyDoc_STRVAR(
    exception_doc,
    "exception($self, /)\n--\n\n"
    "Return the exception that was set, or None if there is a result.\n\n"
    "Raises: CancelledError if it was cancelled, InvalidStateError if it is not done."
);

static PyObject *
future_exception(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_future_exception(fl_future(op));
}

PyDoc_STRVAR(
    add_done_callback_doc,
    "add_done_callback($self, fn, /, *, context=<unrepresentable>)\n--\n\n"
    "Have fn(future) called by the loop once it is done, or soon if it is.\n\n"
    "context: the contextvars.Context to call it in; by default a copy of the current\n"
    "one."
);

static PyObject *
future_add_done_callback(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    return fl_future_add_done_callback(fl_future(op), args, n_args, kwnames);
}

PyDoc_STRVAR(
    remove_done_callback_doc,
    "remove_done_callback($self, fn, /)\n--\n\n"
    "Forget all callbacks equal to fn and return their number."
);

static PyObject *
future_remove_done_callback(PyObject *op, PyObject *callback)
{
    return fl_future_remove_callback(fl_future(op), callback);
}

PyDoc_STRVAR(
    cancelled_doc, "cancelled($self, /)\n--\n\n"
                   "Return True if it was cancelled."
);

static PyObject *
future_cancelled(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(fl_future(op)->status == FL_FUTURE_CANCELLED);
}

PyDoc_STRVAR(
    done_doc, "done($self, /)\n--\n\n"
              "Return True if there is a result or exception, or if it was cancelled."
);

static PyObject *
future_done(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(fl_future(op)->status != FL_FUTURE_PENDING);
}

PyDoc_STRVAR(
    get_loop_doc, "get_loop($self, /)\n--\n\n"
                  "Return the event loop it belongs to."
);

static PyObject *
future_get_loop(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const FutureObject *self = fl_future(op);
    return fl_future_check_alive(self) < 0 ? NULL : Py_NewRef(self->loop);
}

PyDoc_STRVAR(
    make_cancelled_error_doc,
    "_make_cancelled_error($self, /)\n--\n\n"
    "Return the CancelledError to raise for a cancelled one.\n\n"
    "A CancelledError that ended a task is returned once, later ones are new."
);

static PyObject *
future_make_cancelled_error(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return fl_future_cancelled_error(fl_future(op));
}

PyMethodDef fl_future_methods[] = {
    {"result", future_result, METH_NOARGS, result_doc},
    {"exception", future_exception, METH_NOARGS, exception_doc},
    {"add_done_callback", FL_FASTCALL(future_add_done_callback),
     METH_FASTCALL | METH_KEYWORDS, add_done_callback_doc},
    {"remove_done_callback", future_remove_done_callback, METH_O,
     remove_done_callback_doc},
    {"cancelled", future_cancelled, METH_NOARGS, cancelled_doc},
    {"done", future_done, METH_NOARGS, done_doc},
    {"get_loop", future_get_loop, METH_NOARGS, get_loop_doc},
    {"_make_cancelled_error", future_make_cancelled_error, METH_NOARGS,
     make_cancelled_error_doc},
    {NULL, NULL, 0, NULL},
};
