/* How futures and tasks reach the ready ring of a loop of ours.
 *
 * On any other loop, and on ours while call_soon is overridden, in debug mode or
 * after close, they go through loop.call_soon like everybody else.
 */
#ifndef FASTLOOP_CORE_SCHED_H
#define FASTLOOP_CORE_SCHED_H

#include "core/future/future.h"
#include "core/handle/handle.h"

/* The loop whose ring takes entries directly, or NULL. Borrowed. */
static inline LoopObject *
fl_sched_loop(const FutureObject *self)
{
    LoopObject *loop = fl_future_loop(self);
    if (loop == NULL) {
        return NULL;
    }
    bool plain =
        fl_loop_is_plain(loop) && !(fl_loop_overrides(loop) & FL_OVERRIDES_CALL_SOON);
    return FL_LIKELY(plain) ? loop : NULL;
}

/* A task to step, at its turn. Steals task, also on failure. 0 or -1. */
static inline int
fl_sched_step(LoopObject *loop, PyObject *task)
{
    if (fl_loop_push(loop, (uintptr_t)task | FL_ENTRY_STEP) < 0) {
        Py_DECREF(task);
        return -1;
    }
    return 0;
}

/* A task whose awaited future is done. Steals task, also on failure. 0 or -1. */
static inline int
fl_sched_wakeup(LoopObject *loop, PyObject *task)
{
    if (fl_loop_push(loop, (uintptr_t)task | FL_ENTRY_WAKEUP) < 0) {
        Py_DECREF(task);
        return -1;
    }
    return 0;
}

/* Queues a new handle, which may be NULL; steals it, also on failure. 0 or -1. */
static inline int
fl_sched_push(LoopObject *loop, HandleObject *handle)
{
    if (handle == NULL) {
        return -1;
    }
    if (fl_loop_push(loop, (uintptr_t)handle | FL_ENTRY_HANDLE) < 0) {
        Py_DECREF(handle);
        return -1;
    }
    return 0;
}

/* The same, with a reference for the caller: new, or NULL. */
static inline PyObject *
fl_sched_handle(LoopObject *loop, HandleObject *handle)
{
    return fl_sched_push(loop, handle) < 0 ? NULL : Py_NewRef((PyObject *)handle);
}

/* callback(argument) in context, as loop.call_soon would. 0 or -1. */
static inline int
fl_sched_callback(
    LoopObject *loop, PyObject *callback, PyObject *argument, PyObject *context
)
{
    if (context == Py_None) {
        context = NULL; /* a snapshot of the current one */
    }
    return fl_sched_push(loop, fl_handle_new(loop, callback, &argument, 1, context));
}

/* Where there is no such way: loop.call_soon(callback, argument, context=context) of
 * any loop; argument may be NULL, for none. escapes. 0 or -1. */
int fl_sched_ask(
    const struct fl_state *state, PyObject *loop, PyObject *callback,
    PyObject *argument, PyObject *context
);

#endif
