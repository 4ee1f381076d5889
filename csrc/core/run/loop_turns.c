/* Whose turns are put off while a loop runs inside one of its own steps. */
#include "core/handle/alarm.h"
#include "core/handle/timer_handle.h"
#include "core/io/source.h"
#include "core/run/loop_nested.h"
#include "core/task/task.h"
#include "py/args/call.h"

/* ---- who is put off ---- */

bool
fl_nested_is_entered(PyObject *context)
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
    PyErr_Clear();
    return true;
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
    return fl_nested_is_entered(context_of(word)) ? loop->nested : NULL;
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
    if (ready->told != NULL) {
        ready->told(ready); /* who looks at what is queued must not find it gone */
    }
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

int
fl_nested_make_others_wait(struct fl_nested *self, PyObject *awaitable)
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
