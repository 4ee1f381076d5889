/* What is set up before a loop runs, and taken down behind it: the halves of asyncio's
 * BaseEventLoop.run_forever around its iterations.
 */
#include "core/io/source.h"
#include "core/run/loop_nested.h"
#include "core/task/task_registry.h"
#include "py/args/call.h"
#include "py/error.h"

int
fl_run_check_not_running(LoopObject *self, PyObject **other)
{
    *other = NULL;
    if (self->running) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "This event loop is already running (it may run inside itself by "
            "loop.run_nested(), or after nest_asyncio.apply())"
        );
        return -1;
    }
    PyObject *running = PyObject_CallNoArgs(self->state->get_running_loop);
    if (running == Py_None) {
        Py_DECREF(running);
        return 0;
    }
    int allowed = running == NULL ? -1 : fl_nested_allowed(); /* escapes */
    if (allowed > 0) {
        *other = running;
        return 0;
    }
    Py_XDECREF(running);
    if (allowed == 0) {
        PyErr_SetString(
            PyExc_RuntimeError,
            "Cannot run the event loop while another loop is running"
        );
    }
    return -1;
}

static int
set_origin_tracking(LoopObject *self, bool enabled)
{
    if (enabled == (bool)self->coroutine_origin_tracking_enabled) {
        return 0;
    }
    return fl_call_status(PyObject_CallMethod(
        (PyObject *)self, "_set_coroutine_origin_tracking", "O",
        enabled ? Py_True : Py_False
    ));
}

int
fl_run_set_running_loop(LoopObject *self, PyObject *loop)
{
    return fl_call_status(PyObject_CallOneArg(self->state->set_running_loop, loop));
}

static int
install_asyncgen_hooks(LoopObject *self)
{
    PyObject *op = (PyObject *)self;
    PyObject *result = NULL, *finalizer = NULL, *old = NULL;
    PyObject *firstiter = PyObject_GetAttrString(op, "_asyncgen_firstiter_hook");
    if (firstiter != NULL) {
        finalizer = PyObject_GetAttrString(op, "_asyncgen_finalizer_hook");
    }
    if (finalizer != NULL) {
        old = PyObject_CallNoArgs(self->state->get_asyncgen_hooks);
    }
    if (old != NULL) {
        PyObject *stack[2] = {firstiter, finalizer};
        result = PyObject_Vectorcall(
            self->state->set_asyncgen_hooks, stack, 0, self->state->kw_hooks
        );
        Py_XSETREF(self->old_agen_hooks, Py_NewRef(old));
    }
    Py_XDECREF(firstiter);
    Py_XDECREF(finalizer);
    Py_XDECREF(old);
    return fl_call_status(result);
}

static int
restore_asyncgen_hooks(LoopObject *self)
{
    if (self->old_agen_hooks == NULL) {
        return 0;
    }
    PyObject *result =
        PyObject_Call(self->state->set_asyncgen_hooks, self->old_agen_hooks, NULL);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    Py_CLEAR(self->old_agen_hooks);
    return 0;
}

/* Kept in the instance's dict: some programs look for it there. */
static int
set_thread_id(LoopObject *self, PyObject *thread_id)
{
    if (thread_id == NULL) {
        return -1;
    }
    int status =
        PyObject_SetAttr((PyObject *)self, self->state->str__thread_id, thread_id);
    Py_DECREF(thread_id);
    return status;
}

/* What is set up is taken down by cleanup, also after a failure half-way. */
static int
setup(LoopObject *self)
{
    PyObject *other;
    if (fl_loop_show_patches(self->state) < 0 || /* escapes */
        fl_loop_check_closed(self) < 0 || fl_run_check_not_running(self, &other) < 0) {
        return -1;
    }
    LoopObject *outer = other == NULL ? NULL : fl_loop_of(other);
    if (outer != NULL && fl_loop_flush(outer) < 0) { /* escapes */
        Py_DECREF(other);
        return -1;
    }
    Py_XSETREF(self->outer_loop, other); /* escapes */
    self->thread_id = PyThread_get_thread_ident();
    self->running = 1;
    self->state->runs++;
    self->quiet_iterations = 0;
    self->last_step_ticks = fl_clock_ticks();
    self->run_ticks -= self->last_step_ticks;
    if (self->state->lookout != NULL) {
        fl_lookout_enter(self);
    }
    if (set_thread_id(self, PyLong_FromUnsignedLong(self->thread_id)) < 0 ||
        set_origin_tracking(self, self->debug) < 0 ||
        install_asyncgen_hooks(self) < 0 ||
        fl_run_set_running_loop(self, (PyObject *)self) < 0) {
        return -1;
    }
    if (other != NULL && fl_current_take(self, &self->outer_task) < 0) {
        return -1;
    }
    return fl_loop_begin_signals(self);
}

static int
forget_thread_id(LoopObject *self)
{
    return set_thread_id(self, Py_NewRef(Py_None));
}

/* None runs any more, or the one again in whose step this one ran. */
static int
forget_running_loop(LoopObject *self)
{
    PyObject *outer = self->outer_loop;
    if (fl_run_set_running_loop(self, outer == NULL ? Py_None : outer) < 0 ||
        (outer != NULL && fl_current_give_back(self, &self->outer_task) < 0)) {
        return -1;
    }
    Py_CLEAR(self->outer_loop); /* escapes */
    return 0;
}

static int
end_origin_tracking(LoopObject *self)
{
    return set_origin_tracking(self, false);
}

/* Runs to its end whatever fails, and tries each part twice: were one left out, no
 * other loop would run in this thread. The first exception stays. escapes. */
int
fl_run_clean_up(LoopObject *self)
{
    static int (*const parts[])(LoopObject *) = {
        fl_loop_flush,       fl_loop_return_wakeup_fd, forget_thread_id,
        forget_running_loop, end_origin_tracking,      restore_asyncgen_hooks,
    };
    PyObject *exc = fl_error_take();
    fl_current_retract(self);
    if (self->running) {
        self->running = 0;
        self->stopping = 0;
        int64_t now_ticks = fl_clock_ticks();
        fl_loop_count_between(self, now_ticks);
        self->run_ticks += now_ticks;
        fl_lookout_leave(self);
        for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++) {
            for (int tries = 0; tries < 2 && parts[i](self) < 0; tries++) {
                if (exc == NULL) {
                    exc = fl_error_take();
                }
                else {
                    PyErr_WriteUnraisable((PyObject *)self);
                }
            }
        }
        fl_context_drop(&self->contexts);
        fl_ring_shrink(&self->ready, FL_RING_IDLE);
    }
    fl_error_restore(exc);
    return exc == NULL ? 0 : -1;
}

PyObject *
fl_loop_run_forever_setup(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    bool was_running = self->running;
    if (setup(self) < 0) {
        if (!was_running) {
            fl_run_clean_up(self);
        }
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
fl_loop_run_forever_cleanup(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (fl_run_clean_up((LoopObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
