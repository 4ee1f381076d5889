/* call_soon, call_later, call_at, call_soon_threadsafe.
 *
 * Imitates asyncio.BaseEventLoop's methods of the same names. In debug mode
 * they check thread and callback first, through the inherited _check_callback.
 */
#include "core/handle/alarm.h"
#include "core/handle/threadsafe_handle.h"
#include "core/handle/timer_handle.h"
#include "core/io/source.h"
#include "core/loop/loop.h"
#include "core/run/loop_virtual.h"
#include "py/args/args.h"
#include "py/args/call.h"
#include "py/error.h"
#include "py/time_watch.h"

int
fl_loop_push_failed(void)
{
    PyErr_NoMemory();
    return -1;
}

/* Debug mode's checks; escapes. */
static int
check_debug(LoopObject *self, PyObject *callback, const char *method, bool check_thread)
{
    if (check_thread && fl_loop_check_thread(self) < 0) {
        return -1;
    }
    return fl_call_status(
        PyObject_CallMethod((PyObject *)self, "_check_callback", "Os", callback, method)
    );
}

/* Queues a new handle: the ring gets its first reference, the caller another. */
static PyObject *
push_handle(LoopObject *self, HandleObject *handle)
{
    if (handle == NULL) {
        return NULL;
    }
    if (fl_loop_push(self, (uintptr_t)handle | FL_ENTRY_HANDLE) < 0) {
        Py_DECREF(handle);
        return NULL;
    }
    return Py_NewRef((PyObject *)handle);
}

static FL_APART PyObject *
call_soon_parsed(
    LoopObject *self, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    static const struct fl_callback_signature signature = {
        "call_soon", {"callback", NULL}, true
    };
    struct fl_callback_args call;
    if (fl_args_parse(self->state, &signature, args, n_args, kwnames, &call) < 0 ||
        fl_loop_check_closed(self) < 0) {
        return NULL;
    }
    if (self->debug && check_debug(self, call.leading[0], "call_soon", true) < 0) {
        return NULL;
    }
    if (self->sleeping && self->state->lookout != NULL &&
        fl_lookout_lint(self->state, "unsafe", call.leading[0]) < 0) {
        return NULL;
    }
    return push_handle(
        self, fl_handle_new(self, call.leading[0], call.args, call.n_args, call.context)
    );
}

PyObject *
fl_loop_call_soon(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    LoopObject *self = (LoopObject *)op;
    if (kwnames == NULL && n_args > 0 && fl_loop_is_plain(self)) {
        /* fast: nearly every call, nothing to parse or to check (15 instructions) */
        return push_handle(
            self, fl_handle_new(self, args[0], args + 1, n_args - 1, NULL)
        );
    }
    return call_soon_parsed(self, args, n_args, kwnames);
}

PyObject *
fl_loop_call_soon_threadsafe(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    static const struct fl_callback_signature signature = {
        "call_soon_threadsafe", {"callback", NULL}, true
    };
    LoopObject *self = (LoopObject *)op;
    struct fl_callback_args call;
    if (fl_args_read(self->state, &signature, args, n_args, kwnames, &call) < 0 ||
        fl_thread_flush(self->state) < 0 || /* escapes: before another thread runs */
        fl_loop_check_closed(self) < 0) {
        return NULL;
    }
    if (self->debug &&
        check_debug(self, call.leading[0], "call_soon_threadsafe", false) < 0) {
        return NULL;
    }
    PyObject *handle = push_handle(
        self, fl_threadsafe_handle_new(
                  self, call.leading[0], call.args, call.n_args, call.context
              )
    );
    if (handle != NULL) {
        ((HandleObject *)handle)->queued = FL_HANDLE_FROM_THREAD;
        fl_loop_wake(self);
        fl_loop_note_io(self);
    }
    return handle;
}

/* A Handle from (callback, args, context): args a sequence, context may be None
 * or absent. */
static HandleObject *
handle_from_sequence(LoopObject *self, PyObject *const *args, Py_ssize_t n_args)
{
    if (n_args < 2 || n_args > 3) {
        PyErr_SetString(PyExc_TypeError, "expected callback, args and context");
        return NULL;
    }
    PyObject *sequence = PySequence_Fast(args[1], "args is no sequence"); /* escapes */
    if (sequence == NULL) {
        return NULL;
    }
    PyObject *context = n_args == 3 && args[2] != Py_None ? args[2] : NULL;
    HandleObject *handle = fl_handle_new(
        self, args[0], PySequence_Fast_ITEMS(sequence),
        PySequence_Fast_GET_SIZE(sequence), context
    );
    Py_DECREF(sequence);
    return handle;
}

/* _make_handle(callback, args): a Handle that is not queued. */
PyObject *
fl_loop_make_handle(PyObject *op, PyObject *const *args, Py_ssize_t n_args)
{
    HandleObject *handle = handle_from_sequence((LoopObject *)op, args, n_args);
    if (handle != NULL) {
        fl_handle_settle(handle);
    }
    return (PyObject *)handle;
}

/* BaseEventLoop._call_soon(callback, args, context) */
PyObject *
fl_loop_call_soon_internal(PyObject *op, PyObject *const *args, Py_ssize_t n_args)
{
    return push_handle(
        (LoopObject *)op, handle_from_sequence((LoopObject *)op, args, n_args)
    );
}

static PyObject *
start_timer(
    LoopObject *self, double when_s, PyObject *when, const struct fl_callback_args *call
)
{
    if (fl_loop_check_closed(self) < 0) {
        return NULL;
    }
    if (self->debug && check_debug(self, call->leading[1], "call_at", true) < 0) {
        return NULL;
    }
    return fl_timer_handle_start(
        self, when_s, when, call->leading[1], call->args, call->n_args, call->context
    );
}

PyObject *
fl_loop_call_at(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    static const struct fl_callback_signature signature = {
        "call_at", {"when", "callback"}, true
    };
    LoopObject *self = (LoopObject *)op;
    struct fl_callback_args call;
    if (fl_args_read(self->state, &signature, args, n_args, kwnames, &call) < 0) {
        return NULL;
    }
    PyObject *when = call.leading[0];
    if (when == Py_None) {
        PyErr_SetString(PyExc_TypeError, "when cannot be None");
        return NULL;
    }
    double when_s = PyFloat_AsDouble(when); /* escapes if it is no float */
    if (when_s == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    return start_timer(self, when_s, PyFloat_CheckExact(when) ? NULL : when, &call);
}

/* call_later where call_at, or the arithmetic, is not the plain one. */
static PyObject *
call_later_generic(LoopObject *self, const struct fl_callback_args *call)
{
    PyObject *now = PyObject_CallMethodNoArgs((PyObject *)self, self->state->str_time);
    if (now == NULL) {
        return NULL;
    }
    PyObject *when = PyNumber_Add(now, call->leading[0]); /* escapes */
    Py_DECREF(now);
    if (when == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    PyObject *method = PyObject_GetAttr((PyObject *)self, self->state->str_call_at);
    PyObject *positional = method == NULL ? NULL : PyTuple_New(2 + call->n_args);
    PyObject *keywords = positional == NULL ? NULL : PyDict_New();
    if (keywords == NULL) {
        goto done;
    }
    PyTuple_SET_ITEM(positional, 0, Py_NewRef(when));
    PyTuple_SET_ITEM(positional, 1, Py_NewRef(call->leading[1]));
    for (Py_ssize_t i = 0; i < call->n_args; i++) {
        PyTuple_SET_ITEM(positional, 2 + i, Py_NewRef(call->args[i]));
    }
    if (call->context != NULL &&
        PyDict_SetItem(keywords, self->state->str_context, call->context) < 0) {
        goto done;
    }
    result = PyObject_Call(method, positional, keywords); /* escapes */
done:
    Py_DECREF(when);
    Py_XDECREF(method);
    Py_XDECREF(positional);
    Py_XDECREF(keywords);
    return result;
}

/* The same, by the short way for a virtual clock and nothing else. */
static PyObject *
call_later_otherwise(LoopObject *self, const struct fl_callback_args *call)
{
    double delay_s;
    if (fl_virtual_rules(self) && !(fl_loop_overrides(self) & FL_OVERRIDES_CALL_AT) &&
        fl_plain_seconds(call->leading[0], &delay_s)) {
        return start_timer(self, self->virtual->now_s + delay_s, NULL, call);
    }
    return call_later_generic(self, call);
}

PyObject *
fl_loop_call_later(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    static const struct fl_callback_signature signature = {
        "call_later", {"delay", "callback"}, true
    };
    LoopObject *self = (LoopObject *)op;
    struct fl_callback_args call;
    if (fl_args_read(self->state, &signature, args, n_args, kwnames, &call) < 0) {
        return NULL;
    }
    PyObject *delay = call.leading[0];
    if (delay == Py_None) {
        PyErr_SetString(PyExc_TypeError, "delay must not be None");
        return NULL;
    }
    double delay_s;
    if (fl_loop_overrides(self) & (FL_OVERRIDES_ANY_TIME | FL_OVERRIDES_CALL_AT) ||
        fl_time_is_replaced(self->state)) {
        return call_later_otherwise(self, &call);
    }
    if (PyFloat_CheckExact(delay)) {
        delay_s = PyFloat_AS_DOUBLE(delay);
    }
    else if (PyLong_CheckExact(delay)) {
        delay_s = PyLong_AsDouble(delay);
        if (delay_s == -1.0 && PyErr_Occurred()) {
            return NULL;
        }
    }
    else {
        return call_later_generic(self, &call);
    }
    return start_timer(self, fl_clock_monotonic_s() + delay_s, NULL, &call);
}

/* BaseEventLoop._add_callback(handle): queue a Handle, of any class. */
PyObject *
fl_loop_add_callback(PyObject *op, PyObject *handle)
{
    LoopObject *self = (LoopObject *)op;
    PyTypeObject *type = Py_TYPE(handle);
    if (type == self->state->handle_type || type == self->state->timer_handle_type ||
        type == self->state->threadsafe_handle_type) {
        fl_handle_settle((HandleObject *)handle); /* it may be queued already */
        if (!((HandleObject *)handle)->cancelled &&
            fl_loop_push(self, (uintptr_t)handle | FL_ENTRY_HANDLE) == 0) {
            Py_INCREF(handle);
        }
        if (PyErr_Occurred()) {
            return NULL;
        }
        Py_RETURN_NONE;
    }
    PyObject *run = PyObject_GetAttrString(handle, "_run");
    if (run == NULL) {
        return NULL;
    }
    PyObject *queued = push_handle(self, fl_handle_new(self, run, NULL, 0, NULL));
    Py_DECREF(run);
    Py_XDECREF(queued);
    return queued == NULL ? NULL : Py_NewRef(Py_None);
}

PyObject *
fl_loop_add_callback_signalsafe(PyObject *op, PyObject *handle)
{
    PyObject *result = fl_loop_add_callback(op, handle);
    if (result != NULL) {
        fl_loop_wake((LoopObject *)op);
    }
    return result;
}

/* What asyncio.TimerHandle.cancel tells its loop; ours is told by no handle of
 * its own, so this is for asyncio's class used by hand. */
PyObject *
fl_loop_timer_handle_cancelled(PyObject *Py_UNUSED(op), PyObject *Py_UNUSED(handle))
{
    Py_RETURN_NONE;
}

static void
drop_word(uintptr_t word, void (*drop_handle)(HandleObject *))
{
    if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_HANDLE) {
        drop_handle((HandleObject *)word);
    }
    else if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_SOURCE) {
        fl_source_forget_queued(word);
    }
    else if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_ALARM) {
        fl_alarm_drop_word(word);
    }
    else {
        Py_DECREF((PyObject *)(word & ~FL_ENTRY_KIND_MASK));
    }
}

void
fl_loop_drop_word(uintptr_t word)
{
    drop_word(word, fl_handle_release); /* escapes */
}

/* Before anything escapes no handle knows the loop any more. */
static void
drop_queued_of_dying(LoopObject *self)
{
    struct fl_list timers;
    fl_list_init(&timers);
    struct fl_timer *timer;
    while ((timer = fl_timers_any(&self->timers)) != NULL) {
        fl_timers_remove(&self->timers, timer);
        fl_list_append(&timers, &timer->link);
        if (timer->kind == FL_TIMER_OF_HANDLE) {
            fl_handle_forget_loop(&fl_timer_handle_of(timer)->base);
        }
        else {
            fl_alarm_let_go(timer);
        }
    }
    for (size_t i = 0; i < fl_ring_count(&self->ready); i++) {
        uintptr_t word = fl_ring_peek(&self->ready, i);
        if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_HANDLE) {
            fl_handle_forget_loop((HandleObject *)word);
        }
        else if ((word & FL_ENTRY_KIND_MASK) == FL_ENTRY_ALARM) {
            fl_alarm_let_go_word(word);
        }
    }
    while (fl_ring_count(&self->ready) > 0) {
        drop_word(fl_ring_pop(&self->ready), fl_handle_orphan); /* escapes */
    }
    while (!fl_list_empty(&timers)) {
        timer = FL_CONTAINER_OF(timers.next, struct fl_timer, link);
        fl_list_unlink(&timer->link);
        if (timer->kind == FL_TIMER_OF_HANDLE) {
            fl_handle_orphan(&fl_timer_handle_of(timer)->base); /* escapes */
        }
        else {
            fl_alarm_drop(timer); /* escapes */
        }
    }
}

void
fl_loop_drop_queued(LoopObject *self, bool dying)
{
    if (dying) {
        drop_queued_of_dying(self);
        return;
    }
    while (fl_ring_count(&self->ready) > 0) {
        drop_word(fl_ring_pop(&self->ready), fl_handle_release); /* escapes */
    }
    struct fl_timer *timer;
    while ((timer = fl_timers_any(&self->timers)) != NULL) {
        fl_timers_remove(&self->timers, timer);
        if (timer->kind == FL_TIMER_OF_HANDLE) {
            fl_handle_release(&fl_timer_handle_of(timer)->base); /* escapes */
        }
        else {
            fl_alarm_drop(timer); /* escapes */
        }
    }
}
