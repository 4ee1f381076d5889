/* Which task runs, and which tasks there are.
 *
 * asyncio.current_task() and all_tasks() must see our tasks as they see its own.
 *
 * Up to 3.13 the current tasks are a dict {loop: task} of asyncio's. On a loop
 * of ours the entry of a step that has ended is left there, for the next step to
 * replace, until something else than a step of ours is about to run: see
 * fl_current_retract (entering and leaving it in each step: 2,955 instructions a
 * switch instead of 2,020 on 3.13). All tasks are a WeakSet of asyncio's; ours are in a
 * list of our own, and the WeakSet is made to iterate over it too, from the first of
 * our tasks on (fastloop/_registry.py).
 *
 * From 3.14 on both live in the thread state, and ours with them.
 *
 * Either list owns nothing. Who may be in it: a task from its first scheduling to its
 * end or its death, also one whose last reference is gone while what a subclass has
 * put into it dies, which may run Python code and let other threads in: whoever walks
 * the list passes those over. Who takes it out: the task's end (task_step.c,
 * fl_future_schedule_callbacks' callers), the collector and its dealloc. Its finalizer
 * alone does not: the task may live on by its report.
 */
#ifndef FASTLOOP_CORE_TASK_REGISTRY_H
#define FASTLOOP_CORE_TASK_REGISTRY_H

#include "core/task/task.h"

/* Enters a task into the list of all tasks. Does nothing if it is there. 0 or -1. */
static inline int fl_task_register(struct fl_state *state, TaskObject *self);

/* Takes it out, if it is there. */
static inline void fl_task_unregister(TaskObject *self);

/* To be called by its finalizer, whose report may be kept: takes it out if it was the
 * collector who found it and asyncio's set, of weak references, has lost it before. */
static inline void fl_task_unregister_collected(TaskObject *self);

#if defined(FL_HAVE_TASK_SETS)

/* Makes asyncio's sets of tasks show ours; once per interpreter. 0 or -1. */
FL_SLOW int fl_tasks_join_sets(struct fl_state *state);

static inline int
fl_task_register(struct fl_state *state, TaskObject *self)
{
    if (FL_UNLIKELY(!state->types.joined) && fl_tasks_join_sets(state) < 0) {
        return -1;
    }
    if (self->pending.next == &self->pending) {
        fl_list_append(&state->types.pending, &self->pending);
    }
    return 0;
}

static inline void
fl_task_unregister(TaskObject *self)
{
    fl_list_unlink(&self->pending);
}

static inline void
fl_task_unregister_collected(TaskObject *self)
{
    if (PyObject_GC_IsFinalized((PyObject *)self)) {
        fl_task_unregister(self);
    }
}

#else

static inline int
fl_task_register(struct fl_state *state, TaskObject *self)
{
    struct fl_base_node *node = &self->base.node;
    if (node->next == NULL) {
        struct fl_base_node *head = fl_thread_tasks(state);
        node->prev = head->prev;
        node->next = head;
        head->prev->next = node;
        head->prev = node;
    }
    return 0;
}

static inline void
fl_task_unregister(TaskObject *self)
{
    struct fl_base_node *node = &self->base.node;
    if (node->next != NULL) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
        node->prev = node->next = NULL;
    }
}

static inline void
fl_task_unregister_collected(TaskObject *Py_UNUSED(self))
{
}

#endif

/* Makes task the current one of its loop. 0, or -1 with RuntimeError if there is
 * another one. */
int fl_current_enter(TaskObject *task);

/* The end of that. 0, or -1 with RuntimeError if it is not the
 * current one. An exception that is set stays set. */
int fl_current_leave(TaskObject *task);

/* The same two for a step that the ready ring makes. */
#if defined(FL_HAVE_TASK_SETS)
int fl_current_publish(LoopObject *loop, TaskObject *task);
int fl_current_withdraw(LoopObject *loop, TaskObject *task);
#else
/* fast: by one look at the thread instead of four (60 instructions fewer a step) */
static inline int
fl_current_publish(LoopObject *loop, TaskObject *task)
{
    const struct fl_state *state = loop->state;
    char *thread = (char *)PyThreadState_Get();
    PyObject **running = fl_thread_field(thread, state->types.running_task_offset);
    PyObject *of = *fl_thread_field(thread, state->types.running_loop_offset);
    if (of != task->base.future.loop || *running != NULL) {
        return fl_current_enter(task);
    }
    *running = Py_NewRef((PyObject *)task);
    return 0;
}

static inline int
fl_current_withdraw(LoopObject *loop, TaskObject *task)
{
    PyObject **running = fl_thread_running_task(loop->state);
    if (*running != (PyObject *)task) {
        return fl_current_leave(task);
    }
    *running = NULL;
    Py_DECREF(task); /* its caller holds another reference */
    return 0;
}
#endif

/* Makes task (or none: NULL) the current one whatever there was. *previous: new,
 * or NULL for none. 0 or -1. */
int fl_current_swap(TaskObject *of, PyObject *task, PyObject **previous);

/* Takes the loop's current task away while the loop runs inside of its step, and makes
 * it that again. *task: owned, or NULL for none. 0, or -1 with an exception and as it
 * was. */
int fl_current_take(LoopObject *loop, PyObject **task);
int fl_current_give_back(LoopObject *loop, PyObject **task);

/* A list of our tasks that are not done. New or NULL. */
PyObject *fl_task_list_pending(struct fl_state *state);

/* Takes out whatever of our tasks that is, where our own list has it. */
void fl_task_unlist(struct fl_state *state, PyObject *op);

/* To be called before the loop runs anything but a step of ours: a Handle, an
 * exception handler, a poll, the end of a run. Takes back what a step of this loop left
 * as its current task. */
#if defined(FL_HAVE_TASK_SETS)
void fl_current_forget(LoopObject *loop);

static inline void
fl_current_retract(LoopObject *loop)
{
    if (loop->stale_task != NULL) {
        fl_current_forget(loop);
    }
}
#else
static inline void
fl_current_retract(LoopObject *Py_UNUSED(loop))
{
}
#endif

#endif
