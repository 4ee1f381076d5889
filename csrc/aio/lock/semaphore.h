/* Semaphore and BoundedSemaphore: asyncio's in C. */
#ifndef FASTLOOP_AIO_SEMAPHORE_H
#define FASTLOOP_AIO_SEMAPHORE_H

#include "aio/class.h"

typedef struct {
    AioObject base;
    PyObject *value;   /* an int, or what somebody has put there */
    PyObject *bound;   /* of a BoundedSemaphore: the value it began with */
    PyObject *waiters; /* None, or a deque of futures, or the like */
} SemaphoreObject;

int fl_semaphore_add_types(PyObject *module, struct fl_state *state);

#endif
