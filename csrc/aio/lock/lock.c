/* Lock: asyncio.Lock in C.
 *
 * As there, a waiter whose future is told takes the lock when its task runs, and until
 * then nobody passes it: there are waiters then.
 */
#include "aio/lock/lock.h"

#include "aio/lock/waiters.h"

static LockObject *
lock_of(PyObject *op)
{
    return (LockObject *)(void *)op;
}

FL_INLINE bool
is_plain(LockObject *self)
{
    return fl_aio_is_plain(&self->base) &&
           (self->locked == Py_True || self->locked == Py_False) &&
           fl_aio_are_waiters(self->base.state, self->waiters);
}

bool
fl_lock_is_plain(PyObject *op)
{
    return is_plain(lock_of(op));
}

static void
set_locked(LockObject *self, PyObject *locked)
{
    Py_XSETREF(self->locked, Py_NewRef(locked)); /* escapes if it was odd */
}

/* ---- acquire ---- */

PySendResult
fl_lock_acquire_start(AioCallObject *call, PyObject *op, PyObject **result)
{
    LockObject *self = lock_of(op);
    int taken = self->locked == Py_True;
    if (!taken && self->waiters != Py_None) { /* fast: nobody ever waited */
        taken = fl_aio_any_live_waiter(self->base.state, self->waiters); /* escapes */
    }
    if (taken != 0) {
        return taken < 0 ? PYGEN_ERROR
                         : fl_aio_queue_up(call, &self->base, &self->waiters, result);
    }
    set_locked(self, Py_True);
    *result = Py_NewRef(Py_True);
    return PYGEN_RETURN;
}

/* Ensures that the first waiter will run. escapes. 0 or -1. */
static int
wake_up_first(LockObject *self)
{
    const struct fl_state *state = self->base.state;
    if (!fl_aio_are_waiters(state, self->waiters)) {
        PyObject *done = fl_aio_stock_noargs(
            state->asyncio_Lock, state->str__wake_up_first, (PyObject *)self
        ); /* escapes */
        Py_XDECREF(done);
        return done == NULL ? -1 : 0;
    }
    int any = fl_aio_any_waiter(self->waiters);
    PyObject *first = any > 0 ? fl_aio_first_waiter(self->waiters) : NULL;
    if (first == NULL) {
        return any == 0 ? 0 : -1;
    }
    int done = fl_aio_is_done(state, first); /* escapes */
    if (done == 0) {
        done = fl_aio_set_result(state, first, Py_True); /* escapes */
    }
    Py_DECREF(first);
    return done < 0 ? -1 : 0;
}

PySendResult
fl_lock_acquire_after(
    AioCallObject *call, PyObject *op, PyObject *future, PyObject *value,
    PyObject **result
)
{
    LockObject *self = lock_of(op);
    const struct fl_state *state = fl_aio_state_of(call);
    PyObject *exc = value == NULL ? fl_error_take() : NULL;
    if (fl_aio_remove_waiter(state, self->waiters, future) < 0) { /* escapes */
        fl_aio_raise_over(exc);
        return PYGEN_ERROR;
    }
    if (exc == NULL) {
        set_locked(self, Py_True);
        *result = Py_NewRef(Py_True);
        return PYGEN_RETURN;
    }
    if (PyErr_GivenExceptionMatches(exc, state->CancelledError) &&
        self->locked == Py_False && wake_up_first(self) < 0) { /* escapes */
        fl_aio_raise_over(exc);
        return PYGEN_ERROR;
    }
    fl_error_restore(exc);
    return PYGEN_ERROR;
}

static PySendResult
acquire_start(AioCallObject *call, PyObject **result)
{
    if (!is_plain(lock_of(call->args[0]))) {
        return fl_aio_delegate(call, result);
    }
    return fl_lock_acquire_start(call, call->args[0], result);
}

static PySendResult
acquire_after(AioCallObject *call, PyObject *future, PyObject *value, PyObject **result)
{
    return fl_lock_acquire_after(call, call->args[0], future, value, result);
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
    if (!fl_lock_is_plain(call->args[0])) {
        return fl_aio_delegate(call, result);
    }
    *result = fl_lock_release(call->args[0], NULL);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

#define LOCK_TYPE offsetof(struct fl_state, lock_type)

static const struct fl_aio_call acquire_call = {
    LOCK_TYPE, 1, 1, acquire_start, acquire_after,
};
static const struct fl_aio_call aenter_call = {
    LOCK_TYPE, 1, 1, aenter_start, aenter_after,
};
static const struct fl_aio_call aexit_call = {LOCK_TYPE, 4, 4, aexit_start, NULL};

static const struct fl_aio_named lock_coroutines[] = {
    {"acquire", &acquire_call},
    {"__aenter__", &aenter_call},
    {"__aexit__", &aexit_call},
    {NULL, NULL},
};

/* ---- methods ---- */

PyDoc_STRVAR(
    release_doc, "release($self, /)\n--\n\n"
                 "Unlock it, and let the first of those who wait go on.\n\n"
                 "Raises: RuntimeError if it is not locked."
);

PyObject *
fl_lock_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    LockObject *self = lock_of(op);
    if (!is_plain(self) || self->locked != Py_True) {
        const struct fl_state *state = self->base.state;
        return fl_aio_stock_noargs(state->asyncio_Lock, state->str_release, op);
    }
    set_locked(self, Py_False);
    if (wake_up_first(self) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(locked_doc, "locked($self, /)\n--\n\nReturn True if it is locked.");

PyObject *
fl_lock_locked(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const LockObject *self = lock_of(op);
    if (!fl_lock_is_plain(op)) {
        const struct fl_state *state = self->base.state;
        return fl_aio_stock_noargs(state->asyncio_Lock, state->str_locked, op);
    }
    return Py_NewRef(self->locked);
}

static PyObject *
lock_repr(PyObject *op)
{
    const LockObject *self = lock_of(op);
    const struct fl_state *state = self->base.state;
    if (!fl_lock_is_plain(op) || !Py_IS_TYPE(op, state->lock_type)) {
        return fl_aio_stock_repr(state->asyncio_Lock, op); /* escapes */
    }
    return fl_aio_repr(
        op, PyUnicode_FromString(self->locked == Py_True ? "locked" : "unlocked"),
        self->waiters
    );
}

static PyObject *
lock_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    return fl_aio_new(type, FL_AIO_lock);
}

static int
lock_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    LockObject *self = lock_of(op);
    if (PyTuple_GET_SIZE(args) > 0 || kwds != NULL || !fl_aio_is_plain(&self->base)) {
        return fl_aio_stock_init(self->base.state->asyncio_Lock, op, args, kwds);
    }
    Py_XSETREF(self->waiters, Py_NewRef(Py_None)); /* escapes */
    set_locked(self, Py_False);
    return 0;
}

static PyMethodDef lock_methods[] = {
    {"release", fl_lock_release, METH_NOARGS, release_doc},
    {"locked", fl_lock_locked, METH_NOARGS, locked_doc},
    FL_AIO_METHODS,
    {NULL, NULL, 0, NULL},
};

static PyMemberDef lock_members[] = {
    FL_AIO_MEMBER("_loop", LockObject, base.loop),
    FL_AIO_MEMBER("_locked", LockObject, locked),
    FL_AIO_MEMBER("_waiters", LockObject, waiters),
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(
    lock_doc, "Lock()\n--\n\n"
              "A lock for tasks, who get it in the order in which they asked:\n"
              "asyncio.Lock, which it derives from, in C."
);

static PyType_Slot lock_slots[] = {
    {Py_tp_doc, (void *)lock_doc},     {Py_tp_new, lock_new},
    {Py_tp_init, lock_init},           {Py_tp_repr, lock_repr},
    {Py_tp_setattro, fl_aio_setattro}, {Py_tp_methods, lock_methods},
    {Py_tp_members, lock_members},     {0, NULL},
};

static PyType_Spec lock_spec = {
    .name = "fastloop.aio.Lock",
    .basicsize = sizeof(LockObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = lock_slots,
};

int
fl_lock_add_type(PyObject *module, struct fl_state *state)
{
    const struct fl_aio_class description = {
        .kind = FL_AIO_lock,
        .spec = &lock_spec,
        .type = &state->lock_type,
        .bases = state->asyncio_Lock,
        .stock = state->asyncio_Lock,
        .coroutines = lock_coroutines,
    };
    return fl_aio_add_class(module, state, &description);
}
