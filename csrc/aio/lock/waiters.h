/* The futures that tasks wait for, in the deques where asyncio keeps them. */
#ifndef FASTLOOP_AIO_WAITERS_H
#define FASTLOOP_AIO_WAITERS_H

#include "aio/call.h"
#include "aio/class.h"
#include "aio/futures.h"

/* Whether methods of ours can read it: a deque; None or NULL, which are empty. */
static inline bool
fl_aio_are_waiters(const struct fl_state *state, PyObject *waiters)
{
    return waiters == NULL || waiters == Py_None ||
           Py_IS_TYPE(waiters, (PyTypeObject *)state->deque);
}

/* What follows is given such waiters. */

/* 1 if there is any, 0, or -1 with an exception. */
int fl_aio_any_waiter(PyObject *waiters);

/* 1 if there is any that was not cancelled, 0, or -1. escapes. */
int fl_aio_any_live_waiter(const struct fl_state *state, PyObject *waiters);

/* Calls set_result(value) of the first n that are not done: 0, or -1. escapes. */
int fl_aio_wake(
    const struct fl_state *state, PyObject *waiters, Py_ssize_t n, PyObject *value
);

/* The first that is not done: new; NULL without an exception if there is none, or with
 * one. escapes. */
PyObject *fl_aio_next_waiter(const struct fl_state *state, PyObject *waiters);

/* The first, done or not, of a deque that is not empty: new, or NULL. */
PyObject *fl_aio_first_waiter(PyObject *waiters);

/* Waits for a new future at the end of *waiters, which is made a deque if it is None or
 * NULL; to be returned by a step. */
PySendResult fl_aio_queue_up(
    AioCallObject *call, AioObject *self, PyObject **waiters, PyObject **result
);

/* Of that the parts: self._get_loop().create_future(), which may be of any loop: new,
 * or NULL. escapes. */
PyObject *fl_aio_new_waiter(AioObject *self);

/* (*waiters).append(future). 0 or -1. */
int
fl_aio_add_waiter(const struct fl_state *state, PyObject **waiters, PyObject *future);

/* method(items) or, unless item is NULL, method(items, item), for one of the deque's
 * own methods. fast: as a call would find it, a third of the instructions. */
PyObject *fl_aio_call_of_deque(
    const struct fl_state *state, PyObject *method, PyObject *items, PyObject *item
);

/* waiters.remove(future), whatever waiters is by now. escapes. 0 or -1. */
int
fl_aio_remove_waiter(const struct fl_state *state, PyObject *waiters, PyObject *future);

/* *number += more, whatever number is by now; NULL as None. escapes. 0 or -1. */
int fl_aio_add_to(PyObject **number, long more);

/* Takes the exception set by what was done while exc, which may be NULL, was being
 * handled, and sets it again with exc, stolen, as its context. */
void fl_aio_raise_over(PyObject *exc);

/* Getter and setter of `_waiters`, a deque that is made when it is asked for; closure:
 * the offset of the field. */
PyObject *fl_aio_get_deque(PyObject *op, void *closure);
int fl_aio_set_deque(PyObject *op, PyObject *value, void *closure);

#define FL_AIO_DEQUE(name, type, field) \
    {name, fl_aio_get_deque, fl_aio_set_deque, NULL, (void *)offsetof(type, field)}

#endif
