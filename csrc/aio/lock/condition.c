/* Condition: asyncio.Condition in C; its wait() is in condition_wait.c. */
#include "aio/lock/condition.h"

#include "aio/lock/lock.h"
#include "aio/lock/waiters.h"

static ConditionObject *
condition_of(PyObject *op)
{
    return (ConditionObject *)(void *)op;
}

PyObject *
fl_condition_plain_lock(PyObject *op)
{
    ConditionObject *self = condition_of(op);
    const struct fl_state *state = self->base.state;
    if (!fl_aio_is_plain(&self->base) || self->lock == NULL ||
        !Py_IS_TYPE(self->lock, state->lock_type) || !fl_lock_is_plain(self->lock) ||
        !fl_aio_are_waiters(state, self->waiters) || self->waiters == Py_None) {
        return NULL;
    }
    bool same = self->acquire != NULL && PyMethod_Check(self->acquire) &&
                PyMethod_GET_SELF(self->acquire) == self->lock &&
                PyMethod_GET_FUNCTION(self->acquire) == state->aio.lock_acquire &&
                self->release != NULL && PyCFunction_CheckExact(self->release) &&
                PyCFunction_GET_SELF(self->release) == self->lock &&
                PyCFunction_GET_FUNCTION(self->release) == fl_lock_release &&
                self->locked != NULL && PyCFunction_CheckExact(self->locked) &&
                PyCFunction_GET_SELF(self->locked) == self->lock &&
                PyCFunction_GET_FUNCTION(self->locked) == fl_lock_locked;
    return same ? self->lock : NULL;
}

static PyObject *
stock(
    PyObject *op, PyObject *name, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
)
{
    PyObject *condition = condition_of(op)->base.state->asyncio_Condition;
    return fl_aio_stock(condition, name, op, args, n_args, kwnames);
}

/* ---- async with ---- */

static PySendResult
aenter_start(AioCallObject *call, PyObject **result)
{
    PyObject *lock = fl_condition_plain_lock(call->args[0]);
    if (lock == NULL) {
        return fl_aio_delegate(call, result);
    }
    call->args[1] = Py_NewRef(lock); /* the condition may get another meanwhile */
    return fl_aio_none(fl_lock_acquire_start(call, lock, result), result);
}

static PySendResult
aenter_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    PySendResult status =
        fl_lock_acquire_after(call, call->args[1], future, value, result);
    return fl_aio_none(status, result);
}

static PySendResult
aexit_start(AioCallObject *call, PyObject **result)
{
    PyObject *lock = fl_condition_plain_lock(call->args[0]);
    if (lock == NULL) {
        return fl_aio_delegate(call, result);
    }
    Py_INCREF(lock);
    *result = fl_lock_release(lock, NULL); /* escapes */
    Py_DECREF(lock);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

#define CONDITION_TYPE offsetof(struct fl_state, condition_type)

static const struct fl_aio_call aenter_call = {
    CONDITION_TYPE, 1, 1, aenter_start, aenter_after,
};
static const struct fl_aio_call aexit_call = {CONDITION_TYPE, 4, 4, aexit_start, NULL};

static const struct fl_aio_named condition_coroutines[] = {
    {"__aenter__", &aenter_call},
    {"__aexit__", &aexit_call},
    {"wait", &fl_condition_wait_call},
    {"wait_for", &fl_condition_wait_for_call},
    {NULL, NULL},
};

/* ---- methods ---- */

PyDoc_STRVAR(
    notify_doc, "notify($self, /, n=1)\n--\n\n"
                "Let n of those who wait go on, once they have the lock.\n\n"
                "Raises: RuntimeError if the lock is not taken."
);

static PyObject *
condition_notify(
    PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames
)
{
    const ConditionObject *self = condition_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *lock = fl_condition_plain_lock(op);
    Py_ssize_t n = 1;
    bool plain =
        lock != NULL && fl_lock_is_taken(lock) && kwnames == NULL && n_args < 2;
    if (plain && n_args == 1) {
        int overflow = 1;
        long long number = 0;
        if (PyLong_CheckExact(args[0])) {
            number = PyLong_AsLongLongAndOverflow(args[0], &overflow);
        }
        if (number == -1 && PyErr_Occurred()) {
            return NULL;
        }
        plain = overflow == 0;
        n = (Py_ssize_t)number;
    }
    if (!plain) {
        return stock(op, state->str_notify, args, n_args, kwnames); /* escapes */
    }
    if (fl_aio_wake(state, self->waiters, n, Py_False) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    notify_all_doc, "notify_all($self, /)\n--\n\n"
                    "Let all who wait go on, once they have the lock.\n\n"
                    "Raises: RuntimeError if the lock is not taken."
);

static PyObject *
condition_notify_all(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const ConditionObject *self = condition_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *lock = fl_condition_plain_lock(op);
    if (lock == NULL || !fl_lock_is_taken(lock)) {
        return stock(op, state->str_notify_all, NULL, 0, NULL); /* escapes */
    }
    if (fl_aio_wake(state, self->waiters, PY_SSIZE_T_MAX, Py_False) < 0) {
        return NULL; /* escaped */
    }
    Py_RETURN_NONE;
}

static PyObject *
condition_repr(PyObject *op)
{
    const ConditionObject *self = condition_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *lock = fl_condition_plain_lock(op);
    if (lock == NULL || !Py_IS_TYPE(op, state->condition_type)) {
        return fl_aio_stock_repr(state->asyncio_Condition, op); /* escapes */
    }
    return fl_aio_repr(
        op, PyUnicode_FromString(fl_lock_is_taken(lock) ? "locked" : "unlocked"),
        self->waiters
    );
}

/* Gives it the lock, stolen, NULL with an exception. 0 or -1. */
static int
take_lock(ConditionObject *self, PyObject *lock)
{
    if (lock == NULL) {
        return -1;
    }
    const struct fl_state *state = self->base.state;
    Py_XSETREF(self->lock, lock); /* escapes */
    Py_INCREF(lock);
    PyObject *locked = PyObject_GetAttr(lock, state->str_locked); /* escapes */
    PyObject *acquire =
        locked == NULL ? NULL : PyObject_GetAttr(lock, state->str_acquire);
    PyObject *release =
        acquire == NULL ? NULL : PyObject_GetAttr(lock, state->str_release);
    Py_DECREF(lock);
    if (release == NULL) {
        Py_XDECREF(locked);
        Py_XDECREF(acquire);
        return -1;
    }
    Py_XSETREF(self->locked, locked); /* escapes */
    Py_XSETREF(self->acquire, acquire);
    Py_XSETREF(self->release, release);
    return 0;
}

static int
condition_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    ConditionObject *self = condition_of(op);
    const struct fl_state *state = self->base.state;
    Py_ssize_t n_args = PyTuple_GET_SIZE(args);
    if (n_args > 1 || kwds != NULL || !fl_aio_is_plain(&self->base)) {
        return fl_aio_stock_init(state->asyncio_Condition, op, args, kwds);
    }
    PyObject *given = n_args == 1 ? PyTuple_GET_ITEM(args, 0) : Py_None;
    PyObject *lock = given != Py_None
                         ? Py_NewRef(given)
                         : PyObject_CallNoArgs((PyObject *)state->lock_type);
    if (take_lock(self, lock) < 0) {
        return -1;
    }
    Py_CLEAR(self->waiters); /* escapes */
    return 0;
}

static PyObject *
condition_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_condition);
}

static PyMethodDef condition_methods[] = {
    {"notify", FL_FASTCALL(condition_notify), METH_FASTCALL | METH_KEYWORDS,
     notify_doc},
    {"notify_all", condition_notify_all, METH_NOARGS, notify_all_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef condition_getset[] = {
    FL_AIO_DEQUE("_waiters", ConditionObject, waiters),
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef condition_members[] = {
    FL_AIO_MEMBER("_loop", ConditionObject, base.loop),
    FL_AIO_MEMBER("_lock", ConditionObject, lock),
    FL_AIO_MEMBER("locked", ConditionObject, locked),
    FL_AIO_MEMBER("acquire", ConditionObject, acquire),
    FL_AIO_MEMBER("release", ConditionObject, release),
    FL_AIO_MEMBER(FL_AIO_HIDDEN "waiters", ConditionObject, waiters),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    condition_doc, "Condition(lock=None)\n--\n\n"
                   "Tasks who have a lock wait for others to notify them:\n"
                   "asyncio.Condition, which it derives from, in C.\n\n"
                   "lock: an asyncio.Lock, or the like; by default one of its own."
);

static PyType_Slot condition_slots[] = {
    {Py_tp_doc, (void *)condition_doc},
    {Py_tp_new, condition_new},
    {Py_tp_init, condition_init},
    {Py_tp_repr, condition_repr},
    {Py_tp_setattro, fl_aio_setattro},
    {Py_tp_methods, condition_methods},
    {Py_tp_getset, condition_getset},
    {Py_tp_members, condition_members},
    {0, NULL},
};

static PyType_Spec condition_spec = {
    .name = "fastloop.aio.Condition",
    .basicsize = sizeof(ConditionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = condition_slots,
};

int
fl_condition_add_type(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_condition,
        .spec = &condition_spec,
        .type = &state->condition_type,
        .bases = state->asyncio_Condition,
        .stock = state->asyncio_Condition,
        .coroutines = condition_coroutines,
    };
    PyObject *notify = NULL;
    PyObject *name = state->str__notify;
    if (fl_optional_attribute(state->asyncio_Condition, name, &notify) < 0) {
        return -1;
    }
    state->aio.condition_passes_on = notify != NULL;
    Py_XDECREF(notify);
    return fl_aio_add_class(module, state, &description);
}
