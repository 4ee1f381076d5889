/* The recorder: its beginning and end, and what was under way then. */
#include "watch/recorder/recorder_life.h"

#include "core/task/task_observe.h"
#include "py/error.h"

#include <stdlib.h>

/* ---- who is led to it ---- */

void
fl_recorder_take_loop(LoopObject *loop)
{
    if (loop->state->recorder != NULL) {
        loop->instance_overrides |= FL_OVERRIDES_RECORDED;
        fl_ring_tell(&loop->ready, fl_record_push);
    }
}

static void
lead_loops(struct fl_state *state)
{
    struct fl_list *link = state->loops.next;
    for (; link != &state->loops; link = link->next) {
        LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        loop->instance_overrides &= ~(uint32_t)FL_OVERRIDES_RECORDED;
        fl_ring_tell(&loop->ready, NULL);
        fl_recorder_take_loop(loop);
    }
    fl_observe_settle(state);
}

/* ---- beginning ---- */

static bool
add_known_names(struct fl_recorder *self)
{
    return fl_record_text(self, "timer") == FL_NAME_TIMER &&
           fl_record_text(self, "io") == FL_NAME_IO &&
           fl_record_text(self, "thread") == FL_NAME_THREAD &&
           fl_record_text(self, "gather") == FL_NAME_GATHER &&
           fl_record_text(self, "Future") == FL_NAME_FUTURE;
}

int
fl_recorder_start(
    struct fl_state *state, size_t room, const struct fl_recorder_given *given
)
{
    struct fl_recorder *self = calloc(1, sizeof(*self));
    if (self == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    /* not touched before it is written: memory is taken as it fills */
    self->events = malloc((room + FL_RECORD_SPARE) * sizeof(*self->events));
    self->room = room;
    self->str_func = PyUnicode_InternFromString("func");
    self->state = state;
    self->run = ++state->recordings;
    self->folders = Py_NewRef(given->folders);
    self->partial = (PyTypeObject *)(void *)Py_NewRef(given->partial);
    self->name_of_thread = Py_NewRef(given->name_of_thread);
    bool good = self->str_func != NULL;
    if (good && (self->events == NULL || !add_known_names(self))) {
        PyErr_NoMemory();
        good = false;
    }
    if (!good || fl_suspended_learn(&self->suspended, given->probes) < 0) {
        fl_recorder_free(self);
        return -1;
    }
    self->began_ticks = fl_clock_ticks();
    self->began_ns = fl_clock_monotonic_ns();
    state->recorder = self;
    lead_loops(state);
    return 0;
}

int
fl_recorder_open_step(struct fl_recorder *self, LoopObject *loop, PyObject *op)
{
    struct fl_recorded *recorded = fl_record_loop(self, loop);
    PyObject *reference = PyWeakref_NewRef(op, NULL);
    uint32_t number = recorded == NULL ? 0 : fl_record_task(self, op);
    if (reference == NULL || number == 0) {
        Py_XDECREF(reference);
        return reference == NULL ? -1 : 0;
    }
    struct fl_recorded_loop *of =
        FL_RECORDED(self->loops, fl_recorded_loop, recorded->loop);
    of->opened = reference;
    of->opened_task = number;
    recorded->has_opened = true;
    recorded->task = number;
    fl_record(self, FL_EVENT_BEGIN, number, 0, 0);
    return 0;
}

/* ---- a step that was under way ---- */

/* Whether the task's step goes on. */
static bool
is_running(const struct fl_recorder *self, const TaskObject *task)
{
    PyObject *coro = task->base.coro;
    if (task->base.future.status != FL_FUTURE_PENDING || coro == NULL) {
        return false;
    }
    if (fl_is_coroutine(coro)) {
        return ((struct fl_coroutine *)(void *)coro)->running;
    }
    return fl_suspended_kind(&self->suspended, coro) == NULL;
}

static FL_SLOW void
settle_opened(struct fl_recorder *self, LoopObject *loop, struct fl_recorded *recorded)
{
    struct fl_recorded_loop *of =
        FL_RECORDED(self->loops, fl_recorded_loop, recorded->loop);
    PyObject *task = fl_weakref_target(of->opened);
    if (task != NULL && is_running(self, (TaskObject *)(void *)task)) {
        Py_DECREF(task);
        return;
    }
    recorded->has_opened = false;
    if (task != NULL) {
        int64_t ticks = fl_clock_ticks();
        fl_record_end(self, loop, (TaskObject *)(void *)task, of->opened_task, ticks);
    }
    else { /* it is done, and who knows how */
        (void)fl_record_woken(self, loop, recorded, NULL);
        fl_record(self, FL_EVENT_END, of->opened_task, 0, 0);
    }
    recorded->task = 0;
    recorded->cause = 0;
    Py_CLEAR(FL_RECORDED(self->loops, fl_recorded_loop, recorded->loop)->opened);
    Py_XDECREF(task); /* whoever runs it has it still, if this is not its end */
}

void
fl_record_settle(
    struct fl_recorder *self, LoopObject *loop, struct fl_recorded *recorded
)
{
    if (FL_UNLIKELY(recorded->has_opened)) {
        settle_opened(self, loop, recorded);
    }
}

/* ---- end ---- */

/* What was queued last. */
static void
look_at_rings(struct fl_recorder *self)
{
    struct fl_list *link = self->state->loops.next;
    for (; link != &self->state->loops; link = link->next) {
        LoopObject *loop = FL_CONTAINER_OF(link, LoopObject, live_loops);
        if (loop->recorded.run == self->run && loop->recorded.at_poll == 0) {
            (void)fl_record_woken(self, loop, &loop->recorded, NULL);
        }
    }
}

static void
leave_out_none(struct fl_recorder *self)
{
    size_t n = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (self->events[i].kind != FL_EVENT_NONE) {
            self->events[n++] = self->events[i];
        }
    }
    self->count = n;
}

/* What begins, of a loop: what it ends with; 0 for other events. */
static uint8_t
end_of(uint8_t kind)
{
    switch (kind) {
    case FL_EVENT_BEGIN:
        return FL_EVENT_END;
    case FL_EVENT_CALL_BEGIN:
        return FL_EVENT_CALL_END;
    case FL_EVENT_POLL_BEGIN:
        return FL_EVENT_POLL_END;
    default:
        return 0;
    }
}

/* Ends what is under way, the innermost first, with the last event. */
static void
end_all(struct fl_recorder *self)
{
    struct fl_event open[FL_RECORD_SPARE];
    size_t n_open = 0;
    for (size_t i = 0; i < self->count; i++) {
        const struct fl_event *event = &self->events[i];
        if (end_of(event->kind) != 0 && n_open < FL_RECORD_SPARE) {
            open[n_open++] = *event;
            continue;
        }
        for (size_t j = n_open; j > 0; j--) { /* the last: other loops' are few */
            if (end_of(open[j - 1].kind) == event->kind &&
                open[j - 1].subject == event->subject) {
                memmove(&open[j - 1], &open[j], (n_open - j) * sizeof(*open));
                n_open--;
                break;
            }
        }
    }
    int64_t ticks = self->n_lost != 0 && self->count > 0
                        ? self->events[self->count - 1].ticks
                        : fl_clock_ticks();
    while (n_open > 0) {
        const struct fl_event *event = &open[--n_open];
        self->events[self->count++] =
            (struct fl_event){ticks, event->subject, 0, 0, end_of(event->kind)};
    }
}

struct fl_recorder *
fl_recorder_stop(struct fl_state *state)
{
    struct fl_recorder *self = state->recorder;
    if (self != NULL) {
        look_at_rings(self);
        state->recorder = NULL;
        lead_loops(state);
        leave_out_none(self);
        end_all(self);
    }
    return self;
}

/* Each owns one reference at most. */
static void
free_list(struct fl_recorded_list *list, size_t size, size_t reference)
{
    for (size_t i = 1; i <= list->count; i++) {
        char *item = fl_recorded_item(list, size, (uint32_t)i);
        Py_XDECREF(*(PyObject **)(void *)(item + reference));
    }
    free(list->items);
}

#define FREE_LIST(list, type, field) \
    free_list(&(list), sizeof(struct type), offsetof(struct type, field))

void
fl_recorder_free(struct fl_recorder *self)
{
    for (size_t i = 1; i <= self->loops.count; i++) {
        Py_XDECREF(FL_RECORDED(self->loops, fl_recorded_loop, (uint32_t)i)->opened);
    }
    FREE_LIST(self->names, fl_recorded_name, op);
    FREE_LIST(self->places, fl_recorded_place, code);
    FREE_LIST(self->tasks, fl_recorded_task, name);
    FREE_LIST(self->loops, fl_recorded_loop, name);
    fl_keys_deinit(&self->name_keys);
    fl_keys_deinit(&self->place_keys);
    fl_keys_deinit(&self->task_keys);
    free(self->events);
    Py_XDECREF(self->folders);
    Py_XDECREF((PyObject *)self->partial);
    Py_XDECREF(self->str_func);
    Py_XDECREF(self->name_of_thread);
    free(self);
}

void
fl_recorder_drop(struct fl_state *state)
{
    struct fl_recorder *self = state->recorder;
    if (self != NULL) {
        state->recorder = NULL;
        lead_loops(state);
        fl_recorder_free(self);
    }
}
