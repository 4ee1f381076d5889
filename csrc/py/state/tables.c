/* What our types are made of. */
#include "py/state/tables.h"

int
fl_add_methods(PyTypeObject *type, PyMethodDef *methods)
{
    for (PyMethodDef *def = methods; def->ml_name != NULL; def++) {
        PyObject *method = PyDescr_NewMethod(type, def);
        int status = method == NULL
                         ? -1
                         : PyDict_SetItemString(type->tp_dict, def->ml_name, method);
        Py_XDECREF(method);
        if (status < 0) {
            return -1;
        }
    }
    PyType_Modified(type);
    return 0;
}

PyObject *
fl_attr_get_flag(PyObject *op, void *offset)
{
    return PyBool_FromLong(*((char *)op + (Py_ssize_t)offset));
}

int
fl_attr_set_flag(PyObject *op, PyObject *value, void *offset)
{
    int truth = value == NULL ? 0 : PyObject_IsTrue(value); /* escapes */
    if (truth < 0) {
        return -1;
    }
    *((char *)op + (Py_ssize_t)offset) = (char)truth;
    return 0;
}

PyObject *
fl_attr_get_object(PyObject *op, void *offset)
{
    return fl_or_none(*(PyObject **)((char *)op + (Py_ssize_t)offset));
}

int
fl_attr_set_object(PyObject *op, PyObject *value, void *offset)
{
    PyObject **slot = (PyObject **)((char *)op + (Py_ssize_t)offset);
    Py_XSETREF(*slot, value == Py_None ? NULL : Py_XNewRef(value)); /* escapes */
    return 0;
}

int
fl_attr_truth(PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "cannot delete attribute");
        return -1;
    }
    return PyObject_IsTrue(value); /* escapes */
}
