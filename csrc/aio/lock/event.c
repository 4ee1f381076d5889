/* Event: asyncio.Event in C. */
#include "aio/lock/event.h"

#include "aio/call.h"
#include "aio/lock/waiters.h"

static EventObject *
event_of(PyObject *op)
{
    return (EventObject *)(void *)op;
}

static bool
is_plain(PyObject *op)
{
    EventObject *self = event_of(op);
    return fl_aio_is_plain(&self->base) &&
           (self->value == Py_True || self->value == Py_False) &&
           fl_aio_are_waiters(self->base.state, self->waiters) &&
           self->waiters != Py_None;
}

static PyObject *
stock_noargs(PyObject *op, PyObject *name)
{
    return fl_aio_stock_noargs(event_of(op)->base.state->asyncio_Event, name, op);
}

/* ---- wait ---- */

static PySendResult
wait_start(AioCallObject *call, PyObject **result)
{
    PyObject *op = call->args[0];
    EventObject *self = event_of(op);
    if (!is_plain(op)) {
        return fl_aio_delegate(call, result);
    }
    if (self->value == Py_True) {
        *result = Py_NewRef(Py_True);
        return PYGEN_RETURN;
    }
    return fl_aio_queue_up(call, &self->base, &self->waiters, result);
}

static PySendResult
wait_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    const EventObject *self = event_of(call->args[0]);
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    if (fl_aio_remove_waiter(self->base.state, self->waiters, future) < 0) {
        fl_aio_raise_over(exc);
        return PYGEN_ERROR;
    }
    if (exc != NULL) {
        fl_error_restore(exc);
        return PYGEN_ERROR;
    }
    *result = Py_NewRef(Py_True);
    return PYGEN_RETURN;
}

static const struct fl_aio_call wait_call = {
    offsetof(struct fl_state, event_type), 1, 1, wait_start, wait_after,
};

static const struct fl_aio_named event_coroutines[] = {
    {"wait", &wait_call},
    {NULL, NULL},
};

/* ---- methods ---- */

PyDoc_STRVAR(is_set_doc, "is_set($self, /)\n--\n\nReturn True if it is set.");

static PyObject *
event_is_set(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (!is_plain(op)) {
        return stock_noargs(op, event_of(op)->base.state->str_is_set);
    }
    return Py_NewRef(event_of(op)->value);
}

PyDoc_STRVAR(
    set_doc, "set($self, /)\n--\n\nSet it, and let all who wait for that go on."
);

static PyObject *
event_set(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    EventObject *self = event_of(op);
    const struct fl_state *state = self->base.state;
    if (!is_plain(op)) {
        return stock_noargs(op, state->str_set);
    }
    if (self->value == Py_False) {
        Py_SETREF(self->value, Py_NewRef(Py_True));
        if (fl_aio_wake(state, self->waiters, PY_SSIZE_T_MAX, Py_True) < 0) {
            return NULL; /* escaped */
        }
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    clear_doc, "clear($self, /)\n--\n\nMake it not set: wait() waits from now on."
);

static PyObject *
event_clear(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    EventObject *self = event_of(op);
    if (!is_plain(op)) {
        return stock_noargs(op, self->base.state->str_clear);
    }
    Py_SETREF(self->value, Py_NewRef(Py_False));
    Py_RETURN_NONE;
}

static PyObject *
event_repr(PyObject *op)
{
    const EventObject *self = event_of(op);
    const struct fl_state *state = self->base.state;
    if (!is_plain(op) || !Py_IS_TYPE(op, state->event_type)) {
        return fl_aio_stock_repr(state->asyncio_Event, op); /* escapes */
    }
    return fl_aio_repr(
        op, PyUnicode_FromString(self->value == Py_True ? "set" : "unset"),
        self->waiters
    );
}

static PyObject *
event_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_event);
}

static int
event_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    EventObject *self = event_of(op);
    if (PyTuple_GET_SIZE(args) > 0 || kwds != NULL || !fl_aio_is_plain(&self->base)) {
        return fl_aio_stock_init(self->base.state->asyncio_Event, op, args, kwds);
    }
    Py_CLEAR(self->waiters); /* escapes */
    Py_XSETREF(self->value, Py_NewRef(Py_False));
    return 0;
}

static PyMethodDef event_methods[] = {
    {"is_set", event_is_set, METH_NOARGS, is_set_doc},
    {"set", event_set, METH_NOARGS, set_doc},
    {"clear", event_clear, METH_NOARGS, clear_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef event_getset[] = {
    FL_AIO_DEQUE("_waiters", EventObject, waiters),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef event_members[] = {
    FL_AIO_MEMBER("_loop", EventObject, base.loop),
    FL_AIO_MEMBER("_value", EventObject, value),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "waiters", EventObject, waiters),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    event_doc, "Event()\n--\n\n"
               "What tasks wait for until somebody sets it: asyncio.Event, which it\n"
               "derives from, in C."
);

static PyType_Slot event_slots[] = {
    {Py_tp_doc, (void *)event_doc},
    {Py_tp_new, event_new},
    {Py_tp_init, event_init},
    {Py_tp_repr, event_repr},
    {Py_tp_setattro, fl_aio_setattro},
    {Py_tp_methods, event_methods},
    {Py_tp_getset, event_getset},
    {Py_tp_members, event_members},
    {0, NULL},
};

static PyType_Spec event_spec = {
    .name = "fastloop.aio.Event",
    .basicsize = sizeof(EventObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = event_slots,
};

int
fl_event_add_type(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_event,
        .spec = &event_spec,
        .type = &state->event_type,
        .bases = state->asyncio_Event,
        .stock = state->asyncio_Event,
        .coroutines = event_coroutines,
    };
    return fl_aio_add_class(module, state, &description);
}
