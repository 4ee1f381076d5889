/* Future: the type.
 *
 * Every method, getter and slot of asyncio.Future is here again; asyncio's own run on
 * our objects when they are called by their full name.
 */
#include "core/future/future.h"

#include "core/future/future_iter.h"
#include "py/args/keywords.h"
#include "py/state/tables.h"

/* ---- life ---- */

#define LINK offsetof(FutureObject, loop)

static PyObject *
future_alloc(struct fl_state *state, PyTypeObject *type)
{
    struct fl_freelist *list =
        type == state->future_type ? &state->types.free_futures : NULL;
    bool fresh;
    PyObject *op = fl_freelist_alloc(list, type, LINK, &fresh);
    if (op != NULL) {
        state->counts.futures++;
    }
    return op;
}

PyObject *
fl_future_new(LoopObject *loop)
{
    PyObject *op = future_alloc(loop->state, loop->state->future_type);
    if (op != NULL && fl_future_init_fresh(fl_future(op), loop) < 0) {
        Py_CLEAR(op);
    }
    return op;
}

static PyObject *
future_tp_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwds))
{
    struct fl_state *state = fl_state_of_type(type);
    return state == NULL ? NULL : future_alloc(state, type);
}

static int
future_tp_init(PyObject *op, PyObject *args, PyObject *kwds)
{
    static char *names[] = {"loop", NULL};
    PyObject *loop = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|$O:Future", names, &loop)) {
        return -1;
    }
    return fl_future_init(fl_future(op), loop);
}

static int
future_clear(PyObject *op)
{
    fl_future_clear_base(op); /* escapes */
    return 0;
}

static void
future_finalize(PyObject *op)
{
    fl_future_report_unretrieved(fl_future(op)); /* escapes */
}

/* tp_dealloc up to the memory: its state, which may be NULL. False if its finalizer has
 * kept it. */
FL_INLINE bool
begin_dealloc(PyObject *op, inquiry clear, struct fl_state **state)
{
    FutureObject *self = fl_future(op);
    if (self->log_tb && PyObject_CallFinalizerFromDealloc(op) < 0) {
        return false; /* resurrected */
    }
    PyObject_GC_UnTrack(op);
    PyObject_ClearWeakRefs(op);
    *state = fl_future_dying_state(self);
    clear(op); /* escapes */
    if (*state != NULL) {
        (*state)->counts.futures--;
    }
    return true;
}

static void
future_dealloc(PyObject *op)
{
    struct fl_state *state;
    PyTypeObject *type = Py_TYPE(op);
    if (!begin_dealloc(op, future_clear, &state)) { /* escapes */
        return;
    }
    fl_future_reset(fl_future(op));
    if (state == NULL || type != state->future_type ||
        !fl_freelist_keep(&state->types.free_futures, op, LINK)) {
        type->tp_free(op);
    }
    Py_DECREF(type);
}

void
fl_future_dealloc_derived(PyObject *op, inquiry clear)
{
    struct fl_state *state;
    PyTypeObject *type = Py_TYPE(op);
    if (begin_dealloc(op, clear, &state)) { /* escapes */
        type->tp_free(op);
        Py_DECREF(type);
    }
}

void
fl_future_trim(struct fl_state *state, int max)
{
    fl_freelist_trim(&state->types.free_futures, max, LINK);
}

static PyObject *
future_repr(PyObject *op)
{
    FutureObject *self = fl_future(op);
    if (fl_future_check_alive(self) < 0) {
        return NULL;
    }
    const struct fl_state *state = fl_future_state(self);
    return state == NULL ? NULL
                         : PyObject_CallOneArg(state->future_repr, op); /* escapes */
}

static PyObject *
future_iter(PyObject *op)
{
    return fl_future_iter_new(op);
}

/* ---- what a task has not, or otherwise ---- */

PyDoc_STRVAR(
    set_result_doc,
    "set_result($self, result, /)\n--\n\n"
    "Mark the future done with a result, and schedule its callbacks.\n\n"
    "Raises: InvalidStateError if it is done already."
);

static PyObject *
future_set_result(PyObject *op, PyObject *result)
{
    FutureObject *self = fl_future(op);
    if (fl_future_check_alive(self) < 0 ||
        fl_future_set_result(self, result) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    set_exception_doc,
    "set_exception($self, exception, /)\n--\n\n"
    "Mark the future done with an exception, and schedule its callbacks.\n\n"
    "exception: an instance, or a class to be called without arguments.\n"
    "Raises: InvalidStateError if it is done already, TypeError if it is no exception."
);

static PyObject *
future_set_exception(PyObject *op, PyObject *exception)
{
    FutureObject *self = fl_future(op);
    if (fl_future_check_alive(self) < 0 ||
        fl_future_set_exception(self, exception) < 0) { /* escapes */
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    cancel_doc, "cancel($self, /, msg=None)\n--\n\n"
                "Mark the future cancelled and schedule its callbacks.\n\n"
                "msg: the argument of the CancelledError.\n"
                "Return False if it was done already, else True."
);

static PyObject *
future_cancel(PyObject *op, PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames)
{
    FutureObject *self = fl_future(op);
    const struct fl_state *state = fl_future_state(self);
    PyObject *message = Py_None;
    if (state == NULL ||
        fl_keywords_parse_optional(
            "cancel", state->str_msg, args, n_args, kwnames, &message
        ) < 0 ||
        fl_future_check_alive(self) < 0) {
        return NULL;
    }
    int cancelled = fl_future_cancel(self, message); /* escapes */
    return cancelled < 0 ? NULL : PyBool_FromLong(cancelled);
}

PyDoc_STRVAR(class_getitem_doc, "See PEP 585");

static PyMethodDef future_methods[] = {
    {"set_result", future_set_result, METH_O, set_result_doc},
    {"set_exception", future_set_exception, METH_O, set_exception_doc},
    {"cancel", FL_FASTCALL(future_cancel), METH_FASTCALL | METH_KEYWORDS, cancel_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, class_getitem_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef future_getset[] = {
    FL_FUTURE_GETSET,
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(
    future_doc,
    "Future(*, loop=None)\n--\n\n"
    "A result that is not there yet: asyncio.Future, which it derives from, in C.\n\n"
    "loop: the event loop that calls the callbacks; by default the current one."
);

static PyType_Slot future_slots[] = {
    {Py_tp_doc, (void *)future_doc},
    {Py_tp_new, future_tp_new},
    {Py_tp_init, future_tp_init},
    {Py_tp_traverse, fl_future_traverse_base},
    {Py_tp_clear, future_clear},
    {Py_tp_finalize, future_finalize},
    {Py_tp_dealloc, future_dealloc},
    {Py_tp_repr, future_repr},
    {Py_tp_iter, future_iter},
    {Py_am_await, future_iter},
    {Py_tp_methods, future_methods},
    {Py_tp_getset, future_getset},
    {0, NULL},
};

static PyType_Spec future_spec = {
    .name = "fastloop.Future",
    .basicsize = sizeof(FutureObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = future_slots,
};

int
fl_future_add_type(PyObject *module, struct fl_state *state)
{
    if (!state->types.own) {
        return PyModule_AddObjectRef(module, "Future", state->asyncio_Future);
    }
    if (fl_future_iter_add_type(module, state) < 0) {
        return -1;
    }
    PyObject *base = fl_base_type("Future");
    if (base == NULL) {
        return -1;
    }
    int status = fl_make_type(&state->future_type, module, &future_spec, base);
    Py_DECREF(base);
    if (status < 0 || fl_add_methods(state->future_type, fl_future_methods) < 0) {
        return -1;
    }
    return PyModule_AddType(module, state->future_type);
}
