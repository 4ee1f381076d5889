/* shield: asyncio.shield in C. */
#ifndef FASTLOOP_AIO_SHIELD_H
#define FASTLOOP_AIO_SHIELD_H

#include "core/task/task.h"

int fl_shield_add(PyObject *module, struct fl_state *state);

#endif
