/* One iteration, and running until told to stop.
 *
 * An iteration polls, queues the timers that are due behind what the poll
 * queued, and runs exactly the entries then present: what they queue runs in
 * the next one. Imitates asyncio.BaseEventLoop._run_once, run_forever and
 * run_until_complete.
 */
#include "core/handle/alarm.h"
#include "core/handle/timer_handle.h"
#include "core/io/source.h"
#include "core/run/loop_nested.h"
#include "core/run/loop_virtual.h"
#include "core/task/task_observe.h"
#include "core/task/task_registry.h"
#include "py/args/args.h"
#include "py/args/call.h"
#include "py/error.h"

#include <math.h>

/* ---- one iteration ---- */

/* 0 or -1. */
static int
queue_due_timers(LoopObject *self, double now_s)
{
    double end_s = fl_loop_end_of_due(self, now_s);
    do {
        /* room first: a timer that got in neither here nor there would be lost */
        if (fl_ring_reserve(&self->ready) < 0) {
            PyErr_NoMemory();
            return -1;
        }
        struct fl_timer *timer = fl_timers_pop_due(&self->timers, end_s);
        if (timer == NULL) {
            return 0;
        }
        /* the timers' reference becomes the ring's */
        uintptr_t word = timer->kind == FL_TIMER_OF_HANDLE
                             ? (uintptr_t)fl_timer_handle_of(timer) | FL_ENTRY_HANDLE
                             : fl_alarm_word(timer);
        (void)fl_ring_push(&self->ready, word);
    } while (self->timers.count > 0);
    return 0;
}

/* What a step leaves behind is given up when the step has been counted: while there was
 * somebody to name. */
static int
run_handle(LoopObject *self, HandleObject *handle)
{
    int status = 0;
    if (!handle->cancelled) {
        self->n_steps++;
        status = self->debug ? fl_run_handle_debug(self, (PyObject *)handle)
                 : Py_IS_TYPE(handle, self->state->timer_handle_type)
                     ? fl_timer_handle_run((TimerHandleObject *)(void *)handle)
                     : fl_handle_run(handle);
    }
    fl_loop_count_step(self, (uintptr_t)handle | FL_ENTRY_HANDLE);
    self->step_word = 0;
    fl_handle_release(handle);
    return status;
}

static FL_APART int
run_source(LoopObject *self, uintptr_t word)
{
    PyObject *owner = fl_source_owner(word);
    int status = fl_source_run((struct fl_source *)(word & ~FL_ENTRY_KIND_MASK));
    fl_loop_count_step(self, word);
    self->step_word = 0;
    Py_DECREF(owner); /* escapes */
    return status;
}

static FL_APART int
run_other(LoopObject *self, uintptr_t word, uintptr_t kind)
{
    fl_current_retract(self);
    self->step_word = word;
    if (FL_LIKELY(kind == FL_ENTRY_HANDLE)) {
        return run_handle(self, (HandleObject *)word);
    }
    if (kind == FL_ENTRY_SOURCE) {
        return run_source(self, word);
    }
    int status = fl_alarm_run(self, word);
    fl_loop_count_step(self, word);
    self->step_word = 0;
    return status;
}

/* fast: a task, without a call around its own (20 instructions a switch) */
FL_INLINE int
run_entry(LoopObject *self, uintptr_t word)
{
    uintptr_t kind = word & FL_ENTRY_KIND_MASK;
    if (FL_UNLIKELY(kind - FL_ENTRY_STEP >= FL_N_TASK_ENTRIES)) {
        return run_other(self, word, kind);
    }
    self->n_steps++;
    return self->run_task(self, word);
}

/* The next entry, and what comes with each. inside: of a step, where turns may be put
 * off. escapes. 0 or -1. */
FL_INLINE int
run_next(LoopObject *self, bool inside)
{
    int status = 0;
    uintptr_t word = inside && self->nested != NULL ? fl_nested_next(self, &status)
                                                    : fl_ring_pop(&self->ready);
    if (!inside || word != 0) {
        status = run_entry(self, word); /* escapes */
    }
    if (self->deferred != NULL) {
        status |= fl_loop_flush_deferred(self); /* escapes */
    }
    return status;
}

/* The next entry has waited since first; when the last one began. */
FL_INLINE int64_t
note_lag(LoopObject *self, int64_t first)
{
    int64_t now = self->last_step_ticks;
    if (FL_UNLIKELY(now >= self->metrics.lag_limit_ticks)) {
        fl_metrics_cross(&self->metrics, first, now, self->ready.head);
    }
    return now;
}

/* The next entry, which the recorder is told of. As run_next. */
static FL_SLOW int
run_recorded(LoopObject *self)
{
    int status = 0;
    uintptr_t word = self->nested != NULL ? fl_nested_next(self, &status)
                                          : fl_ring_pop(&self->ready);
    if (word != 0) {
        struct fl_recorded_turn turn;
        fl_record_turn(self, word, &turn);
        status = run_entry(self, word); /* escapes */
        fl_record_turn_ended(self, &turn);
    }
    if (self->deferred != NULL) {
        status |= fl_loop_flush_deferred(self); /* escapes */
    }
    return status;
}

/* The end of a drain whose last step began at last. */
FL_INLINE void
settle_lag(LoopObject *self, int64_t first, int64_t last)
{
    if (self->metrics.lag_bucket != 0) {
        fl_metrics_settle(&self->metrics, last - first, self->ready.head);
    }
}

/* Iterations inside of a step take entries of the drain around them and queue others:
 * each drain runs as many as were there when it began, whichever they are by then. */
FL_INLINE int
drain_counted(LoopObject *self, size_t count, bool recorded)
{
    int64_t first = self->last_step_ticks, last = first;
    int status = 0;
    fl_metrics_begin(&self->metrics, first);
    for (; status >= 0 && count > 0 && fl_ring_count(&self->ready) > 0; count--) {
        last = note_lag(self, first);
        status = recorded ? run_recorded(self) : run_next(self, true); /* escapes */
    }
    settle_lag(self, first, last);
    return status < 0 ? -1 : 0;
}

static FL_SLOW int
run_counted(LoopObject *self, size_t count)
{
    return drain_counted(self, count, false);
}

void
fl_run_take_drain(LoopObject *self)
{
    ptrdiff_t left = (ptrdiff_t)(self->end_of_drain - self->ready.head);
    if (left > 0) {
        self->left_to_drain = (size_t)left;
        self->end_of_drain = self->ready.head;
    }
}

/* The entries behind the first, at which the drain began. escapes. 0 or -1. */
static FL_APART int
run_others(LoopObject *self, int64_t first)
{
    int64_t last;
    int status;
    fl_metrics_begin(&self->metrics, first);
    do {
        last = note_lag(self, first);
        status = run_next(self, false); /* escapes */
    } while (status >= 0 && (ptrdiff_t)(self->end_of_drain - self->ready.head) > 0);
    settle_lag(self, first, last);
    return status;
}

/* looked: it was looked around, which is no part of the first step. */
FL_INLINE int
run_ready(LoopObject *self, bool looked)
{
    self->left_to_drain = 0;
    self->end_of_drain = self->ready.tail;
    if (looked && self->timers.count > 0) {
        fl_loop_count_between(self, fl_clock_ticks());
    }
    if (self->ready.tail == self->ready.head) {
        return 0;
    }
    /* fast: the first has no lag, and is often the only one. From the end of the last
     * step if nothing lies in between. A place in the ring tells the end until a step
     * runs iterations of its own. */
    int64_t first = self->last_step_ticks;
    int status = run_next(self, false); /* escapes */
    if (status >= 0 && (ptrdiff_t)(self->end_of_drain - self->ready.head) > 0) {
        status = run_others(self, first); /* escapes */
    }
    if (status < 0) {
        return -1;
    }
    return self->left_to_drain == 0 ? 0 : run_counted(self, self->left_to_drain);
}

/* The time, where there are timers: a clock that somebody has replaced is asked in each
 * iteration, as by asyncio. escapes. 0 or -1. */
FL_INLINE int
look_at_clock(LoopObject *self, double *now_s)
{
    bool plain = fl_loop_has_plain_clock(self);
    self->skips_freely = (char)(plain && self->may_skip_polls);
    if (FL_UNLIKELY(!plain)) {
        *now_s = fl_loop_ask_time(self); /* escapes */
        return *now_s == -1.0 && PyErr_Occurred() ? -1 : 0;
    }
    if (self->timers.count > 0) {
        self->clock_ticks = self->last_step_ticks;
        self->clock_s = *now_s = fl_clock_monotonic_s();
    }
    return 0;
}

/* fast: whether no timer can be due, by the ticks since the clock was last looked at:
 * to read the clock takes 70 ns where the ticks take 25, and 190 instructions with what
 * comes of it (of 7,000 of a wait_for(), which has two such iterations). */
static FL_APART bool
is_no_timer_due(LoopObject *self)
{
    if (fl_timers_floor(&self->timers) < self->clock_s + 1e-3 ||
        !fl_loop_has_plain_clock(self)) {
        return false;
    }
    fl_loop_count_between(self, fl_clock_ticks());
    return (uint64_t)(self->last_step_ticks - self->clock_ticks) < FL_FEW_TICKS;
}

/* What comes before the steps, where there is anything: the poll unless it is skipped,
 * timers, and what signal handlers have written. escapes. 0 or -1. */
static FL_APART int
look_around(LoopObject *self, PyThreadState *thread, bool skips_poll)
{
    double now_s = NAN;
    if (!skips_poll && fl_loop_poll(self, thread, &now_s) < 0) {
        return -1;
    }
    /* fast: the time at which the poll found nothing, where asyncio looks again (45
     * instructions a call_later(0)) */
    if (isnan(now_s) && look_at_clock(self, &now_s) < 0) { /* escapes */
        return -1;
    }
    if (self->timers.count > 0 && queue_due_timers(self, now_s) < 0) {
        return -1;
    }
    return fl_loop_flush(self);
}

/* The same where the time is virtual. escapes. 0 or -1. */
static FL_APART int
look_around_virtually(LoopObject *self, PyThreadState *thread)
{
    if (fl_virtual_poll(self, thread) < 0) { /* escapes */
        return -1;
    }
    if (self->timers.count > 0 && queue_due_timers(self, self->virtual->now_s) < 0) {
        return -1;
    }
    if (fl_loop_flush(self) < 0) { /* escapes */
        return -1;
    }
    return self->virtual->seed < 0.0 ? 0 : fl_virtual_shuffle(self);
}

/* thread: the calling one's. inside: of a step. virtual: the time is. Each is a
 * function of its own, so that the others pay nothing for it. */
FL_INLINE int
iterate_with(LoopObject *self, PyThreadState *thread, bool inside, bool virtual)
{
    self->n_iterations++;
    if (fl_loop_flush(self) < 0) { /* escapes */
        return -1;
    }
    /* fast: callbacks are ready and nothing else can be (25 instructions a switch) */
    bool skips_poll = !virtual && fl_loop_skips_poll(self, thread);
    bool looks = !skips_poll || (self->timers.count > 0 && !is_no_timer_due(self));
    if (virtual) {
        if (look_around_virtually(self, thread) < 0) { /* escapes */
            return -1;
        }
    }
    else if (looks && look_around(self, thread, skips_poll) < 0) { /* escapes */
        return -1;
    }
    self->n_nested++;
    int status = inside ? run_counted(self, fl_ring_count(&self->ready))
                        : run_ready(self, looks);
    self->n_nested--;
    fl_context_trim(&self->contexts); /* escapes */
    return status;
}

/* An iteration of a loop that is recorded, inside of a step or not. */
static FL_SLOW int
iterate_recorded(LoopObject *self)
{
    bool inside = self->n_nested > 0;
    int64_t outer_ticks = self->last_step_ticks;
    self->n_iterations++;
    if (inside) {
        self->last_step_ticks = fl_clock_ticks();
    }
    int status = fl_loop_flush(self); /* escapes */
    if (status == 0) {
        PyThreadState *thread = PyThreadState_Get();
        fl_record_look(self); /* escapes */
        status = fl_virtual_rules(self)
                     ? look_around_virtually(self, thread)
                     : look_around(self, thread, false); /* escapes */
    }
    fl_record_looked(self);
    if (status == 0) {
        /* it counts, so that one inside of it has no drain to take */
        self->end_of_drain = inside ? self->end_of_drain : self->ready.head;
        self->n_nested++;
        status = drain_counted(self, fl_ring_count(&self->ready), true);
        self->n_nested--;
        fl_context_trim(&self->contexts); /* escapes */
    }
    if (inside) {
        self->last_step_ticks = outer_ticks;
    }
    return status;
}

static FL_SLOW int
iterate_virtually(LoopObject *self, PyThreadState *thread, bool inside)
{
    return iterate_with(self, thread, inside, true);
}

static FL_SLOW int
iterate_once(LoopObject *self)
{
    if (fl_virtual_rules(self)) {
        return iterate_virtually(self, PyThreadState_Get(), false);
    }
    return iterate_with(self, PyThreadState_Get(), false, false);
}

static FL_SLOW int
iterate_inside(LoopObject *self)
{
    int64_t outer_ticks = self->last_step_ticks; /* the step around this has its time */
    self->last_step_ticks = fl_clock_ticks();
    PyThreadState *thread = PyThreadState_Get();
    int status = fl_virtual_rules(self)
                     ? iterate_virtually(self, thread, true)
                     : iterate_with(self, thread, true, false); /* escapes */
    self->last_step_ticks = outer_ticks;
    return status;
}

/* By itself, whatever _run_once is. escapes. 0, or -1 with an exception. */
static FL_SLOW int
iterate_as_its_own(LoopObject *self)
{
    if (self->instance_overrides & FL_OVERRIDES_RECORDED) {
        return iterate_recorded(self);
    }
    return self->n_nested > 0 ? iterate_inside(self) : iterate_once(self);
}

PyObject *
fl_loop_run_once(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    if (fl_loop_check_closed(self) < 0) {
        return NULL;
    }
    if (self->n_nested == 0) {
        self->last_step_ticks = fl_clock_ticks(); /* who knows what came before */
    }
    else {
        fl_run_take_drain(self);
    }
    int status = iterate_as_its_own(self); /* escapes */
    fl_current_retract(self);              /* escapes */
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- running ---- */

static FL_SLOW int
iterate_apart(LoopObject *self)
{
    if (!(fl_loop_overrides(self) & FL_OVERRIDES_RUN_ONCE)) {
        return iterate_as_its_own(self);
    }
    return fl_call_status(
        PyObject_CallMethodNoArgs((PyObject *)self, self->state->str__run_once)
    );
}

int
fl_run_iterate_nested(LoopObject *self)
{
    bool apart = (fl_loop_overrides(self) & FL_ITERATES_APART) != 0;
    return apart ? iterate_apart(self) : iterate_inside(self);
}

PyObject *
fl_loop_run_forever(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    int nests = fl_nested_may_run(self); /* escapes */
    if (nests != 0) {
        return nests < 0 ? NULL : fl_nested_run_forever(self);
    }
    PyObject *started = fl_loop_run_forever_setup(op, NULL);
    if (started == NULL) {
        return NULL;
    }
    Py_DECREF(started);
    PyThreadState *thread = PyThreadState_Get();
    int status;
    do {
        status = fl_loop_overrides(self) & FL_ITERATES_APART
                     ? iterate_apart(self)
                     : iterate_with(self, thread, false, false); /* fast: no call */
    } while (status == 0 && !self->stopping);
    if (fl_run_clean_up(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

int
fl_run_ask(PyObject *future, const char *method)
{
    return fl_call_truth(PyObject_CallMethod(future, method, NULL)); /* escapes */
}

/* A coroutine that ended in an exception which left the loop: its caller gets
 * that exception, so the task must not report it as never retrieved. */
int
fl_run_mark_retrieved(PyObject *future)
{
    int done = fl_run_ask(future, "done");
    int cancelled = done == 1 ? fl_run_ask(future, "cancelled") : 0;
    if (done == 1 && cancelled == 0) {
        return fl_call_status(PyObject_CallMethod(future, "exception", NULL));
    }
    return done < 0 || cancelled < 0 ? -1 : 0;
}

PyObject *
fl_run_prepare(LoopObject *self, PyObject *awaitable, bool *new_task)
{
    struct fl_state *state = self->state;
    int is_future = fl_call_truth(PyObject_CallOneArg(state->isfuture, awaitable));
    if (is_future < 0) {
        return NULL;
    }
    *new_task = !is_future;
    PyObject *stack[2] = {awaitable, (PyObject *)self};
    PyObject *future = PyObject_Vectorcall(
        state->ensure_future, stack, 1, state->kw_loop
    ); /* escapes */
    if (future == NULL) {
        return NULL;
    }
    if (*new_task &&
        PyObject_SetAttr(future, state->str__log_destroy_pending, Py_False) < 0) {
        Py_DECREF(future);
        return NULL;
    }
    return future;
}

/* run_forever between adding and removing the callback that stops it. */
static int
run_for(LoopObject *self, PyObject *future, bool new_task)
{
    struct fl_state *state = self->state;
    PyObject *result = PyObject_CallMethodOneArg(
        future, state->str_add_done_callback, state->run_until_complete_cb
    );
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    self->awaited = future;
    result = PyObject_CallMethodNoArgs((PyObject *)self, state->str_run_forever);
    self->awaited = NULL;
    PyObject *exc = result == NULL ? fl_error_take() : NULL;
    Py_XDECREF(result);
    if (exc != NULL && new_task && fl_run_mark_retrieved(future) < 0) {
        PyErr_WriteUnraisable(future);
    }
    result = PyObject_CallMethodOneArg(
        future, state->str_remove_done_callback, state->run_until_complete_cb
    );
    if (exc != NULL) {
        if (result == NULL) {
            PyErr_WriteUnraisable(future);
        }
        Py_XDECREF(result);
        fl_error_restore(exc);
        return -1;
    }
    return fl_call_status(result);
}

PyObject *
fl_loop_run_until_complete(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    LoopObject *self = (LoopObject *)op;
    PyObject *awaitable =
        fl_args_one("run_until_complete", "future", args, n_args, kwnames);
    if (awaitable == NULL) {
        return NULL;
    }
    if (fl_loop_check_closed(self) < 0) {
        return NULL;
    }
    int nests = fl_nested_may_run(self); /* escapes */
    if (nests != 0) {
        return nests < 0 ? NULL : fl_nested_run_until_complete(self, awaitable, false);
    }
    PyObject *other;
    if (fl_run_check_not_running(self, &other) < 0) { /* escapes */
        return NULL;
    }
    Py_XDECREF(other);
    bool new_task;
    PyObject *future = fl_run_prepare(self, awaitable, &new_task);
    if (future == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (run_for(self, future, new_task) == 0) {
        int done = fl_run_ask(future, "done");
        if (done == 0) {
            PyErr_SetString(
                PyExc_RuntimeError, "Event loop stopped before Future completed."
            );
        }
        else if (done > 0) {
            result = PyObject_CallMethod(future, "result", NULL);
        }
    }
    Py_DECREF(future);
    return result;
}
