/* Queue, PriorityQueue and LifoQueue: asyncio's in C. */
#ifndef FASTLOOP_AIO_QUEUE_H
#define FASTLOOP_AIO_QUEUE_H

#include "aio/class.h"

/* NULL stands for what is made when it is asked for: no deque or list of items, no
 * deque of waiters, no event yet. */
typedef struct {
    AioObject base;
    PyObject *maxsize;
    PyObject *queue; /* the items: a deque, or a list, or the like */
    PyObject *getters;
    PyObject *putters;
    PyObject *unfinished; /* how many were put that task_done() was not called for */
    PyObject *finished;   /* an event, set while there are none */
    PyObject *is_shutdown;
} QueueObject;

int fl_queue_add_types(PyObject *module, struct fl_state *state);

#endif
