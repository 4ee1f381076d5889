/* The ready ring's entries that are tasks. */
#include "core/future/task_wakeup.h"
#include "core/loop/sched.h"
#include "core/task/task_observe.h"
#include "core/task/task_registry.h"
#include "core/task/task_step.h"
#include "py/error.h"

/* A stand-in for the Handle that asyncio would have queued: new, or NULL. */
static HandleObject *
handle_of_step(LoopObject *self, TaskObject *task, bool waking)
{
    PyObject *callable = waking ? fl_task_wakeup_method(self->state, (PyObject *)task)
                                : fl_task_step_callable(self->state, task, NULL);
    if (callable == NULL) {
        return NULL;
    }
    PyObject *waiter = waking ? task->base.fut_waiter : NULL;
    HandleObject *handle = fl_handle_new(
        self, callable, &waiter, waiter != NULL ? 1 : 0, task->base.context
    );
    Py_DECREF(callable);
    return handle;
}

/* The machinery of a step failed, as it does for a task that is done already: the
 * exception handler hears of it, as of any callback's exception. */
static int
report(LoopObject *self, TaskObject *task, bool waking)
{
    if (fl_error_is_exit()) {
        return -1;
    }
    PyObject *exc = fl_error_take();
    fl_current_retract(self);
    HandleObject *handle = handle_of_step(self, task, waking);
    return fl_handle_report_as(handle, self, exc); /* escapes */
}

/* Whether a step failed because the task was given a context that is none. */
static bool
has_foreign_context(const TaskObject *task)
{
    PyObject *context = task->base.context;
    return context != NULL && !PyContext_CheckExact(context) &&
           PyErr_ExceptionMatches(PyExc_TypeError);
}

/* The step by a Handle, which knows what to do with such a context. */
static int
run_by_handle(LoopObject *self, TaskObject *task, bool waking)
{
    PyErr_Clear();
    fl_current_retract(self); /* escapes */
    HandleObject *handle = handle_of_step(self, task, waking);
    if (handle == NULL) {
        return -1;
    }
    fl_handle_settle(handle);
    int status = fl_handle_run(handle); /* escapes */
    Py_DECREF(handle);                  /* escapes */
    return status;
}

int
fl_loop_run_task(LoopObject *self, uintptr_t word)
{
    TaskObject *task = (TaskObject *)(word & ~FL_ENTRY_KIND_MASK);
    bool waking = (word & FL_ENTRY_KIND_MASK) == FL_ENTRY_WAKEUP;
    int status = fl_task_run(self, task, waking); /* escapes */
    if (status < 0) {
        status = has_foreign_context(task) ? run_by_handle(self, task, waking)
                                           : report(self, task, waking); /* escapes */
    }
    fl_loop_count_step(self, word);
    Py_DECREF(task); /* escapes */
    return status;
}

/* By when the step began, which is when the one before ended: of one that took longer
 * than a moment fl_loop_note_slow makes it the end. */
int
fl_loop_run_noting_task(LoopObject *self, uintptr_t word)
{
    TaskObject *task = (TaskObject *)(word & ~FL_ENTRY_KIND_MASK);
    if (self->watched.noted_ticks == 0 && self->n_nested == 1) {
        self->watched.noted_ticks = self->last_step_ticks;
    }
    task->base.stepped = fl_observe_moment(self->last_step_ticks);
    return fl_loop_run_task(self, word); /* escapes */
}
