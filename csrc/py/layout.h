/* Where a Python class has its slots.
 *
 * A type of ours that derives from such a class lays its struct over them.
 */
#ifndef FASTLOOP_PY_LAYOUT_H
#define FASTLOOP_PY_LAYOUT_H

#include "py/compat.h"

struct fl_slot {
    const char *name;
    Py_ssize_t offset;
};

/* Whether base is a class of this size with each of the slots, which a NULL name ends,
 * at its offset. Clears whatever is raised. */
bool
fl_layout_matches(PyObject *base, const struct fl_slot *slots, Py_ssize_t basicsize);

/* The same, named for messages: 0, or -1 with ImportError. */
int fl_layout_check(
    PyObject *base, const struct fl_slot *slots, Py_ssize_t basicsize, const char *name
);

#endif
