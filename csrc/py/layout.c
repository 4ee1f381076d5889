/* Where a Python class has its slots. */
#include "py/layout.h"

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

int
fl_layout_check(
    PyObject *base, const struct fl_slot *slots, Py_ssize_t basicsize, const char *name
)
{
    if (fl_layout_matches(base, slots, basicsize)) {
        return 0;
    }
    PyErr_Format(
        PyExc_ImportError, "fastloop does not know the %s of this Python", name
    );
    return -1;
}
