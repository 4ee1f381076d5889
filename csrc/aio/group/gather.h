/* gather: asyncio.gather in C. */
#ifndef FASTLOOP_AIO_GATHER_H
#define FASTLOOP_AIO_GATHER_H

#include "core/task/task.h"

int fl_gather_add(PyObject *module, struct fl_state *state);

#endif
