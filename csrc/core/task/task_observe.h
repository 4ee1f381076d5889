/* Observers of tasks: called when one is made, after each step, and when one is done.
 *
 * Python's, one of each at most (fastloop/_hooks.py shares them out), the recorder of
 * timelines (watch/recorder/recorder.h), and the lookout, for which a task notes when
 * it was made or its last step ended. Without any no instruction is spent on them: what
 * a task's making and the ring's steps look at anyway, state->types.plain_coroutine and
 * loop->run_task, leads past them. Tasks of asyncio's own type are not observed.
 *
 * KeyboardInterrupt and SystemExit from one reach who made the task, or leave the loop.
 */
#ifndef FASTLOOP_CORE_TASK_OBSERVE_H
#define FASTLOOP_CORE_TASK_OBSERVE_H

#include "core/task/task.h"
#include "watch/recorder/recorder.h"

/* A moment as a task notes it: ticks without their lower bits, milliseconds, and
 * without so many of the upper that it comes again after some months. */
#if defined(__aarch64__)
#define FL_MOMENT_BITS 22
#else
#define FL_MOMENT_BITS 24
#endif

static inline uint32_t
fl_observe_moment(int64_t ticks)
{
    return (uint32_t)((uint64_t)ticks >> FL_MOMENT_BITS);
}

/* Ticks since the last such moment; of one that another processor's clock has yet to
 * come to, 0. */
static inline int64_t
fl_observe_since(uint32_t moment, int64_t now)
{
    uint32_t gone = fl_observe_moment(now) - moment;
    int64_t part = now & (((int64_t)1 << FL_MOMENT_BITS) - 1);
    return gone == UINT32_MAX ? 0 : ((int64_t)gone << FL_MOMENT_BITS) + part;
}

/* A step under way. On the C stack. */
struct fl_observed {
    int64_t wall_ns;
    int64_t cpu_ns;
    bool pending;
    struct fl_recorded_turn recorded;
};

/* For loop->run_task. */
fl_task_runner fl_observe_runner(const struct fl_state *state);

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

/* Whether there are any is settled anew: to be called when the lookout or the recorder
 * comes or goes. */
void fl_observe_settle(struct fl_state *state);

/* _observe(created, step, done): each a callable or None. created(task),
 * step(task, wall_s, cpu_s), done(task). */
PyObject *fl_observe(PyObject *module, PyObject *const *args, Py_ssize_t n_args);

#endif
