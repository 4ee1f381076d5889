/* Coroutine functions in C, but for their calls: call.c. */
#include "aio/call.h"

#include "py/state/tables.h"

PyObject *
fl_aio_function_new(
    struct fl_state *state, const struct fl_aio_call *call, PyObject *stock
)
{
    AioFunctionObject *self =
        PyObject_GC_New(AioFunctionObject, state->aio_function_type);
    if (self == NULL) {
        return NULL;
    }
    self->vectorcall = fl_aio_function_vectorcall;
    self->call = call;
    self->state = state;
    self->stock = Py_NewRef(stock);
    self->last = NULL;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

int
fl_aio_add_coroutine(
    PyObject *module, struct fl_state *state, const char *name,
    const struct fl_aio_call *call, PyObject *stock, PyObject *last
)
{
    PyObject *function = fl_aio_function_new(state, call, stock);
    if (function == NULL) {
        return -1;
    }
    ((AioFunctionObject *)function)->last = last;
    int status = PyModule_AddObjectRef(module, name, function);
    Py_DECREF(function);
    return status;
}

int
fl_aio_add_function(
    PyObject *module, struct fl_state *state, const char *name, vectorcallfunc call,
    PyObject *stock
)
{
    PyObject *function = fl_aio_function_new(state, NULL, stock);
    if (function == NULL) {
        return -1;
    }
    ((AioFunctionObject *)function)->vectorcall = call;
    int status = PyModule_AddObjectRef(module, name, function);
    Py_DECREF(function);
    return status;
}

static int
function_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((AioFunctionObject *)op)->stock);
    return 0;
}

static int
function_clear(PyObject *op)
{
    AioFunctionObject *self = (AioFunctionObject *)op;
    Py_SETREF(self->stock, Py_NewRef(Py_None)); /* calls may outlive it */
    return 0;
}

static void
function_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_DECREF(((AioFunctionObject *)op)->stock);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyObject *
function_descr_get(PyObject *op, PyObject *instance, PyObject *Py_UNUSED(owner))
{
    if (instance == NULL || instance == Py_None) {
        return Py_NewRef(op);
    }
    return PyMethod_New(op, instance);
}

static PyObject *
function_getattro(PyObject *op, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr(op, name);
    if (value != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
        return value;
    }
    PyErr_Clear();
    return PyObject_GetAttr(((AioFunctionObject *)op)->stock, name);
}

static PyObject *
function_repr(PyObject *op)
{
    const AioFunctionObject *self = (AioFunctionObject *)op;
    PyObject *name = PyObject_GetAttr(self->stock, self->state->str___qualname__);
    if (name == NULL) {
        return NULL;
    }
    PyObject *repr = PyUnicode_FromFormat("<function %U at %p>", name, op);
    Py_DECREF(name);
    return repr;
}

static PyObject *
function_get_doc(PyObject *op, void *Py_UNUSED(closure))
{
    const AioFunctionObject *self = (AioFunctionObject *)op;
    return PyObject_GetAttr(self->stock, self->state->str___doc__);
}

static PyObject *
function_get_module(PyObject *op, void *Py_UNUSED(closure))
{
    const AioFunctionObject *self = (AioFunctionObject *)op;
    return PyObject_GetAttr(self->stock, self->state->str___module__);
}

PyDoc_STRVAR(
    function_reduce_doc, "__reduce__($self, /)\n--\n\nAs a function: by its name."
);

static PyObject *
function_reduce(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const AioFunctionObject *self = (AioFunctionObject *)op;
    return PyObject_GetAttr(self->stock, self->state->str___qualname__);
}

static PyMethodDef function_methods[] = {
    {"__reduce__", function_reduce, METH_NOARGS, function_reduce_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef function_getset[] = {
    {"__doc__", function_get_doc, NULL, NULL, NULL},
    {"__module__", function_get_module, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef function_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(AioFunctionObject, vectorcall),
     READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot function_slots[] = {
    {Py_tp_dealloc, function_dealloc},
    {Py_tp_traverse, function_traverse},
    {Py_tp_clear, function_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, function_descr_get},
    {Py_tp_getattro, function_getattro},
    {Py_tp_repr, function_repr},
    {Py_tp_methods, function_methods},
    {Py_tp_getset, function_getset},
    {Py_tp_members, function_members},
    {0, NULL},
};

static PyType_Spec function_spec = {
    .name = "fastloop._core.CoroutineFunction",
    .basicsize = sizeof(AioFunctionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = function_slots,
};

int
fl_aio_function_add_type(PyObject *module, struct fl_state *state)
{
    return fl_make_type(&state->aio_function_type, module, &function_spec, NULL);
}
