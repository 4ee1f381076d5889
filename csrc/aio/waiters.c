/* The futures that tasks wait for, in the deques where asyncio keeps them. */
#include "aio/waiters.h"

#include "py/call.h"

/* ---- one ---- */

/* self._get_loop().create_future(), which may be of any loop: new, or NULL. escapes. */
static PyObject *
new_waiter(AioObject *self)
{
    struct fl_state *state = self->state;
    PyObject *loop = PyObject_CallNoArgs(state->get_running_loop);
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
        future = PyObject_CallMethodNoArgs(loop, state->str_create_future);
    }
    Py_DECREF(loop);
    return future;
}

/* ---- many ---- */

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

int
fl_aio_wake(
    const struct fl_state *state, PyObject *waiters, Py_ssize_t n, PyObject *value
)
{
    int any = fl_aio_any_waiter(waiters);
    if (any <= 0) {
        return any;
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

/* waiters.append(future). 0 or -1. */
static int
add_waiter(const struct fl_state *state, PyObject *waiters, PyObject *future)
{
    PyObject *stack[2] = {waiters, future};
    return fl_call_status(PyObject_Vectorcall(state->aio.deque_append, stack, 2, NULL));
}

PySendResult
fl_aio_queue_up(
    AioCallObject *call, AioObject *self, PyObject **waiters, PyObject **result
)
{
    const struct fl_state *state = self->state;
    PyObject *future =
        need_waiters(state, waiters) < 0 ? NULL : new_waiter(self); /* escapes */
    if (future == NULL || need_waiters(state, waiters) < 0 ||
        add_waiter(state, *waiters, future) < 0) {
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
        PyObject *stack[2] = {kept, future};
        result = PyObject_Vectorcall(state->aio.deque_remove, stack, 2, NULL);
    }
    else {
        result = PyObject_CallMethodOneArg(kept, state->str_remove, future);
    } /* escapes */
    Py_DECREF(kept);
    return fl_call_status(result);
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
