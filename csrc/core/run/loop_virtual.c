/* Virtual time. */
#include "core/run/loop_virtual.h"

#include "core/task/task_registry.h"
#include "py/args/call.h"

/* quiet_iterations of a loop whose grace has passed; a sign of I/O makes them 0. */
#define GRACE_HAS_PASSED (1u << 30)

/* ---- the clock as attributes ---- */

static double *
field(LoopObject *self, void *offset)
{
    if (self->virtual == NULL) {
        PyErr_SetString(PyExc_AttributeError, "the loop's time is not virtual");
        return NULL;
    }
    return (double *)(void *)((char *)self->virtual + (Py_ssize_t)offset);
}

PyObject *
fl_virtual_get(PyObject *op, void *offset)
{
    const double *value = field((LoopObject *)op, offset);
    return value == NULL ? NULL : PyFloat_FromDouble(*value);
}

int
fl_virtual_set(PyObject *op, PyObject *value, void *offset)
{
    double *place = field((LoopObject *)op, offset);
    if (place == NULL) {
        return -1;
    }
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "it stays");
        return -1;
    }
    double number = PyFloat_AsDouble(value); /* escapes */
    if (number == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    *place = number;
    return 0;
}

PyObject *
fl_virtual_begin(PyObject *op, PyObject *start)
{
    LoopObject *self = (LoopObject *)op;
    double start_s = PyFloat_AsDouble(start); /* escapes */
    if (start_s == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (self->virtual != NULL || self->running || self->timers.count > 0) {
        PyErr_SetString(PyExc_RuntimeError, "the loop's time has begun");
        return NULL;
    }
    self->virtual = PyMem_Malloc(sizeof(*self->virtual));
    if (self->virtual == NULL) {
        return PyErr_NoMemory();
    }
    *self->virtual = (struct fl_virtual){
        .now_s = start_s,
        .end_s = INFINITY,
        .wait_s = INFINITY,
        .seed = -1.0,
        .random_of = -1.0
    };
    fl_timers_deinit(&self->timers);
    fl_timers_init(&self->timers, start_s);
    self->instance_overrides |= FL_OVERRIDES_CLOCK;
    self->skips_freely = 0;
    Py_RETURN_NONE;
}

void
fl_virtual_free(LoopObject *self)
{
    if (self->virtual != NULL) {
        PyMem_Free(self->virtual->places);
    }
    PyMem_Free(self->virtual);
    self->virtual = NULL;
}

PyObject *
fl_virtual_time(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LoopObject *self = (LoopObject *)op;
    return PyFloat_FromDouble(
        self->virtual == NULL ? fl_clock_monotonic_s() : self->virtual->now_s
    );
}

/* ---- where nothing is ready ---- */

/* Whether a timer is due, or anything else to be done. */
static bool
is_due(LoopObject *self)
{
    double end_s = fl_loop_end_of_due(self, self->virtual->now_s);
    return fl_loop_is_busy(self) ||
           (self->timers.count > 0 && !(fl_timers_next(&self->timers) >= end_s));
}

/* What is there by now. escapes. 0 or -1. */
static int
poll_once(LoopObject *self, PyThreadState *thread)
{
    if (self->may_skip_polls && self->revive == NULL &&
        fl_loop_is_alone(self, thread)) {
        fl_current_retract(self);    /* escapes */
        return PyErr_CheckSignals(); /* escapes; nobody else can tell */
    }
    return fl_loop_poll_within(self, thread, 0); /* escapes */
}

/* Gives those who are waited for the time to come: fds once after each sign of I/O,
 * jobs that have asked before each jump, as what it leads to may be their answer.
 * escapes. 1 if they had it and did not come, 0, or -1 with an exception. */
static int
wait_for_others(LoopObject *self, PyThreadState *thread)
{
    const struct fl_virtual *clock = self->virtual;
    bool for_fds =
        fl_loop_has_watches(self) && self->quiet_iterations < GRACE_HAS_PASSED;
    int64_t grace_ns =
        for_fds || clock->askers > 0.0 ? (int64_t)(clock->grace_s * 1e9) : 0;
    if (grace_ns == 0) {
        return 1;
    }
    int64_t start_ns = fl_clock_monotonic_ns();
    if (fl_loop_poll_within(self, thread, grace_ns) < 0) { /* escapes */
        return -1;
    }
    /* a signal, or somebody who only woke it, ends a sleep before its time */
    if (is_due(self) || fl_clock_monotonic_ns() - start_ns < grace_ns) {
        return 0;
    }
    self->quiet_iterations = GRACE_HAS_PASSED;
    return self->virtual->holds == 0.0;
}

/* Nothing is left but what comes from outside: loop._nothing_left(watched, seconds
 * since that is so) says how long to wait for it, or raises. escapes. 0 or -1. */
static FL_SLOW int
wait_for_outside(LoopObject *self, PyThreadState *thread)
{
    struct fl_virtual *clock = self->virtual;
    int64_t now_ns = fl_clock_monotonic_ns();
    if (clock->stuck_since_ns == 0) {
        clock->stuck_since_ns = now_ns;
    }
    uint64_t n_timers = self->timers.next_sequence;
    PyObject *answer = PyObject_CallMethod(
        (PyObject *)self, "_nothing_left", "id", (int)fl_loop_has_watches(self),
        (double)(now_ns - clock->stuck_since_ns) / 1e9
    ); /* escapes */
    double timeout_s = answer == NULL ? -1.0 : PyFloat_AsDouble(answer);
    Py_XDECREF(answer);
    if (timeout_s == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (is_due(self) || self->timers.next_sequence != n_timers) {
        return 0;
    }
    int64_t timeout_ns = timeout_s < 0.0 ? -1 : (int64_t)(timeout_s * 1e9) + 1;
    return fl_loop_poll_within(self, thread, timeout_ns); /* escapes */
}

/* Sets the clock; wakes: those who wait for all to settle by then. escapes. 0 or -1. */
static int
go_to(LoopObject *self, double when_s, bool wakes)
{
    struct fl_virtual *clock = self->virtual;
    bool ends = when_s > clock->end_s;
    double then_s = ends ? clock->end_s : when_s;
    clock->now_s = then_s > clock->now_s ? then_s : clock->now_s;
    if (!ends && !wakes) {
        return 0;
    }
    const char *method = ends ? "_end_reached" : "_wake_settled";
    return fl_call_status(PyObject_CallMethod((PyObject *)self, method, NULL));
}

/* Nothing holds the clock. escapes. 0 or -1. */
static int
jump(LoopObject *self, PyThreadState *thread)
{
    struct fl_virtual *clock = self->virtual;
    double next_s = self->timers.count > 0 ? fl_timers_next(&self->timers) : INFINITY;
    double wait_s = clock->wait_s;
    double until_s = wait_s < next_s ? wait_s : next_s;
    bool stays = clock->frozen != 0.0 && wait_s == INFINITY;
    if (until_s == INFINITY || stays) {
        return wait_for_outside(self, thread); /* escapes */
    }
    return go_to(self, until_s, wait_s < next_s); /* escapes */
}

int
fl_virtual_poll(LoopObject *self, PyThreadState *thread)
{
    struct fl_virtual *clock = self->virtual;
    if (fl_loop_is_busy(self)) {
        double looked_s;
        clock->stuck_since_ns = 0;
        return fl_loop_poll(self, thread, &looked_s); /* escapes */
    }
    if (poll_once(self, thread) < 0) { /* escapes */
        return -1;
    }
    if (is_due(self)) {
        return 0;
    }
    if (clock->holds > 0.0) {
        return fl_loop_poll_within(self, thread, -1); /* escapes */
    }
    int passed = wait_for_others(self, thread); /* escapes */
    return passed <= 0 ? passed : jump(self, thread);
}
