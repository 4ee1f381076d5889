/* call_soon, call_later, call_at, call_soon_threadsafe.
 *
 * Imitates asyncio.BaseEventLoop's methods of the same names. In debug mode
 * they check thread and callback first, through the inherited _check_callback.
 */
#include "core/handle/threadsafe_handle.h"
#include "core/handle/timer_handle.h"
#include "core/io/source.h"
#include "core/loop/sched.h"
#include "core/run/loop_virtual.h"
#include "py/args/args.h"
#include "py/args/call.h"
#include "py/error.h"
#include "py/time_watch.h"

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
    return fl_sched_handle(
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
        return fl_sched_handle(
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
    PyObject *handle = fl_sched_handle(
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
    return fl_sched_handle(
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
