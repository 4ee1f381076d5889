/* Condition: asyncio.Condition, what of it does not wait in C. */
#ifndef FASTLOOP_AIO_CONDITION_H
#define FASTLOOP_AIO_CONDITION_H

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

#endif
