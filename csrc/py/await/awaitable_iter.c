/* What `coroutine.__await__()` returns, for who calls it by that name and iterates.
 *
 * `await` does without: it takes the coroutine itself.
 */
#include "py/await/awaitable_iter.h"

#include "py/await/awaitable.h"
#include "py/state/tables.h"

typedef struct {
    PyObject_HEAD
    PyObject *coroutine;
} CoroutineIterObject;

static PyObject *
coroutine_of(PyObject *op)
{
    return ((CoroutineIterObject *)op)->coroutine;
}

PyObject *
fl_coroutine_iter_new(PyTypeObject *type, PyObject *coroutine)
{
    CoroutineIterObject *self = PyObject_GC_New(CoroutineIterObject, type);
    if (self != NULL) {
        self->coroutine = Py_NewRef(coroutine);
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

/* (No tp_clear: a cycle through it goes through the coroutine, which has one.) */
static int
iter_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(coroutine_of(op));
    return 0;
}

static void
iter_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_DECREF(coroutine_of(op)); /* escapes */
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyObject *
iter_next(PyObject *op)
{
    PyObject *coroutine = Py_NewRef(coroutine_of(op));
    PyObject *result;
    /* by hand: no StopIteration that is kept */
    PySendResult status = fl_coroutine_send(coroutine, Py_None, &result);
    Py_DECREF(coroutine); /* escapes */
    return fl_sent_to_next(status, result);
}

PyDoc_STRVAR(send_doc, "send($self, value, /)\n--\n\nAs the coroutine's.");

static PyObject *
iter_send(PyObject *op, PyObject *sent)
{
    return PyObject_CallMethod(coroutine_of(op), "send", "O", sent);
}

PyDoc_STRVAR(
    throw_doc, "throw($self, typ, val=None, tb=None, /)\n--\n\nAs the coroutine's."
);

static PyObject *
iter_throw(PyObject *op, PyObject *const *args, Py_ssize_t n_args)
{
    PyObject *method = PyObject_GetAttrString(coroutine_of(op), "throw");
    if (method == NULL) {
        return NULL;
    }
    PyObject *result =
        PyObject_Vectorcall(method, args, (size_t)n_args, NULL); /* escapes */
    Py_DECREF(method);
    return result;
}

PyDoc_STRVAR(close_doc, "close($self, /)\n--\n\nAs the coroutine's.");

static PyObject *
iter_close(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyObject_CallMethod(coroutine_of(op), "close", NULL);
}

static PyMethodDef iter_methods[] = {
    {"send", iter_send, METH_O, send_doc},
    {"throw", FL_FASTCALL(iter_throw), METH_FASTCALL, throw_doc},
    {"close", iter_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot iter_slots[] = {
    {Py_tp_dealloc, iter_dealloc},   {Py_tp_traverse, iter_traverse},
    {Py_tp_iter, PyObject_SelfIter}, {Py_tp_iternext, iter_next},
    {Py_tp_methods, iter_methods},   {0, NULL},
};

static PyType_Spec iter_spec = {
    .name = "fastloop._core.CoroutineIterator",
    .basicsize = sizeof(CoroutineIterObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = iter_slots,
};

int
fl_coroutine_iter_add_type(PyObject *module, struct fl_state *state)
{
    return fl_make_type(&state->coroutine_iter_type, module, &iter_spec, NULL);
}
