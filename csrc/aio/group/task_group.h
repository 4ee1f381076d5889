/* TaskGroup: asyncio.TaskGroup in C. */
#ifndef FASTLOOP_AIO_TASK_GROUP_H
#define FASTLOOP_AIO_TASK_GROUP_H

#include "aio/class.h"

typedef struct {
    AioObject base;
    PyObject *entered; /* bools, or what somebody has put there, as are exiting ... */
    PyObject *exiting;
    PyObject *aborting;
    PyObject *parent_task;
    PyObject *parent_cancel_requested;
    PyObject *tasks;  /* a set */
    PyObject *errors; /* a list; None at the end, in some releases */
    PyObject *base_error;
    PyObject *on_completed;    /* what the end of the block waits for; or None */
    PyObject *cancel_on_enter; /* 3.15+ */
    PyObject *callback; /* that its tasks call, while there are any; a method of it */
} TaskGroupObject;

int fl_task_group_add_type(PyObject *module, struct fl_state *state);

#endif
