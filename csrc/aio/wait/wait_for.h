/* wait_for(): asyncio.wait_for in C. */
#ifndef FASTLOOP_AIO_WAIT_FOR_H
#define FASTLOOP_AIO_WAIT_FOR_H

#include "py/state/state.h"

int fl_wait_for_add(PyObject *module, struct fl_state *state);

#endif
