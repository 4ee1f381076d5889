/* Condition: asyncio.Condition in C. */
#ifndef FASTLOOP_AIO_CONDITION_H
#define FASTLOOP_AIO_CONDITION_H

#include "aio/call.h"
#include "aio/class.h"

typedef struct {
    AioObject base;
    PyObject *lock;
    PyObject *locked; /* the lock's methods, as they were in the beginning */
    PyObject *acquire;
    PyObject *release;
    PyObject *waiters; /* a deque of futures, or the like; NULL: no deque yet */
} ConditionObject;

int fl_condition_add_type(PyObject *module, struct fl_state *state);

/* Its lock, borrowed, if that is one of ours whose methods it still has; else NULL. */
PyObject *fl_condition_plain_lock(PyObject *op);

/* condition_wait.c */
extern const struct fl_aio_call fl_condition_wait_call;
extern const struct fl_aio_call fl_condition_wait_for_call;

#endif
