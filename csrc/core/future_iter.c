/* FutureIter: what `await future` iterates over.
 *
 * send() ignores what is sent. Errors end it; so does close() and throw().
 */
#include "core/future_iter.h"

typedef struct {
    PyObject_HEAD
    PyObject *future;            /* NULL once it has ended */
    struct fl_future_state *own; /* of future, as long as that is not NULL */
    struct fl_state *state;
} FutureIterObject;

#define LINK offsetof(FutureIterObject, future)

PyObject *
fl_future_iter_new(PyObject *future, struct fl_future_state *own)
{
    if (fl_future_check_alive(own) < 0) {
        return NULL;
    }
    struct fl_state *state = own->state;
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
    self->own = own;
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

static PySendResult
iter_am_send(PyObject *op, PyObject *Py_UNUSED(sent), PyObject **result)
{
    FutureIterObject *self = (FutureIterObject *)op;
    *result = NULL;
    if (self->future == NULL) {
        *result = Py_NewRef(Py_None); /* as a generator that has ended */
        return PYGEN_RETURN;
    }
    struct fl_future_state *own = self->own;
    if (own->status == FL_FUTURE_PENDING) {
        if (own->blocking) {
            PyErr_SetString(PyExc_RuntimeError, "await wasn't used with future");
            return PYGEN_ERROR;
        }
        own->blocking = true;
        *result = Py_NewRef(self->future);
        return PYGEN_NEXT;
    }
    PyObject *future = self->future;
    self->future = NULL;
    *result = fl_future_result(own);
    Py_DECREF(future); /* escapes */
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* Raises StopIteration(value), also for a value that is a tuple or exception.
 *
 * Every await that ends with a value comes here, from 3.12 on: by its slots
 * instead of by a call it costs 150 instructions less (3.14). */
static void
raise_stop_iteration(PyObject *value)
{
    PyTypeObject *type = (PyTypeObject *)PyExc_StopIteration;
    PyObject *args = PyTuple_New(1);
    if (args == NULL) {
        return;
    }
    PyTuple_SET_ITEM(args, 0, Py_NewRef(value));
    PyObject *stop = type->tp_new(type, args, NULL);
    Py_DECREF(args);
    if (stop != NULL) {
        ((PyStopIterationObject *)stop)->value = Py_NewRef(value);
        fl_error_restore(stop);
    }
}

static PyObject *
iter_next(PyObject *op)
{
    PyObject *result;
    switch (iter_am_send(op, Py_None, &result)) {
    case PYGEN_NEXT:
        return result;
    case PYGEN_RETURN:
        /* NULL alone is the end of an iterator, and None what await makes of it */
        if (result != Py_None) {
            raise_stop_iteration(result);
        }
        Py_DECREF(result);
        return NULL;
    default:
        return NULL;
    }
}

PyDoc_STRVAR(
    iter_send_doc, "send($self, value, /)\n--\n\n"
                   "As next(): what is sent is ignored."
);

static PyObject *
iter_send(PyObject *op, PyObject *Py_UNUSED(value))
{
    PyObject *yielded = iter_next(op);
    if (yielded == NULL && !PyErr_Occurred()) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    return yielded;
}

/* The exception that throw(type, value, traceback) raises: new, or NULL with
 * another one set. */
static PyObject *
thrown_exception(PyObject *type, PyObject *value, PyObject *traceback)
{
    PyObject *exc;
    if (PyExceptionClass_Check(type)) {
        if (value != NULL && PyObject_TypeCheck(value, (PyTypeObject *)type)) {
            exc = Py_NewRef(value);
        }
        else if (value != NULL && PyTuple_Check(value)) {
            exc = PyObject_Call(type, value, NULL); /* escapes */
        }
        else {
            exc = PyObject_CallFunctionObjArgs(type, value, NULL); /* escapes */
        }
    }
    else if (!PyExceptionInstance_Check(type)) {
        PyErr_SetString(
            PyExc_TypeError, "exceptions must be classes deriving BaseException or "
                             "instances of such a class"
        );
        return NULL;
    }
    else if (value != NULL) {
        PyErr_SetString(
            PyExc_TypeError, "instance exception may not have a separate value"
        );
        return NULL;
    }
    else {
        exc = Py_NewRef(type);
    }
    if (exc != NULL && traceback != NULL &&
        PyException_SetTraceback(exc, traceback) < 0) {
        Py_CLEAR(exc);
    }
    return exc;
}

PyDoc_STRVAR(
    iter_throw_doc, "throw($self, typ, val=None, tb=None, /)\n--\n\n"
                    "End the iteration by raising the exception.\n\n"
                    "The form with three arguments is deprecated."
);

static PyObject *
iter_throw(PyObject *op, PyObject *const *args, Py_ssize_t n_args)
{
    if (n_args < 1 || n_args > 3) {
        PyErr_Format(
            PyExc_TypeError, "throw expected 1 to 3 arguments, got %zd", n_args
        );
        return NULL;
    }
    if (n_args > 1 && FL_THROW_WARNS &&
        PyErr_WarnEx(
            PyExc_DeprecationWarning,
            "the (type, exc, tb) signature of throw() is deprecated, "
            "use the single-arg signature instead.",
            1
        ) < 0) {
        return NULL;
    }
    PyObject *value = n_args > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *traceback = n_args > 2 && args[2] != Py_None ? args[2] : NULL;
    if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        PyErr_SetString(PyExc_TypeError, "throw() third argument must be a traceback");
        return NULL;
    }
    PyObject *exc = thrown_exception(args[0], value, traceback);
    if (exc == NULL) {
        return NULL;
    }
    if (!PyExceptionInstance_Check(exc)) {
        PyErr_Format(PyExc_TypeError, "%R is not an exception", exc);
        Py_DECREF(exc);
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
    {"throw", (PyCFunction)(void (*)(void))iter_throw, METH_FASTCALL, iter_throw_doc},
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
    state->future_iter_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &iter_spec, NULL);
    return state->future_iter_type == NULL ? -1 : 0;
}
