/* Event: asyncio.Event in C. */
#ifndef FASTLOOP_AIO_EVENT_H
#define FASTLOOP_AIO_EVENT_H

#include "aio/class.h"

typedef struct {
    AioObject base;
    PyObject *value;   /* a bool, or what somebody has put there */
    PyObject *waiters; /* a deque of futures, or the like; NULL: no deque yet */
} EventObject;

int fl_event_add_type(PyObject *module, struct fl_state *state);

#endif
