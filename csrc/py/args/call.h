/* The result of a call of which only one thing is of interest.
 *
 * Both steal it; it may be NULL, with an exception set. (Inline: so each file's calls
 * can be made to fail, py/fault.h.)
 */
#ifndef FASTLOOP_PY_CALL_H
#define FASTLOOP_PY_CALL_H

#include "py/compat.h"

/* Whether the call went well: 0, or -1 with an exception. escapes. */
static inline int
fl_call_status(PyObject *result)
{
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

/* The result's truth: 1, 0, or -1 with an exception. escapes. */
static inline int
fl_call_truth(PyObject *result)
{
    if (result == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(result);
    Py_DECREF(result);
    return truth;
}

#endif
