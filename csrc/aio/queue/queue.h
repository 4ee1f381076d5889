/* Queue, and PriorityQueue and LifoQueue, which derive from it: asyncio's in C. */
#ifndef FASTLOOP_AIO_QUEUE_H
#define FASTLOOP_AIO_QUEUE_H

#include "aio/call.h"
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

int fl_queue_add_type(PyObject *module, struct fl_state *state);
int fl_priority_queue_add_type(PyObject *module, struct fl_state *state);
int fl_lifo_queue_add_type(PyObject *module, struct fl_state *state);

/* Adds a type that derives from ours and from asyncio's, stock. 0 or -1. */
int fl_queue_add_derived(
    PyObject *module, struct fl_state *state, enum fl_aio_kind kind, PyType_Spec *spec,
    PyTypeObject **type, PyObject *stock
);

/* ---- get(), for coroutines in C ---- */

/* Whether the following do without asyncio's; then whether there is no item. */
bool fl_queue_can_take(const struct fl_state *state, PyObject *op, bool *empty);

/* The first item there is: new, or NULL. escapes. */
PyObject *fl_queue_take(PyObject *op);

/* Waits until there may be one. */
PySendResult
fl_queue_wait_for_item(AioCallObject *call, PyObject *op, PyObject **result);

/* The end of such a wait by the exception set: lets another have the item. escapes. */
PySendResult fl_queue_stop_waiting(PyObject *op, PyObject *future);

#endif
