/* Who awaits whom, for asyncio's call graph and profilers outside (3.14+). */
#include "core/future/awaited_by.h"

#if defined(FL_HAVE_THREAD_TASKS)

/* The common base of all native futures: what asyncio's Future derives from is
 * ours to read as well. */
static struct fl_base_future *
native_future(const struct fl_state *state, PyObject *future)
{
    PyTypeObject *type = Py_TYPE(future);
    if (type == state->future_type || type == state->task_type ||
        PyType_IsSubtype(type, state->future_type->tp_base)) {
        return fl_base_future(future);
    }
    return NULL;
}

static int
make_set(struct fl_base_future *base, PyObject *task)
{
    PyObject *set = PySet_New(NULL);
    if (set == NULL || PySet_Add(set, task) < 0 ||
        PySet_Add(set, base->awaited_by) < 0) {
        Py_XDECREF(set);
        return -1;
    }
    Py_SETREF(base->awaited_by, set);
    base->awaited_by_is_set = 1;
    return 0;
}

int
fl_awaited_by_add(const struct fl_state *state, PyObject *future, PyObject *task)
{
    struct fl_base_future *base = native_future(state, future);
    if (base == NULL) {
        return 0;
    }
    if (base->awaited_by == NULL) {
        base->awaited_by = Py_NewRef(task);
        return 0;
    }
    if (base->awaited_by_is_set) {
        return PySet_Add(base->awaited_by, task);
    }
    return make_set(base, task);
}

int
fl_awaited_by_discard(const struct fl_state *state, PyObject *future, PyObject *task)
{
    struct fl_base_future *base = native_future(state, future);
    if (base == NULL || base->awaited_by == NULL) {
        return 0;
    }
    if (base->awaited_by == task) {
        base->awaited_by = NULL;
        Py_DECREF(task); /* its caller holds another reference */
        return 0;
    }
    if (base->awaited_by_is_set) {
        return PySet_Discard(base->awaited_by, task) < 0 ? -1 : 0;
    }
    return 0;
}

#else

typedef int fl_awaited_by_is_not_there; /* ISO C wants something in a file */

#endif
