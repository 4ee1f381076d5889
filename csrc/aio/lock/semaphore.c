/* Semaphore and BoundedSemaphore: asyncio's in C.
 *
 * A permit is taken off the value for a waiter when it is told. One that is told and
 * then cancelled gives it back; what else it does has changed with asyncio's releases
 * (state->aio.semaphore_tells_all).
 */
#include "aio/lock/semaphore.h"

#include "aio/call.h"
#include "aio/lock/waiters.h"
#include "py/args/args.h"

static SemaphoreObject *
semaphore_of(PyObject *op)
{
    return (SemaphoreObject *)(void *)op;
}

/* Whether it is an int of the usual size. */
static bool
is_number(PyObject *value, Py_ssize_t *number)
{
    int overflow;
    return fl_plain_int(value, number, &overflow) && overflow == 0 &&
           *number < PY_SSIZE_T_MAX && *number > -PY_SSIZE_T_MAX;
}

static bool
is_plain(PyObject *op, Py_ssize_t *value)
{
    SemaphoreObject *self = semaphore_of(op);
    return fl_aio_is_plain(&self->base) && is_number(self->value, value) &&
           fl_aio_are_waiters(self->base.state, self->waiters);
}

static PyObject *
stock_noargs(PyObject *op, PyObject *name)
{
    return fl_aio_stock_noargs(
        semaphore_of(op)->base.state->asyncio_Semaphore, name, op
    );
}

/* 0 or -1. */
static int
set_value(SemaphoreObject *self, Py_ssize_t value)
{
    PyObject *number = PyLong_FromSsize_t(value);
    if (number == NULL) {
        return -1;
    }
    Py_XSETREF(self->value, number); /* escapes if it was odd */
    return 0;
}

/* Whether acquire() waits: 1, 0 or -1. */
static int
is_locked(const SemaphoreObject *self, Py_ssize_t value)
{
    return value == 0 ? 1 : fl_aio_any_live_waiter(self->base.state, self->waiters);
}

/* ---- acquire ---- */

static PySendResult
acquire_start(AioCallObject *call, PyObject **result)
{
    PyObject *op = call->args[0];
    SemaphoreObject *self = semaphore_of(op);
    Py_ssize_t value;
    if (!is_plain(op, &value)) {
        return fl_aio_delegate(call, result);
    }
    int locked = is_locked(self, value); /* escapes */
    if (locked != 0) {
        return locked < 0 ? PYGEN_ERROR
                          : fl_aio_queue_up(call, &self->base, &self->waiters, result);
    }
    if (set_value(self, value - 1) < 0) {
        return PYGEN_ERROR;
    }
    *result = Py_NewRef(Py_True);
    return PYGEN_RETURN;
}

/* Gives a permit to the first who waits: 1, 0 if there is nobody, or -1. escapes. */
static int
wake_up_next(PyObject *op)
{
    SemaphoreObject *self = semaphore_of(op);
    const struct fl_state *state = self->base.state;
    Py_ssize_t value;
    if (!is_plain(op, &value)) {
        PyObject *woke = PyObject_CallMethodNoArgs(op, state->str__wake_up_next);
        int truth = woke == NULL ? -1 : PyObject_IsTrue(woke);
        Py_XDECREF(woke);
        return truth;
    }
    PyObject *next = fl_aio_next_waiter(state, self->waiters); /* escapes */
    if (next == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    int status = is_number(self->value, &value) ? set_value(self, value - 1) : 0;
    if (status == 0) {
        status = fl_aio_set_result(state, next, Py_True); /* escapes */
    }
    Py_DECREF(next);
    return status < 0 ? -1 : 1;
}

/* While there are permits and somebody waits. escapes. 0 or -1. */
static int
wake_up_many(PyObject *op)
{
    Py_ssize_t value;
    int woke = 1;
    while (woke > 0 && is_number(semaphore_of(op)->value, &value) && value > 0) {
        woke = wake_up_next(op);
    }
    return woke < 0 ? -1 : 0;
}

/* What who was woken does for the others; exc: what its wait was ended by, or NULL.
 * escapes. 0 or -1. */
static int
care_for_others(PyObject *op, PyObject *future, PyObject *exc)
{
    SemaphoreObject *self = semaphore_of(op);
    const struct fl_state *state = self->base.state;
    bool tells_all = state->aio.semaphore_tells_all;
    bool cancelled =
        exc != NULL && PyErr_GivenExceptionMatches(exc, state->CancelledError);
    if (cancelled) {
        int told = tells_all ? fl_aio_is_done(state, future) : 1; /* escapes */
        int without = told > 0 ? fl_aio_is_cancelled(state, future) : told - 1;
        if (told < 0 || (told > 0 && without < 0)) {
            return -1;
        }
        if (told > 0 && without == 0) {
            if (fl_aio_add_to(&self->value, 1) < 0) {
                return -1;
            }
            if (!tells_all) {
                return wake_up_next(op) < 0 ? -1 : 0;
            }
        }
    }
    if (tells_all) {
        return wake_up_many(op);
    }
    Py_ssize_t value;
    bool more = exc == NULL && is_number(self->value, &value) && value > 0;
    return more && wake_up_next(op) < 0 ? -1 : 0;
}

static PySendResult
acquire_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    PyObject *op = call->args[0];
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    if (fl_aio_remove_waiter(state, semaphore_of(op)->waiters, future) < 0) {
        fl_aio_raise_over(exc);
        exc = fl_error_take();
    }
    if (care_for_others(op, future, exc) < 0) { /* escapes */
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

/* ---- release ---- */

PyDoc_STRVAR(
    release_doc, "release($self, /)\n--\n\n"
                 "Give a permit back, and let the first of those who wait have it."
);

static PyObject *
semaphore_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    SemaphoreObject *self = semaphore_of(op);
    Py_ssize_t value;
    if (!is_plain(op, &value)) {
        return stock_noargs(op, self->base.state->str_release);
    }
    if (set_value(self, value + 1) < 0 || wake_up_next(op) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    bounded_release_doc,
    "release($self, /)\n--\n\n"
    "Give a permit back, and let the first of those who wait have it.\n\n"
    "Raises: ValueError if there are as many as in the beginning."
);

static PyObject *
bounded_release(PyObject *op, PyObject *ignored)
{
    SemaphoreObject *self = semaphore_of(op);
    Py_ssize_t value, bound;
    if (!is_plain(op, &value) || !is_number(self->bound, &bound) || value >= bound) {
        const struct fl_state *state = self->base.state;
        return fl_aio_stock_noargs(
            state->asyncio_BoundedSemaphore, state->str_release, op
        );
    }
    return semaphore_release(op, ignored);
}

PyDoc_STRVAR(
    locked_doc, "locked($self, /)\n--\n\nReturn True if acquire() would have to wait."
);

static PyObject *
semaphore_locked(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    Py_ssize_t value;
    if (!is_plain(op, &value)) {
        return stock_noargs(op, semaphore_of(op)->base.state->str_locked);
    }
    int locked = is_locked(semaphore_of(op), value); /* escapes */
    return locked < 0 ? NULL : PyBool_FromLong(locked);
}

/* ---- async with ---- */

static PySendResult
aenter_start(AioCallObject *call, PyObject **result)
{
    return fl_aio_none(acquire_start(call, result), result);
}

static PySendResult
aenter_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    return fl_aio_none(acquire_after(call, future, value, result), result);
}

static PySendResult
aexit_start(AioCallObject *call, PyObject **result)
{
    PyObject *op = call->args[0];
    Py_ssize_t value;
    if (!is_plain(op, &value)) {
        return fl_aio_delegate(call, result);
    }
    *result = semaphore_of(op)->base.kind == FL_AIO_bounded_semaphore
                  ? bounded_release(op, NULL)
                  : semaphore_release(op, NULL);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

#define SEMAPHORE_TYPE offsetof(struct fl_state, semaphore_type)

static const struct fl_aio_call acquire_call = {
    SEMAPHORE_TYPE, 1, 1, acquire_start, acquire_after,
};
static const struct fl_aio_call aenter_call = {
    SEMAPHORE_TYPE, 1, 1, aenter_start, aenter_after,
};
static const struct fl_aio_call aexit_call = {SEMAPHORE_TYPE, 4, 4, aexit_start, NULL};

static const struct fl_aio_named semaphore_coroutines[] = {
    {"acquire", &acquire_call},
    {"__aenter__", &aenter_call},
    {"__aexit__", &aexit_call},
    {NULL, NULL},
};

/* ---- the types ---- */

static PyObject *
semaphore_repr(PyObject *op)
{
    const SemaphoreObject *self = semaphore_of(op);
    const struct fl_state *state = self->base.state;
    Py_ssize_t value;
    if (!is_plain(op, &value) || !(Py_IS_TYPE(op, state->semaphore_type) ||
                                   Py_IS_TYPE(op, state->bounded_semaphore_type))) {
        return fl_aio_stock_repr(state->asyncio_Semaphore, op); /* escapes */
    }
    int locked = is_locked(self, value); /* escapes */
    if (locked < 0) {
        return NULL;
    }
    PyObject *extra = locked ? PyUnicode_FromString("locked")
                             : PyUnicode_FromFormat("unlocked, value:%lld", value);
    return fl_aio_repr(op, extra, self->waiters);
}

/* The value it is to begin with, 1 if there is none; NULL if it is not plain. */
static PyObject *
plain_value(PyObject *op, PyObject *args, PyObject *kwds)
{
    if (kwds != NULL || PyTuple_GET_SIZE(args) > 1 ||
        !fl_aio_is_plain(&semaphore_of(op)->base)) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(args) == 0) {
        return PyLong_FromLong(1);
    }
    Py_ssize_t number;
    PyObject *value = PyTuple_GET_ITEM(args, 0);
    return is_number(value, &number) && number >= 0 ? Py_NewRef(value) : NULL;
}

static int
semaphore_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    SemaphoreObject *self = semaphore_of(op);
    const struct fl_state *state = self->base.state;
    PyObject *value = plain_value(op, args, kwds);
    bool bounded = self->base.kind == FL_AIO_bounded_semaphore;
    if (value == NULL) {
        if (PyErr_Occurred()) {
            return -1;
        }
        return fl_aio_stock_init(
            bounded ? state->asyncio_BoundedSemaphore : state->asyncio_Semaphore, op,
            args, kwds
        );
    }
    Py_XSETREF(self->waiters, Py_NewRef(Py_None)); /* escapes */
    if (bounded) {
        Py_XSETREF(self->bound, Py_NewRef(value));
    }
    Py_XSETREF(self->value, value);
    return 0;
}

static PyObject *
semaphore_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_semaphore);
}

static PyObject *
bounded_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_bounded_semaphore);
}

static PyMethodDef semaphore_methods[] = {
    {"release", semaphore_release, METH_NOARGS, release_doc},
    {"locked", semaphore_locked, METH_NOARGS, locked_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef semaphore_members[] = {
    FL_AIO_MEMBER("_loop", SemaphoreObject, base.loop),
    FL_AIO_MEMBER("_value", SemaphoreObject, value),
    FL_AIO_MEMBER("_waiters", SemaphoreObject, waiters),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    semaphore_doc,
    "Semaphore(value=1)\n--\n\n"
    "A number of permits for tasks: asyncio.Semaphore, which it derives\n"
    "from, in C.\n\n"
    "value: how many there are to begin with; ValueError below 0."
);

static PyType_Slot semaphore_slots[] = {
    {Py_tp_doc, (void *)semaphore_doc}, {Py_tp_new, semaphore_new},
    {Py_tp_init, semaphore_init},       {Py_tp_repr, semaphore_repr},
    {Py_tp_setattro, fl_aio_setattro},  {Py_tp_methods, semaphore_methods},
    {Py_tp_members, semaphore_members}, {0, NULL},
};

static PyType_Spec semaphore_spec = {
    .name = "fastloop.aio.Semaphore",
    .basicsize = sizeof(SemaphoreObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = semaphore_slots,
};

static PyMethodDef bounded_methods[] = {
    {"release", bounded_release, METH_NOARGS, bounded_release_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef bounded_members[] = {
    FL_AIO_MEMBER("_bound_value", SemaphoreObject, bound),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    bounded_doc, "BoundedSemaphore(value=1)\n--\n\n"
                 "A semaphore that refuses more permits than it began with:\n"
                 "asyncio.BoundedSemaphore, which it derives from, in C.\n\n"
                 "value: how many there are to begin with; ValueError below 0."
);

static PyType_Slot bounded_slots[] = {
    {Py_tp_doc, (void *)bounded_doc},
    {Py_tp_new, bounded_new},
    {Py_tp_methods, bounded_methods},
    {Py_tp_members, bounded_members},
    {0, NULL},
};

static PyType_Spec bounded_spec = {
    .name = "fastloop.aio.BoundedSemaphore",
    .basicsize = sizeof(SemaphoreObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = bounded_slots,
};

/* Whether asyncio's _wake_up_next says if it woke anybody: then who is woken, or
 * cancelled, goes on with it while there are permits. 0 or -1. */
static int
ask_asyncio(struct fl_state *state)
{
    PyObject *stock = PyObject_CallNoArgs(state->asyncio_Semaphore);
    PyObject *answer = stock == NULL
                           ? NULL
                           : PyObject_CallMethodNoArgs(stock, state->str__wake_up_next);
    state->aio.semaphore_tells_all = answer == Py_False;
    Py_XDECREF(stock);
    Py_XDECREF(answer);
    return answer == NULL ? -1 : 0;
}

int
fl_semaphore_add_types(PyObject *module, struct fl_state *state)
{
    static const struct fl_aio_named none[] = {{NULL, NULL}};
    struct fl_aio_class description = {
        .kind = FL_AIO_semaphore,
        .spec = &semaphore_spec,
        .type = &state->semaphore_type,
        .bases = state->asyncio_Semaphore,
        .stock = state->asyncio_Semaphore,
        .coroutines = semaphore_coroutines,
    };
    if (ask_asyncio(state) < 0 || fl_aio_add_class(module, state, &description) < 0) {
        return -1;
    }
    PyObject *bases =
        PyTuple_Pack(2, state->semaphore_type, state->asyncio_BoundedSemaphore);
    if (bases == NULL) {
        return -1;
    }
    description.kind = FL_AIO_bounded_semaphore;
    description.spec = &bounded_spec;
    description.type = &state->bounded_semaphore_type;
    description.bases = bases;
    description.stock = state->asyncio_BoundedSemaphore;
    description.coroutines = none;
    int status = fl_aio_add_class(module, state, &description);
    Py_DECREF(bases);
    return status;
}
