/* Observers of tasks. */
#include "core/task/task_observe.h"

#include "core/task/task_registry.h"
#include "core/task/task_step.h"
#include "py/args/call.h"
#include "py/error.h"

static void
note(TaskObject *task, int64_t ticks)
{
    task->base.stepped = fl_observe_moment(ticks);
}

static bool
has_observers_of_steps(const struct fl_state *state)
{
    return state->types.observe_step != NULL || state->types.observe_done != NULL ||
           state->recorder != NULL;
}

void
fl_observe_step_begins(
    struct fl_observed *self, const struct fl_state *state, TaskObject *task
)
{
    *self = (struct fl_observed){
        .pending = task->base.future.status == FL_FUTURE_PENDING,
    };
    if (state->types.observe_step != NULL) {
        self->wall_ns = fl_clock_monotonic_ns();
        self->cpu_ns = fl_clock_thread_ns();
    }
    if (state->recorder != NULL) {
        fl_record_step(state, (PyObject *)task, &self->recorded);
    }
}

/* observer(*args), args[0] the task; observer may be NULL. 0, or -1 with an exception
 * that leaves the loop. */
static FL_SLOW int
tell(PyObject *observer, PyObject *const *args, size_t n_args)
{
    if (observer == NULL) {
        return 0;
    }
    Py_INCREF(observer); /* it may be replaced by what it does */
    PyObject *result = PyObject_Vectorcall(observer, args, n_args, NULL); /* escapes */
    int status = fl_call_status(result);
    if (status < 0 && !fl_error_is_exit()) {
        PyErr_WriteUnraisable(observer);
        status = 0;
    }
    Py_DECREF(observer);
    return status;
}

static int
tell_step(const struct fl_observed *self, PyObject *observer, TaskObject *task)
{
    if (observer == NULL || self->wall_ns == 0) {
        return 0;
    }
    int64_t cpu_ns = fl_clock_thread_ns() - self->cpu_ns;
    int64_t wall_ns = fl_clock_monotonic_ns() - self->wall_ns;
    PyObject *wall = PyFloat_FromDouble((double)wall_ns / 1e9);
    PyObject *cpu = wall == NULL ? NULL : PyFloat_FromDouble((double)cpu_ns / 1e9);
    int status = -1;
    if (cpu != NULL) {
        PyObject *args[] = {(PyObject *)task, wall, cpu};
        status = tell(observer, args, 3); /* escapes */
    }
    Py_XDECREF(wall);
    Py_XDECREF(cpu);
    return status;
}

int
fl_observe_end(
    const struct fl_observed *self, const struct fl_state *state, TaskObject *task,
    int status
)
{
    int64_t ticks = fl_clock_ticks();
    note(task, ticks);
    if (!has_observers_of_steps(state)) {
        return status;
    }
    PyObject *exc = fl_error_take();
    PyObject *op = (PyObject *)task;
    if (state->recorder != NULL) {
        fl_record_step_ended(state, op, &self->recorded, ticks);
    }
    if (tell_step(self, state->types.observe_step, task) < 0) { /* escapes */
        exc = fl_error_first(exc);
        status = -1;
    }
    if (self->pending && task->base.future.status != FL_FUTURE_PENDING &&
        tell(state->types.observe_done, &op, 1) < 0) { /* escapes */
        exc = fl_error_first(exc);
        status = -1;
    }
    fl_error_restore(exc);
    return status;
}

int
fl_observe_created(struct fl_state *state, TaskObject *task)
{
    PyObject *op = (PyObject *)task;
    if (state->recorder != NULL) {
        fl_record_made(state, op); /* escapes */
    }
    return tell(state->types.observe_created, &op, 1); /* escapes */
}

int
fl_observe_start(const struct fl_state *state, TaskObject *task)
{
    struct fl_observed seen;
    fl_observe_step_begins(&seen, state, task);
    int status = fl_task_start_eagerly(task); /* escapes */
    return fl_observe_end(&seen, state, task, status);
}

/* A task of the ring, observed: fl_loop_run_task. */
static FL_SLOW int
observe_run(LoopObject *loop, uintptr_t word)
{
    TaskObject *task = (TaskObject *)(word & ~FL_ENTRY_KIND_MASK);
    struct fl_observed seen;
    Py_INCREF(task);
    fl_current_retract(loop);
    fl_observe_step_begins(&seen, loop->state, task);
    int status = fl_loop_run_noting_task(loop, word); /* escapes */
    fl_current_retract(loop); /* the observers are no part of it */
    status = fl_observe_end(&seen, loop->state, task, status); /* escapes */
    Py_DECREF(task);                                           /* escapes */
    return status;
}

/* ---- set ---- */

fl_task_runner
fl_observe_runner(const struct fl_state *state)
{
    return has_observers_of_steps(state) ? observe_run
           : state->lookout != NULL      ? fl_loop_run_noting_task
                                         : fl_loop_run_task;
}

void
fl_observe_settle(struct fl_state *state)
{
    struct fl_types_state *types = &state->types;
    bool any = types->observe_created != NULL || has_observers_of_steps(state);
    PyTypeObject *coroutine = any ? NULL : &PyCoro_Type;
    types->plain_coroutine = state->lookout == NULL ? coroutine : NULL;
    types->noted_coroutine = state->lookout == NULL ? NULL : coroutine;
    struct fl_list *link = state->loops.next;
    for (; link != &state->loops; link = link->next) {
        FL_CONTAINER_OF(link, LoopObject, live_loops)->run_task =
            fl_observe_runner(state);
    }
}

PyObject *
fl_observe(PyObject *module, PyObject *const *args, Py_ssize_t n_args)
{
    struct fl_state *state = fl_state_of_module(module);
    struct fl_types_state *types = &state->types;
    PyObject **places[] = {
        &types->observe_created, &types->observe_step, &types->observe_done
    };
    PyObject *before[3];
    if (n_args != 3) {
        PyErr_SetString(PyExc_TypeError, "three observers were expected");
        return NULL;
    }
    for (size_t i = 0; i < 3; i++) {
        before[i] = *places[i];
        *places[i] = args[i] == Py_None ? NULL : Py_NewRef(args[i]);
    }
    fl_observe_settle(state);
    for (size_t i = 0; i < 3; i++) {
        Py_XDECREF(before[i]); /* escapes */
    }
    Py_RETURN_NONE;
}
