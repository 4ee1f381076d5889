/* Timeout, timeout(), timeout_at(): asyncio's in C. */
#include "aio/timeout.h"

#include "aio/call.h"
#include "aio/futures.h"
#include "core/handle.h"

#include <math.h>

typedef struct {
    AioObject base;
    PyObject *state; /* a member of asyncio.timeouts._State, or what was put there */
    PyObject *task;
    PyObject *when;       /* a number of seconds of loop.time(), or None */
    PyObject *cancelling; /* an int; NULL before it is entered */
    struct fl_alarm_slot alarm;
} TimeoutObject;

static TimeoutObject *
timeout_of(PyObject *op)
{
    return (TimeoutObject *)(void *)op;
}

static const struct fl_aio_state *
aio_of(const TimeoutObject *self)
{
    return &self->base.state->aio;
}

static bool
is_in(const TimeoutObject *self, PyObject *state)
{
    return self->state == state;
}

static PyObject *
stock_noargs(PyObject *op, PyObject *name)
{
    return fl_aio_stock_noargs(timeout_of(op)->base.state->asyncio_Timeout, name, op);
}

static void
set_state(TimeoutObject *self, PyObject *state)
{
    Py_XSETREF(self->state, Py_NewRef(state)); /* escapes if it was odd */
}

/* ---- its end ---- */

/* What _on_timeout does of one that is entered. escapes. 0 or -1. */
static int
expire(TimeoutObject *self)
{
    const struct fl_state *state = self->base.state;
    PyObject *task = Py_NewRef(self->task);
    int cancelled = fl_aio_cancel(state, task); /* escapes */
    Py_DECREF(task);
    if (cancelled < 0) {
        return -1;
    }
    set_state(self, state->aio.timeout_expiring);
    fl_alarm_forget(&self->alarm);
    return 0;
}

/* Whether to cancel the task runs no code but ours. */
static bool
is_waiting_for_ours(const struct fl_state *state, PyObject *task)
{
    for (int i = 0; i < 64; i++) {
        PyObject *waiter = fl_base_task(task)->fut_waiter;
        if (waiter == NULL || Py_IS_TYPE(waiter, state->future_type)) {
            return true;
        }
        if (!Py_IS_TYPE(waiter, state->task_type)) {
            return false;
        }
        task = waiter;
    }
    return false;
}

static int
expire_in_context(TimeoutObject *self, PyObject *snapshot)
{
    PyObject *context = Py_NewRef(snapshot);
    int status = fl_context_own(&context, NULL);
    if (status == 0) {
        status = PyContext_Enter(context);
    }
    if (status == 0) {
        status = expire(self); /* escapes */
        if (PyContext_Exit(context) < 0) {
            status = -1;
        }
    }
    Py_DECREF(context);
    return status;
}

static int
ring(LoopObject *loop, PyObject *target, PyObject *Py_UNUSED(value), PyObject *context)
{
    TimeoutObject *self = timeout_of(target);
    const struct fl_state *state = loop->state;
    if (!is_in(self, state->aio.timeout_entered) || self->task == NULL ||
        !Py_IS_TYPE(self->task, state->task_type)) {
        return fl_call_status(stock_noargs(target, state->str__on_timeout));
    }
    return is_waiting_for_ours(state, self->task) ? expire(self)
                                                  : expire_in_context(self, context);
}

static int
describe(
    const struct fl_state *state, PyObject *target, PyObject *Py_UNUSED(value),
    struct fl_alarm_call *call
)
{
    *call = (struct fl_alarm_call){
        .callback = PyObject_GetAttr(target, state->str__on_timeout),
    };
    return call->callback == NULL ? -1 : 0;
}

static const struct fl_alarm_kind timeout_alarm = {ring, describe};

/* ---- its time ---- */

/* when <= loop.time(): 1, 0 or -1. escapes. */
static int
is_over(struct fl_state *state, PyObject *loop, PyObject *when)
{
    if (PyFloat_CheckExact(when) && fl_alarm_loop(loop) != NULL) {
        return PyFloat_AS_DOUBLE(when) <= fl_clock_monotonic_s();
    }
    PyObject *now = PyObject_CallMethodNoArgs(loop, state->str_time);
    if (now == NULL) {
        return -1;
    }
    int over = PyObject_RichCompareBool(when, now, Py_LE); /* escapes */
    Py_DECREF(now);
    return over;
}

/* Has it expire when its time comes. The slot is empty. escapes. 0 or -1. */
static int
schedule(TimeoutObject *self, PyObject *loop)
{
    struct fl_state *state = self->base.state;
    const struct fl_alarm_about about = {
        .kind = &timeout_alarm,
        .target = (PyObject *)self,
        .plain = self->task != NULL && Py_IS_TYPE(self->task, state->task_type),
    };
    PyObject *when = Py_NewRef(self->when);
    int status = is_over(state, loop, when); /* escapes */
    if (status > 0) {
        status = fl_alarm_soon(&self->alarm, state, loop, &about);
    }
    else if (status == 0) {
        status = fl_alarm_at(&self->alarm, state, loop, when, &about);
    }
    Py_DECREF(when);
    return status;
}

PyDoc_STRVAR(
    reschedule_doc, "reschedule($self, /, when)\n--\n\n"
                    "Have it expire at another time, seconds of loop.time(), or None:\n"
                    "never.\n\nRaises: RuntimeError unless it is entered."
);

/* The running loop: new, or NULL with RuntimeError. */
static PyObject *
need_running_loop(const struct fl_state *state)
{
    PyObject *loop = fl_aio_running_loop(state);
    if (loop == Py_None) {
        Py_DECREF(loop);
        PyErr_SetString(PyExc_RuntimeError, "no running event loop");
        return NULL;
    }
    return loop;
}

static PyObject *
timeout_reschedule(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    TimeoutObject *self = timeout_of(op);
    const struct fl_state *state = self->base.state;
    if (n_args != 1 || kwnames != NULL || !fl_timeout_is_plain(op) ||
        !is_in(self, state->aio.timeout_entered)) {
        return fl_aio_stock(
            state->asyncio_Timeout, state->str_reschedule, op, args, n_args, kwnames
        );
    }
    Py_XSETREF(self->when, Py_NewRef(args[0])); /* escapes */
    if (fl_alarm_cancel(&self->alarm) < 0) {    /* escapes */
        return NULL;
    }
    if (self->when == NULL || self->when == Py_None) {
        Py_RETURN_NONE;
    }
    PyObject *loop = need_running_loop(state);
    int status = loop == NULL ? -1 : schedule(self, loop); /* escapes */
    Py_XDECREF(loop);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---- async with ---- */

bool
fl_timeout_is_plain(PyObject *op)
{
    return fl_aio_is_plain((AioObject *)op);
}

/* task.cancelling(): new, or NULL. escapes. */
static PyObject *
cancelling_of(const struct fl_state *state, PyObject *task)
{
    if (Py_IS_TYPE(task, state->task_type)) {
        return PyLong_FromLong(fl_base_task(task)->num_cancels_requested);
    }
    return PyObject_CallMethodNoArgs(task, state->str_cancelling);
}

int
fl_timeout_enter(PyObject *op, PyObject *loop)
{
    TimeoutObject *self = timeout_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *task = fl_aio_current_task(state, loop); /* escapes */
    if (task == NULL) {
        return -1;
    }
    if (task == Py_None) {
        Py_DECREF(task);
        PyErr_SetString(PyExc_RuntimeError, "Timeout should be used inside a task");
        return -1;
    }
    set_state(self, state->aio.timeout_entered);
    Py_XSETREF(self->task, task); /* escapes */
    PyObject *cancelling = cancelling_of(state, task);
    if (cancelling == NULL) {
        return -1;
    }
    Py_XSETREF(self->cancelling, cancelling); /* escapes */
    if (self->when == NULL || self->when == Py_None) {
        return 0;
    }
    return schedule(self, loop); /* escapes */
}

/* _insert_timeout_error(exc), and the same for what a group of them holds. escapes. */
static int
insert_timeout_error(const struct fl_state *state, PyObject *exc)
{
    PyObject *method =
        PyObject_GetAttr(state->asyncio_Timeout, state->str__insert_timeout_error);
    if (method == NULL) {
        return -1;
    }
    int status = fl_call_status(PyObject_CallOneArg(method, exc));
    if (status == 0 && PyErr_GivenExceptionMatches(exc, state->ExceptionGroup)) {
        PyObject *all = PyObject_GetAttrString(exc, "exceptions"); /* escapes */
        PyObject *iterator = all == NULL ? NULL : PyObject_GetIter(all);
        Py_XDECREF(all);
        PyObject *each;
        while (iterator != NULL && status == 0 &&
               (each = PyIter_Next(iterator)) != NULL) { /* escapes */
            status = fl_call_status(PyObject_CallOneArg(method, each));
            Py_DECREF(each);
        }
        Py_XDECREF(iterator);
        status = PyErr_Occurred() ? -1 : status;
    }
    Py_DECREF(method);
    return status;
}

/* `raise TimeoutError from exc`: -1. */
static int
raise_from(PyObject *exc)
{
    PyObject *error = PyObject_CallNoArgs(PyExc_TimeoutError);
    if (error != NULL) {
        PyException_SetCause(error, Py_NewRef(exc));
        PyErr_SetObject(PyExc_TimeoutError, error);
        Py_DECREF(error);
    }
    return -1;
}

/* What is left of it when it has expired: whether anybody else cancelled the task. */
static int
exit_expired(TimeoutObject *self, PyObject *exc)
{
    const struct fl_state *state = self->base.state;
    PyObject *task = Py_NewRef(self->task != NULL ? self->task : Py_None);
    PyObject *left = PyObject_CallMethodNoArgs(task, state->str_uncancel); /* escapes */
    Py_DECREF(task);
    if (left == NULL) {
        return -1;
    }
    PyObject *before = Py_NewRef(self->cancelling != NULL ? self->cancelling : Py_None);
    int mine = PyObject_RichCompareBool(left, before, Py_LE); /* escapes */
    Py_DECREF(before);
    Py_DECREF(left);
    if (mine <= 0 || exc == NULL) {
        return mine < 0 ? -1 : 0;
    }
    if (!state->aio.timeout_inserts) {
        bool exactly = Py_IS_TYPE(exc, (PyTypeObject *)(void *)state->CancelledError);
        return exactly ? raise_from(exc) : 0;
    }
    if (PyErr_GivenExceptionMatches(exc, state->CancelledError)) {
        return raise_from(exc);
    }
    return insert_timeout_error(state, exc); /* escapes */
}

int
fl_timeout_exit(PyObject *op, PyObject *exc)
{
    TimeoutObject *self = timeout_of(op);
    const struct fl_aio_state *states = aio_of(self);
    if (fl_alarm_is_set(&self->alarm) && fl_alarm_cancel(&self->alarm) < 0) {
        return -1; /* escaped */
    }
    if (is_in(self, states->timeout_expiring)) {
        set_state(self, states->timeout_expired);
        return exit_expired(self, exc); /* escapes */
    }
    if (is_in(self, states->timeout_entered)) {
        set_state(self, states->timeout_exited);
    }
    return 0;
}

static PySendResult
aenter_start(AioCallObject *call, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *op = call->args[0];
    PyObject *loop = fl_aio_running_loop(state);
    if (loop == NULL) {
        return PYGEN_ERROR;
    }
    PySendResult status = PYGEN_RETURN;
    if (loop == Py_None || !fl_timeout_is_plain(op) ||
        !is_in(timeout_of(op), state->aio.timeout_created)) {
        status = fl_aio_delegate(call, result); /* escapes */
    }
    else if (fl_timeout_enter(op, loop) < 0) { /* escapes */
        status = PYGEN_ERROR;
    }
    else {
        *result = Py_NewRef(op);
    }
    Py_DECREF(loop);
    return status;
}

static PySendResult
aexit_start(AioCallObject *call, PyObject **result)
{
    const struct fl_state *state = fl_aio_state_of(call);
    TimeoutObject *self = timeout_of(call->args[0]);
    PyObject *type = call->args[1], *exc = call->args[2];
    bool entered = is_in(self, state->aio.timeout_entered) ||
                   is_in(self, state->aio.timeout_expiring);
    bool raised = PyExceptionInstance_Check(exc) && (PyObject *)Py_TYPE(exc) == type;
    if (!entered || !fl_timeout_is_plain(call->args[0]) ||
        !(raised || (type == Py_None && exc == Py_None))) {
        return fl_aio_delegate(call, result);
    }
    if (fl_timeout_exit(call->args[0], raised ? exc : NULL) < 0) { /* escapes */
        return PYGEN_ERROR;
    }
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

#define TIMEOUT_TYPE offsetof(struct fl_state, timeout_type)

static const struct fl_aio_call aenter_call = {TIMEOUT_TYPE, 1, 1, aenter_start, NULL};
static const struct fl_aio_call aexit_call = {TIMEOUT_TYPE, 4, 4, aexit_start, NULL};

static const struct fl_aio_named timeout_coroutines[] = {
    {"__aenter__", &aenter_call},
    {"__aexit__", &aexit_call},
    {NULL, NULL},
};

/* ---- methods ---- */

PyDoc_STRVAR(
    when_doc, "when($self, /)\n--\n\n"
              "Return the time when it expires, seconds of loop.time(), or None."
);

static PyObject *
timeout_when(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TimeoutObject *self = timeout_of(op);
    if (!fl_timeout_is_plain(op) || self->when == NULL) {
        return stock_noargs(op, self->base.state->str_when);
    }
    return Py_NewRef(self->when);
}

PyDoc_STRVAR(expired_doc, "expired($self, /)\n--\n\nReturn True if its time has come.");

static PyObject *
timeout_expired(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const TimeoutObject *self = timeout_of(op);
    const struct fl_aio_state *states = aio_of(self);
    if (!fl_timeout_is_plain(op) || self->state == NULL) {
        return stock_noargs(op, self->base.state->str_expired);
    }
    return PyBool_FromLong(
        is_in(self, states->timeout_expiring) || is_in(self, states->timeout_expired)
    );
}

PyDoc_STRVAR(
    on_timeout_doc,
    "_on_timeout($self, /)\n--\n\nIts timer's callback: cancel the task."
);

static PyObject *
timeout_on_timeout(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TimeoutObject *self = timeout_of(op);
    if (!fl_timeout_is_plain(op) || self->task == NULL ||
        !is_in(self, aio_of(self)->timeout_entered)) {
        return stock_noargs(op, self->base.state->str__on_timeout);
    }
    return expire(self) < 0 ? NULL : Py_NewRef(Py_None); /* escapes */
}

static PyObject *
timeout_repr(PyObject *op)
{
    return stock_noargs(op, timeout_of(op)->base.state->str___repr__);
}

static PyObject *
timeout_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_timeout);
}

/* As __init__(when) of a plain one. escapes. */
static void
begin(TimeoutObject *self, PyObject *when)
{
    set_state(self, aio_of(self)->timeout_created);
    fl_alarm_forget(&self->alarm);
    Py_XSETREF(self->task, Py_NewRef(Py_None));
    Py_XSETREF(self->when, Py_NewRef(when));
}

static int
timeout_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    TimeoutObject *self = timeout_of(op);
    if (PyTuple_GET_SIZE(args) != 1 || kwds != NULL || !fl_timeout_is_plain(op)) {
        return fl_aio_stock_init(self->base.state->asyncio_Timeout, op, args, kwds);
    }
    begin(self, PyTuple_GET_ITEM(args, 0));
    return 0;
}

static PyObject *
get_handler(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_alarm_handle(&timeout_of(op)->alarm);
}

static int
set_handler(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    TimeoutObject *self = timeout_of(op);
    fl_alarm_forget(&self->alarm); /* escapes */
    if (value != NULL && value != Py_None) {
        Py_XSETREF(self->alarm.handle, Py_NewRef(value));
    }
    return 0;
}

static PyMethodDef timeout_methods[] = {
    {"when", timeout_when, METH_NOARGS, when_doc},
    {"expired", timeout_expired, METH_NOARGS, expired_doc},
    {"reschedule", FL_FASTCALL(timeout_reschedule), METH_FASTCALL | METH_KEYWORDS,
     reschedule_doc},
    {"_on_timeout", timeout_on_timeout, METH_NOARGS, on_timeout_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef timeout_getset[] = {
    {"_timeout_handler", get_handler, set_handler, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef timeout_members[] = {
    FL_AIO_MEMBER("_state", TimeoutObject, state),
    FL_AIO_MEMBER("_task", TimeoutObject, task),
    FL_AIO_MEMBER("_when", TimeoutObject, when),
    FL_AIO_MEMBER("_cancelling", TimeoutObject, cancelling),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "loop", TimeoutObject, base.loop),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "handle", TimeoutObject, alarm.handle),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    timeout_doc, "Timeout(when)\n--\n\n"
                 "Cancels what is within `async with` when its time has come:\n"
                 "asyncio.Timeout, which it derives from, in C. Made by timeout().\n\n"
                 "when: seconds of loop.time(), or None: never."
);

static PyType_Slot timeout_slots[] = {
    {Py_tp_doc, (void *)timeout_doc},
    {Py_tp_new, timeout_tp_new},
    {Py_tp_init, timeout_init},
    {Py_tp_repr, timeout_repr},
    {Py_tp_setattro, fl_aio_setattro},
    {Py_tp_methods, timeout_methods},
    {Py_tp_getset, timeout_getset},
    {Py_tp_members, timeout_members},
    {0, NULL},
};

static PyType_Spec timeout_spec = {
    .name = "fastloop.aio.Timeout",
    .basicsize = sizeof(TimeoutObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = timeout_slots,
};

/* ---- functions ---- */

static PyObject *
make(struct fl_state *state, PyObject *when)
{
    PyObject *op = fl_aio_new(state->timeout_type, FL_AIO_timeout);
    if (op != NULL) {
        begin(timeout_of(op), when);
    }
    return op;
}

PyObject *
fl_timeout_new(struct fl_state *state, PyObject *loop, PyObject *delay)
{
    if (delay == Py_None) {
        return make(state, Py_None);
    }
    PyObject *when;
    if (PyFloat_CheckExact(delay) && fl_alarm_loop(loop) != NULL) {
        when = PyFloat_FromDouble(fl_clock_monotonic_s() + PyFloat_AS_DOUBLE(delay));
    }
    else {
        PyObject *now = PyObject_CallMethodNoArgs(loop, state->str_time);
        when = now == NULL ? NULL : PyNumber_Add(now, delay); /* escapes */
        Py_XDECREF(now);
    }
    PyObject *op = when == NULL ? NULL : make(state, when);
    Py_XDECREF(when);
    return op;
}

static PyObject *
timeout_call(PyObject *op, PyObject *const *args, size_t n_args_flag, PyObject *kwnames)
{
    const AioFunctionObject *self = (const AioFunctionObject *)op;
    PyObject *loop = NULL;
    if (PyVectorcall_NARGS(n_args_flag) == 1 && kwnames == NULL) {
        loop = fl_aio_running_loop(self->state);
        if (loop == NULL) {
            return NULL;
        }
    }
    PyObject *result =
        loop == NULL || loop == Py_None
            ? PyObject_Vectorcall(self->stock, args, n_args_flag, kwnames)
            : fl_timeout_new(self->state, loop, args[0]); /* escapes */
    Py_XDECREF(loop);
    return result;
}

static PyObject *
timeout_at_call(
    PyObject *op, PyObject *const *args, size_t n_args_flag, PyObject *kwnames
)
{
    const AioFunctionObject *self = (const AioFunctionObject *)op;
    if (PyVectorcall_NARGS(n_args_flag) == 1 && kwnames == NULL) {
        return make(self->state, args[0]);
    }
    return PyObject_Vectorcall(self->stock, args, n_args_flag, kwnames); /* escapes */
}

/* The members of asyncio.timeouts._State. 0 or -1. */
static int
find_states(struct fl_state *state)
{
    const struct {
        const char *name;
        PyObject **found;
    } states[] = {
        {"CREATED", &state->aio.timeout_created},
        {"ENTERED", &state->aio.timeout_entered},
        {"EXPIRING", &state->aio.timeout_expiring},
        {"EXPIRED", &state->aio.timeout_expired},
        {"EXITED", &state->aio.timeout_exited},
    };

    for (size_t i = 0; i < Py_ARRAY_LENGTH(states); i++) {
        *states[i].found = PyObject_GetAttrString(state->timeout_State, states[i].name);
        if (*states[i].found == NULL) {
            return -1;
        }
    }
    PyObject *inserts;
    if (fl_optional_attribute(
            state->asyncio_Timeout, state->str__insert_timeout_error, &inserts
        ) < 0) {
        return -1;
    }
    state->aio.timeout_inserts = inserts != NULL;
    Py_XDECREF(inserts);
    return 0;
}

int
fl_timeout_add(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_timeout,
        .spec = &timeout_spec,
        .type = &state->timeout_type,
        .bases = state->asyncio_Timeout,
        .stock = state->asyncio_Timeout,
        .coroutines = timeout_coroutines,
    };
    if (find_states(state) < 0 || fl_aio_add_class(module, state, &description) < 0 ||
        fl_aio_add_function(
            module, state, "timeout", timeout_call, state->asyncio_timeout
        ) < 0) {
        return -1;
    }
    return fl_aio_add_function(
        module, state, "timeout_at", timeout_at_call, state->asyncio_timeout_at
    );
}
