/* The recorder: what a loop does beside the steps of tasks. */
#include "core/future/task_wakeup.h"
#include "core/handle/alarm.h"
#include "core/handle/timer_handle.h"
#include "core/io/source.h"
#include "watch/names.h"
#include "watch/recorder/recorder_state.h"

static struct fl_recorded *
recorded_of(LoopObject *loop)
{
    struct fl_recorder *self = loop->state->recorder;
    return self == NULL ? NULL : fl_record_loop(self, loop);
}

/* ---- what is called ---- */

struct called {
    uint32_t name;
    uint32_t place;
    bool is_inner; /* asyncio's or ours, and not public */
};

static void
describe_code(struct fl_recorder *self, PyObject *code, struct called *called)
{
    called->name = fl_record_name(self, code);
    called->place = fl_record_place(self, code, -1);
    called->is_inner = fl_record_is_inner(self, called->name);
}

/* What is behind bound methods and partials: new, or NULL. */
static PyObject *
unwrapped(const struct fl_recorder *self, PyObject *op)
{
    enum { DEEPEST = 10 };

    Py_INCREF(op);
    for (int depth = 0; op != NULL && depth < DEEPEST; depth++) {
        PyObject *inner;
        if (PyMethod_Check(op)) {
            inner = Py_NewRef(PyMethod_GET_FUNCTION(op));
        }
        else if (Py_IS_TYPE(op, self->partial)) {
            inner = PyObject_GetAttr(op, self->str_func); /* a field in C */
        }
        else {
            break;
        }
        Py_SETREF(op, inner); /* somebody else has it */
    }
    if (op == NULL) {
        PyErr_Clear(); /* of memory */
    }
    return op;
}

/* A step of a task that is not ours: by its coroutine. Whether it is one. */
static bool
describe_foreign(
    struct fl_recorder *self, const struct fl_state *state, PyObject *callback,
    struct called *called
)
{
    PyObject *coro = fl_callback_coroutine(state, callback);
    if (coro == NULL) {
        return false;
    }
    if (PyCoro_CheckExact(coro) || PyGen_CheckExact(coro)) {
        PyObject *code = fl_suspended_code(&self->suspended, coro);
        if (code != NULL) {
            describe_code(self, code, called);
        }
    }
    if (called->name == 0) {
        called->name = fl_record_coroutine(self, coro);
    }
    Py_DECREF(coro);
    return true;
}

static struct called
describe_callback(
    struct fl_recorder *self, const struct fl_state *state, PyObject *callback
)
{
    struct called called = {0, 0, false};
    if (callback == NULL || describe_foreign(self, state, callback, &called)) {
        return called;
    }
    PyObject *op = unwrapped(self, callback);
    if (op == NULL) {
        return called;
    }
    if (PyFunction_Check(op)) {
        describe_code(self, PyFunction_GET_CODE(op), &called);
    }
    else if (PyCFunction_CheckExact(op)) {
        called.name = fl_record_method(self, op);
    }
    else {
        called.name = fl_record_name(self, (PyObject *)Py_TYPE(op));
    }
    Py_DECREF(op); /* the callback has it */
    return called;
}

/* Whether its step records itself. */
static bool
is_step(const struct fl_state *state, PyObject *callback)
{
    return callback != NULL && (Py_IS_TYPE(callback, state->task_step_type) ||
                                fl_task_woken_by(callback) != NULL);
}

static bool
is_timer(const struct fl_state *state, uintptr_t word)
{
    return (word & FL_ENTRY_KIND_MASK) == FL_ENTRY_HANDLE &&
           Py_IS_TYPE((PyObject *)word, state->timer_handle_type);
}

/* ---- turns ---- */

/* What is run, and the name that its wake-ups get for a cause. Whether it is a call at
 * all. */
static bool
describe_entry(
    struct fl_recorder *self, const struct fl_state *state, uintptr_t word,
    struct called *called, uint32_t *cause
)
{
    *called = (struct called){0, 0, false};
    switch (word & FL_ENTRY_KIND_MASK) {
    case FL_ENTRY_HANDLE: {
        const HandleObject *handle = (HandleObject *)word;
        if (handle->cancelled || is_step(state, handle->callback)) {
            return false;
        }
        *called = describe_callback(self, state, handle->callback);
        *cause = handle->queued == FL_HANDLE_FROM_THREAD     ? FL_NAME_THREAD
                 : is_timer(state, word) && called->is_inner ? FL_NAME_TIMER
                                                             : called->name;
        return true;
    }
    case FL_ENTRY_SOURCE:
        called->name = fl_record_name(self, (PyObject *)Py_TYPE(fl_source_owner(word)));
        *cause = FL_NAME_IO;
        return true;
    case FL_ENTRY_ALARM:
        called->name = fl_record_text(self, fl_alarm_name(word));
        *cause = FL_NAME_TIMER;
        return true;
    default:
        return false;
    }
}

void
fl_record_turn(LoopObject *loop, uintptr_t word, struct fl_recorded_turn *turn)
{
    struct fl_recorder *self = loop->state->recorder;
    struct fl_recorded *recorded = recorded_of(loop);
    struct called called;
    uint32_t cause;
    uintptr_t kind = word & FL_ENTRY_KIND_MASK;
    turn->run = 0;
    if (recorded == NULL || kind == FL_ENTRY_STEP || kind == FL_ENTRY_WAKEUP) {
        return;
    }
    fl_record_settle(self, loop, recorded);
    (void)fl_record_woken(self, loop, recorded, NULL);
    if (!describe_entry(self, loop->state, word, &called, &cause)) {
        return;
    }
    *turn = (struct fl_recorded_turn){self->run, 0, recorded->task, recorded->cause};
    recorded->task = 0;
    recorded->cause = cause;
    fl_record(self, FL_EVENT_CALL_BEGIN, recorded->loop, called.name, called.place);
}

void
fl_record_turn_ended(LoopObject *loop, const struct fl_recorded_turn *turn)
{
    struct fl_recorder *self = loop->state->recorder;
    struct fl_recorded *recorded = &loop->recorded;
    if (self == NULL || turn->run != self->run || recorded->run != self->run) {
        return;
    }
    (void)fl_record_woken(self, loop, recorded, NULL);
    fl_record(self, FL_EVENT_CALL_END, recorded->loop, 0, 0);
    recorded->task = turn->outer_task;
    recorded->cause = turn->outer_cause;
}

/* ---- iterations ---- */

/* Asks for its thread's name, which may be gone when it is all over. escapes. */
static FL_SLOW void
note_thread(struct fl_recorder *self, struct fl_recorded *recorded)
{
    uint32_t loop = recorded->loop;
    uint64_t run = self->run;
    struct fl_state *state = self->state;
    recorded->has_name = true;
    PyObject *ask = Py_NewRef(self->name_of_thread);
    PyObject *name = PyObject_CallNoArgs(ask); /* escapes */
    Py_DECREF(ask);
    if (name == NULL) {
        PyErr_WriteUnraisable(NULL);
        return;
    }
    self = state->recorder;
    if (self != NULL && self->run == run && PyUnicode_CheckExact(name)) {
        struct fl_recorded_loop *of = FL_RECORDED(self->loops, fl_recorded_loop, loop);
        of->thread = PyThread_get_thread_ident();
        Py_XSETREF(of->name, Py_NewRef(name));
    }
    Py_DECREF(name);
}

void
fl_record_look(LoopObject *loop)
{
    struct fl_recorded *recorded = recorded_of(loop);
    if (recorded != NULL && !recorded->has_name) {
        note_thread(loop->state->recorder, recorded); /* escapes */
        recorded = recorded_of(loop);
    }
    struct fl_recorder *self = loop->state->recorder;
    if (recorded == NULL) {
        return;
    }
    fl_record_settle(self, loop, recorded);
    (void)fl_record_woken(self, loop, recorded, NULL);
    fl_poller_forget_fetched(&loop->poller);
    fl_record(self, FL_EVENT_POLL_BEGIN, recorded->loop, 0, 0);
    recorded->at_poll = self->count;
    recorded->n_polls = loop->n_polls;
}

/* Of a poll that ended then. */
static void
record_poll(struct fl_recorder *self, LoopObject *loop, uint32_t number, int64_t ticks)
{
    uint32_t n_ready = 0;
    int fd;
    for (int i = 0; (fd = fl_poller_fetched(&loop->poller, i)) >= 0; i++) {
        n_ready += fd != loop->event_watch.fd && fd != loop->signal_watch.fd;
    }
    fl_record_at(self, ticks, FL_EVENT_POLL_END, number, n_ready, 0);
    for (int i = 0; (fd = fl_poller_fetched(&loop->poller, i)) >= 0; i++) {
        if (fd != loop->event_watch.fd && fd != loop->signal_watch.fd) {
            fl_record_at(self, ticks, FL_EVENT_IO, number, (uint32_t)fd, 0);
        }
    }
}

/* The timers among what has been queued. */
static void
record_timers(struct fl_recorder *self, LoopObject *loop, struct fl_recorded *recorded)
{
    const struct fl_ring *ring = &loop->ready;
    for (size_t at = recorded->seen; (ptrdiff_t)(ring->tail - at) > 0; at++) {
        uintptr_t word = fl_ring_peek(ring, at - ring->head);
        uint32_t name;
        if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_ALARM) {
            name = fl_record_text(self, fl_alarm_name(word));
        }
        else if (is_timer(loop->state, word)) {
            PyObject *callback = ((HandleObject *)word)->callback;
            name = describe_callback(self, loop->state, callback).name;
        }
        else {
            continue;
        }
        fl_record(self, FL_EVENT_TIMER, recorded->loop, name, 0);
    }
}

void
fl_record_looked(LoopObject *loop)
{
    struct fl_recorder *self = loop->state->recorder;
    struct fl_recorded *recorded = &loop->recorded;
    if (self == NULL || recorded->run != self->run || recorded->at_poll == 0) {
        return; /* it began meanwhile */
    }
    bool polled = recorded->n_polls != loop->n_polls;
    if (!polled && recorded->at_poll == self->count && self->n_lost == 0) {
        self->count--; /* there was none */
    }
    else {
        int64_t ticks = polled ? loop->last_poll_ticks : fl_clock_ticks();
        record_poll(self, loop, recorded->loop, ticks);
    }
    recorded->at_poll = 0;
    if (PyErr_Occurred()) {
        return; /* it leaves the loop; what was queued is seen by the next */
    }
    record_timers(self, loop, recorded);
    uint32_t outer_task = recorded->task, outer_cause = recorded->cause;
    recorded->task = 0;
    recorded->cause = FL_NAME_IO;
    (void)fl_record_woken(self, loop, recorded, NULL);
    recorded->task = outer_task;
    recorded->cause = outer_cause;
}
