/* The futures that tasks wait for, in the deques where asyncio keeps them. */
#include "aio/lock/waiters.h"

#include "core/loop/sched.h"
#include "py/args/call.h"

/* ---- one ---- */

PyObject *
fl_aio_new_waiter(AioObject *self)
{
    struct fl_state *state = self->state;
    PyObject *loop = fl_aio_running_loop(state);
    if (loop == NULL) {
        return NULL;
    }
    if (self->loop == Py_None) {
        Py_SETREF(self->loop, Py_NewRef(loop));
    }
    PyObject *future = NULL;
    if (loop != self->loop) {
        PyErr_Format(
            PyExc_RuntimeError, "%R is bound to a different event loop", self
        ); /* escapes */
    }
    else {
        future = fl_aio_new_future(state, loop); /* escapes */
    }
    Py_DECREF(loop);
    return future;
}

/* ---- many ---- */

PyObject *
fl_aio_call_of_deque(
    const struct fl_state *state, PyObject *method, PyObject *items, PyObject *item
)
{
    int flags = item == NULL ? METH_NOARGS : METH_O;
    if (Py_IS_TYPE(method, &PyMethodDescr_Type) &&
        Py_IS_TYPE(items, (PyTypeObject *)state->deque)) {
        const PyMethodDef *def = ((PyMethodDescrObject *)(void *)method)->d_method;
        if (def->ml_flags == flags) {
            return FL_SLOT_POINTER(def->ml_meth(items, item));
        }
    }
    PyObject *stack[2] = {items, item};
    return PyObject_Vectorcall(method, stack, item == NULL ? 1 : 2, NULL);
}

static bool
is_deque(PyObject *waiters)
{
    return waiters != NULL && waiters != Py_None;
}

int
fl_aio_any_waiter(PyObject *waiters)
{
    if (!is_deque(waiters)) {
        return 0;
    }
    Py_ssize_t size = PyObject_Size(waiters);
    return size < 0 ? -1 : size > 0;
}

PyObject *
fl_aio_first_waiter(PyObject *waiters)
{
    return PySequence_GetItem(waiters, 0);
}

/* The first that has is not: 0 of it, or NULL as fl_aio_next_waiter. */
static PyObject *
first_that_is_not(
    const struct fl_state *state, PyObject *waiters,
    int (*has)(const struct fl_state *, PyObject *)
)
{
    int any = fl_aio_any_waiter(waiters);
    PyObject *iterator = any > 0 ? PyObject_GetIter(waiters) : NULL;
    if (iterator == NULL) {
        return NULL;
    }
    PyObject *future;
    while ((future = PyIter_Next(iterator)) != NULL) {
        int answer = has(state, future); /* escapes */
        if (answer == 0) {
            break;
        }
        Py_DECREF(future);
        if (answer < 0) {
            future = NULL;
            break;
        }
    }
    Py_DECREF(iterator);
    return future;
}

int
fl_aio_any_live_waiter(const struct fl_state *state, PyObject *waiters)
{
    PyObject *live = first_that_is_not(state, waiters, fl_aio_is_cancelled);
    if (live == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    Py_DECREF(live);
    return 1;
}

PyObject *
fl_aio_next_waiter(const struct fl_state *state, PyObject *waiters)
{
    return first_that_is_not(state, waiters, fl_aio_is_done);
}

/* 1 if it was not done and has been told, 0, or -1. escapes. */
static int
tell(const struct fl_state *state, PyObject *future, PyObject *value)
{
    int done = fl_aio_is_done(state, future);
    if (done != 0) {
        return done < 0 ? -1 : 0;
    }
    return fl_aio_set_result(state, future, value) < 0 ? -1 : 1;
}

/* Whether nobody else's code runs when it is told, which could change the waiters. */
static bool
is_told_alone(const struct fl_state *state, PyObject *future)
{
    return Py_IS_TYPE(future, state->future_type) &&
           fl_sched_loop(fl_future(future)) != NULL;
}

/* The only one: 1 if it was told, or need not be, 0 if not, or -1. */
static int
tell_only(const struct fl_state *state, PyObject *waiters, PyObject *value)
{
    PyObject *only = fl_aio_first_waiter(waiters);
    if (only == NULL) {
        return -1;
    }
    int told = 0;
    if (is_told_alone(state, only)) {
        told = tell(state, only, value) < 0 ? -1 : 1;
    }
    Py_DECREF(only);
    return told;
}

int
fl_aio_wake(
    const struct fl_state *state, PyObject *waiters, Py_ssize_t n, PyObject *value
)
{
    Py_ssize_t n_waiters = is_deque(waiters) ? PyObject_Size(waiters) : 0;
    if (n_waiters <= 0 || n <= 0) {
        return n_waiters < 0 ? -1 : 0;
    }
    int only = n_waiters == 1 ? tell_only(state, waiters, value) : 0;
    if (only != 0) { /* fast: 200 instructions less than by an iterator */
        return only < 0 ? -1 : 0;
    }
    PyObject *iterator = PyObject_GetIter(waiters);
    if (iterator == NULL) {
        return -1;
    }
    int told = 0;
    PyObject *future;
    while (n > 0 && told >= 0 && (future = PyIter_Next(iterator)) != NULL) {
        told = tell(state, future, value); /* escapes */
        n -= told > 0;
        Py_DECREF(future);
    }
    Py_DECREF(iterator);
    return PyErr_Occurred() ? -1 : 0;
}

/* Makes *waiters a deque if it is None or NULL. 0 or -1. */
static int
need_waiters(const struct fl_state *state, PyObject **waiters)
{
    if (!is_deque(*waiters)) {
        PyObject *deque = PyObject_CallNoArgs(state->deque);
        if (deque == NULL) {
            return -1;
        }
        Py_XSETREF(*waiters, deque);
    }
    return 0;
}

int
fl_aio_add_waiter(const struct fl_state *state, PyObject **waiters, PyObject *future)
{
    if (need_waiters(state, waiters) < 0) {
        return -1;
    }
    return fl_call_status(
        fl_aio_call_of_deque(state, state->aio.deque_append, *waiters, future)
    );
}

PySendResult
fl_aio_queue_up(
    AioCallObject *call, AioObject *self, PyObject **waiters, PyObject **result
)
{
    const struct fl_state *state = self->state;
    PyObject *future =
        need_waiters(state, waiters) < 0 ? NULL : fl_aio_new_waiter(self); /* escapes */
    if (future == NULL || fl_aio_add_waiter(state, waiters, future) < 0) {
        Py_XDECREF(future);
        return PYGEN_ERROR;
    }
    return fl_aio_wait(call, future, result);
}

int
fl_aio_remove_waiter(const struct fl_state *state, PyObject *waiters, PyObject *future)
{
    PyObject *kept = fl_or_none(waiters);
    PyObject *result;
    if (Py_IS_TYPE(kept, (PyTypeObject *)state->deque)) {
        result = fl_aio_call_of_deque(state, state->aio.deque_remove, kept, future);
    }
    else {
        result = PyObject_CallMethodOneArg(kept, state->str_remove, future);
    } /* escapes */
    Py_DECREF(kept);
    return fl_call_status(result);
}

/* ---- numbers ---- */

int
fl_aio_add_to(PyObject **number, long more)
{
    Py_ssize_t small;
    if (fl_small_int(*number, &small)) { /* fast: 90 instructions */
        PyObject *next = PyLong_FromSsize_t(small + more);
        if (next == NULL) {
            return -1;
        }
        Py_SETREF(*number, next);
        return 0;
    }
    PyObject *before = fl_or_none(*number);
    PyObject *added = PyLong_FromLong(more);
    PyObject *sum = added == NULL ? NULL : PyNumber_Add(before, added); /* escapes */
    Py_DECREF(before);
    Py_XDECREF(added);
    if (sum == NULL) {
        return -1;
    }
    Py_XSETREF(*number, sum);
    return 0;
}

/* ---- exceptions ---- */

void
fl_aio_raise_over(PyObject *exc)
{
    if (exc == NULL) {
        return;
    }
    PyObject *newer = fl_error_take();
    if (newer == exc) {
        Py_DECREF(exc);
    }
    else if (newer != NULL) {
        PyException_SetContext(newer, exc);
    }
    fl_error_restore(newer);
}

/* ---- attributes ---- */

PyObject *
fl_aio_get_deque(PyObject *op, void *closure)
{
    PyObject **field = (PyObject **)(void *)((char *)op + (Py_ssize_t)closure);
    if (*field == NULL && need_waiters(((AioObject *)op)->state, field) < 0) {
        return NULL;
    }
    return Py_NewRef(*field);
}

int
fl_aio_set_deque(PyObject *op, PyObject *value, void *closure)
{
    PyObject **field = (PyObject **)(void *)((char *)op + (Py_ssize_t)closure);
    Py_XSETREF(*field, Py_XNewRef(value)); /* escapes */
    return 0;
}
