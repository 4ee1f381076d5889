/* Task: its methods and attributes, which are asyncio's; those that a future has too
 * are in core/future/future_methods.c. */
#include "core/task/task.h"

#include "py/args/call.h"
#include "py/args/keywords.h"
#include "py/state/tables.h"

PyDoc_STRVAR(
    set_result_doc, "set_result($self, result, /)\n--\n\n"
                    "Not for tasks.\n\nRaises: RuntimeError."
);

static PyObject *
task_set_result(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(result))
{
    PyErr_SetString(PyExc_RuntimeError, "Task does not support set_result operation");
    return NULL;
}

PyDoc_STRVAR(
    set_exception_doc, "set_exception($self, exception, /)\n--\n\n"
                       "Not for tasks.\n\nRaises: RuntimeError."
);

static PyObject *
task_set_exception(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(exception))
{
    PyErr_SetString(
        PyExc_RuntimeError, "Task does not support set_exception operation"
    );
    return NULL;
}

/* waiter.cancel(msg=message): 1, 0 or -1. A stand-in for a future may know the
 * argument by position only, as asyncio passes it. */
static int
cancel_waiter(const struct fl_state *state, TaskObject *self, PyObject *message)
{
    PyObject *waiter = Py_NewRef(self->base.fut_waiter);
    int cancelled;
    if (Py_IS_TYPE(waiter, state->future_type)) {
        cancelled = fl_future_cancel(fl_future(waiter), message);
    }
    else if (Py_IS_TYPE(waiter, state->task_type)) {
        cancelled = fl_task_cancel(fl_task(waiter), message);
    }
    else {
        PyObject *result =
            PyObject_CallMethodOneArg(waiter, state->str_cancel, message);
        cancelled = fl_call_truth(result);
    }
    Py_DECREF(waiter);
    return cancelled;
}

int
fl_task_cancel(TaskObject *self, PyObject *message)
{
    FutureObject *own = fl_task_future(self);
    own->log_tb = 0;
    if (own->status != FL_FUTURE_PENDING) {
        return 0;
    }
    const struct fl_state *state = fl_future_state(own);
    if (state == NULL) {
        return -1;
    }
    self->base.num_cancels_requested++;
    if (self->base.fut_waiter != NULL) {
        if (Py_EnterRecursiveCall(" while cancelling a task")) {
            return -1;
        }
        int cancelled = cancel_waiter(state, self, message); /* escapes */
        Py_LeaveRecursiveCall();
        if (cancelled != 0) {
            return cancelled;
        }
    }
    FL_TASK_FLAGS(&self->base)->must_cancel = 1;
    Py_XSETREF(own->cancel_msg, Py_NewRef(message));
    return 1;
}

PyDoc_STRVAR(
    cancel_doc,
    "cancel($self, /, msg=None)\n--\n\n"
    "Have a CancelledError thrown into the coroutine at the task's next turn.\n\n"
    "The coroutine may clean up, put off or refuse to be cancelled; only if it ends "
    "in\n"
    "the CancelledError is the task cancelled.\n"
    "msg: the argument of the CancelledError.\n"
    "Return False if the task is done, else True, and count one more request."
);

static PyObject *
task_cancel(PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames)
{
    const struct fl_state *state = fl_future_state(fl_future(op));
    PyObject *message = Py_None;
    if (state == NULL || fl_keywords_parse_optional(
                             "cancel", state->str_msg, args, n_args, kwnames, &message
                         ) < 0) {
        return NULL;
    }
    int cancelled = fl_task_cancel(fl_task(op), message); /* escapes */
    return cancelled < 0 ? NULL : PyBool_FromLong(cancelled);
}

PyDoc_STRVAR(
    cancelling_doc, "cancelling($self, /)\n--\n\n"
                    "Return the number of cancel() calls not taken back by uncancel()."
);

static PyObject *
task_cancelling(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(fl_task(op)->base.num_cancels_requested);
}

PyDoc_STRVAR(
    uncancel_doc, "uncancel($self, /)\n--\n\n"
                  "Take back one cancel() and return the number of those left."
);

static PyObject *
task_uncancel(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    struct fl_base_task *self = &fl_task(op)->base;
    const struct fl_state *state = fl_future_state(fl_future(op));
    if (state == NULL) {
        return NULL;
    }
    if (self->num_cancels_requested > 0) {
        self->num_cancels_requested--;
        if (self->num_cancels_requested == 0 &&
            state->types.uncancel_resets_must_cancel) {
            FL_TASK_FLAGS(self)->must_cancel = 0;
        }
    }
    return PyLong_FromLong(self->num_cancels_requested);
}

PyDoc_STRVAR(
    get_stack_doc,
    "get_stack($self, /, *, limit=None)\n--\n\n"
    "Return the frames of the coroutine, oldest first.\n\n"
    "One frame if it is suspended, those of the traceback if it raised, else none.\n"
    "limit: how many at most, the newest of a stack or the oldest of a traceback."
);

static PyObject *
task_get_stack(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    const struct fl_state *state = fl_future_state(fl_future(op));
    if (state == NULL) {
        return NULL;
    }
    const struct fl_keywords expected = {"get_stack", 0, 0, 1, {state->str_limit}};
    PyObject *stack[2] = {op, Py_None};
    if (fl_keywords_parse(&expected, args, n_args, kwnames, &stack[1]) < 0 ||
        fl_future_check_alive(fl_future(op)) < 0) {
        return NULL;
    }
    return PyObject_Vectorcall(state->task_get_stack, stack, 2, NULL); /* escapes */
}

PyDoc_STRVAR(
    print_stack_doc,
    "print_stack($self, /, *, limit=None, file=None)\n--\n\n"
    "Print the frames of get_stack(), as a traceback is printed.\n\n"
    "limit: how many at most. file: a text stream; by default sys.stderr."
);

static PyObject *
task_print_stack(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    const struct fl_state *state = fl_future_state(fl_future(op));
    if (state == NULL) {
        return NULL;
    }
    const struct fl_keywords expected = {
        "print_stack", 0, 0, 2, {state->str_limit, state->str_file}
    };
    PyObject *stack[3] = {op, Py_None, Py_None};
    if (fl_keywords_parse(&expected, args, n_args, kwnames, &stack[1]) < 0 ||
        fl_future_check_alive(fl_future(op)) < 0) {
        return NULL;
    }
    return PyObject_Vectorcall(state->task_print_stack, stack, 3, NULL); /* escapes */
}

PyDoc_STRVAR(
    get_coro_doc, "get_coro($self, /)\n--\n\n"
                  "Return the coroutine, or None if it ended within an eager start."
);

static PyObject *
task_get_coro(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyObject *coro = fl_task(op)->base.coro;
    return fl_or_none(coro);
}

#if defined(FL_HAVE_EAGER_START) /* the release that brought get_context, too */

PyDoc_STRVAR(
    get_context_doc, "get_context($self, /)\n--\n\n"
                     "Return the contextvars.Context the coroutine runs in."
);

static PyObject *
task_get_context(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    PyObject *context = fl_task(op)->base.context;
    return fl_or_none(context);
}

#endif

PyDoc_STRVAR(get_name_doc, "get_name($self, /)\n--\n\nReturn the name, a str.");

static PyObject *
task_get_name(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TaskObject *self = fl_task(op);
    if (self->base.name == NULL) {
        Py_RETURN_NONE;
    }
    if (PyLong_CheckExact(self->base.name)) {
        PyObject *name = PyUnicode_FromFormat("Task-%S", self->base.name);
        if (name == NULL) {
            return NULL;
        }
        Py_SETREF(self->base.name, name);
    }
    return Py_NewRef(self->base.name);
}

PyDoc_STRVAR(
    set_name_doc, "set_name($self, value, /)\n--\n\n"
                  "Set the name to str(value)."
);

static PyObject *
task_set_name(PyObject *op, PyObject *value)
{
    PyObject *name =
        PyUnicode_CheckExact(value) ? Py_NewRef(value) : PyObject_Str(value);
    if (name == NULL) {
        return NULL;
    }
    Py_XSETREF(fl_task(op)->base.name, name);
    Py_RETURN_NONE;
}

/* ---- private attributes ---- */

static PyObject *
task_get_log_destroy_pending(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(FL_TASK_FLAGS(&fl_task(op)->base)->log_destroy_pending);
}

static int
task_set_log_destroy_pending(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    int truth = fl_attr_truth(value);
    if (truth < 0) {
        return -1;
    }
    FL_TASK_FLAGS(&fl_task(op)->base)->log_destroy_pending = truth != 0;
    return 0;
}

static PyObject *
task_get_must_cancel(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(FL_TASK_FLAGS(&fl_task(op)->base)->must_cancel);
}

static PyObject *
task_get_coro_attr(PyObject *op, void *Py_UNUSED(closure))
{
    return task_get_coro(op, NULL);
}

static PyObject *
task_get_fut_waiter(PyObject *op, void *Py_UNUSED(closure))
{
    PyObject *waiter = fl_task(op)->base.fut_waiter;
    return fl_or_none(waiter);
}

/* ---- tables ---- */

PyDoc_STRVAR(class_getitem_doc, "See PEP 585");

PyMethodDef fl_task_methods[] = {
    {"set_result", task_set_result, METH_O, set_result_doc},
    {"set_exception", task_set_exception, METH_O, set_exception_doc},
    {"cancel", FL_FASTCALL(task_cancel), METH_FASTCALL | METH_KEYWORDS, cancel_doc},
    {"cancelling", task_cancelling, METH_NOARGS, cancelling_doc},
    {"uncancel", task_uncancel, METH_NOARGS, uncancel_doc},
    {"get_stack", FL_FASTCALL(task_get_stack), METH_FASTCALL | METH_KEYWORDS,
     get_stack_doc},
    {"print_stack", FL_FASTCALL(task_print_stack), METH_FASTCALL | METH_KEYWORDS,
     print_stack_doc},
    {"get_name", task_get_name, METH_NOARGS, get_name_doc},
    {"set_name", task_set_name, METH_O, set_name_doc},
    {"get_coro", task_get_coro, METH_NOARGS, get_coro_doc},
#if defined(FL_HAVE_EAGER_START)
    {"get_context", task_get_context, METH_NOARGS, get_context_doc},
#endif
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, class_getitem_doc},
    {NULL, NULL, 0, NULL},
};

PyGetSetDef fl_task_getset[] = {
    FL_FUTURE_GETSET,
    {"_log_destroy_pending", task_get_log_destroy_pending, task_set_log_destroy_pending,
     NULL, NULL},
    {"_must_cancel", task_get_must_cancel, NULL, NULL, NULL},
    {"_coro", task_get_coro_attr, NULL, NULL, NULL},
    {"_fut_waiter", task_get_fut_waiter, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};
