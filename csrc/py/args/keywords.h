/* Keyword arguments of methods with few parameters. */
#ifndef FASTLOOP_PY_KEYWORDS_H
#define FASTLOOP_PY_KEYWORDS_H

#include "py/compat.h"

#define FL_KEYWORDS_MAX 6

/* What a method takes: names, those that may be positional first. */
struct fl_keywords {
    const char *function; /* for messages */
    Py_ssize_t n_positional;
    Py_ssize_t n_required;
    Py_ssize_t n;
    PyObject *names[FL_KEYWORDS_MAX]; /* borrowed, interned */
};

/* Fills values[0..n) with borrowed references; those absent keep their value. 0, or
 * -1 with TypeError. */
int fl_keywords_parse(
    const struct fl_keywords *expected, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames, PyObject **values
);

/* function(name=<what *value holds>) */
int fl_keywords_parse_optional(
    const char *function, PyObject *name, PyObject *const *args, Py_ssize_t n_args,
    PyObject *kwnames, PyObject **value
);

#endif
