/* The recorder: tasks and their steps. */
#include "core/future/task_wakeup.h"
#include "core/handle/handle.h"
#include "watch/recorder/recorder_state.h"

struct fl_recorded *
fl_record_loop(struct fl_recorder *self, LoopObject *loop)
{
    struct fl_recorded *recorded = &loop->recorded;
    if (FL_LIKELY(recorded->run == self->run)) {
        return recorded;
    }
    uint32_t number = fl_recorded_add(&self->loops, sizeof(struct fl_recorded_loop));
    if (number == 0) {
        return NULL;
    }
    FL_RECORDED(self->loops, fl_recorded_loop, number)->thread =
        PyThread_get_thread_ident();
    *recorded = (struct fl_recorded){
        .run = self->run, .loop = number, .seen = loop->ready.tail
    };
    return recorded;
}

/* ---- tasks ---- */

static struct fl_recorded_task *
recorded_task(const struct fl_recorder *self, uint32_t number)
{
    return FL_RECORDED(self->tasks, fl_recorded_task, number);
}

/* It may have been given another one. A str's subclass may have code of its own. */
static void
note_name(struct fl_recorded_task *recorded, const TaskObject *task)
{
    PyObject *name = task->base.name;
    if (name != recorded->name && name != NULL &&
        (PyUnicode_CheckExact(name) || PyLong_CheckExact(name))) {
        Py_XSETREF(recorded->name, Py_NewRef(name)); /* runs nobody's code */
    }
}

/* Enters it anew, whatever was at its address before. */
static uint32_t
enter_task(struct fl_recorder *self, TaskObject *task)
{
    LoopObject *loop = fl_future_loop(fl_task_future(task));
    struct fl_recorded *of = loop == NULL ? NULL : fl_record_loop(self, loop);
    if (of == NULL || self->count >= self->room) {
        return 0; /* its events would find no room, either */
    }
    uint32_t number = fl_recorded_add(&self->tasks, sizeof(struct fl_recorded_task));
    if (number == 0 || fl_keys_put(&self->task_keys, (uintptr_t)task, 0, number) < 0) {
        self->tasks.count -= number != 0;
        return 0;
    }
    struct fl_recorded_task *recorded = recorded_task(self, number);
    recorded->loop = of->loop;
    note_name(recorded, task);
    if (task->base.coro != NULL) {
        recorded->coroutine = fl_record_coroutine(self, task->base.coro);
    }
    return number;
}

uint32_t
fl_record_task(struct fl_recorder *self, PyObject *task)
{
    uint32_t number = fl_keys_find(&self->task_keys, (uintptr_t)task, 0);
    return FL_LIKELY(number != 0) ? number
                                  : enter_task(self, (TaskObject *)(void *)task);
}

/* The program's innermost line, or 0. escapes: to make frames may collect garbage. */
static uint32_t
find_maker(const struct fl_state *state)
{
    uint32_t place = 0;
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get()); /* escapes */
    while (frame != NULL && place == 0) {
        PyObject *code = (PyObject *)PyFrame_GetCode(frame);
        struct fl_recorder *self = state->recorder;
        if (self != NULL && fl_record_is_programs(self, code)) {
            place = fl_record_place(self, code, PyFrame_GetLasti(frame));
        }
        Py_DECREF(code);
        PyFrameObject *back = place != 0 ? NULL : PyFrame_GetBack(frame); /* escapes */
        Py_DECREF(frame);
        frame = back;
    }
    if (PyErr_Occurred()) {
        PyErr_Clear(); /* of memory for a frame */
    }
    return place;
}

void
fl_record_made(struct fl_state *state, PyObject *op)
{
    TaskObject *task = (TaskObject *)(void *)op;
    LoopObject *loop = fl_future_loop(fl_task_future(task));
    if (loop == NULL) {
        return;
    }
    uint32_t place = find_maker(state); /* escapes */
    struct fl_recorder *self = state->recorder;
    struct fl_recorded *of = self == NULL ? NULL : fl_record_loop(self, loop);
    if (of != NULL) {
        (void)fl_record_woken(self, loop, of, NULL);
    }
    uint32_t number = of == NULL ? 0 : enter_task(self, task);
    if (number == 0) {
        if (self != NULL) {
            self->n_lost++;
        }
        return;
    }
    struct fl_recorded_task *recorded = recorded_task(self, number);
    recorded->parent = loop->recorded.task;
    recorded->place = place;
    fl_record(self, FL_EVENT_MADE, number, recorded->parent, place);
}

/* ---- who woke whom ---- */

/* The task that an entry of the ring wakes, if it is one of ours: borrowed, or NULL. */
static PyObject *
woken_by(uintptr_t word)
{
    if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_WAKEUP) {
        return (PyObject *)(word & ~FL_ENTRY_KIND_MASK);
    }
    PyObject *callback = (word & FL_ENTRY_KIND_MASK) == FL_ENTRY_HANDLE
                             ? ((HandleObject *)word)->callback
                             : NULL;
    return callback == NULL ? NULL : fl_task_woken_by(callback);
}

/* The event that was kept for the entry at seen, or a new one. */
static void
write_woken(struct fl_recorder *self, struct fl_recorded *recorded, uint32_t number)
{
    uint32_t waker = recorded->task, cause = waker != 0 ? 0 : recorded->cause;
    if (recorded->kept == 0) {
        fl_record(self, FL_EVENT_WOKEN, number, waker, cause);
        return;
    }
    struct fl_event *event = &self->events[recorded->kept - 1];
    *event = (struct fl_event){event->ticks, number, waker, cause, FL_EVENT_WOKEN};
    recorded->kept = 0;
}

/* It wakes nobody. If others lie behind it the event stays, as none. */
static void
forget_kept(struct fl_recorder *self, struct fl_recorded *recorded)
{
    if (recorded->kept != 0 && recorded->kept == self->count && self->n_lost == 0) {
        self->count--;
    }
    recorded->kept = 0;
}

bool
fl_record_woken(
    struct fl_recorder *self, LoopObject *loop, struct fl_recorded *recorded,
    const PyObject *own
)
{
    struct fl_ring *ring = &loop->ready;
    bool wakes_own = false;
    ptrdiff_t n_run = (ptrdiff_t)(ring->head - recorded->seen);
    if (n_run > 0) {
        forget_kept(self, recorded);
        recorded->seen = ring->head;
    }
    for (; (ptrdiff_t)(ring->tail - recorded->seen) > 0; recorded->seen++) {
        uintptr_t word = fl_ring_peek(ring, recorded->seen - ring->head);
        PyObject *task = woken_by(word);
        bool is_own = task != NULL && task == own;
        uint32_t number = task == NULL || is_own ? 0 : fl_record_task(self, task);
        wakes_own |= is_own;
        if (number != 0) {
            write_woken(self, recorded, number);
        }
        forget_kept(self, recorded);
    }
    forget_kept(self, recorded); /* nothing was queued */
    return wakes_own;
}

void
fl_record_push(struct fl_ring *ring)
{
    LoopObject *loop = FL_CONTAINER_OF(ring, LoopObject, ready);
    struct fl_recorder *self = loop->state->recorder;
    struct fl_recorded *recorded = self == NULL ? NULL : fl_record_loop(self, loop);
    if (recorded == NULL || recorded->at_poll != 0) {
        return; /* what a poll queues is told of behind it */
    }
    if (recorded->seen != ring->tail || recorded->kept != 0) {
        (void)fl_record_woken(self, loop, recorded, NULL);
    }
    if (self->count < self->room) {
        fl_record(self, FL_EVENT_NONE, 0, 0, 0);
        recorded->kept = self->count;
    }
}

/* ---- steps ---- */

void
fl_record_step(
    const struct fl_state *state, PyObject *op, struct fl_recorded_turn *turn
)
{
    TaskObject *task = (TaskObject *)(void *)op;
    LoopObject *loop = fl_future_loop(fl_task_future(task));
    struct fl_recorder *self = state->recorder;
    struct fl_recorded *recorded = loop == NULL ? NULL : fl_record_loop(self, loop);
    turn->run = 0;
    if (recorded == NULL) {
        return;
    }
    fl_record_settle(self, loop, recorded);
    (void)fl_record_woken(self, loop, recorded, NULL);
    uint32_t number = fl_record_task(self, op);
    if (number == 0) {
        self->n_lost++;
        return;
    }
    note_name(recorded_task(self, number), task);
    *turn =
        (struct fl_recorded_turn){self->run, number, recorded->task, recorded->cause};
    recorded->task = number;
    recorded->cause = 0;
    fl_record(self, FL_EVENT_BEGIN, number, 0, 0);
}

static enum fl_outcome
outcome_now(const TaskObject *task)
{
    switch (task->base.future.status) {
    case FL_FUTURE_PENDING:
        return FL_OUTCOME_NONE;
    case FL_FUTURE_CANCELLED:
        return FL_CANCELLED;
    default:
        return task->base.future.exception == NULL ? FL_RETURNED : FL_RAISED;
    }
}

void
fl_record_end(
    struct fl_recorder *self, LoopObject *loop, TaskObject *task, uint32_t number,
    int64_t ticks
)
{
    struct fl_recorded *recorded = &loop->recorded;
    bool wakes_own = fl_record_woken(self, loop, recorded, (PyObject *)task);
    struct fl_recorded_task *of = recorded_task(self, number);
    enum fl_outcome outcome = outcome_now(task);
    struct fl_recorded_wait wait = {0, 0};
    note_name(of, task);
    if (outcome == FL_OUTCOME_NONE) {
        wait = fl_record_wait(self, loop->state, task);
    }
    fl_record_at(self, ticks, FL_EVENT_END, number, wait.name, wait.place);
    if (outcome != FL_OUTCOME_NONE) {
        fl_record_at(self, ticks, FL_EVENT_DONE, number, outcome, 0);
        recorded_task(self, number)->outcome = (uint8_t)outcome;
    }
    else if (wakes_own) {
        fl_record_at(self, ticks, FL_EVENT_WOKEN, number, number, 0);
    }
}

void
fl_record_step_ended(
    const struct fl_state *state, PyObject *op, const struct fl_recorded_turn *turn,
    int64_t ticks
)
{
    struct fl_recorder *self = state->recorder;
    LoopObject *loop = fl_future_loop(fl_future(op));
    if (self == NULL || turn->run != self->run || loop == NULL ||
        loop->recorded.run != self->run) {
        return; /* another recording, if any, or its loop was put in its place */
    }
    fl_record_end(self, loop, (TaskObject *)(void *)op, turn->task, ticks);
    loop->recorded.task = turn->outer_task;
    loop->recorded.cause = turn->outer_cause;
}
