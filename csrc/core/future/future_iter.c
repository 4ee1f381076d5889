/* FutureIter: what `await future` iterates over.
 *
 * send() ignores what is sent. Errors end it; so does close() and throw().
 */
#include "core/future/future_iter.h"

#include "py/await/awaitable.h"
#include "py/state/tables.h"

typedef struct {
    PyObject_HEAD
    PyObject *future; /* NULL once it has ended */
    struct fl_state *state;
} FutureIterObject;

#define LINK offsetof(FutureIterObject, future)

PyObject *
fl_future_iter_new(PyObject *future)
{
    if (fl_future_check_alive(fl_future(future)) < 0) {
        return NULL;
    }
    struct fl_state *state = fl_future_state(fl_future(future));
    if (state == NULL) {
        return NULL;
    }
    FutureIterObject *self = (FutureIterObject *)(void *)fl_freelist_take(
        &state->types.free_iters, state->future_iter_type, LINK
    );
    if (self == NULL) {
        self = PyObject_GC_New(FutureIterObject, state->future_iter_type);
    }
    if (self == NULL) {
        return NULL;
    }
    self->future = Py_NewRef(future);
    self->state = state;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

static int
iter_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((FutureIterObject *)op)->future);
    return 0;
}

static int
iter_clear(PyObject *op)
{
    Py_CLEAR(((FutureIterObject *)op)->future);
    return 0;
}

static void
iter_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    struct fl_state *state = ((FutureIterObject *)op)->state;
    PyObject_GC_UnTrack(op);
    iter_clear(op);
    if (type != state->future_iter_type ||
        !fl_freelist_keep(&state->types.free_iters, op, LINK)) {
        PyObject_GC_Del(op);
    }
    Py_DECREF(type);
}

void
fl_future_iter_trim(struct fl_state *state, int max)
{
    fl_freelist_trim(&state->types.free_iters, max, LINK);
}

/* Its result, which is there. New. */
static inline PyObject *
take_result(FutureObject *self)
{
    self->log_tb = 0;
    return Py_NewRef(self->result);
}

static PySendResult
iter_am_send(PyObject *op, PyObject *Py_UNUSED(sent), PyObject **result)
{
    FutureIterObject *self = (FutureIterObject *)op;
    *result = NULL;
    if (self->future == NULL) {
        *result = Py_NewRef(Py_None); /* as a generator that has ended */
        return PYGEN_RETURN;
    }
    FutureObject *awaited = fl_future(self->future);
    if (awaited->status == FL_FUTURE_PENDING) {
        if (awaited->blocking) {
            PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
            return PYGEN_ERROR;
        }
        awaited->blocking = 1;
        *result = Py_NewRef(self->future);
        return PYGEN_NEXT;
    }
    PyObject *future = self->future;
    self->future = NULL;
    *result = awaited->status == FL_FUTURE_FINISHED && awaited->exception == NULL &&
                      awaited->loop != NULL && awaited->result != NULL
                  ? take_result(awaited) /* fast: no call (12 instructions) */
                  : fl_future_result(awaited);
    Py_DECREF(future); /* escapes */
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static PyObject *
iter_next(PyObject *op)
{
    PyObject *result;
    PySendResult status = iter_am_send(op, Py_None, &result);
    return fl_sent_to_next(status, result);
}

PyDoc_STRVAR(
    iter_send_doc, "send($self, value, /)\n--\n\n"
                   "As next(): what is sent is ignored."
);

static PyObject *
iter_send(PyObject *op, PyObject *value)
{
    PyObject *result;
    PySendResult status = iter_am_send(op, value, &result);
    return fl_sent_to_send(status, result);
}

PyDoc_STRVAR(
    iter_throw_doc, "throw($self, typ, val=None, tb=None, /)\n--\n\n"
                    "End the iteration by raising the exception.\n\n"
                    "The form with three arguments is deprecated."
);

static PyObject *
iter_throw(PyObject *op, PyObject *const *args, Py_ssize_t n_args)
{
    PyObject *exc = fl_thrown_exception(args, n_args);
    if (exc == NULL) {
        return NULL;
    }
    iter_clear(op); /* escapes */
    fl_error_restore(exc);
    return NULL;
}

PyDoc_STRVAR(iter_close_doc, "close($self, /)\n--\n\nEnd the iteration.");

static PyObject *
iter_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    iter_clear(op);
    Py_RETURN_NONE;
}

static PyMethodDef iter_methods[] = {
    {"send", iter_send, METH_O, iter_send_doc},
    {"throw", FL_FASTCALL(iter_throw), METH_FASTCALL, iter_throw_doc},
    {"close", iter_close, METH_NOARGS, iter_close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iter_slots[] = {
    {Py_tp_dealloc, iter_dealloc}, {Py_tp_traverse, iter_traverse},
    {Py_tp_clear, iter_clear},     {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, iter_next},   {Py_tp_methods, iter_methods},
    {Py_am_send, iter_am_send},    {0, NULL},
};

static PyType_Spec iter_spec = {
    .name = "fastloop._core.FutureIter",
    .basicsize = sizeof(FutureIterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iter_slots,
};

int
fl_future_iter_add_type(PyObject *module, struct fl_state *state)
{
    return fl_make_type(&state->future_iter_type, module, &iter_spec, NULL);
}
