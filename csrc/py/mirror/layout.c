/* Where a Python class has its slots. */
#include "py/mirror/layout.h"

bool
fl_layout_matches(PyObject *base, const struct fl_slot *slots, Py_ssize_t basicsize)
{
    if (!PyType_Check(base) || ((PyTypeObject *)base)->tp_basicsize != basicsize) {
        return false;
    }
    for (; slots->name != NULL; slots++) {
        PyObject *member = PyObject_GetAttrString(base, slots->name);
        bool same = member != NULL && Py_IS_TYPE(member, &PyMemberDescr_Type) &&
                    ((PyMemberDescrObject *)member)->d_member->offset == slots->offset;
        Py_XDECREF(member);
        if (!same) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

/* What a function of fastloop._layout returns for these; new, or NULL. */
static PyObject *
call_layout(const char *function, const char *format, PyObject *base, const void *more)
{
    PyObject *module = PyImport_ImportModule("fastloop._layout");
    PyObject *result = module == NULL
                           ? NULL
                           : PyObject_CallMethod(module, function, format, base, more);
    Py_XDECREF(module);
    return result;
}

int
fl_layout_provide(
    PyObject **base, const struct fl_slot *slots, Py_ssize_t basicsize,
    const char *in_order
)
{
    if (fl_layout_matches(*base, slots, basicsize)) {
        return 0;
    }
    PyObject *made = call_layout("stand_in", "Os", *base, in_order);
    if (made == NULL) {
        return -1;
    }
    Py_SETREF(*base, made);
    if (!fl_layout_matches(made, slots, basicsize)) {
        PyErr_SetString(
            PyExc_ImportError, "fastloop does not know how this Python lays out objects"
        );
        return -1;
    }
    return 0;
}

PyObject *
fl_layout_join(PyObject *base, PyObject *other)
{
    /* fast: what is asyncio's has the same root, to which it adds nothing; the module
     * need not be imported */
    if (PyType_Check(base) && PyType_Check(other)) {
        PyTypeObject *root = ((PyTypeObject *)other)->tp_base;
        if (PyType_IsSubtype((PyTypeObject *)base, root) &&
            ((PyTypeObject *)other)->tp_basicsize == root->tp_basicsize) {
            return PyTuple_Pack(2, base, other);
        }
    }
    return call_layout("join", "OO", base, other);
}
