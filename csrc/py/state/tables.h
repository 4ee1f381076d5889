/* What our types are made of: methods, getters and setters. */
#ifndef FASTLOOP_PY_TABLES_H
#define FASTLOOP_PY_TABLES_H

#include "py/compat.h"

/* A function of METH_FASTCALL as a table of methods takes it. */
#define FL_FASTCALL(function) ((PyCFunction)(void (*)(void))(function))

/* A new reference to value; to None if it is NULL. */
static inline PyObject *
fl_or_none(PyObject *value)
{
    return Py_NewRef(value != NULL ? value : Py_None);
}

/* Makes *type of the module from spec. bases: a class, a tuple, or NULL for none. 0, or
 * -1 with an exception, and then *type is NULL. (Inline: so each type can be made to
 * fail, py/fault.h.) */
static inline int
fl_make_type(PyTypeObject **type, PyObject *module, PyType_Spec *spec, PyObject *bases)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, bases);
    return *type == NULL ? -1 : 0;
}

/* Adds methods to a type that is being made. 0, or -1 with an exception. */
int fl_add_methods(PyTypeObject *type, PyMethodDef *methods);

/* Of a field that the closure gives the offset of: */
/* a char as a bool; deleted it is false */
PyObject *fl_attr_get_flag(PyObject *op, void *offset);
int fl_attr_set_flag(PyObject *op, PyObject *value, void *offset);
/* an object, owned, as None while it is NULL; None and deletion make it NULL */
PyObject *fl_attr_get_object(PyObject *op, void *offset);
int fl_attr_set_object(PyObject *op, PyObject *value, void *offset);

/* For setters of what can't be deleted: the truth of value. escapes. 1, 0, or -1 with
 * an exception. */
int fl_attr_truth(PyObject *value);

#endif
