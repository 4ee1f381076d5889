/* One step of a task: run its coroutine until it yields, returns or raises.
 *
 * All of these escape. They return 0; or -1 with an exception that must reach
 * the loop: KeyboardInterrupt or SystemExit, which the task has as its own
 * exception too, or a failure of the machinery.
 */
#ifndef FASTLOOP_CORE_TASK_STEP_H
#define FASTLOOP_CORE_TASK_STEP_H

#include "core/task/task.h"

/* As a callback does it: the context is entered. exc: to be thrown in, or NULL. */
int fl_task_step(TaskObject *self, PyObject *exc);

/* The same for what the awaited future, of a task, yielded: state->types.wake_task. */
int fl_task_wakeup(PyObject *op, PyObject *future);

/* As the ready ring of its loop does it: enters the context. waking: the awaited future
 * is done, else it is a plain turn. */
int fl_task_run(LoopObject *loop, TaskObject *self, bool waking);

/* The first step, at once, in its context. */
int fl_task_start_eagerly(TaskObject *self);

/* Schedules a step; exc: to be thrown in, or NULL. 0 or -1. */
int fl_task_step_soon(TaskObject *self, PyObject *exc);

/* ---- task_yield.c ---- */

/* The task now waits for what its coroutine yielded. Steals yielded. */
int fl_task_wait(struct fl_state *state, TaskObject *self, PyObject *yielded);

/* The loop of a future that is not ours, as asyncio.futures._get_loop: new, or NULL.
 * escapes. */
PyObject *fl_loop_of_foreign(const struct fl_state *state, PyObject *future);

/* ---- task_callable.c ---- */

int fl_task_callable_add_types(PyObject *module, struct fl_state *state);

/* A callable that makes the step, its __self__ the task. New or NULL. */
PyObject *
fl_task_step_callable(const struct fl_state *state, TaskObject *self, PyObject *exc);

/* Whether the task still awaits this future. */
static inline bool
fl_task_waits_for(PyObject *task, PyObject *future)
{
    return fl_base_task(task)->fut_waiter == future;
}

#endif
