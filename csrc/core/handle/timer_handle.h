/* TimerHandle: a Handle that becomes ready at a time of the loop's clock. */
#ifndef FASTLOOP_CORE_TIMER_HANDLE_H
#define FASTLOOP_CORE_TIMER_HANDLE_H

#include "core/handle/handle.h"

int fl_timer_handle_add_type(PyObject *module, struct fl_state *state);

/* Makes a TimerHandle and puts it into the loop's timers. when_s: seconds of
 * the loop's clock; when: the object it came from if that was no float, or
 * NULL. New reference or NULL. */
PyObject *fl_timer_handle_start(
    LoopObject *loop, double when_s, PyObject *when, PyObject *callback,
    PyObject *const *args, Py_ssize_t n_args, PyObject *context
);

/* Takes the handle out of the loop's timers and drops their reference, if it is
 * in. */
void fl_timer_handle_withdraw(TimerHandleObject *self);

/* As fl_handle_run, outside of debug mode. What asyncio's own sleep(), wait_for() and
 * Timeout give to call_later() and call_at() is done in C where it sets a future of
 * ours or cancels a task of ours. escapes. */
int fl_timer_handle_run(TimerHandleObject *self);

/* Whether to cancel the task, one of ours, runs no code but ours. */
bool fl_timer_cancels_only_ours(const struct fl_state *state, PyObject *task);

static inline TimerHandleObject *
fl_timer_handle_of(struct fl_timer *timer)
{
    return FL_CONTAINER_OF(timer, TimerHandleObject, timer);
}

#endif
