/* Task: a coroutine driven by the loop, and the future of its result.
 *
 * A C subclass of asyncio's own Task, with its state in the inherited struct, as a
 * future's (core/future/future.h): a future's fields first, then a task's, the struct
 * of the list of all tasks where threads keep none behind it. The two inherited structs
 * differ in length: Task is no subclass of fastloop.Future.
 *
 *   task.c           the type; how tasks are made and die
 *   task_methods.c   its methods and attributes
 *   task_step.c      one step of the coroutine
 *   task_yield.c     what the coroutine yielded, and waiting for it
 *   task_entry.c     a task in the ready ring
 *   task_callable.c  a step as a callable, for loops that are not ours
 *   task_registry.c  the current task, and all tasks
 *   task_observe.c   who is told of tasks and their steps
 *
 * A pending task is in one of three states: fut_waiter is set, and the task is among
 * its callbacks; or a step is scheduled; or a step is running.
 */
#ifndef FASTLOOP_CORE_TASK_H
#define FASTLOOP_CORE_TASK_H

#include "core/future/future.h"

typedef struct {
    struct fl_base_task base;
#if defined(FL_HAVE_TASK_SETS)
    struct fl_list pending; /* in state->types.pending until it is done */
#endif
} TaskObject;

/* op: a task of ours, or of a Python subclass. */
static inline TaskObject *
fl_task(PyObject *op)
{
    return (TaskObject *)(void *)op;
}

static inline FutureObject *
fl_task_future(TaskObject *self)
{
    return &self->base.future;
}

struct fl_task_args {
    PyObject *coro; /* all borrowed; NULL or None: the default */
    PyObject *loop;
    PyObject *name;
    PyObject *context;
    bool eager_start;
};

int fl_task_add_type(PyObject *module, struct fl_state *state);

/* Task(coro, loop=loop, ...): scheduled or, if eager, begun. args->loop is not
 * looked at. escapes. New or NULL. */
PyObject *fl_task_new(LoopObject *loop, const struct fl_task_args *args);

/* Frees all but max of what is kept of dead tasks, futures and iterators, and of
 * wake-up methods. Whether there was more. */
bool fl_task_trim(struct fl_state *state, int max);

/* task.cancel(msg=message). escapes. 1, 0 if it is done, -1 with an exception. */
int fl_task_cancel(TaskObject *self, PyObject *message);

/* task_methods.c */
extern PyMethodDef fl_task_methods[];
extern PyGetSetDef fl_task_getset[];

/* An object that is exactly of one of our types, gather()'s among them, or NULL. */
static inline FutureObject *
fl_future_of(const struct fl_state *state, PyObject *op)
{
    return Py_IS_TYPE(op, state->future_type) || Py_IS_TYPE(op, state->task_type) ||
                   Py_IS_TYPE(op, state->gathering_type)
               ? fl_future(op)
               : NULL;
}

#endif
