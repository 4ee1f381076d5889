/* Running the loop inside one of its own steps.
 *
 * Imitates what nest_asyncio2 makes of asyncio's run_until_complete and run_forever.
 */
#include "core/run/loop_nested.h"

#include "core/task/task_registry.h"
#include "py/args/call.h"
#include "py/args/keywords.h"
#include "py/error.h"

/* ---- may it? ---- */

static int
has_mark(PyObject *module)
{
    PyObject *mark = PyObject_GetAttrString(module, "_nest_patched"); /* escapes */
    if (mark != NULL) {
        Py_DECREF(mark);
        return 1;
    }
    if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return -1;
    }
    PyErr_Clear();
    return 0;
}

int
fl_nested_allowed(void)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio");
    if (asyncio == NULL) {
        return -1;
    }
    int allowed = has_mark(asyncio);
    Py_DECREF(asyncio);
    return allowed;
}

PyObject *
fl_nested_get_patched(PyObject *Py_UNUSED(op), void *Py_UNUSED(closure))
{
    int allowed = fl_nested_allowed();
    if (allowed == 0) {
        PyErr_SetString(PyExc_AttributeError, "_nest_patched");
    }
    return allowed > 0 ? Py_NewRef(Py_True) : NULL;
}

static bool
runs_here(const LoopObject *self)
{
    return self->running && self->thread_id == PyThread_get_thread_ident();
}

int
fl_nested_may_run(const LoopObject *self)
{
    return runs_here(self) ? fl_nested_allowed() : 0;
}

/* ---- the stack of runs ---- */

static struct fl_nested *
begin(LoopObject *loop)
{
    if (Py_EnterRecursiveCall(" while running an event loop inside itself")) {
        return NULL;
    }
    struct fl_nested *self = PyMem_Calloc(1, sizeof(*self));
    if (self == NULL || fl_ring_init(&self->put_off, 1) < 0) {
        PyErr_NoMemory();
        goto fail;
    }
    self->running = PyObject_CallNoArgs(loop->state->get_running_loop);
    if (self->running == NULL) {
        goto fail;
    }
    if (self->running == (PyObject *)loop) {
        Py_CLEAR(self->running);
    }
    else if (fl_run_set_running_loop(loop, (PyObject *)loop) < 0) {
        goto fail; /* another loop nests, and this one in it */
    }
    fl_run_take_drain(loop);
    self->loop = (LoopObject *)Py_NewRef(loop);
    self->handle = loop->current_handle;
    loop->current_handle = NULL;
    self->outer = loop->nested;
    loop->nested = self;
    return self;
fail:
    if (self != NULL) {
        if (self->running != NULL && fl_run_set_running_loop(loop, self->running) < 0) {
            PyErr_WriteUnraisable((PyObject *)loop);
        }
        Py_XDECREF(self->running);
        fl_ring_deinit(&self->put_off);
        PyMem_Free(self);
    }
    Py_LeaveRecursiveCall();
    return NULL;
}

/* What was put off goes before what is queued. 0, or -1 with MemoryError. */
static int
put_back(struct fl_nested *self)
{
    struct fl_ring *ready = &self->loop->ready;
    struct fl_ring *kept = &self->put_off;
    int status = 0;
    while (fl_ring_count(kept) > 0) {
        uintptr_t word = kept->slots[--kept->tail & kept->mask];
        if (self->loop->closed) {
            fl_loop_drop_word(word); /* escapes */
        }
        else if (fl_ring_push_front(ready, word) < 0) {
            fl_loop_drop_word(word); /* escapes */
            status = -1;
        }
    }
    if (status < 0) {
        PyErr_NoMemory();
    }
    return status;
}

static void
unlink_run(struct fl_nested *self)
{
    struct fl_nested **at = &self->loop->nested;
    while (*at != NULL && *at != self) {
        at = &(*at)->outer; /* greenlets may end runs in another order */
    }
    if (*at == self) {
        *at = self->outer;
    }
}

static int
restore_running_loop(struct fl_nested *self)
{
    return self->running == NULL ? 0
                                 : fl_run_set_running_loop(self->loop, self->running);
}

/* Not before the awaited task is made: a task factory sees who nests. */
static int
take_current(struct fl_nested *self)
{
    fl_current_retract(self->loop); /* escapes */
    int status = fl_current_take(self->loop, &self->task);
    self->took_current = status == 0;
    return status;
}

static int
restore_current(struct fl_nested *self)
{
    return self->took_current ? fl_current_give_back(self->loop, &self->task) : 0;
}

/* Runs to its end whatever fails, and tries each part twice. The first exception
 * stays. escapes. 0, or -1 with an exception. */
static int
end(struct fl_nested *self)
{
    static int (*const parts[])(struct fl_nested *) = {
        put_back, restore_running_loop, restore_current
    };
    PyObject *exc = fl_error_take();
    LoopObject *loop = self->loop;
    fl_current_retract(loop); /* escapes */
    unlink_run(self);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts); i++) {
        for (int tries = 0; tries < 2 && parts[i](self) < 0; tries++) {
            exc = fl_error_first(exc);
        }
    }
    Py_XSETREF(loop->current_handle, self->handle); /* escapes */
    if (self->stop_is_outer) {
        loop->stopping = 1;
    }
    fl_ring_deinit(&self->put_off);
    Py_XDECREF(self->task);
    Py_XDECREF(self->running);
    Py_XDECREF(self->old_tasks); /* escapes */
    PyMem_Free(self);
    Py_DECREF(loop);
    Py_LeaveRecursiveCall();
    fl_error_restore(exc);
    return exc == NULL ? 0 : -1;
}

/* ---- running ---- */

/* Whether the run is to stop. Not if the outermost run has got what it awaits: that
 * stops by itself, as soon as this one has ended. escapes. 1, 0, or -1. */
static int
must_stop(struct fl_nested *self)
{
    LoopObject *loop = self->loop;
    if (!loop->stopping) {
        return 0;
    }
    PyObject *outermost = Py_XNewRef(loop->awaited);
    int done = outermost == NULL ? 0 : fl_run_ask(outermost, "done"); /* escapes */
    Py_XDECREF(outermost);
    if (done > 0) {
        loop->stopping = 0;
        self->stop_is_outer = true;
        return 0;
    }
    return done < 0 ? -1 : 1;
}

static int
iterate_until_stopped(struct fl_nested *self)
{
    int stop;
    do {
        if (fl_run_iterate_nested(self->loop) < 0) { /* escapes */
            return -1;
        }
        stop = must_stop(self); /* escapes */
    } while (stop == 0);
    return stop < 0 ? -1 : 0;
}

static int
iterate_until_done(struct fl_nested *self, PyObject *future)
{
    int done, stop = 0;
    while ((done = fl_run_ask(future, "done")) == 0 && stop == 0) { /* escapes */
        if (fl_run_iterate_nested(self->loop) < 0) {                /* escapes */
            return -1;
        }
        stop = must_stop(self); /* escapes */
        if (stop < 0) {
            return -1;
        }
    }
    /* once more for the callbacks of what is done, as outside of a nested run */
    if (done > 0 && fl_ring_count(&self->loop->ready) > 0) {
        return fl_run_iterate_nested(self->loop); /* escapes */
    }
    return done < 0 ? -1 : 0;
}

/* A task that could never run: its Context is entered by who awaits it here. */
static int
check_can_run(LoopObject *loop, PyObject *future)
{
    if (!Py_IS_TYPE(future, loop->state->task_type) ||
        !fl_nested_is_entered(((TaskObject *)(void *)future)->base.context)) {
        return 0;
    }
    int done = fl_run_ask(future, "done");
    if (done == 0) {
        PyErr_Format(
            PyExc_RuntimeError,
            "cannot await %R in a nested run: its context is entered already", future
        );
    }
    return done > 0 ? 0 : -1;
}

static PyObject *
result_of(PyObject *future)
{
    int done = fl_run_ask(future, "done"); /* escapes */
    if (done == 0) {
        PyErr_SetString(
            PyExc_RuntimeError, "Event loop stopped before Future completed."
        );
    }
    return done > 0 ? PyObject_CallMethod(future, "result", NULL) : NULL;
}

static PyObject *
run_for(struct fl_nested *self, PyObject *awaitable)
{
    bool new_task;
    PyObject *future = fl_run_prepare(self->loop, awaitable, &new_task); /* escapes */
    if (future == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (check_can_run(self->loop, future) == 0 && take_current(self) == 0 &&
        iterate_until_done(self, future) == 0) { /* escapes */
        result = result_of(future);
    }
    else if (new_task) {
        PyObject *exc = fl_error_take();
        if (fl_run_mark_retrieved(future) < 0) { /* escapes */
            PyErr_WriteUnraisable(future);
        }
        fl_error_restore(exc);
    }
    Py_DECREF(future);
    return result;
}

PyObject *
fl_nested_run_until_complete(LoopObject *self, PyObject *awaitable, bool wait)
{
    struct fl_nested *run = begin(self); /* escapes */
    if (run == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (!wait || fl_nested_make_others_wait(run, awaitable) == 0) { /* escapes */
        result = run_for(run, awaitable);                           /* escapes */
    }
    if (end(run) < 0) { /* escapes */
        Py_CLEAR(result);
    }
    return result;
}

PyObject *
fl_nested_run_forever(LoopObject *self)
{
    struct fl_nested *run = begin(self); /* escapes */
    if (run == NULL) {
        return NULL;
    }
    if (take_current(run) == 0 && iterate_until_stopped(run) == 0) { /* escapes */
        self->stopping = 0;
    }
    return end(run) < 0 ? NULL : Py_NewRef(Py_None); /* escapes */
}

/* ---- the method ---- */

/* others: "run" 0, "wait" 1; -1 with an exception. */
static int
parse_others(PyObject *others)
{
    if (PyUnicode_Check(others)) {
        if (PyUnicode_CompareWithASCIIString(others, "run") == 0) {
            return 0;
        }
        if (PyUnicode_CompareWithASCIIString(others, "wait") == 0) {
            return 1;
        }
    }
    PyErr_Format(
        PyExc_ValueError, "others must be 'run' or 'wait', not %R", others
    ); /* escapes */
    return -1;
}

PyObject *
fl_loop_run_nested(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    LoopObject *self = (LoopObject *)op;
    const struct fl_state *state = self->state;
    const struct fl_keywords expected = {
        "run_nested", 2, 1, 2, {state->str_awaitable, state->str_others}
    };
    PyObject *given[2] = {NULL, NULL};
    if (fl_keywords_parse(&expected, args, n_args, kwnames, given) < 0) {
        return NULL;
    }
    int wait = given[1] == NULL ? 0 : parse_others(given[1]); /* escapes */
    if (wait < 0 || fl_loop_check_closed(self) < 0) {
        return NULL;
    }
    if (runs_here(self)) {
        return fl_nested_run_until_complete(self, given[0], wait > 0); /* escapes */
    }
    if (self->running) {
        PyErr_SetString(
            PyExc_RuntimeError, "This event loop is running in another thread"
        );
        return NULL;
    }
    return PyObject_CallMethodOneArg(
        op, state->str_run_until_complete, given[0]
    ); /* escapes */
}
