/* A StopIteration that is kept, for results of what `await` drives.
 *
 * From 3.12 on an await that ends with a value is a StopIteration, which lives until
 * the interpreter has taken the value out of it: at once, before the awaitable dies. So
 * one is enough: it carries one awaitable's result at a time, and gives it up when that
 * awaitable dies. Not for iterators that a program calls next() on: what it catches has
 * a traceback, which may lead back to the iterator. If somebody has it by then, or has
 * left anything in it, it is theirs. (430 of 7,000 instructions of a wait_for()
 * on 3.14.)
 */
#ifndef FASTLOOP_PY_STOP_H
#define FASTLOOP_PY_STOP_H

#include "base/hot.h"
#include "py/state/state.h"

/* Raises StopIteration(value), new and kept by nobody but who catches it, or the one
 * that is kept; by: the awaitable, whose tp_dealloc is to call fl_stop_gone(). */
void fl_stop_raise(struct fl_state *state, PyObject *by, PyObject *value);

FL_APART void fl_stop_take_back(struct fl_state *state);

/* by is dying. escapes. */
static inline void
fl_stop_gone(struct fl_state *state, const PyObject *by)
{
    if (state->types.stop_by == by) {
        fl_stop_take_back(state);
    }
}

/* As fl_sent_to_next(), of what calls fl_stop_gone(). */
static inline PyObject *
fl_stop_or_next(
    struct fl_state *state, PyObject *by, PySendResult status, PyObject *result
)
{
    if (status != PYGEN_RETURN) {
        return result;
    }
    if (result != Py_None) {
        fl_stop_raise(state, by, result);
    }
    Py_DECREF(result);
    return NULL;
}

#endif
