/* Who awaits whom, for asyncio's call graph and profilers outside (3.14+).
 *
 * Kept in the inherited struct, where asyncio keeps it; before 3.14 there is no
 * such thing, and these do nothing.
 */
#ifndef FASTLOOP_CORE_AWAITED_BY_H
#define FASTLOOP_CORE_AWAITED_BY_H

#include "core/task/task.h"

#if defined(FL_HAVE_THREAD_TASKS)

/* future: anything; only what derives from asyncio's types has the field. 0 or
 * -1. */
int fl_awaited_by_add(const struct fl_state *state, PyObject *future, PyObject *task);
int
fl_awaited_by_discard(const struct fl_state *state, PyObject *future, PyObject *task);

#else

static inline int
fl_awaited_by_add(
    const struct fl_state *Py_UNUSED(state), PyObject *Py_UNUSED(future),
    PyObject *Py_UNUSED(task)
)
{
    return 0;
}

static inline int
fl_awaited_by_discard(
    const struct fl_state *Py_UNUSED(state), PyObject *Py_UNUSED(future),
    PyObject *Py_UNUSED(task)
)
{
    return 0;
}

#endif

#endif
