/* When to poll, and polling.
 *
 * asyncio polls in every iteration. epoll_wait(0) costs 140 to 350 ns, more
 * than a task switch, so while callbacks are ready a poll may be skipped:
 *  - always, if nobody could tell: no fd watched, no signal handler of the
 *    loop's, no other Python thread (signals are still checked);
 *  - else once the loop has seen no sign of I/O for 16 iterations, and then for
 *    at most 50 us. Other threads get the GIL in every iteration all the same.
 * Before that, polls are asyncio's: code that counts sleep(0)s until its own
 * I/O has happened sees the same counts.
 */
#include "core/handle/handle.h"
#include "core/task/task_registry.h"
#include "py/error.h"
#include "py/mirror/mirror.h"

#include <errno.h>
#include <math.h>

#define QUIET_ITERATIONS 16
#define POLL_PERIOD_NS 50000.0
/* asyncio.base_events.MAXIMUM_SELECT_TIMEOUT: some kernels dislike more. */
#define MAX_TIMEOUT_S (24.0 * 3600.0)

enum { NOT_POLLED, POLLED, FOUND };

static bool
polled_lately(const LoopObject *self)
{
    double elapsed = (double)(fl_clock_ticks() - self->last_poll_ticks);
    return elapsed >= 0.0 && elapsed < POLL_PERIOD_NS * self->tick_rate.ticks_per_ns;
}

static bool
may_skip_poll(LoopObject *self, bool alone)
{
    if (!self->may_skip_polls) {
        return false;
    }
    if (alone) {
        return true;
    }
    if (++self->quiet_iterations <= QUIET_ITERATIONS) {
        return false;
    }
    return polled_lately(self);
}

/* A poll takes neither less than nothing nor more than this. */
static double
clamp(double timeout_s)
{
    if (!(timeout_s > 0.0)) {
        return 0.0;
    }
    return timeout_s > MAX_TIMEOUT_S ? MAX_TIMEOUT_S : timeout_s;
}

static int64_t
to_nanoseconds(double timeout_s)
{
    return (int64_t)ceil(clamp(timeout_s) * 1e9);
}

/* Seconds from now_s to the next timer; there is one. */
static double
seconds_to_timer(LoopObject *self, double now_s)
{
    return clamp(fl_timers_next(&self->timers) - now_s);
}

/* Whether a timer may be due before polled_lately() says no. */
static bool
has_timer_soon(LoopObject *self)
{
    return self->timers.count > 0 &&
           (!fl_loop_has_plain_clock(self) ||
            seconds_to_timer(self, fl_clock_monotonic_s()) < POLL_PERIOD_NS * 1e-9);
}

bool
fl_loop_may_stay(LoopObject *self)
{
    return fl_ring_count(&self->ready) == 0 && self->deferred == NULL &&
           self->may_skip_polls && !self->stopping &&
           self->poller.n_watches == fl_loop_count_internal(self) + 1 &&
           !has_timer_soon(self) && polled_lately(self);
}

/* Nanoseconds from now_s to the next timer; -1 for ever. */
static int64_t
time_to_timer(LoopObject *self, double now_s)
{
    if (self->timers.count == 0) {
        return -1;
    }
    return to_nanoseconds(fl_timers_next(&self->timers) - now_s);
}

/* A run is about to sleep: from here on signals are to wake it. escapes. 0 or -1. */
FL_INLINE int
hear_signals(LoopObject *self)
{
    return FL_LIKELY(self->asked_wakeup_fd) || !self->running
               ? 0
               : fl_loop_take_wakeup_fd(self); /* escapes */
}

/* Drops what only a busy loop needs. escapes. Whether anything escaped. */
static bool
give_back(LoopObject *self)
{
    if (FL_UNLIKELY(self->ready.mask >= FL_RING_IDLE)) {
        fl_ring_shrink(&self->ready, FL_RING_IDLE);
    }
    bool any = fl_context_trim(&self->contexts); /* escapes */
    any |= fl_handle_trim_lists(self);           /* escapes */
    return fl_task_trim(self->state, FL_FREELIST_IDLE) || any;
}

/* The nanoseconds to sleep by a clock of the program's, which is asked once an
 * iteration as asyncio asks: what is kept is given back before. escapes. 1, or -1 with
 * an exception. */
static FL_SLOW int
ask_ahead(LoopObject *self, int64_t *timeout_ns)
{
    (void)give_back(self); /* escapes */
    if (fl_loop_is_busy(self)) {
        return 1;
    }
    double now_s = fl_loop_ask_time(self); /* escapes */
    if (now_s == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    *timeout_ns = fl_loop_is_busy(self) ? 0 : time_to_timer(self, now_s);
    return 1;
}

/* Does what is left for a loop that has nothing to do, and may give it something: a
 * task dies, a signal handler runs, loop.time may be anybody's. Sets the nanoseconds
 * to sleep, -1 for ever, as things stand after the last of them. *looked_s: the time if
 * it was looked at and the clock is nobody else's, else NAN. escapes. 0, 1 where there
 * is no need to look again though something is given back, or -1 with an exception. */
FL_INLINE int
look_ahead(LoopObject *self, int64_t *timeout_ns, double *looked_s)
{
    *timeout_ns = 0;
    *looked_s = NAN;
    fl_current_retract(self);       /* escapes */
    if (PyErr_CheckSignals() < 0) { /* escapes; the wake-up fd may be another's */
        return -1;
    }
    if (fl_loop_is_busy(self)) {
        return 0;
    }
    double now_s = 0.0;
    if (self->timers.count > 0) {
        if (FL_UNLIKELY(!fl_loop_has_plain_clock(self))) {
            return ask_ahead(self, timeout_ns);
        }
        *looked_s = now_s = fl_clock_monotonic_s();
    }
    *timeout_ns = time_to_timer(self, now_s);
    return 0;
}

/* The same, with what is kept for a busy loop given back: between this and the poll no
 * more code of others runs. escapes. 0, or -1 with an exception. */
static int
prepare_to_sleep(LoopObject *self, int64_t *timeout_ns, double *looked_s)
{
    int status;
    do {
        status = look_ahead(self, timeout_ns, looked_s);
        /* fast: what is due is no reason to give back (27 instructions) */
    } while (status == 0 && *timeout_ns != 0 && give_back(self)); /* escapes */
    return status < 0 ? -1 : 0;
}

/* The end of a poll without the GIL. */
static void
note_awake(LoopObject *self, int64_t timeout_ns)
{
    int64_t step_end = self->last_step_ticks;
    self->idle_ticks += timeout_ns != 0 ? self->last_poll_ticks - step_end : 0;
    self->last_step_ticks = self->last_poll_ticks;
    /* now the next step begins, for the lookout */
    __atomic_store_n(&self->sleeping, 0, __ATOMIC_RELEASE);
    if (FL_UNLIKELY(self->watched.lookout != NULL)) {
        fl_lookout_call(self->watched.lookout);
        if (self->watched.noted_ticks == 0 && self->n_nested == 0) {
            self->watched.noted_ticks = step_end;
        }
    }
}

/* The poll itself, and what is counted of it: the number of events, or -errno. */
FL_INLINE int
ask_kernel(LoopObject *self, int64_t timeout_ns, bool only_thread)
{
    int n_events;
    fl_poller_put_back(&self->poller);
    if (timeout_ns == 0 && only_thread) {
        n_events = fl_poller_wait(&self->poller, 0);
    }
    else {
        self->woken = 0;
        fl_loop_count_between(self, fl_clock_ticks());
        self->sleeping = 1;
        Py_BEGIN_ALLOW_THREADS
        n_events = fl_poller_wait(&self->poller, timeout_ns);
        Py_END_ALLOW_THREADS
    }
    self->n_polls++;
    self->last_poll_ticks = fl_clock_ticks(); /* the next step's start */
    if (timeout_ns == 0 && only_thread) {
        fl_loop_count_between(self, self->last_poll_ticks);
    }
    else {
        note_awake(self, timeout_ns);
    }
    if (fl_tick_rate_is_due(&self->tick_rate, self->last_poll_ticks)) {
        fl_tick_rate_update(
            &self->tick_rate, self->last_poll_ticks, fl_clock_monotonic_ns()
        );
        fl_metrics_set_rate(&self->metrics, self->tick_rate.ticks_per_ns);
    }
    return n_events;
}

/* prepared: signals were looked for just now, by prepare_to_sleep. *looked_s becomes
 * NAN if that time may have passed since. */
static int
poll_now(
    LoopObject *self, int64_t timeout_ns, bool only_thread, bool prepared,
    double *looked_s
)
{
    int n_events = ask_kernel(self, timeout_ns, only_thread);
    if (n_events < 0 && n_events != -EINTR) {
        fl_raise_errno(n_events);
        return -1;
    }
    /* fast: nobody slept, so a signal that came since is found before anybody does
     * (46 instructions) */
    if (n_events == 0 && timeout_ns == 0 && prepared) {
        if (!only_thread) {
            *looked_s = NAN; /* others had the GIL meanwhile */
        }
        return 0;
    }
    *looked_s = NAN;
    /* Before the events are spent: what KeyboardInterrupt leaves behind is
     * still ready at the next poll. */
    if (PyErr_CheckSignals() < 0) { /* escapes */
        fl_poller_put_back(&self->poller);
        return -1;
    }
    if (n_events > 0) {
        fl_loop_note_io(self);
        fl_poller_dispatch(&self->poller);
    }
    return 0;
}

/* Looks for what a poll would have found beside I/O. escapes. 0 or -1. */
static int
skip_poll(LoopObject *self, bool only_thread)
{
    fl_loop_count_between(self, fl_clock_ticks());
    if (!only_thread) {
        Py_BEGIN_ALLOW_THREADS
        Py_END_ALLOW_THREADS
        self->last_step_ticks = fl_clock_ticks();
    }
    return PyErr_CheckSignals(); /* escapes */
}

int
fl_loop_poll(LoopObject *self, PyThreadState *thread, double *looked_s)
{
    *looked_s = NAN;
    if (FL_UNLIKELY(self->polled)) {
        self->polled = NOT_POLLED;
        return 0;
    }
    if (fl_loop_ensure_own(self) < 0) { /* escapes */
        return -1;
    }
    bool only_thread = fl_is_only_thread(thread);
    int64_t timeout_ns = 0;
    bool prepared = !fl_loop_is_busy(self);
    if (!prepared) {
        bool alone = fl_loop_is_alone(self, thread); /* then the look was too cheap */
        if (may_skip_poll(self, alone)) {
            return !alone && only_thread && fl_loop_skips_signals(self, thread)
                       ? 0
                       : skip_poll(self, only_thread); /* escapes */
        }
    }
    else if (
        hear_signals(self) < 0 || /* escapes */
        prepare_to_sleep(self, &timeout_ns, looked_s) < 0
    ) { /* escapes */
        return -1;
    }
    if (!self->is_open) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return -1;
    }
    return poll_now(self, timeout_ns, only_thread, prepared, looked_s);
}

int
fl_loop_poll_within(LoopObject *self, PyThreadState *thread, int64_t timeout_ns)
{
    uint64_t n_timers = self->timers.next_sequence;
    if (fl_loop_ensure_own(self) < 0) { /* escapes */
        return -1;
    }
    if (timeout_ns != 0 && hear_signals(self) < 0) { /* escapes */
        return -1;
    }
    fl_current_retract(self);       /* escapes */
    if (PyErr_CheckSignals() < 0) { /* escapes */
        return -1;
    }
    if (timeout_ns != 0) {
        (void)give_back(self); /* escapes */
    }
    if (!self->is_open) {
        PyErr_SetString(PyExc_RuntimeError, "Event loop is closed");
        return -1;
    }
    if (fl_loop_is_busy(self) || self->timers.next_sequence != n_timers) {
        timeout_ns = 0;
    }
    double looked_s;
    return poll_now(self, timeout_ns, fl_is_only_thread(thread), true, &looked_s);
}

/* asyncio's _process_events(event_list) takes what its selector returned; ours
 * dispatches by itself, so there is nothing left to do. */
PyObject *
fl_loop_process_events(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(events))
{
    Py_RETURN_NONE;
}

/* ---- for a program that has put something in front of loop._selector.select ---- */

/* Seconds to sleep, or None: asked at the start of an iteration. */
PyObject *
fl_loop_poll_timeout(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    self->polled = NOT_POLLED;
    if (fl_loop_is_busy(self)) {
        return PyFloat_FromDouble(0.0);
    }
    if (self->timers.count == 0) {
        Py_RETURN_NONE;
    }
    double now_s = fl_loop_now(self); /* escapes */
    if (now_s == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    bool any = self->timers.count > 0; /* loop.time() may be anybody's */
    return PyFloat_FromDouble(any ? seconds_to_timer(self, now_s) : 0.0);
}

/* Polls, and queues what it finds, which no other poll of this iteration may find
 * again. Tells whether that was anything. */
PyObject *
fl_loop_poll_for(PyObject *op, PyObject *timeout)
{
    LoopObject *self = (LoopObject *)op;
    double timeout_s = timeout == Py_None ? MAX_TIMEOUT_S : PyFloat_AsDouble(timeout);
    if (timeout_s == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (self->polled == FOUND) {
        Py_RETURN_TRUE;
    }
    int64_t timeout_ns = to_nanoseconds(timeout_s);
    size_t before = fl_ring_count(&self->ready);
    PyThreadState *thread = PyThreadState_Get();
    if (fl_loop_poll_within(self, thread, timeout_ns) < 0) { /* escapes */
        return NULL;
    }
    if (fl_ring_count(&self->ready) > before) {
        self->polled = FOUND;
        Py_RETURN_TRUE;
    }
    self->polled = POLLED;
    Py_RETURN_FALSE;
}
