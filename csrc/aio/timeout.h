/* Timeout, timeout(), timeout_at(): asyncio's in C. */
#ifndef FASTLOOP_AIO_TIMEOUT_H
#define FASTLOOP_AIO_TIMEOUT_H

#include "aio/class.h"
#include "core/alarm.h"

int fl_timeout_add(PyObject *module, struct fl_state *state);

/* timeout(delay) on that loop, which is the running one: new, or NULL. escapes. */
PyObject *fl_timeout_new(struct fl_state *state, PyObject *loop, PyObject *delay);

/* What entering one does that was made just now. escapes. 0, or -1 with an exception:
 * RuntimeError outside of a task. */
int fl_timeout_enter(PyObject *op, PyObject *loop);

/* What leaving it does; exc: the exception that was raised within, or NULL. escapes. 0,
 * or -1 with an exception in place of that. */
int fl_timeout_exit(PyObject *op, PyObject *exc);

/* Whether the two above do without asyncio's. */
bool fl_timeout_is_plain(PyObject *op);

#endif
