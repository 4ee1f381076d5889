/* Observers of tasks: called when one is made, after each step, and when one is done.
 *
 * Python's, one of each at most (fastloop/_hooks.py shares them out), and the recorder
 * of timelines (watch/recorder.h). Without any no
 * instruction is spent on them: what a task's making and the ring's steps look at
 * anyway, state->types.plain_coroutine and loop->n_task_kinds, leads past them. Tasks
 * of asyncio's own type are not observed.
 *
 * KeyboardInterrupt and SystemExit from one reach who made the task, or leave the loop.
 */
#ifndef FASTLOOP_CORE_TASK_OBSERVE_H
#define FASTLOOP_CORE_TASK_OBSERVE_H

#include "core/task.h"
#include "watch/recorder.h"

/* A step under way. On the C stack. */
struct fl_observed {
    int64_t wall_ns;
    int64_t cpu_ns;
    bool pending;
    struct fl_recorded_turn recorded;
};

/* For loop->n_task_kinds. */
static inline uintptr_t
fl_observe_task_kinds(const struct fl_state *state)
{
    return state->types.plain_coroutine == NULL ? 0 : 2;
}

FL_SLOW void fl_observe_step_begins(
    struct fl_observed *self, const struct fl_state *state, TaskObject *task
);

/* A step begins outside of the ring. Whether it is observed, and has to be ended. */
static inline bool
fl_observe_begin(
    struct fl_observed *self, const struct fl_state *state, TaskObject *task
)
{
    if (FL_LIKELY(state->types.plain_coroutine != NULL)) {
        return false;
    }
    fl_observe_step_begins(self, state, task);
    return true;
}

/* Its end, with its status. An exception that is set comes first. escapes. The status
 * or -1. */
FL_SLOW int fl_observe_end(
    const struct fl_observed *self, const struct fl_state *state, TaskObject *task,
    int status
);

/* A task that has not been started is told of. escapes. 0 or -1. */
FL_SLOW int fl_observe_created(struct fl_state *state, TaskObject *task);

/* fl_task_start_eagerly, observed. */
FL_SLOW int fl_observe_start(const struct fl_state *state, TaskObject *task);

/* A task of the ring, observed: fl_loop_run_task. Steals the ring's reference. */
FL_SLOW int fl_observe_run(LoopObject *loop, uintptr_t word);

/* Has tasks come here if anybody is to be told of them, and else pass by. */
void fl_observe_choose(struct fl_state *state);

/* _observe(created, step, done): each a callable or None. created(task),
 * step(task, wall_s, cpu_s), done(task). */
PyObject *fl_observe(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

#endif
