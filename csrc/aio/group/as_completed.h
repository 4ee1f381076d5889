/* as_completed(): asyncio's in C. */
#ifndef FASTLOOP_AIO_AS_COMPLETED_H
#define FASTLOOP_AIO_AS_COMPLETED_H

#include "py/state/state.h"

/* Adds the function, and the type of what it returns. 0 or -1. */
int fl_as_completed_add(PyObject *module, struct fl_state *state);

#endif
