/* Where a Python class has its slots.
 *
 * A type of ours that derives from such a class lays its struct over them. If they lie
 * elsewhere, as on a Python newer than this fastloop, another class takes its place.
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

/* The same of *base, which is replaced where it does not: by a class of ours with
 * asyncio's methods and with the slots of in_order, their names in the order of their
 * offsets, __weakref__ among them (fastloop/_layout.py). 0, or -1 with an exception:
 * ImportError if that does not help either. */
int fl_layout_provide(
    PyObject **base, const struct fl_slot *slots, Py_ssize_t basicsize,
    const char *in_order
);

/* The bases of a type that derives from a base so provided, and from another class of
 * asyncio's: a new tuple, or NULL. */
PyObject *fl_layout_join(PyObject *base, PyObject *other);

#endif
