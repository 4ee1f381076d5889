/* The Handle of call_soon_threadsafe where asyncio has one of its own (3.14+). */
#include "core/handle/threadsafe_handle.h"

#include "py/mirror/layout.h"
#include "py/state/tables.h"

HandleObject *
fl_threadsafe_handle_new(
    LoopObject *loop, PyObject *callback, PyObject *const *args, Py_ssize_t n_args,
    PyObject *context
)
{
    PyTypeObject *type = loop->state->threadsafe_handle_type;
    if (type == NULL) {
        return fl_handle_new(loop, callback, args, n_args, context);
    }
    HandleObject *self = fl_handle_alloc(type, loop, &loop->free_threadsafe_handles);
    if (self == NULL) {
        return NULL;
    }
    self->threadsafe = 1;
    if (fl_handle_fill(self, loop, callback, args, n_args, context) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return self;
}

/* Waits for the end of a callback that runs in another thread. Signals interrupt it, as
 * they do asyncio's wait for its lock. escapes. 0, or -1 with an exception. */
static int
wait_for_end(ThreadSafeHandleObject *self)
{
    while (self->base.running && self->run_thread != PyThread_get_thread_ident()) {
        if (self->finished == NULL) {
            self->finished = PyThread_allocate_lock();
            if (self->finished == NULL) {
                PyErr_NoMemory();
                return -1;
            }
        }
        if (!self->held) {
            self->held = PyThread_acquire_lock(self->finished, NOWAIT_LOCK) != 0;
        }
        PyLockStatus status;
        Py_BEGIN_ALLOW_THREADS
        status = PyThread_acquire_lock_timed(self->finished, -1, 1);
        if (status == PY_LOCK_ACQUIRED) {
            PyThread_release_lock(self->finished); /* for the next who waits */
        }
        Py_END_ALLOW_THREADS
        if (status == PY_LOCK_INTR && PyErr_CheckSignals() < 0) { /* escapes */
            return -1;
        }
    }
    return 0;
}

void
fl_handle_run_begins(HandleObject *self)
{
    ((ThreadSafeHandleObject *)self)->run_thread = PyThread_get_thread_ident();
}

void
fl_handle_run_ended(HandleObject *self)
{
    ThreadSafeHandleObject *handle = (ThreadSafeHandleObject *)self;
    if (handle->held) {
        handle->held = false;
        PyThread_release_lock(handle->finished);
    }
}

PyDoc_STRVAR(
    cancel_doc, "cancel($self, /)\n--\n\n"
                "Cancel the callback; from another thread, wait while it runs."
);

static PyObject *
threadsafe_handle_cancel(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (wait_for_end((ThreadSafeHandleObject *)op) < 0 ||
        fl_handle_cancel((HandleObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    cancelled_doc, "cancelled($self, /)\n--\n\n"
                   "Return True if the callback was cancelled; waits as cancel() does."
);

static PyObject *
threadsafe_handle_cancelled(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (wait_for_end((ThreadSafeHandleObject *)op) < 0) {
        return NULL;
    }
    return PyBool_FromLong(((HandleObject *)op)->cancelled);
}

static void
threadsafe_handle_dealloc(PyObject *op)
{
    ThreadSafeHandleObject *self = (ThreadSafeHandleObject *)op;
    if (self->finished != NULL) {
        PyThread_free_lock(self->finished);
        self->finished = NULL;
    }
    fl_handle_dealloc(op);
}

static PyMethodDef threadsafe_handle_methods[] = {
    {"cancel", threadsafe_handle_cancel, METH_NOARGS, cancel_doc},
    {"cancelled", threadsafe_handle_cancelled, METH_NOARGS, cancelled_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(
    threadsafe_handle_doc,
    "A callback to run once, made by loop.call_soon_threadsafe()."
);

static PyType_Slot threadsafe_handle_slots[] = {
    {Py_tp_doc, (void *)threadsafe_handle_doc},
    {Py_tp_dealloc, threadsafe_handle_dealloc},
    {Py_tp_traverse, fl_handle_traverse},
    {Py_tp_clear, fl_handle_clear},
    {Py_tp_methods, threadsafe_handle_methods},
    {0, NULL},
};

static PyType_Spec threadsafe_handle_spec = {
    .name = "fastloop._ThreadSafeHandle",
    .basicsize = sizeof(ThreadSafeHandleObject),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = threadsafe_handle_slots,
};

/* _lock lies where TimerHandle has its first slot. */
static const struct fl_slot inherited_slots[] = {
    {"_callback", offsetof(HandleObject, callback)},
    {"_lock", offsetof(HandleObject, slot_scheduled)},
    {NULL, 0},
};

int
fl_threadsafe_handle_add_type(PyObject *module, struct fl_state *state)
{
    PyObject *events = PyImport_ImportModule("asyncio.events");
    if (events == NULL) {
        return -1;
    }
    PyObject *base = PyObject_GetAttrString(events, "_ThreadSafeHandle");
    Py_DECREF(events);
    if (base == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return -1;
        }
        PyErr_Clear(); /* before 3.14 there is none */
        return 0;
    }
    PyTypeObject **type = &state->threadsafe_handle_type;
    int status = fl_layout_provide(
        &base, inherited_slots, offsetof(HandleObject, slot_scheduled) + sizeof(void *),
        FL_HANDLE_SLOTS " _lock"
    );
    if (status == 0) {
        status = fl_make_type(type, module, &threadsafe_handle_spec, base);
    }
    Py_DECREF(base);
    return status < 0 ? -1 : fl_handle_add_inherited(*type);
}
