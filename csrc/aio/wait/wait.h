/* wait: asyncio.wait in C. */
#ifndef FASTLOOP_AIO_WAIT_H
#define FASTLOOP_AIO_WAIT_H

#include "core/task/task.h"

int fl_wait_add(PyObject *module, struct fl_state *state);

#endif
