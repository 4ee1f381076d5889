/* Arguments of the methods that take a callback. */
#include "py/args/args.h"

bool
fl_plain_seconds(PyObject *number, double *seconds)
{
    if (PyFloat_CheckExact(number)) {
        *seconds = PyFloat_AS_DOUBLE(number);
        return true;
    }
    if (!PyLong_CheckExact(number)) {
        return false;
    }
    *seconds = PyLong_AsDouble(number);
    if (*seconds == -1.0 && PyErr_Occurred()) {
        PyErr_Clear(); /* it is too large: Python then says so */
        return false;
    }
    return true;
}

bool
fl_plain_int(PyObject *value, Py_ssize_t *number, int *overflow)
{
    *overflow = 0;
    if (fl_small_int(value, number)) {
        return true;
    }
    if (value == NULL || !PyLong_CheckExact(value)) {
        return false;
    }
    long long found = PyLong_AsLongLongAndOverflow(value, overflow);
    if (found == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    *number = *overflow > 0   ? PY_SSIZE_T_MAX
              : *overflow < 0 ? PY_SSIZE_T_MIN
                              : (Py_ssize_t)found;
    return true;
}

static Py_ssize_t
n_leading_of(const struct fl_callback_signature *signature)
{
    return signature->leading[1] == NULL ? 1 : 2;
}

/* One keyword argument that is not a plain context=. */
static int
parse_keyword(
    const struct fl_state *state, const struct fl_callback_signature *signature,
    PyObject *name, PyObject *value, struct fl_callback_args *out
)
{
    if (signature->takes_context && PyUnicode_Compare(name, state->str_context) == 0) {
        out->context = value == Py_None ? NULL : value;
        return 0;
    }
    for (Py_ssize_t i = 0; i < n_leading_of(signature); i++) {
        if (PyUnicode_CompareWithASCIIString(name, signature->leading[i]) != 0) {
            continue;
        }
        if (out->leading[i] != NULL) {
            PyErr_Format(
                PyExc_TypeError, "%s() got multiple values for argument '%s'",
                signature->function, signature->leading[i]
            );
            return -1;
        }
        out->leading[i] = value;
        return 0;
    }
    PyErr_Format(
        PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
        signature->function, name
    );
    return -1;
}

static int
check_leading(
    const struct fl_callback_signature *signature, const struct fl_callback_args *out
)
{
    for (Py_ssize_t i = 0; i < n_leading_of(signature); i++) {
        if (out->leading[i] == NULL) {
            PyErr_Format(
                PyExc_TypeError, "%s() missing required argument: '%s'",
                signature->function, signature->leading[i]
            );
            return -1;
        }
    }
    return 0;
}

int
fl_args_parse(
    const struct fl_state *state, const struct fl_callback_signature *signature,
    PyObject *const *args, Py_ssize_t n_args, PyObject *kwnames,
    struct fl_callback_args *out
)
{
    Py_ssize_t n_leading = n_leading_of(signature);
    Py_ssize_t n_given = n_args < n_leading ? n_args : n_leading;
    out->leading[0] = n_given > 0 ? args[0] : NULL;
    out->leading[1] = n_given > 1 ? args[1] : NULL;
    out->args = args + n_given;
    out->n_args = n_args - n_given;
    out->context = NULL;
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; i < n_keywords; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        PyObject *value = args[n_args + i];
        /* C callers (tasks, futures) pass the interned name. */
        if (name == state->str_context && signature->takes_context) {
            out->context = value == Py_None ? NULL : value;
        }
        else if (parse_keyword(state, signature, name, value, out) < 0) {
            return -1;
        }
    }
    return check_leading(signature, out);
}

PyObject *
fl_args_one(
    const char *function, const char *name, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames
)
{
    Py_ssize_t n_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (n_args + n_keywords != 1) {
        PyErr_Format(
            PyExc_TypeError, "%s() takes exactly one argument (%zd given)", function,
            n_args + n_keywords
        );
        return NULL;
    }
    if (n_keywords == 1 &&
        PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), name) != 0) {
        PyErr_Format(
            PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function,
            PyTuple_GET_ITEM(kwnames, 0)
        );
        return NULL;
    }
    return args[0];
}
