/* Who is told when a future is done.
 *
 * The callbacks lie where asyncio keeps them: the first in callback0, with its context,
 * further ones in a list of tuples. On a loop of ours a callback becomes a Handle in
 * the ready ring without a look-up of call_soon, and a waiting Task becomes a ring
 * entry by itself; on any other loop, or with an overridden call_soon, each goes
 * through loop.call_soon(callback, future, context=context).
 *
 * A task that waits is found by the method that wakes it, core/future/task_wakeup.h.
 */
#include "core/future/future.h"

#include "core/future/task_wakeup.h"
#include "core/loop/sched.h"
#include "core/task/task_step.h"
#include "py/args/call.h"

/* ---- the list ---- */

/* As a further one. */
static int
append_to_list(FutureObject *self, PyObject *callback, PyObject *context)
{
    PyObject *pair = PyTuple_New(2); /* fast: PyTuple_Pack takes 30 instructions more */
    if (pair != NULL) {
        PyTuple_SET_ITEM(pair, 0, Py_NewRef(callback));
        PyTuple_SET_ITEM(pair, 1, Py_NewRef(context));
    }
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

/* Steals callback, also on failure. */
static FL_APART int
append_callback(FutureObject *self, PyObject *callback, PyObject *context)
{
    if (self->callback0 == NULL && self->callbacks == NULL) {
        self->callback0 = callback;
        self->context0 = Py_NewRef(context);
        return 0;
    }
    int status = append_to_list(self, callback, context);
    Py_DECREF(callback);
    return status;
}

/* ---- telling ---- */

/* loop.call_soon(callback, self, context=context), the short way where there is one.
 * escapes. */
static int
schedule_plain(FutureObject *self, PyObject *callback, PyObject *context)
{
    const struct fl_state *state = fl_future_state(self);
    if (state == NULL || fl_future_check_alive(self) < 0) {
        return -1;
    }
    LoopObject *plain = fl_sched_loop(self);
    if (plain != NULL) {
        return fl_sched_callback(plain, callback, (PyObject *)self, context);
    }
    return fl_sched_ask(state, self->loop, callback, (PyObject *)self, context);
}

/* The same; steals the callback and its context, NULL for none. */
static FL_APART int
schedule_given(FutureObject *self, PyObject *callback, PyObject *context)
{
    int status = schedule_plain(self, callback, context != NULL ? context : Py_None);
    Py_DECREF(callback);
    Py_XDECREF(context); /* escapes */
    return status;
}

/* The same for what may be a waiting task. */
static inline int
schedule_callback(FutureObject *self, PyObject *callback, PyObject *context)
{
    PyObject *task = fl_task_woken_by(callback);
    LoopObject *loop = task == NULL ? NULL : fl_sched_loop(self);
    /* fast: no Handle. The entry runs in the task's context, for what it waits for */
    if (loop != NULL && fl_base_task(task)->context == context &&
        fl_task_waits_for(task, (PyObject *)self) && context != NULL) {
        Py_DECREF(context); /* the task has it, too */
        return fl_sched_wakeup(loop, fl_task_wakeup_keep(loop->state, callback));
    }
    return schedule_given(self, callback, context);
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

/* The list behind a first callback, whose scheduling gave status. Steals the list.
 * escapes. */
static FL_APART int
schedule_further(FutureObject *self, PyObject *list, int status)
{
    if (status == 0) {
        return schedule_list(self, list);
    }
    PyObject *exc = fl_error_take();
    Py_DECREF(list); /* escapes */
    fl_error_restore(exc);
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
    return list == NULL ? status : schedule_further(self, list, status);
}

int
fl_future_add_callback(FutureObject *self, PyObject *callback, PyObject *context)
{
    if (self->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "uninitialized Future object");
        return -1;
    }
    if (self->status == FL_FUTURE_PENDING) {
        return append_callback(self, Py_NewRef(callback), context);
    }
    return schedule_plain(self, callback, context);
}

int
fl_future_add_waiter(FutureObject *self, struct fl_state *state, PyObject *task)
{
    PyObject *wakeup = fl_task_wakeup_method(state, task);
    PyObject *context = fl_base_task(task)->context;
    if (wakeup == NULL) {
        return -1;
    }
    if (self->status != FL_FUTURE_PENDING) {
        return schedule_callback(self, wakeup, Py_NewRef(context));
    }
    if (self->callback0 == NULL && self->callbacks == NULL) { /* fast: no call */
        self->callback0 = wakeup;
        self->context0 = Py_NewRef(context);
        return 0;
    }
    return append_callback(self, wakeup, context);
}

/* ---- Python's view ---- */

/* 1 if the first callback was taken out, 0 or -1. escapes. */
static int
remove_first(FutureObject *self, PyObject *fn)
{
    PyObject *callback = Py_XNewRef(self->callback0);
    if (callback == NULL) {
        return 0;
    }
    int equal = PyObject_RichCompareBool(callback, fn, Py_EQ); /* escapes */
    /* the comparison may have run anything: look again */
    if (equal > 0 && self->callback0 == callback) {
        Py_CLEAR(self->callback0);
        Py_CLEAR(self->context0); /* escapes */
    }
    else if (equal > 0) {
        equal = 0;
    }
    Py_DECREF(callback); /* escapes */
    return equal;
}

/* Takes out of the list what is equal to fn: how many, or -1. escapes. */
static Py_ssize_t
remove_further(FutureObject *self, PyObject *fn)
{
    Py_ssize_t removed = 0, i = 0;
    while (self->callbacks != NULL && i < PyList_GET_SIZE(self->callbacks)) {
        PyObject *list = Py_NewRef(self->callbacks);
        PyObject *pair = Py_NewRef(PyList_GET_ITEM(list, i));
        int equal = PyObject_RichCompareBool(
            PyTuple_GET_ITEM(pair, 0), fn, Py_EQ
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
    if (fl_future_check_alive(self) < 0) {
        return NULL;
    }
    int first = remove_first(self, callback); /* escapes */
    if (first < 0) {
        return NULL;
    }
    Py_ssize_t further = remove_further(self, callback); /* escapes */
    return further < 0 ? NULL : PyLong_FromSsize_t(first + further);
}

/* list.append((callback0, context0)). 0 or -1. */
static int
list_first(const FutureObject *self, PyObject *list)
{
    PyObject *context = self->context0 != NULL ? self->context0 : Py_None;
    PyObject *pair = PyTuple_Pack(2, self->callback0, context);
    int status = pair == NULL ? -1 : PyList_Append(list, pair);
    Py_XDECREF(pair);
    return status;
}

PyObject *
fl_future_list_callbacks(FutureObject *self)
{
    if (self->callback0 == NULL && self->callbacks == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *list = PyList_New(0);
    if (list != NULL && self->callback0 != NULL && list_first(self, list) < 0) {
        Py_CLEAR(list);
    }
    if (list != NULL && self->callbacks != NULL) {
        Py_ssize_t end = PyList_GET_SIZE(list);
        if (PyList_SetSlice(list, end, end, self->callbacks) < 0) {
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
