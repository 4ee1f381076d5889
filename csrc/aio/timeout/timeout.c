/* Timeout, timeout(), timeout_at(): asyncio's in C. */
#include "aio/timeout/timeout.h"

#include "aio/call.h"
#include "aio/futures.h"
#include "core/handle/handle.h"
#include "py/args/args.h"

#include <math.h>

static const struct fl_aio_state *
aio_of(const TimeoutObject *self)
{
    return &self->base.state->aio;
}

static PyObject *
stock_noargs(PyObject *op, PyObject *name)
{
    return fl_aio_stock_noargs(
        fl_timeout_of(op)->base.state->asyncio_Timeout, name, op
    );
}

/* ---- its time ---- */

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
    TimeoutObject *self = fl_timeout_of(op);
    const struct fl_state *state = self->base.state;
    if (n_args != 1 || kwnames != NULL || !fl_timeout_is_plain(op) ||
        !fl_timeout_is_in(self, state->aio.timeout_entered)) {
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
    int status = loop == NULL ? -1 : fl_timeout_schedule(self, loop); /* escapes */
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
    TimeoutObject *self = fl_timeout_of(op);
    struct fl_state *state = self->base.state;
    PyObject *task = fl_aio_current_task(state, loop); /* escapes */
    if (task == NULL) {
        return -1;
    }
    if (task == Py_None) {
        Py_DECREF(task);
        PyErr_SetString(PyExc_RuntimeError, "Timeout should be used inside a task");
        return -1;
    }
    fl_timeout_set_state(self, state->aio.timeout_entered);
    Py_XSETREF(self->task, task); /* escapes */
    PyObject *cancelling = cancelling_of(state, task);
    if (cancelling == NULL) {
        return -1;
    }
    Py_XSETREF(self->cancelling, cancelling); /* escapes */
    if (self->when == NULL || self->when == Py_None) {
        return 0;
    }
    return fl_timeout_schedule(self, loop); /* escapes */
}

int
fl_timeout_exit(PyObject *op, PyObject *exc)
{
    TimeoutObject *self = fl_timeout_of(op);
    const struct fl_aio_state *states = aio_of(self);
    if (fl_alarm_is_set(&self->alarm) && fl_alarm_cancel(&self->alarm) < 0) {
        return -1; /* escaped */
    }
    if (fl_timeout_is_in(self, states->timeout_expiring)) {
        fl_timeout_set_state(self, states->timeout_expired);
        return fl_timeout_raise_expired(self, exc); /* escapes */
    }
    if (fl_timeout_is_in(self, states->timeout_entered)) {
        fl_timeout_set_state(self, states->timeout_exited);
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
        !fl_timeout_is_in(fl_timeout_of(op), state->aio.timeout_created)) {
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
    TimeoutObject *self = fl_timeout_of(call->args[0]);
    PyObject *type = call->args[1], *exc = call->args[2];
    bool entered = fl_timeout_is_in(self, state->aio.timeout_entered) ||
                   fl_timeout_is_in(self, state->aio.timeout_expiring);
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
    TimeoutObject *self = fl_timeout_of(op);
    if (!fl_timeout_is_plain(op) || self->when == NULL) {
        return stock_noargs(op, self->base.state->str_when);
    }
    return Py_NewRef(self->when);
}

PyDoc_STRVAR(expired_doc, "expired($self, /)\n--\n\nReturn True if its time has come.");

static PyObject *
timeout_expired(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const TimeoutObject *self = fl_timeout_of(op);
    const struct fl_aio_state *states = aio_of(self);
    if (!fl_timeout_is_plain(op) || self->state == NULL) {
        return stock_noargs(op, self->base.state->str_expired);
    }
    return PyBool_FromLong(
        fl_timeout_is_in(self, states->timeout_expiring) ||
        fl_timeout_is_in(self, states->timeout_expired)
    );
}

PyDoc_STRVAR(
    on_timeout_doc,
    "_on_timeout($self, /)\n--\n\nIts timer's callback: cancel the task."
);

static PyObject *
timeout_on_timeout(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    TimeoutObject *self = fl_timeout_of(op);
    if (!fl_timeout_is_plain(op) || self->task == NULL ||
        !fl_timeout_is_in(self, aio_of(self)->timeout_entered)) {
        return stock_noargs(op, self->base.state->str__on_timeout);
    }
    return fl_timeout_expire(self) < 0 ? NULL : Py_NewRef(Py_None); /* escapes */
}

static PyObject *
timeout_repr(PyObject *op)
{
    return stock_noargs(op, fl_timeout_of(op)->base.state->str___repr__);
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
    fl_timeout_set_state(self, aio_of(self)->timeout_created);
    fl_alarm_forget(&self->alarm);
    Py_XSETREF(self->task, Py_NewRef(Py_None));
    Py_XSETREF(self->when, Py_NewRef(when));
}

static int
timeout_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    TimeoutObject *self = fl_timeout_of(op);
    if (PyTuple_GET_SIZE(args) != 1 || kwds != NULL || !fl_timeout_is_plain(op)) {
        return fl_aio_stock_init(self->base.state->asyncio_Timeout, op, args, kwds);
    }
    begin(self, PyTuple_GET_ITEM(args, 0));
    return 0;
}

static PyObject *
get_handler(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_alarm_handle(&fl_timeout_of(op)->alarm);
}

static int
set_handler(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    TimeoutObject *self = fl_timeout_of(op);
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
        begin(fl_timeout_of(op), when);
    }
    return op;
}

PyObject *
fl_timeout_entered(
    struct fl_state *state, PyObject *when, PyObject *task, int cancelling
)
{
    PyObject *number = PyLong_FromLong(cancelling);
    PyObject *op = number == NULL ? NULL : make(state, when);
    if (op == NULL) {
        Py_XDECREF(number);
        return NULL;
    }
    TimeoutObject *self = fl_timeout_of(op);
    fl_timeout_set_state(self, state->aio.timeout_entered);
    Py_XSETREF(self->task, Py_NewRef(task));
    self->cancelling = number;
    return op;
}

PyObject *
fl_timeout_new(struct fl_state *state, PyObject *loop, PyObject *delay)
{
    if (delay == Py_None) {
        return make(state, Py_None);
    }
    PyObject *when;
    double delay_s;
    if (fl_alarm_loop(loop) != NULL && fl_plain_seconds(delay, &delay_s)) {
        when = PyFloat_FromDouble(fl_clock_monotonic_s() + delay_s);
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

int
fl_timeout_find_states(struct fl_state *state)
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
    state->aio.stock_on_timeout =
        PyObject_GetAttr(state->asyncio_Timeout, state->str__on_timeout);
    PyObject *inserts;
    if (state->aio.stock_on_timeout == NULL ||
        fl_optional_attribute(
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
    if (fl_aio_add_class(module, state, &description) < 0 ||
        fl_aio_add_function(
            module, state, "timeout", timeout_call, state->asyncio_timeout
        ) < 0) {
        return -1;
    }
    return fl_aio_add_function(
        module, state, "timeout_at", timeout_at_call, state->asyncio_timeout_at
    );
}
