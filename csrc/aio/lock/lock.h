/* Lock: asyncio.Lock in C. */
#ifndef FASTLOOP_AIO_LOCK_H
#define FASTLOOP_AIO_LOCK_H

#include "aio/call.h"
#include "aio/class.h"

typedef struct {
    AioObject base;
    PyObject *locked;  /* a bool, or what somebody has put there */
    PyObject *waiters; /* None, or a deque of futures, or the like */
} LockObject;

int fl_lock_add_type(PyObject *module, struct fl_state *state);

/* Methods and coroutines of a lock, for Condition as well. */
PyObject *fl_lock_release(PyObject *op, PyObject *ignored);
PySendResult
fl_lock_acquire_start(AioCallObject *call, PyObject *op, PyObject **result);
PySendResult fl_lock_acquire_after(
    AioCallObject *call, PyObject *op, PyObject *future, PyObject *value,
    PyObject **result
);
PyObject *fl_lock_locked(PyObject *op, PyObject *ignored);

/* Whether it is locked; plain ones only. */
static inline bool
fl_lock_is_taken(PyObject *op)
{
    return ((LockObject *)(void *)op)->locked == Py_True;
}

/* Whether the calls above do without asyncio's. */
bool fl_lock_is_plain(PyObject *op);

#endif
