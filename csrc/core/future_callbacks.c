/* Who is told when a future is done.
 *
 * The callbacks lie where asyncio keeps them: the first in callback0, with its context,
 * further ones in a list of tuples. On a loop of ours a callback becomes a Handle in
 * the ready ring without a look-up of call_soon, and a waiting Task becomes a ring
 * entry by itself; on any other loop, or with an overridden call_soon, each goes
 * through loop.call_soon(callback, future, context=context).
 *
 * A waiting task of ours is the callback itself, known by its type and by its context,
 * which is the task's own: nobody else's callback has both. Whatever shows it or hands
 * it on shows the bound method that asyncio would have added.
 */
#include "core/future.h"

#include "core/sched.h"
#include "core/task_step.h"
#include "py/call.h"

/* ---- a waiting task ---- */

static bool
is_waiting_task(const struct fl_state *state, PyObject *callback, PyObject *context)
{
    return Py_IS_TYPE(callback, state->task_type) && context != NULL &&
           fl_base_task(callback)->context == context;
}

PyObject *
fl_future_callable(
    const struct fl_state *state, PyObject *callback, PyObject *argument,
    PyObject *context
)
{
    if (is_waiting_task(state, callback, context) &&
        PyObject_TypeCheck(argument, state->future_type->tp_base)) {
        return fl_task_wakeup_method(callback);
    }
    return Py_NewRef(callback);
}

/* The callback as Python sees it: new, or NULL. */
static PyObject *
visible_callback(const struct fl_state *state, PyObject *callback, PyObject *context)
{
    if (is_waiting_task(state, callback, context)) {
        return fl_task_wakeup_method(callback);
    }
    return Py_NewRef(callback);
}

/* ---- the list ---- */

static int
append_callback(FutureObject *self, PyObject *callback, PyObject *context)
{
    if (self->callback0 == NULL && self->callbacks == NULL) {
        self->callback0 = Py_NewRef(callback);
        self->context0 = Py_NewRef(context);
        return 0;
    }
    PyObject *pair = PyTuple_Pack(2, callback, context);
    if (pair != NULL && self->callbacks == NULL) {
        PyObject *list = PyList_New(0); /* escapes: it may collect garbage */
        if (self->callbacks == NULL) {  /* looked again */
            self->callbacks = list;
        }
        else {
            Py_XDECREF(list);
        }
    }
    int status = pair == NULL || self->callbacks == NULL
                     ? -1
                     : PyList_Append(self->callbacks, pair);
    Py_XDECREF(pair);
    return status;
}

/* ---- telling ---- */

static int
call_soon(
    PyObject *loop, const struct fl_state *state, PyObject *callback, PyObject *future,
    PyObject *context
)
{
    PyObject *stack[4] = {loop, callback, future, context};
    return fl_call_status(
        PyObject_VectorcallMethod(state->str_call_soon, stack, 3, state->kw_context)
    ); /* escapes */
}

/* Of what is no waiting task. */
static int
schedule_plain(
    FutureObject *self, const struct fl_state *state, PyObject *callback,
    PyObject *context
)
{
    LoopObject *plain = fl_sched_loop(self);
    if (plain != NULL) {
        return fl_sched_callback(plain, callback, (PyObject *)self, context);
    }
    PyObject *loop = Py_NewRef(self->loop);
    int status = call_soon(loop, state, callback, (PyObject *)self, context);
    Py_DECREF(loop);
    return status;
}

static int
schedule_visible(
    FutureObject *self, const struct fl_state *state, PyObject *callback,
    PyObject *context
)
{
    PyObject *visible = visible_callback(state, callback, context);
    int status = visible == NULL ? -1 : schedule_plain(self, state, visible, context);
    Py_XDECREF(visible);
    return status;
}

/* Steals the callback and its context. escapes. */
static int
schedule_callback(FutureObject *self, PyObject *callback, PyObject *context)
{
    LoopObject *loop = fl_sched_loop(self);
    if (loop != NULL && is_waiting_task(loop->state, callback, context) &&
        fl_task_waits_for(callback, (PyObject *)self)) {
        Py_DECREF(context); /* the task has it, too */
        return fl_sched_wakeup(loop, callback);
    }
    const struct fl_state *state = fl_future_state(self);
    int status = state == NULL || self->loop == NULL
                     ? -1
                     : schedule_visible(
                           self, state, callback, context != NULL ? context : Py_None
                       );
    Py_DECREF(callback);
    Py_XDECREF(context); /* escapes */
    return status;
}

/* Steals the list. escapes. */
static int
schedule_list(FutureObject *self, PyObject *list)
{
    int status = 0;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(list); i++) {
        PyObject *pair = PyList_GET_ITEM(list, i);
        status = schedule_callback(
            self, Py_NewRef(PyTuple_GET_ITEM(pair, 0)),
            Py_NewRef(PyTuple_GET_ITEM(pair, 1))
        );
    }
    PyObject *exc = status < 0 ? fl_error_take() : NULL;
    Py_DECREF(list); /* escapes */
    if (exc != NULL) {
        fl_error_restore(exc);
    }
    return status;
}

int
fl_future_schedule_callbacks(FutureObject *self)
{
    PyObject *callback = self->callback0;
    PyObject *context = self->context0;
    PyObject *list = self->callbacks;
    self->callback0 = self->context0 = self->callbacks = NULL;
    int status = callback == NULL ? 0 : schedule_callback(self, callback, context);
    if (list == NULL) {
        return status;
    }
    if (status == 0) {
        return schedule_list(self, list);
    }
    PyObject *exc = fl_error_take();
    Py_DECREF(list); /* escapes */
    fl_error_restore(exc);
    return status;
}

int
fl_future_add_callback(FutureObject *self, PyObject *callback, PyObject *context)
{
    if (self->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "uninitialized Future object");
        return -1;
    }
    if (self->status == FL_FUTURE_PENDING) {
        return append_callback(self, callback, context);
    }
    const struct fl_state *state = fl_future_state(self);
    return state == NULL ? -1 : schedule_plain(self, state, callback, context);
}

int
fl_future_add_waiter(FutureObject *self, PyObject *task)
{
    const LoopObject *loop = fl_sched_loop(self);
    PyObject *context = fl_base_task(task)->context;
    if (loop != NULL && Py_IS_TYPE(task, loop->state->task_type)) {
        if (self->status == FL_FUTURE_PENDING) {
            return append_callback(self, task, context);
        }
        return schedule_callback(self, Py_NewRef(task), Py_NewRef(context));
    }
    /* the loop's call_soon shall find what it can call */
    PyObject *wakeup = fl_task_wakeup_method(task);
    int status = wakeup == NULL ? -1 : fl_future_add_callback(self, wakeup, context);
    Py_XDECREF(wakeup);
    return status;
}

/* ---- Python's view ---- */

/* callback == fn, as Python sees the callback: 1, 0 or -1. escapes. */
static int
callback_equals(
    const struct fl_state *state, PyObject *callback, PyObject *context, PyObject *fn
)
{
    PyObject *visible = visible_callback(state, callback, context);
    int equal = visible == NULL ? -1 : PyObject_RichCompareBool(visible, fn, Py_EQ);
    Py_XDECREF(visible);
    return equal;
}

/* 1 if the first callback was taken out, 0 or -1. escapes. */
static int
remove_first(FutureObject *self, const struct fl_state *state, PyObject *fn)
{
    PyObject *callback = Py_XNewRef(self->callback0);
    if (callback == NULL) {
        return 0;
    }
    PyObject *context = Py_XNewRef(self->context0);
    int equal = callback_equals(state, callback, context, fn); /* escapes */
    /* the comparison may have run anything: look again */
    if (equal > 0 && self->callback0 == callback) {
        Py_CLEAR(self->callback0);
        Py_CLEAR(self->context0); /* escapes */
    }
    else if (equal > 0) {
        equal = 0;
    }
    Py_DECREF(callback);
    Py_XDECREF(context); /* escapes */
    return equal;
}

/* Takes out of the list what is equal to fn: how many, or -1. escapes. */
static Py_ssize_t
remove_further(FutureObject *self, const struct fl_state *state, PyObject *fn)
{
    Py_ssize_t removed = 0, i = 0;
    while (self->callbacks != NULL && i < PyList_GET_SIZE(self->callbacks)) {
        PyObject *list = Py_NewRef(self->callbacks);
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(list, i));
        int equal = callback_equals(
            state, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1), fn
        ); /* escapes */
        /* the comparison may have run anything: look again */
        bool still_there = self->callbacks == list && i < PyList_GET_SIZE(list) &&
                           PyList_GET_ITEM(list, i) == pair;
        if (equal > 0 && still_there) {
            equal = PyList_SetSlice(list, i, i + 1, NULL) < 0 ? -1 : 1; /* escapes */
            removed++;
        }
        else {
            i++;
        }
        Py_DECREF(pair); /* escapes */
        Py_DECREF(list); /* escapes */
        if (equal < 0) {
            return -1;
        }
    }
    if (self->callbacks != NULL && PyList_GET_SIZE(self->callbacks) == 0) {
        Py_CLEAR(self->callbacks);
    }
    return removed;
}

PyObject *
fl_future_remove_callback(FutureObject *self, PyObject *callback)
{
    const struct fl_state *state = fl_future_state(self);
    if (state == NULL || fl_future_check_alive(self) < 0) {
        return NULL;
    }
    int first = remove_first(self, state, callback); /* escapes */
    if (first < 0) {
        return NULL;
    }
    Py_ssize_t further = remove_further(self, state, callback); /* escapes */
    return further < 0 ? NULL : PyLong_FromSsize_t(first + further);
}

/* list.append((callback, context)), as Python sees the callback. 0 or -1. */
static int
list_callback(
    PyObject *list, const struct fl_state *state, PyObject *callback, PyObject *context
)
{
    PyObject *visible = visible_callback(state, callback, context);
    PyObject *pair =
        visible == NULL ? NULL
                        : PyTuple_Pack(2, visible, context != NULL ? context : Py_None);
    int status = pair == NULL ? -1 : PyList_Append(list, pair);
    Py_XDECREF(visible);
    Py_XDECREF(pair);
    return status;
}

PyObject *
fl_future_list_callbacks(FutureObject *self)
{
    if (self->callback0 == NULL && self->callbacks == NULL) {
        Py_RETURN_NONE;
    }
    const struct fl_state *state = fl_future_state(self);
    PyObject *list = state == NULL ? NULL : PyList_New(0);
    if (list != NULL && self->callback0 != NULL &&
        list_callback(list, state, self->callback0, self->context0) < 0) {
        Py_CLEAR(list);
    }
    for (Py_ssize_t i = 0; list != NULL && self->callbacks != NULL &&
                           i < PyList_GET_SIZE(self->callbacks);
         i++) {
        PyObject *pair = PyList_GET_ITEM(self->callbacks, i);
        if (list_callback(
                list, state, PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1)
            ) < 0) {
            Py_CLEAR(list);
        }
    }
    return list;
}

static int
check_add_done_callback(
    const struct fl_state *state, Py_ssize_t n_args, PyObject *kwnames
)
{
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (n_args != 1) {
        PyErr_SetString(
            PyExc_TypeError, "add_done_callback() takes exactly 1 positional argument"
        );
        return -1;
    }
    if (n_keywords > 1 ||
        (n_keywords == 1 &&
         PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, 0), state->str_context) != 0)) {
        PyErr_SetString(
            PyExc_TypeError,
            "add_done_callback() takes no keyword argument but 'context'"
        );
        return -1;
    }
    return 0;
}

PyObject *
fl_future_add_done_callback(
    FutureObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    const struct fl_state *state = fl_future_state(self);
    if (state == NULL || check_add_done_callback(state, n_args, kwnames) < 0) {
        return NULL;
    }
    PyObject *context = kwnames != NULL && PyTuple_GET_SIZE(kwnames) != 0
                            ? Py_NewRef(args[1])
                            : PyContext_CopyCurrent();
    if (context == NULL) {
        return NULL;
    }
    int status = fl_future_add_callback(self, args[0], context); /* escapes */
    Py_DECREF(context);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
