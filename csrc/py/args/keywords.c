/* Keyword arguments of methods with few parameters. */
#include "py/args/keywords.h"

/* The index of a name, -1 if it is none of the method's, -2 on error. */
static Py_ssize_t
find_name(const struct fl_keywords *expected, PyObject *name)
{
    for (Py_ssize_t i = 0; i < expected->n; i++) {
        if (expected->names[i] == name) {
            return i;
        }
    }
    for (Py_ssize_t i = 0; i < expected->n; i++) {
        int equal = PyObject_RichCompareBool(expected->names[i], name, Py_EQ);
        if (equal != 0) {
            return equal < 0 ? -2 : i;
        }
    }
    return -1;
}

static int
parse_keyword(
    const struct fl_keywords *expected, Py_ssize_t n_args, PyObject *name,
    PyObject *value, PyObject **values, bool *given
)
{
    Py_ssize_t index = find_name(expected, name);
    if (index == -2) {
        return -1;
    }
    if (index == -1) {
        PyErr_Format(
            PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
            expected->function, name
        );
        return -1;
    }
    if (index < n_args) {
        PyErr_Format(
            PyExc_TypeError,
            "argument for %s() given by name ('%U') and position (%zd)",
            expected->function, name, index + 1
        );
        return -1;
    }
    values[index] = value;
    given[index] = true;
    return 0;
}

int
fl_keywords_parse(
    const struct fl_keywords *expected, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames, PyObject **values
)
{
    bool given[FL_KEYWORDS_MAX] = {false};
    if (n_args > expected->n_positional) {
        if (expected->n_positional == 0) {
            PyErr_Format(
                PyExc_TypeError, "%s() takes no positional arguments",
                expected->function
            );
        }
        else {
            PyErr_Format(
                PyExc_TypeError,
                "%s() takes at most %zd positional argument (%zd given)",
                expected->function, expected->n_positional, n_args
            );
        }
        return -1;
    }
    for (Py_ssize_t i = 0; i < n_args; i++) {
        values[i] = args[i];
        given[i] = true;
    }
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < n_keywords; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (parse_keyword(expected, n_args, name, args[n_args + i], values, given) <
            0) {
            return -1;
        }
    }
    for (Py_ssize_t i = 0; i < expected->n_required; i++) {
        if (!given[i]) {
            PyErr_Format(
                PyExc_TypeError, "%s() missing required argument '%U' (pos %zd)",
                expected->function, expected->names[i], i + 1
            );
            return -1;
        }
    }
    return 0;
}

int
fl_keywords_parse_optional(
    const char *function, PyObject *name, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames, PyObject **value
)
{
    if (kwnames == NULL && n_args == 0) {
        return 0;
    }
    const struct fl_keywords expected = {function, 1, 0, 1, {name}};
    return fl_keywords_parse(&expected, args, n_args, kwnames, value);
}
