/* Alarms: what our own code above the loop has instead of TimerHandles. */
#include "core/handle/alarm.h"

#include "core/handle/timer_handle.h"
#include "py/args/args.h"
#include "py/args/call.h"
#include "py/error.h"
#include "py/poison.h"
#include "py/time_watch.h"

struct fl_alarm {
    struct fl_timer timer;
    const struct fl_alarm_kind *kind;
    LoopObject *loop;           /* borrowed: it drops its alarms before it dies */
    PyObject *target;           /* owned; NULL once it is cancelled, in the ring */
    PyObject *value;            /* owned, or NULL */
    PyObject *context;          /* owned: a snapshot */
    PyObject *handle;           /* owned: made of one that is in the ring; or NULL */
    struct fl_alarm_slot *slot; /* that holds it, or NULL */
    struct fl_alarm *next;      /* in the freelist */
};

#define FREELIST_MAX 256

static struct fl_alarm *
alarm_of(struct fl_timer *timer)
{
    return FL_CONTAINER_OF(timer, struct fl_alarm, timer);
}

static struct fl_alarm *
alarm_of_word(uintptr_t word)
{
    return (struct fl_alarm *)(word & ~FL_ENTRY_KIND_MASK);
}

uintptr_t
fl_alarm_word(struct fl_timer *timer)
{
    return (uintptr_t)alarm_of(timer) | FL_ENTRY_ALARM;
}

uint64_t
fl_alarm_sequence(uintptr_t word)
{
    return alarm_of_word(word)->timer.sequence;
}

const char *
fl_alarm_name(uintptr_t word)
{
    return alarm_of_word(word)->kind->name;
}

/* ---- life ---- */

/* New, in no structure; or NULL with an exception. */
static struct fl_alarm *
alarm_new(LoopObject *loop, const struct fl_alarm_about *about)
{
    PyObject *context = fl_context_snapshot(loop->state, &loop->contexts);
    if (context == NULL) {
        return NULL;
    }
    struct fl_alarm *self = loop->free_alarms;
    if (self != NULL) {
        FL_UNPOISON_BYTES(self, sizeof(*self));
        loop->free_alarms = self->next;
        loop->n_free_alarms--;
    }
    else {
        self = PyMem_Malloc(sizeof(*self));
        if (self == NULL) {
            Py_DECREF(context);
            PyErr_NoMemory();
            return NULL;
        }
    }
    *self = (struct fl_alarm){
        .timer = {.kind = FL_TIMER_OF_ALARM},
        .kind = about->kind,
        .loop = loop,
        .target = Py_NewRef(about->target),
        .value = Py_XNewRef(about->value),
        .context = context,
    };
    return self;
}

static void
detach(struct fl_alarm *self)
{
    if (self->slot != NULL) {
        self->slot->alarm = NULL;
        self->slot = NULL;
    }
}

static void
attach(struct fl_alarm *self, struct fl_alarm_slot *slot)
{
    fl_alarm_forget(slot); /* it is empty but for what came in between */
    self->slot = slot;
    slot->alarm = self;
}

/* Gives up what it holds. escapes. */
static void
alarm_clear(struct fl_alarm *self)
{
    PyObject *target = self->target, *value = self->value;
    PyObject *context = self->context, *handle = self->handle;
    self->target = self->value = self->context = self->handle = NULL;
    Py_XDECREF(target);
    Py_XDECREF(value);
    Py_XDECREF(context);
    Py_XDECREF(handle);
}

/* Of one that holds nothing. */
static void
alarm_free(LoopObject *loop, struct fl_alarm *self)
{
    if (loop->n_free_alarms >= FREELIST_MAX || loop->closed) {
        PyMem_Free(self);
        return;
    }
    self->next = loop->free_alarms;
    loop->free_alarms = self;
    loop->n_free_alarms++;
    FL_POISON_BYTES(self, sizeof(*self));
}

void
fl_alarm_free_list(LoopObject *loop, int max)
{
    while (loop->n_free_alarms > max) {
        struct fl_alarm *self = loop->free_alarms;
        FL_UNPOISON_BYTES(self, sizeof(*self));
        loop->free_alarms = self->next;
        loop->n_free_alarms--;
        PyMem_Free(self);
    }
}

/* ---- setting ---- */

LoopObject *
fl_alarm_loop(PyObject *loop)
{
    LoopObject *self = fl_loop_of(loop);
    uint32_t matters = FL_OVERRIDES_ANY_TIME | FL_OVERRIDES_CALL_AT |
                       FL_OVERRIDES_CALL_SOON | FL_OVERRIDES_CALL_LATER;
    bool plain = self != NULL && !self->debug && !self->closed &&
                 !(fl_loop_overrides(self) & matters) &&
                 !fl_time_is_replaced(self->state);
    return plain ? self : NULL;
}

int
fl_alarm_set(
    struct fl_alarm_slot *slot, LoopObject *loop, double when_s,
    const struct fl_alarm_about *about
)
{
    struct fl_alarm *self = alarm_new(loop, about);
    if (self == NULL) {
        return -1;
    }
    if (fl_timers_add(&loop->timers, &self->timer, when_s) < 0) {
        alarm_clear(self);
        alarm_free(loop, self);
        PyErr_NoMemory();
        return -1;
    }
    attach(self, slot);
    return 0;
}

/* loop.method(time, callback, *args), without time if that is NULL. */
static int
set_handle(
    struct fl_alarm_slot *slot, struct fl_state *state, PyObject *loop,
    PyObject *method, PyObject *time, const struct fl_alarm_about *about
)
{
    struct fl_alarm_call call;
    if (about->kind->call(state, about->target, about->value, &call) < 0) {
        return -1;
    }
    PyObject *stack[5] = {loop};
    size_t n = 1;
    if (time != NULL) {
        stack[n++] = time;
    }
    stack[n++] = call.callback;
    for (Py_ssize_t i = 0; i < call.n_args; i++) {
        stack[n++] = call.args[i];
    }
    PyObject *handle = PyObject_VectorcallMethod(method, stack, n, NULL); /* escapes */
    Py_DECREF(call.callback);
    if (handle == NULL) {
        return -1;
    }
    fl_alarm_forget(slot); /* escapes */
    Py_XSETREF(slot->handle, handle);
    return 0;
}

int
fl_alarm_later(
    struct fl_alarm_slot *slot, struct fl_state *state, PyObject *loop, PyObject *delay,
    const struct fl_alarm_about *about
)
{
    LoopObject *own = about->plain ? fl_alarm_loop(loop) : NULL;
    double delay_s;
    if (own != NULL && fl_plain_seconds(delay, &delay_s)) {
        return fl_alarm_set(slot, own, fl_clock_monotonic_s() + delay_s, about);
    }
    return set_handle(slot, state, loop, state->str_call_later, delay, about);
}

int
fl_alarm_at(
    struct fl_alarm_slot *slot, struct fl_state *state, PyObject *loop, PyObject *when,
    const struct fl_alarm_about *about
)
{
    LoopObject *own = about->plain ? fl_alarm_loop(loop) : NULL;
    if (own != NULL && PyFloat_CheckExact(when)) {
        return fl_alarm_set(slot, own, PyFloat_AS_DOUBLE(when), about);
    }
    return set_handle(slot, state, loop, state->str_call_at, when, about);
}

int
fl_alarm_soon(
    struct fl_alarm_slot *slot, struct fl_state *state, PyObject *loop,
    const struct fl_alarm_about *about
)
{
    LoopObject *own = about->plain ? fl_alarm_loop(loop) : NULL;
    if (own == NULL) {
        return set_handle(slot, state, loop, state->str_call_soon, NULL, about);
    }
    struct fl_alarm *self = alarm_new(own, about);
    if (self == NULL) {
        return -1;
    }
    self->timer.sequence = UINT64_MAX; /* as call_soon's handles it was no timer */
    if (fl_loop_push(own, (uintptr_t)self | FL_ENTRY_ALARM) < 0) {
        alarm_clear(self);
        alarm_free(own, self);
        return -1;
    }
    attach(self, slot);
    return 0;
}

/* ---- taking back ---- */

static void
withdraw(struct fl_alarm *self)
{
    LoopObject *loop = self->loop;
    detach(self);
    bool queued = self->timer.where == FL_TIMER_OUT; /* the ring's word stays */
    if (!queued) {
        fl_timers_remove(&loop->timers, &self->timer);
        Py_INCREF(loop);
    }
    alarm_clear(self); /* escapes */
    if (!queued) {
        alarm_free(loop, self);
        Py_DECREF(loop);
    }
}

int
fl_alarm_cancel(struct fl_alarm_slot *slot)
{
    if (slot->alarm != NULL) {
        withdraw(slot->alarm);
        return 0;
    }
    PyObject *handle = slot->handle;
    if (handle == NULL) {
        return 0;
    }
    slot->handle = NULL;
    int status = fl_call_status(PyObject_CallMethod(handle, "cancel", NULL));
    Py_DECREF(handle); /* escapes */
    return status;
}

void
fl_alarm_forget(struct fl_alarm_slot *slot)
{
    if (slot->alarm != NULL) {
        detach(slot->alarm);
    }
    Py_CLEAR(slot->handle);
}

/* ---- ringing ---- */

/* What a handle of it calls. 0, or -1 with an exception. */
static int
describe(const struct fl_alarm *self, struct fl_alarm_call *call)
{
    return self->slot != NULL && self->kind->call_of != NULL
               ? self->kind->call_of(self->slot, self->timer.when_s, call)
               : self->kind->call(self->loop->state, self->target, self->value, call);
}

/* A handle of it, in no structure: new, or NULL with an exception. */
static TimerHandleObject *
make_handle(const struct fl_alarm *self)
{
    LoopObject *loop = self->loop;
    struct fl_alarm_call call;
    if (describe(self, &call) < 0) {
        return NULL;
    }
    HandleObject *handle = fl_handle_alloc(
        loop->state->timer_handle_type, loop, &loop->free_timer_handles
    );
    if (handle != NULL) {
        ((TimerHandleObject *)(void *)handle)->timer =
            (struct fl_timer){.where = FL_TIMER_OUT};
        if (fl_handle_fill(
                handle, loop, call.callback, call.args, call.n_args, self->context
            ) < 0) {
            Py_CLEAR(handle);
        }
        else {
            handle->context_shared = 1;
        }
    }
    Py_DECREF(call.callback);
    return (TimerHandleObject *)(void *)handle;
}

static int
run_handle(PyObject *op)
{
    HandleObject *handle = (HandleObject *)op;
    int status = handle->cancelled ? 0 : fl_handle_run(handle); /* escapes */
    Py_DECREF(op);
    return status;
}

int
fl_alarm_run(LoopObject *loop, uintptr_t word)
{
    struct fl_alarm *self = alarm_of_word(word);
    struct fl_alarm was = *self;
    detach(self);
    alarm_free(loop, self);
    if (was.target == NULL) {
        return 0; /* cancelled */
    }
    loop->n_steps++;
    int status;
    if (was.handle != NULL) {
        status = run_handle(was.handle); /* escapes */
    }
    else {
        status = was.slot != NULL && was.kind->ring_of != NULL
                     ? was.kind->ring_of(loop, was.slot, was.context)
                     : was.kind->ring(loop, was.target, was.value, was.context);
        if (status < 0 && !fl_error_is_exit()) { /* escaped */
            PyObject *exc = fl_error_take();
            was.slot = NULL;
            HandleObject *made = (HandleObject *)(void *)make_handle(&was);
            status = fl_handle_report_as(made, loop, exc); /* escapes */
        }
    }
    Py_DECREF(was.target);
    Py_XDECREF(was.value);
    Py_DECREF(was.context);
    return status;
}

int
fl_alarm_in_context(PyObject *snapshot, int (*what)(PyObject *target), PyObject *target)
{
    PyObject *context = Py_NewRef(snapshot);
    int status = fl_context_own(&context, NULL);
    if (status == 0) {
        status = PyContext_Enter(context);
    }
    if (status == 0) {
        status = what(target); /* escapes */
        if (PyContext_Exit(context) < 0) {
            status = -1;
        }
    }
    Py_DECREF(context);
    return status;
}

/* ---- being looked at ---- */

static void
put_handle(
    const struct fl_alarm *self, struct fl_alarm_slot *slot, TimerHandleObject *handle
)
{
    slot->handle = Py_NewRef((PyObject *)handle);
    if (self->kind->shown != NULL) {
        self->kind->shown(slot);
    }
}

/* Has the handle be in the timers in the alarm's stead. To be called while the garbage
 * collector, which may end the alarm, is disabled. 0, or -1. */
static int
become_handle(struct fl_alarm *self)
{
    LoopObject *loop = self->loop;
    TimerHandleObject *handle = make_handle(self);
    if (handle == NULL) {
        return -1;
    }
    fl_timers_replace(&loop->timers, &self->timer, &handle->timer);
    struct fl_alarm_slot *slot = self->slot;
    detach(self);
    if (slot != NULL) {
        put_handle(self, slot, handle);
    }
    alarm_clear(self); /* the handle holds the same */
    alarm_free(loop, self);
    return 0;
}

/* The same for one that is in the ready ring, where it stays. */
static int
get_handle(struct fl_alarm *self)
{
    TimerHandleObject *handle = make_handle(self);
    if (handle == NULL) {
        return -1;
    }
    handle->timer.when_s = self->timer.when_s;
    handle->timer.sequence = self->timer.sequence;
    fl_handle_settle(&handle->base);
    self->handle = (PyObject *)handle;
    struct fl_alarm_slot *slot = self->slot;
    detach(self);
    put_handle(self, slot, handle);
    return 0;
}

PyObject *
fl_alarm_handle(struct fl_alarm_slot *slot)
{
    struct fl_alarm *self = slot->alarm;
    if (self != NULL) {
        int collects = PyGC_Disable();
        int status =
            self->timer.where != FL_TIMER_OUT ? become_handle(self) : get_handle(self);
        if (collects) {
            PyGC_Enable();
        }
        if (status < 0) {
            return NULL;
        }
    }
    return Py_NewRef(slot->handle != NULL ? slot->handle : Py_None);
}

struct shown {
    struct fl_alarm **alarms;
    size_t n;
};

static int
note_alarm(struct fl_timer *timer, void *arg)
{
    struct shown *shown = arg;
    if (timer->kind == FL_TIMER_OF_ALARM) {
        shown->alarms[shown->n++] = alarm_of(timer);
    }
    return 0;
}

int
fl_alarm_show_all(LoopObject *loop)
{
    struct shown shown = {
        .alarms = PyMem_Malloc((loop->timers.count + 1) * sizeof(*shown.alarms)),
    };
    if (shown.alarms == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int collects = PyGC_Disable();
    fl_timers_visit(&loop->timers, note_alarm, &shown);
    int status = 0;
    for (size_t i = 0; status == 0 && i < shown.n; i++) {
        status = become_handle(shown.alarms[i]);
    }
    if (collects) {
        PyGC_Enable();
    }
    PyMem_Free(shown.alarms);
    return status;
}

/* ---- for the collector, and the loop's end ---- */

static int
traverse(const struct fl_alarm *self, visitproc visit, void *arg)
{
    Py_VISIT(self->target);
    Py_VISIT(self->value);
    Py_VISIT(self->context);
    Py_VISIT(self->handle);
    return 0;
}

int
fl_alarm_traverse(struct fl_timer *timer, visitproc visit, void *arg)
{
    return traverse(alarm_of(timer), visit, arg);
}

int
fl_alarm_traverse_word(uintptr_t word, visitproc visit, void *arg)
{
    return traverse(alarm_of_word(word), visit, arg);
}

void
fl_alarm_let_go(struct fl_timer *timer)
{
    detach(alarm_of(timer));
}

void
fl_alarm_let_go_word(uintptr_t word)
{
    detach(alarm_of_word(word));
}

static void
drop(struct fl_alarm *self)
{
    detach(self);
    alarm_clear(self); /* escapes */
    PyMem_Free(self);
}

void
fl_alarm_drop_word(uintptr_t word)
{
    drop(alarm_of_word(word));
}

void
fl_alarm_drop(struct fl_timer *timer)
{
    drop(alarm_of(timer));
}
