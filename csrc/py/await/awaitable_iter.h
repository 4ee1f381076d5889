/* What `coroutine.__await__()` returns, for who calls it by that name and iterates. */
#ifndef FASTLOOP_PY_AWAITABLE_ITER_H
#define FASTLOOP_PY_AWAITABLE_ITER_H

#include "py/state/state.h"

int fl_coroutine_iter_add_type(PyObject *module, struct fl_state *state);

/* As Python's coroutines have it: an iterator, which they are not. New or NULL. */
PyObject *fl_coroutine_iter_new(PyTypeObject *type, PyObject *coroutine);

#endif
