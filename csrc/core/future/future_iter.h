/* FutureIter: what `await future` iterates over.
 *
 * It yields the future once, marked as blocking so that a Task can tell `await
 * future` from a bare `yield future`, and then returns the result.
 */
#ifndef FASTLOOP_CORE_FUTURE_ITER_H
#define FASTLOOP_CORE_FUTURE_ITER_H

#include "core/future/future.h"

int fl_future_iter_add_type(PyObject *module, struct fl_state *state);

/* New reference; NULL with RuntimeError if the future is not initialised. */
PyObject *fl_future_iter_new(PyObject *future);

/* Frees all but max of the dead iterators that are kept. */
void fl_future_iter_trim(struct fl_state *state, int max);

#endif
