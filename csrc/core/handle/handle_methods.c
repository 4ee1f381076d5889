/* What Python sees of a handle: methods and attributes, for each type of handle. */
#include "core/handle/handle.h"

#include "py/args/call.h"
#include "py/context.h"
#include "py/state/tables.h"

/* ---- Python's view ---- */

PyDoc_STRVAR(
    cancel_doc, "cancel($self, /)\n--\n\n"
                "Cancel the callback. Cancelling again, or after it ran, does nothing."
);

static PyObject *
handle_cancel(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (fl_handle_cancel((HandleObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    cancelled_doc, "cancelled($self, /)\n--\n\n"
                   "Return True if the callback was cancelled."
);

static PyObject *
handle_cancelled(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(((HandleObject *)op)->cancelled);
}

PyDoc_STRVAR(
    run_doc, "_run($self, /)\n--\n\n"
             "Run the callback in its context, as the loop does."
);

static PyObject *
handle_run(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    if (fl_handle_run((HandleObject *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
handle_get_context(PyObject *op, void *Py_UNUSED(closure))
{
    HandleObject *self = (HandleObject *)op;
    if (fl_handle_own_context(self) < 0) {
        return NULL;
    }
    self->context_made = 0;
    return Py_NewRef(self->context);
}

PyDoc_STRVAR(
    get_context_doc, "get_context($self, /)\n--\n\n"
                     "Return the contextvars.Context the callback runs in."
);

static PyObject *
handle_get_context_method(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return handle_get_context(op, NULL);
}

static PyObject *
handle_get_callback(PyObject *op, void *Py_UNUSED(closure))
{
    HandleObject *self = (HandleObject *)op;
    bool gone = self->callback == NULL || (self->cancelled && self->running);
    return Py_NewRef(gone ? Py_None : self->callback);
}

static PyObject *
handle_get_args(PyObject *op, void *Py_UNUSED(closure))
{
    HandleObject *self = (HandleObject *)op;
    if (self->callback == NULL || (self->cancelled && self->running)) {
        Py_RETURN_NONE;
    }
    if (self->args != NULL) {
        return Py_NewRef(self->args);
    }
    PyObject *args = PyTuple_New(self->n_inline);
    for (int i = 0; args != NULL && i < self->n_inline; i++) {
        PyTuple_SET_ITEM(args, i, Py_NewRef(self->vector[1 + i]));
    }
    return args;
}

static PyObject *
handle_get_cancelled(PyObject *op, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((HandleObject *)op)->cancelled);
}

/* asyncio.Handle.cancel(handle) writes these three: that is a cancel() of ours. What
 * else they are set to nobody would look at. */
static FL_SLOW int
refuse_to_set(PyObject *op, const char *name)
{
    PyErr_Format(
        PyExc_AttributeError, "attribute '%s' of '%s' objects is not writable", name,
        Py_TYPE(op)->tp_name
    );
    return -1;
}

static int
handle_set_cancelled(PyObject *op, PyObject *value, void *Py_UNUSED(closure))
{
    int cancelled = value == NULL ? -1 : PyObject_IsTrue(value); /* escapes */
    if (cancelled < 0 && value != NULL) {
        return -1;
    }
    if (cancelled == ((HandleObject *)op)->cancelled) {
        return 0;
    }
    return cancelled == 1 ? fl_call_status(PyObject_CallMethod(op, "cancel", NULL))
                          : refuse_to_set(op, "_cancelled");
}

static int
handle_set_call(PyObject *op, PyObject *value, void *name)
{
    bool gone = ((HandleObject *)op)->cancelled && value == Py_None;
    return gone ? 0 : refuse_to_set(op, name);
}

static PyObject *
handle_get_loop(PyObject *op, void *Py_UNUSED(closure))
{
    return fl_or_none((PyObject *)((HandleObject *)op)->loop);
}

#define SLOT(name, field)                                \
    {name, fl_attr_get_object, fl_attr_set_object, NULL, \
     (void *)offsetof(HandleObject, field)}

PyGetSetDef fl_handle_getset[] = {
    {"_args", handle_get_args, handle_set_call, NULL, "_args"},
    {"_callback", handle_get_callback, handle_set_call, NULL, "_callback"},
    {"_cancelled", handle_get_cancelled, handle_set_cancelled, NULL, NULL},
    {"_context", handle_get_context, NULL, NULL, NULL},
    {"_loop", handle_get_loop, NULL, NULL, NULL},
    SLOT("_repr", repr),
    SLOT("_source_traceback", source_traceback),
    {NULL, NULL, NULL, NULL, NULL},
};

PyMethodDef fl_handle_methods[] = {
    {"cancel", handle_cancel, METH_NOARGS, cancel_doc},
    {"cancelled", handle_cancelled, METH_NOARGS, cancelled_doc},
    {"get_context", handle_get_context_method, METH_NOARGS, get_context_doc},
    {"_run", handle_run, METH_NOARGS, run_doc},
    {NULL, NULL, 0, NULL},
};

/* ---- for types that do not derive from ours ---- */

/* Adds descr to the type unless it has an attribute of that name of its own. */
static int
add_descriptor(PyTypeObject *type, const char *name, PyObject *descr)
{
    int status = -1;
    PyObject *key = descr == NULL ? NULL : PyUnicode_InternFromString(name);
    if (key != NULL) {
        /* not PyObject_GetAttr: asyncio's class has them all */
        int own = PyDict_Contains(type->tp_dict, key);
        status = own != 0 ? (own < 0 ? -1 : 0)
                          : PyObject_SetAttr((PyObject *)type, key, descr);
    }
    Py_XDECREF(key);
    Py_XDECREF(descr);
    return status;
}

int
fl_handle_add_inherited(PyTypeObject *type)
{
    for (PyGetSetDef *def = fl_handle_getset; def->name != NULL; def++) {
        if (add_descriptor(type, def->name, PyDescr_NewGetSet(type, def)) < 0) {
            return -1;
        }
    }
    for (PyMethodDef *def = fl_handle_methods; def->ml_name != NULL; def++) {
        if (add_descriptor(type, def->ml_name, PyDescr_NewMethod(type, def)) < 0) {
            return -1;
        }
    }
    return 0;
}
