/* Running the loop inside one of its own steps.
 *
 * Imitates what nest_asyncio2 makes of asyncio's run_until_complete and run_forever.
 */
#include "core/loop_nested.h"

#include "core/alarm.h"
#include "core/source.h"
#include "core/task_registry.h"
#include "core/timer_handle.h"
#include "py/call.h"
#include "py/error.h"
#include "py/keywords.h"

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

/* ---- who is put off ---- */

/* Whether a Context is entered: one that is can't be entered again. */
static bool
is_entered(PyObject *context)
{
    if (context == NULL || !PyContext_CheckExact(context)) {
        return false;
    }
    if (PyContext_Enter(context) == 0) {
        if (PyContext_Exit(context) < 0) {
            PyErr_Clear(); /* its turn will say so */
        }
        return false;
    }
    bool entered = PyErr_ExceptionMatches(PyExc_RuntimeError);
    PyErr_Clear();
    return entered;
}

static PyObject *
context_of(uintptr_t word)
{
    void *pointer = (void *)(word & ~FL_ENTRY_KIND_MASK);
    switch (word & FL_ENTRY_KIND_MASK) {
    case FL_ENTRY_HANDLE: {
        HandleObject *handle = pointer;
        /* one that is to be copied first is entered by nobody */
        return handle->cancelled || handle->context_shared ? NULL : handle->context;
    }
    case FL_ENTRY_SOURCE:
        return fl_source_context(word);
    case FL_ENTRY_ALARM:
        return NULL; /* each has one of its own */
    default:
        return ((TaskObject *)pointer)->base.context;
    }
}

/* The task that an entry steps or wakes: new, or NULL if it is none's. escapes. */
static PyObject *
task_of(uintptr_t word)
{
    uintptr_t kind = word & FL_ENTRY_KIND_MASK;
    if (kind == FL_ENTRY_STEP || kind == FL_ENTRY_WAKEUP) {
        return Py_NewRef((PyObject *)(word & ~FL_ENTRY_KIND_MASK));
    }
    PyObject *callback =
        kind == FL_ENTRY_HANDLE ? ((HandleObject *)word)->callback : NULL;
    if (callback == NULL) {
        return NULL;
    }
    Py_INCREF(callback);
    PyObject *task = PyObject_GetAttrString(callback, "__self__"); /* escapes */
    Py_DECREF(callback);
    if (task == NULL) {
        PyErr_Clear();
    }
    return task;
}

static bool
is_old_timer(const struct fl_nested *self, uintptr_t word)
{
    if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_ALARM) {
        return fl_alarm_sequence(word) < self->first_timer;
    }
    if ((word & FL_ENTRY_KIND_MASK) != FL_ENTRY_HANDLE ||
        !Py_IS_TYPE((PyObject *)word, self->loop->state->timer_handle_type)) {
        return false;
    }
    return ((TimerHandleObject *)word)->timer.sequence < self->first_timer;
}

/* Whether what was there before is to wait, and this is of it. escapes. */
static bool
is_old(const struct fl_nested *self, uintptr_t word)
{
    if (self->old_tasks == NULL) {
        return false;
    }
    if (is_old_timer(self, word)) {
        return true;
    }
    PyObject *task = task_of(word);                                       /* escapes */
    int found = task == NULL ? 0 : PySet_Contains(self->old_tasks, task); /* escapes */
    Py_XDECREF(task);
    if (found < 0) {
        PyErr_Clear(); /* can't be hashed: is in no set of tasks */
    }
    return found > 0;
}

/* The run whose end the entry must await, or NULL. escapes. */
static struct fl_nested *
to_await(LoopObject *loop, uintptr_t word)
{
    for (struct fl_nested *run = loop->nested; run != NULL; run = run->outer) {
        if (is_old(run, word)) { /* escapes */
            return run;
        }
    }
    return is_entered(context_of(word)) ? loop->nested : NULL;
}

/* An fd that stays ready queues its handle in every iteration: once will do. */
static bool
is_watch_put_off(const struct fl_ring *put_off, uintptr_t word)
{
    if ((word & FL_ENTRY_KIND_MASK) != FL_ENTRY_HANDLE ||
        ((HandleObject *)word)->queued) {
        return false;
    }
    for (size_t i = 0; i < fl_ring_count(put_off); i++) {
        if (fl_ring_peek(put_off, i) == word) {
            return true;
        }
    }
    return false;
}

/* Steals the word. escapes. 0, or -1 with MemoryError. */
static int
put_off(struct fl_nested *self, uintptr_t word)
{
    if (is_watch_put_off(&self->put_off, word)) {
        fl_loop_drop_word(word); /* escapes */
        return 0;
    }
    if (fl_ring_push(&self->put_off, word) < 0) {
        fl_loop_drop_word(word); /* escapes */
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

uintptr_t
fl_nested_next(LoopObject *self, int *status)
{
    /* room first: an entry that got in neither here nor there would be lost */
    if (fl_ring_reserve(&self->nested->put_off) < 0) {
        PyErr_NoMemory();
        *status = -1;
        return 0;
    }
    uintptr_t word = fl_ring_pop(&self->ready);
    struct fl_nested *run = to_await(self, word); /* escapes */
    if (run == NULL) {
        return word;
    }
    *status = put_off(run, word); /* escapes */
    return 0;
}

/* ---- others="wait" ---- */

/* Of the entries that are queued as the run begins, those of an fd and those of other
 * threads do not wait: whether they came just before is chance. */
static bool
came_from_outside(uintptr_t word)
{
    uintptr_t kind = word & FL_ENTRY_KIND_MASK;
    if (kind != FL_ENTRY_HANDLE) {
        return kind == FL_ENTRY_SOURCE;
    }
    /* that of an fd is its watch's, too */
    char queued = ((HandleObject *)word)->queued;
    return queued == 0 || queued == FL_HANDLE_FROM_THREAD;
}

static bool
waits(const struct fl_nested *self, uintptr_t word)
{
    if (is_old(self, word)) { /* escapes */
        return true;
    }
    PyObject *task = task_of(word); /* escapes */
    bool awaited = task != NULL && task == self->awaited;
    Py_XDECREF(task);
    return !awaited && !came_from_outside(word);
}

/* Puts off what is queued. escapes. 0 or -1. */
static int
put_off_queued(struct fl_nested *self)
{
    struct fl_ring *ready = &self->loop->ready;
    int status = 0;
    for (size_t n = fl_ring_count(ready); n > 0 && fl_ring_count(ready) > 0; n--) {
        uintptr_t word = fl_ring_pop(ready);
        if (waits(self, word)) { /* escapes */
            status = put_off(self, word);
        }
        else if (fl_loop_push(self->loop, word) < 0) {
            fl_loop_drop_word(word); /* escapes */
            status = -1;
        }
        if (status < 0) {
            break;
        }
    }
    return status;
}

static int
make_others_wait(struct fl_nested *self, PyObject *awaitable)
{
    struct fl_state *state = self->loop->state;
    self->first_timer = self->loop->timers.next_sequence;
    self->awaited = awaitable;
    self->old_tasks =
        PyObject_CallOneArg(state->all_tasks, (PyObject *)self->loop); /* escapes */
    if (self->old_tasks == NULL) {
        return -1;
    }
    if (!PySet_Check(self->old_tasks)) {
        PyErr_SetString(PyExc_TypeError, "all_tasks() returned no set");
        Py_CLEAR(self->old_tasks);
        return -1;
    }
    int is_future = fl_call_truth(PyObject_CallOneArg(state->isfuture, awaitable));
    if (is_future < 0 ||
        (is_future && PySet_Discard(self->old_tasks, awaitable) < 0)) { /* escapes */
        return -1;
    }
    return put_off_queued(self);
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
        !is_entered(((TaskObject *)(void *)future)->base.context)) {
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
    if (!wait || make_others_wait(run, awaitable) == 0) { /* escapes */
        result = run_for(run, awaitable);                 /* escapes */
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
